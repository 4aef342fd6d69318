//! `tarn attest … --image`: images of a registry, as a release script and an auditor ask for them.

use crate::attest::{blob, layout, public};
use crate::command::{Run, tarn, tarn_in, text};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A registry on this machine, and who asked it.
pub struct Served {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Option<String>>>>,
}

impl Served {
    pub fn new(answer: impl Fn(&str, Option<&str>) -> Option<Response> + Clone + Send + Sync + 'static) -> Self {
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = told.clone();
        let answer = move |request: Request| async move {
            let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            seen.lock().unwrap().push(authorization.clone());
            match answer(request.uri().path(), authorization.as_deref()) {
                Some(answer) => answer,
                // Never.
                None => std::future::pending().await,
            }
        };
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap();
            });
        });
        Self { address: receive.recv().unwrap(), told }
    }

    /// What a layout has.
    pub fn of(layout: &Path) -> Self {
        let layout = layout.to_owned();
        Self::new(move |path, _| Some(content(&layout, path)))
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn image(&self, rest: &str) -> String {
        format!("{}/team/app{rest}", self.address)
    }
}

/// A registry's answer to a path, out of a layout.
pub fn content(layout: &Path, path: &str) -> Response {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = path.rsplit('/').next().unwrap();
    let is_tag = |manifest: &&Value| manifest["annotations"]["org.opencontainers.image.ref.name"] == name;
    let tagged = index["manifests"].as_array().unwrap().iter().find(is_tag);
    let digest = tagged.map_or(name, |manifest| manifest["digest"].as_str().unwrap());
    match std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))) {
        Ok(bytes) if !path.contains("/referrers/") => bytes.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An image with two signatures, one by `own.pub`, and an SBOM as `cosign attach sbom` leaves it; its digest.
fn delivery(folder: &Path) -> (PathBuf, String, String) {
    let [own, another] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let app = folder.join("app");
    let digest = layout(&app, [&another, &own]);
    let bill = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{"type": "library", "name": "zlib", "version": "1.3"}]}"#;
    let mut layer = blob(&app, bill);
    layer["mediaType"] = "application/vnd.cyclonedx+json".into();
    let mut manifest = blob(&app, &json!({"schemaVersion": 2, "layers": [layer]}).to_string());
    let tag = format!("{}.sbom", digest.replace(':', "-"));
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let path = app.join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().push(manifest);
    std::fs::write(&path, index.to_string()).unwrap();
    (app, digest, public(folder, "own.pub", &own))
}

#[test]
fn an_image_of_a_registry_is_verified_by_the_digest_that_its_tag_has_now() {
    let folder = tempfile::tempdir().unwrap();
    let (app, digest, own) = delivery(folder.path());
    let served = Served::of(&app);
    let verify = |image: &str, more: &[&str]| {
        let image = ["attest", "verify", "--insecure-http", "--image", image, "--key", &own];
        tarn_in(&[], &[&image[..], more].concat())
    };
    let tagged = verify(&served.image(":v1"), &[]).ok();
    let resolved = format!("resolved: {} is {}", served.image(":v1"), served.image(&format!("@{digest}")));
    assert!(tagged.stderr.contains(&resolved), "{}", tagged.stderr);
    assert!(tagged.stderr.contains(&format!("verified: {digest}: 1 of 3")), "{}", tagged.stderr);
    let exact = verify(&served.image(&format!("@{digest}")), &[]).ok();
    assert!(!exact.stderr.contains("resolved"), "{}", exact.stderr);
    assert_eq!(exact.stdout, tagged.stdout);
    // An SBOM that nobody signed is no answer to who signed one.
    let asked = verify(&served.image(":v1"), &["--sbom"]);
    assert_eq!(asked.code, 1, "{}", asked.stderr);
    let absent = verify(&served.image(":v2"), &[]);
    assert!(absent.code == 1 && absent.stderr.contains("no image \"v2\""), "{}", absent.stderr);
    let latest = verify(&served.image(""), &[]);
    assert!(latest.stderr.contains("no image \"latest\""), "{}", latest.stderr);
    for (image, more, expected) in [
        ("registry.example/app", &[][..], "plain HTTP is for a registry on this machine alone"),
        ("Not/An/Image", &[], "is no image reference"),
        ("r.example/a@md5:d41d8cd98f00b204e9800998ecf8427e", &[], "expected a digest by SHA-256 or SHA-512"),
        ("127.0.0.1:1/app:v1", &["sha256:00"], "--image names the image already"),
    ] {
        let wrong = verify(image, more);
        assert!(wrong.code == 2 && wrong.stderr.contains(expected), "{image}: {}", wrong.stderr);
    }
    let nobody = verify("127.0.0.1:1/app:v1", &[]);
    assert!(nobody.code == 1 && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
}

#[test]
fn what_is_attached_is_recorded_alike_from_a_layout_and_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let (app, digest, _) = delivery(folder.path());
    let served = Served::of(&app);
    let policies = folder.path().join("policies.toml");
    let named = format!("images = [\"{}\"]", served.image(""));
    let policy = |name: &str, more: &str| format!("[[policy]]\nname = \"{name}\"\nkey = \"own.pub\"\n{more}\n");
    std::fs::write(&policies, policy("other", "images = [\"x.example/*\"]") + &policy("app", &named)).unwrap();
    let key = folder.path().join("evidence.key");
    let public = tarn(&["evidence", "key", "new", text(&key), "--name", "example.com/evidence"]).ok().stdout;
    let lake = folder.path().join("lake");
    let ingest = |more: &[&str]| -> Run {
        let all =
            ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies), "--ledger-key", text(&key)];
        tarn_in(&[], &[&all[..], more].concat()).ok()
    };
    let image = served.image(":v1");
    let first = ingest(&["--image", &image, "--insecure-http"]);
    let told = |run: &Run, column: &str| run.rows().iter().map(|row| row[column].clone()).collect::<Vec<_>>();
    assert_eq!(told(&first, "verdict"), ["failed", "passed", "not_checked"], "{}", first.stdout);
    assert_eq!(told(&first, "new"), [true, true, true]);
    assert!(told(&first, "artifact").iter().all(|artifact| *artifact == digest.as_str()));
    // From the layout the same documents by the same policy are the same records.
    let again = ingest(&["--layout", text(&app), "--artifact", "v1", "--policy", "app"]);
    assert_eq!(told(&again, "uid"), told(&first, "uid"));
    assert_eq!(told(&again, "new"), [false, false, false]);
    let sql = |sql: &str| tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok().rows()[0]["n"].clone();
    assert_eq!(sql("SELECT count(*) AS n FROM artifact_signing"), 3);
    let bill = format!("SELECT count(*) AS n FROM software_info WHERE device.image.uid = '{digest}'");
    assert_eq!(sql(&bill), 1);
    let audit = ["evidence", "audit", "--lake", text(&lake), "--key", public.trim_end(), "--format", "ndjson"];
    assert_eq!(tarn(&audit).ok().rows()[0]["leaves"], 3);
}

