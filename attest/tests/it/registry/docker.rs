//! Docker's registry (Debian's package `docker-registry`, 2.8), with its own storage and users: it has no list of
//! referrers, and checks what is pushed to it.

use super::served::tags;
use super::{delivery, facts, read};
use crate::oci::Delivery;
use crate::world::World;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use tarn_attest::admission::Reference;
use tarn_attest::oci::OciError;
use tarn_attest::oci::registry::{Access, Credentials, Registry, RegistryError};

/// `me` and `hush`, by bcrypt.
const USERS: &str = "me:$2b$04$oUVFGn5u5hN6oopBlkhVae4I6c.M5ydmMFaIGJaeqY9XTpb71bN1m\n";

struct Docker {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Docker {
    /// Says that the test is skipped where the registry is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, USERS).unwrap();
        // YAML reads JSON.
        let config = json!({
            "version": "0.1", "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("storage")}},
            "http": {"addr": "127.0.0.1:0"},
            "auth": {"htpasswd": {"realm": "test", "path": users}},
        });
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("skipped: docker-registry is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ',']).next().unwrap().to_owned())
        });
        let address = address.expect("docker-registry says where it listens");
        // Its log goes on, and a pipe that nobody reads would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address, folder })
    }

    fn registry(&self, rest: &str, user: Option<&str>) -> Registry {
        let reference = Reference::read(&format!("{}/team/app{rest}", self.address)).unwrap();
        let credentials = user.map(|user| Credentials::new(user, "hush"));
        Registry::new(reference, Access { credentials, insecure_http: true, ..Access::default() }).unwrap()
    }

    async fn push(&self, delivery: &Delivery) {
        let client = Client::new();
        let base = format!("http://{}/v2/team/app", self.address);
        let put = async |url: String, kind: &str, bytes: Vec<u8>| {
            let put = client.put(url).basic_auth("me", Some("hush")).header("content-type", kind);
            let answer = put.body(bytes).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
        };
        let (mut manifests, mut pushed) = (Vec::new(), BTreeSet::new());
        for entry in std::fs::read_dir(delivery.folder.path().join("blobs/sha256")).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let digest = tarn_attest::Digest::sha256(&bytes).to_string();
            let read = serde_json::from_slice::<Value>(&bytes).ok().filter(|value| value["schemaVersion"] == 2);
            if let Some(manifest) = read {
                manifests.push((digest, manifest["manifests"].is_array(), bytes));
                continue;
            }
            let began = client.post(format!("{base}/blobs/uploads/")).basic_auth("me", Some("hush"));
            let began = began.send().await.unwrap();
            assert_eq!(began.status(), StatusCode::ACCEPTED);
            let location = began.headers()["location"].to_str().unwrap();
            put(format!("{location}&digest={digest}"), "application/octet-stream", bytes).await;
            pushed.insert(digest);
        }
        // A list is taken when what it lists is there.
        manifests.sort_by_key(|(_, is_list, _)| *is_list);
        let tags = tags(delivery);
        for (digest, is_list, bytes) in manifests {
            let kind = format!("application/vnd.oci.image.{}.v1+json", if is_list { "index" } else { "manifest" });
            put(format!("{base}/manifests/{digest}"), &kind, bytes.clone()).await;
            for (tag, _) in tags.iter().filter(|(_, of)| **of == digest) {
                put(format!("{base}/manifests/{tag}"), &kind, bytes.clone()).await;
            }
        }
    }
}

#[tokio::test]
async fn dockers_registry_gives_what_was_pushed_and_only_to_who_may_ask() {
    let Some(docker) = Docker::start() else { return };
    let world = World::new();
    let mut delivery = delivery(&world);
    let referrer = delivery.listed[1].clone();
    let list = delivery.manifest(&json!({"schemaVersion": 2, "manifests": [referrer]}));
    delivery.list(list, &format!("sha256-{}", delivery.image.to_hex()));
    docker.push(&delivery).await;
    let expected = facts(&read(&delivery.open().unwrap()).await.unwrap());
    assert_eq!(expected.len(), 4);
    assert_eq!(facts(&read(&docker.registry("", Some("me"))).await.unwrap()), expected);
    for user in [None, Some("you")] {
        let error = read(&docker.registry("", user)).await.unwrap_err();
        assert!(matches!(error, OciError::Registry(RegistryError::Refused { .. })), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
    let absent = tarn_attest::oci::image(&docker.registry(":v2", Some("me")), None).await.unwrap_err();
    assert!(matches!(absent, OciError::Absent(_)), "{absent}");
}

/// What is pushed is kept by its digest on this disk, and disks are written by others.
#[tokio::test]
async fn a_blob_that_was_changed_in_the_registrys_storage_is_refused() {
    let Some(docker) = Docker::start() else { return };
    let delivery = delivery(&World::new());
    docker.push(&delivery).await;
    let document = read(&docker.registry("", Some("me"))).await.unwrap().remove(0).digest.to_hex();
    let blobs = docker.folder.path().join("storage/docker/registry/v2/blobs/sha256");
    let path = blobs.join(&document[..2]).join(&document).join("data");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = read(&docker.registry("", Some("me"))).await.unwrap_err();
    assert!(matches!(error, OciError::Changed { .. }), "{error}");
}
