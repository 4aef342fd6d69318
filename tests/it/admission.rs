//! `tarn attest admission` as an API server meets it: HTTP to a process, and what is in lake and ledger afterwards.

use crate::attest::{layout, public};
use crate::command::{Run, tarn, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A webhook that is ended with the test.
struct Webhook {
    child: Child,
    url: String,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Webhook {
    fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let body = body.into();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let sent = reqwest::Client::new().post(format!("{}/validate{query}", self.url)).body(body).send().await.unwrap();
            (sent.status().as_u16(), sent.text().await.unwrap())
        })
    }

    fn ask(&self, uid: &str, image: &str) -> Value {
        let (status, body) = self.post("?timeout=30s", review(uid, image).to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["response"].clone()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn stop(mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

fn review(uid: &str, image: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": uid, "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "name": uid, "namespace": "shop", "userInfo": {"username": "alice"},
            "object": {"spec": {"containers": [{"name": "app", "image": image}]}},
        },
    })
}

/// A repository with an image that its owner and somebody else signed, the owner's policy, and keys.
struct Place {
    folder: tempfile::TempDir,
    image: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [own, another, summaries] = [1, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let digest = layout(&folder.path().join("layouts/registry.example/app"), [&another, &own]);
        public(folder.path(), "own.pub", &own);
        public(folder.path(), "vsa.pub", &summaries);
        let place = Self { folder, image: format!("registry.example/app:v1@{digest}") };
        let key = tarn(&["evidence", "key", "new", text(&place.at("evidence.key")), "--name", "example.com/evidence"]);
        std::fs::write(place.at("evidence.pub"), key.ok().stdout).unwrap();
        place.policies("own.pub");
        // RFC 8410: the seed in PKCS#8.
        let der = [hex::decode("302e020100300506032b657004220420").unwrap(), summaries.to_bytes().to_vec()].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        std::fs::write(place.at("vsa.key"), pem).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policies(&self, key: &str) {
        let policy = format!("[[policy]]\nname = \"app\"\nkey = \"{key}\"\nimages = [\"registry.example/*\"]\n");
        std::fs::write(self.at("policies.toml"), policy).unwrap();
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = ["attest", "admission", "--listen", "127.0.0.1:0"].map(str::to_owned).into();
        for (option, file) in [
            ("--policies", "policies.toml"),
            ("--layout", "layouts"),
            ("--lake", "lake"),
            ("--ledger-key", "evidence.key"),
        ] {
            all.extend([option.to_owned(), text(&self.at(file)).to_owned()]);
        }
        all.extend(more.iter().map(|argument| (*argument).to_owned()));
        all
    }

    fn webhook(&self, more: &[&str]) -> Webhook {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command.args(self.arguments(more)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Webhook { child, url }
    }

    fn sql(&self, sql: &str) -> Vec<Value> {
        tarn(&["sql", "--lake", text(&self.at("lake")), "--format", "ndjson", sql]).ok().rows()
    }

    /// A record with its document, out of a proof that holds.
    fn proved(&self, uid: &str) -> (Value, Option<Vec<u8>>) {
        let (proof, lake, key) = (self.at("proof.json"), self.at("lake"), self.at("evidence.pub"));
        tarn(&["evidence", "prove", uid, "--lake", text(&lake), "-o", text(&proof)]).ok();
        tarn(&["evidence", "verify", text(&proof), "--key", text(&key)]).ok();
        let proof: Value = serde_json::from_slice(&std::fs::read(proof).unwrap()).unwrap();
        let raw = proof["raw"].as_str().map(|raw| STANDARD.decode(raw).unwrap());
        (serde_json::from_str(proof["record"].as_str().unwrap()).unwrap(), raw)
    }
}

fn decided(response: &Value) -> (bool, &str) {
    (response["allowed"].as_bool().unwrap(), response["auditAnnotations"]["decision"].as_str().unwrap())
}

#[test]
fn decisions_are_answered_and_are_leaves_and_rows() {
    let place = Place::new();
    let verifier = "https://example.com/admission";
    let hook = place.webhook(&["--vsa-key", text(&place.at("vsa.key")), "--vsa-verifier", verifier]);
    let attested = hook.ask("uid-attested", &place.image);
    assert_eq!(decided(&attested), (true, "attested"));
    let tag = hook.ask("uid-tag", "registry.example/app:v1");
    assert_eq!(decided(&tag), (true, "warned"));
    assert!(tag["warnings"][0].as_str().unwrap().contains("named without a digest"), "{tag}");
    assert_eq!(hook.post("", "{}").0, 400);
    assert_eq!(hook.post("", review("old", "a").to_string().replace("/v1\"", "/v1beta1\"")).0, 400);
    assert_eq!(hook.post("", vec![b' '; (3 << 20) + 1]).0, 413);
    hook.stop();

    let hook = place.webhook(&["--mode", "enforce"]);
    let unknown = format!("registry.example/app@sha256:{}", "0".repeat(64));
    let refused = hook.ask("uid-unknown", &unknown);
    assert_eq!(decided(&refused), (false, "refused"));
    assert!(refused["status"]["message"].as_str().unwrap().contains("nothing is attached to it"), "{refused}");
    assert_eq!(decided(&hook.ask("uid-again", &place.image)), (true, "attested"));
    // Other policies, of a signer who signed nothing, once they are read again.
    place.policies("vsa.pub");
    hook.signal("HUP");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while decided(&hook.ask("uid-reloaded", &place.image)).0 {
        assert!(std::time::Instant::now() < until, "the policies are not read again");
    }
    hook.stop();

    // Rows, of all that was answered.
    let sql = "SELECT metadata.correlation_uid AS uid, min(action) AS action FROM api_activity GROUP BY 1 ORDER BY 1";
    let rows: Vec<_> = place.sql(sql).iter().map(|row| (row["uid"].clone(), row["action"].clone())).collect();
    let expected = [
        ("uid-again", "Allowed"),
        ("uid-attested", "Allowed"),
        ("uid-reloaded", "Allowed"),
        ("uid-tag", "Allowed"),
        ("uid-unknown", "Denied"),
    ];
    assert_eq!(rows, expected.map(|(uid, action)| (json!(uid), json!(action))));
    let verified = place.sql("SELECT activity_name, trust_verdict, count(*) AS n FROM artifact_signing GROUP BY 1, 2 ORDER BY 1, 2");
    let counts: Vec<_> = verified.iter().map(|row| row["activity_name"].as_str().unwrap()).collect();
    assert_eq!(counts, ["Attest", "Verify", "Verify"]);
    let records = place.at("records.ndjson");
    std::fs::write(&records, tarn(&["ocsf", "export", "--lake", text(&place.at("lake"))]).ok().stdout).unwrap();
    tarn(&["ocsf", "validate", text(&records)]).ok();

    // Leaves: the decision, the verifications that it stands on, and the summary.
    let (decision, _) = place.proved(attested["auditAnnotations"]["record"].as_str().unwrap());
    assert_eq!(decision["metadata"]["correlation_uid"], "uid-attested");
    let data = &decision["enrichments"][0]["data"];
    let passed: Vec<_> = data["evidence"].as_array().unwrap().iter().map(|e| e["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [false, true]);
    let (verification, document) = place.proved(data["evidence"][1]["uid"].as_str().unwrap());
    assert_eq!(verification["trust_verdict"], "Passed");
    assert!(document.unwrap().starts_with(b"{\"critical\""));
    let (summary, envelope) = place.proved(data["summary"]["uid"].as_str().unwrap());
    assert_eq!(summary["evidence_uids"], json!([verification["metadata"]["uid"]]));

    // Whoever trusts the webhook's key verifies the summary.
    let (bundle, policies) = (place.at("vsa.json"), place.at("consumer.toml"));
    std::fs::write(&bundle, envelope.unwrap()).unwrap();
    let policy = format!("[[policy]]\nname = \"c\"\nkey = \"vsa.pub\"\n[policy.summary]\nverifier = \"{verifier}\"\n");
    std::fs::write(&policies, policy).unwrap();
    let digest = place.image.split_once('@').unwrap().1;
    let verify = |digest: &str| {
        tarn(&["attest", "verify", "--policies", text(&policies), "--bundle", text(&bundle), digest])
    };
    assert!(verify(digest).ok().rows().iter().any(|row| row["check"] == "result" && row["outcome"] == "passed"));
    assert_eq!(verify(&format!("sha256:{}", "0".repeat(64))).code, 1);

    let audit = ["evidence", "audit", "--lake", text(&place.at("lake")), "--key", text(&place.at("evidence.pub"))];
    assert_eq!(tarn(&audit).ok().rows()[0]["result"], "whole");
}

#[test]
fn what_is_missing_for_a_webhook_is_named() {
    let place = Place::new();
    let run = |more: &[&str]| -> Run { tarn(&place.arguments(more)) };
    let told = |run: Run, why: &str| assert!(run.code == 2 && run.stderr.contains(why), "{}: {}", run.code, run.stderr);
    told(run(&["--vsa-key", text(&place.at("own.pub")), "--vsa-verifier", "https://v"]), "expected a private key in PKCS#8 PEM");
    told(run(&["--vsa-key", text(&place.at("vsa.key")), "--vsa-verifier", "me"]), "--vsa-verifier: expected a URI");
    told(run(&["--vsa-key", "x"]), "--vsa-verifier");
    let open = place.arguments(&[]).into_iter().map(|a| a.replace("127.0.0.1:0", "0.0.0.0:0")).collect::<Vec<_>>();
    told(tarn(&open), "that needs --tls-cert and --tls-key");
    let tls = ["--tls-cert", text(&place.at("own.pub")), "--tls-key", text(&place.at("vsa.key"))];
    told(tarn(&[&open[..], &tls.map(str::to_owned)].concat()), "--tls-client-ca, or --any-client");
    told(run(&tls), "no usable certificate");
    let nowhere = place.arguments(&[]).into_iter().map(|a| a.replace("layouts", "nowhere")).collect::<Vec<_>>();
    told(tarn(&nowhere), "nowhere: expected a folder");
    std::fs::write(place.at("evidence.key"), "x").unwrap();
    told(run(&[]), "evidence.key");
}