#[test]
fn credentials_are_of_the_environment_or_dockers_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _, own) = delivery(folder.path());
    let content = move |path: &str, authorization: Option<&str>| {
        let challenge = (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"r\"")]).into_response();
        // me:hush
        Some(if authorization == Some("Basic bWU6aHVzaA==") { self::content(&app, path) } else { challenge })
    };
    let served = Served::new(content);
    let image = served.image(":v1");
    let verify = |environment: &[(&str, &str)]| {
        let run = tarn_in(environment, &["attest", "verify", "--insecure-http", "--image", &image, "--key", &own]);
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("hush"), "{}", run.stderr);
        run
    };
    verify(&[("TARN_REGISTRY_USER", "me"), ("TARN_REGISTRY_PASSWORD", "hush")]).ok();
    let docker = folder.path().join(".docker");
    std::fs::create_dir(&docker).unwrap();
    let config = |config: &Value| std::fs::write(docker.join("config.json"), config.to_string()).unwrap();
    let host = served.address.to_string();
    config(&json!({"auths": {host.as_str(): {"auth": "bWU6aHVzaA=="}}}));
    verify(&[("HOME", text(folder.path()))]).ok();
    verify(&[("DOCKER_CONFIG", text(&docker))]).ok();
    let unknown = verify(&[]);
    assert!(unknown.code == 1 && unknown.stderr.contains("refused without credentials"), "{}", unknown.stderr);
    let wrong = verify(&[("TARN_REGISTRY_USER", "me"), ("TARN_REGISTRY_PASSWORD", "hush-hush")]);
    assert!(wrong.code == 1 && wrong.stderr.contains("refused the user \"me\": 401"), "{}", wrong.stderr);
    let half = verify(&[("TARN_REGISTRY_USER", "me")]);
    assert!(half.code == 2 && half.stderr.contains("both TARN_REGISTRY_USER and"), "{}", half.stderr);
    config(&json!({"credHelpers": {host.as_str(): "ecr-login"}}));
    let kept = verify(&[("HOME", text(folder.path()))]);
    assert!(kept.code == 2 && kept.stderr.contains("docker-credential-ecr-login"), "{}", kept.stderr);
    assert!(served.told.lock().unwrap().iter().any(Option::is_none));
}

#[test]
fn a_registry_that_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, own) = delivery(folder.path());
    let served = Served::new(|_, _| None);
    let image = served.image(":v1");
    let began = std::time::Instant::now();
    let run = tarn_in(
        &[],
        &["attest", "verify", "--insecure-http", "--image", &image, "--key", &own, "--registry-timeout", "1"],
    );
    assert!(run.code == 1 && run.stderr.contains("not read within 1 s"), "{}", run.stderr);
    assert!(began.elapsed().as_secs() < 15);
}
