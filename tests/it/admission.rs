//! `tarn attest admission` as an API server meets it: HTTP to a process, and what is in lake and ledger afterwards.

use crate::attest::{layout, public};
use crate::command::{Run, tarn, tarn_reading, text};
use crate::images::{Served, content};
use crate::serve::daemon::Daemon;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A webhook that is ended with the test.
struct Webhook {
    child: Child,
    url: String,
    said: Arc<Mutex<String>>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Webhook {
    fn start(arguments: &[String]) -> Self {
        Self::start_in(&[], arguments)
    }

    fn start_in(environment: &[(&str, &str)], arguments: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command.envs(environment.iter().copied());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned();
        // Whatever else it says is read, so that it never waits for a reader.
        let said: Arc<Mutex<String>> = Arc::default();
        let heard = said.clone();
        std::thread::spawn(move || {
            lines.for_each(|line| heard.lock().unwrap().push_str(&format!("{}\n", line.unwrap_or_default())))
        });
        Self { child, url, said }
    }

    /// What it said so far.
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let body = body.into();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let sent =
                reqwest::Client::new().post(format!("{}/validate{query}", self.url)).body(body).send().await.unwrap();
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
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": uid, "namespace": "shop",
            "userInfo": {"username": "alice", "groups": ["shop", "system:authenticated"]},
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
        self.policies_for(key, "registry.example/*");
    }

    fn policies_for(&self, key: &str, images: &str) {
        let policy = format!("[[policy]]\nname = \"app\"\nkey = \"{key}\"\nimages = [\"{images}\"]\n");
        std::fs::write(self.at("policies.toml"), policy).unwrap();
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        self.arguments_with(&["--layout", text(&self.at("layouts"))], more)
    }

    fn arguments_with(&self, source: &[&str], more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = ["attest", "admission", "--listen", "127.0.0.1:0"].map(str::to_owned).into();
        for (option, file) in [("--policies", "policies.toml"), ("--lake", "lake"), ("--ledger-key", "evidence.key")] {
            all.extend([option.to_owned(), text(&self.at(file)).to_owned()]);
        }
        all.extend(source.iter().map(|argument| (*argument).to_owned()));
        all.extend(more.iter().map(|argument| (*argument).to_owned()));
        all
    }

    fn webhook(&self, more: &[&str]) -> Webhook {
        Webhook::start(&self.arguments(more))
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

/// Waits for what comes within seconds.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "{what}: not so");
        std::thread::sleep(Duration::from_millis(100));
    }
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
    soon("the policies are read again", || !decided(&hook.ask("uid-reloaded", &place.image)).0);
    hook.stop();

    // Rows, of all that was answered.
    let sql = "SELECT metadata.correlation_uid AS uid, max(action) AS action FROM api_activity GROUP BY 1 ORDER BY 1";
    let rows: Vec<_> = place.sql(sql).iter().map(|row| (row["uid"].clone(), row["action"].clone())).collect();
    let expected = [
        ("uid-again", "Allowed"),
        ("uid-attested", "Allowed"),
        ("uid-reloaded", "Denied"),
        ("uid-tag", "Allowed"),
        ("uid-unknown", "Denied"),
    ];
    assert_eq!(rows, expected.map(|(uid, action)| (json!(uid), json!(action))));
    let verified = place
        .sql("SELECT activity_name, trust_verdict, count(*) AS n FROM artifact_signing GROUP BY 1, 2 ORDER BY 1, 2");
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
    let document: Value = serde_json::from_slice(&document.unwrap()).unwrap();
    assert!(document["annotations"]["dev.cosignproject.cosign/signature"].is_string(), "what it was verified by");
    let (summary, envelope) = place.proved(data["summary"]["uid"].as_str().unwrap());
    assert_eq!(summary["evidence_uids"], json!([verification["metadata"]["uid"]]));

    // Whoever trusts the webhook's key verifies the summary.
    let (bundle, policies) = (place.at("vsa.json"), place.at("consumer.toml"));
    std::fs::write(&bundle, envelope.unwrap()).unwrap();
    let policy = format!("[[policy]]\nname = \"c\"\nkey = \"vsa.pub\"\n[policy.summary]\nverifier = \"{verifier}\"\n");
    std::fs::write(&policies, policy).unwrap();
    let digest = place.image.split_once('@').unwrap().1;
    let verify =
        |digest: &str| tarn(&["attest", "verify", "--policies", text(&policies), "--bundle", text(&bundle), digest]);
    assert!(verify(digest).ok().rows().iter().any(|row| row["check"] == "result" && row["outcome"] == "passed"));
    assert_eq!(verify(&format!("sha256:{}", "0".repeat(64))).code, 1);

    let (lake, key) = (place.at("lake"), place.at("evidence.pub"));
    let lineage = tarn(&["evidence", "lineage", digest, "--lake", text(&lake), "--format", "ndjson"]).rows();
    let places = |link: &str| lineage.iter().filter(|row| row["link"] == link).count();
    assert_eq!((places("admission"), places("signature")), (3, 2), "{lineage:?}");
    assert_eq!(
        tarn(&["evidence", "audit", "--lake", text(&lake), "--key", text(&key)]).ok().rows()[0]["result"],
        "whole"
    );
}

/// The same records, as lines to a stream and as rows of the lake.
#[test]
fn rules_over_admission_see_what_the_webhook_decided() {
    let place = Place::new();
    let unknown = format!("registry.example/app@sha256:{}", "0".repeat(64));
    let mut uids = Vec::new();
    for (mode, uid, image) in [
        ("warn", "uid-attested", place.image.as_str()),
        ("warn", "uid-warned", "registry.example/app:v1"),
        ("enforce", "uid-refused", &unknown),
        ("enforce", "uid-allowed", &place.image),
    ] {
        let hook = place.webhook(&["--mode", mode]);
        uids.push(hook.ask(uid, image)["auditAnnotations"]["record"].as_str().unwrap().to_owned());
        hook.stop();
    }
    // By the names that all sources of decisions have, by AdmissionReview's, and by OCSF's.
    let rule = |n: usize, selection: &str| {
        format!(
            "title: Rule {n}\nid: 0c4f5b1e-3a8d-4d0c-9f57-2b1f6a7e9d0{n}\nlogsource:\n  product: kubernetes\n  service: admission\n\
             detection:\n  selection: {selection}\n  condition: selection\nlevel: low\n"
        )
    };
    let own = [
        "{allowed: 'false', operation: CREATE, namespace: shop, kind_of_object: Pod, resource: pods, groups: 'system:authenticated'}",
        "{response.allowed: 'true', response.warnings|contains: 'named without a digest', user.username: alice}",
        "{responseStatus.code: 403, responseStatus.message|contains: 'nothing is attached', objectRef.name: uid-refused}",
        "{action: Allowed, disposition|contains: [Alert, Allowed], policy.is_applied: true}",
        "{request.dryRun: 'true'}",
    ];
    let rules = place.at("rules");
    std::fs::create_dir(&rules).unwrap();
    for (n, selection) in own.iter().enumerate() {
        std::fs::write(rules.join(format!("{n}.yml")), rule(n, selection)).unwrap();
    }
    let pack = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma/kubernetes");

    let told = |run: Run| {
        let row = |row: &Value| {
            let cell = |value: &Value| value.as_str().unwrap().to_owned();
            (cell(&row["rule"]["title"]), cell(&row["event"]["metadata"]["uid"]))
        };
        let mut told: Vec<_> = run.rows().iter().map(row).collect();
        told.sort();
        told
    };
    let lines: Vec<String> = place
        .sql("SELECT raw_data FROM api_activity")
        .iter()
        .map(|row| row["raw_data"].as_str().unwrap().to_owned())
        .collect();
    let log = place.at("decisions.ndjson");
    std::fs::write(&log, lines.join("\n")).unwrap();
    let both = ["--rules", text(&rules), "--rules", text(&pack)];
    let streamed = tarn(&[&["detect"], &both[..], &[text(&log)]].concat()).ok();
    let expected = [
        ("Kubernetes Unsigned Image Admitted With a Warning", 1),
        ("Kubernetes Unsigned Image Refused at Admission", 2),
        ("Rule 0", 2),
        ("Rule 1", 1),
        ("Rule 2", 2),
        ("Rule 3", 3),
    ];
    let expected: Vec<_> = expected.iter().map(|(title, n)| ((*title).to_owned(), uids[*n].clone())).collect();
    assert_eq!(told(streamed), expected);
    let lake = place.at("lake");
    assert_eq!(told(tarn(&[&["hunt", "--lake", text(&lake)], &both[..]].concat()).ok()), expected);
    let query = "SELECT a.status_detail FROM sigma('Kubernetes Unsigned Image Refused at Admission') s \
                 JOIN api_activity a ON a.metadata.uid = s.event_uid";
    let rows = tarn(&["sql", "--lake", text(&lake), "--rules", text(&pack), "--format", "ndjson", query]).ok().rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0]["status_detail"].as_str().unwrap().contains("nothing is attached to it"), "{rows:?}");
}

/// With `--to`, the daemon makes the rows: its rules see what is decided while it is decided.
#[test]
fn decisions_are_handed_to_a_daemon_and_alert() {
    let place = Place::new();
    let rules = format!("['{}']", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma"));
    let own = [
        ("TARN_SERVE__RULES", rules.as_str()),
        ("TARN_SERVE__EVIDENCE__LEDGER_KEY", "evidence.key"),
        ("TARN_SERVE__EVIDENCE__TABLES", "['api_activity', 'detection_finding']"),
    ];
    let daemon = Daemon::start(place.folder.path(), &own).unwrap();
    let url = format!("http://{}", daemon.address);
    let hook = place.webhook(&["--mode", "enforce", "--to", &url]);
    assert!(hook.ask("uid-attested", &place.image)["allowed"].as_bool().unwrap());
    let unknown = format!("registry.example/app@sha256:{}", "0".repeat(64));
    assert!(!hook.ask("uid-refused", &unknown)["allowed"].as_bool().unwrap());
    daemon.finds("Kubernetes Unsigned Image Refused at Admission");
    hook.stop();

    // What the API server let in all the same: a disagreement, and an alert on it.
    let let_in =
        audited("web", &unknown, "", Utc::now() + TimeDelta::seconds(60), json!({"metadata": {}, "code": 201}));
    assert_eq!(daemon.post("/v1/ingest", &let_in.to_string()).status, 200);
    let committed = |d: &Daemon| d.metric("tarn_committed_sequence") == d.metric("tarn_log_last_sequence");
    daemon.wait("a commit", committed);
    let lake = place.at("lake");
    let run = tarn(&["evidence", "disagreements", "--lake", text(&lake), "--record", "--to", &url]);
    assert!(run.code == 1 && run.stderr.contains("recorded: 1 new of 1"), "{}", run.stderr);
    daemon.finds("Workload Let In That Admission Had Refused");
    daemon.wait("the ledger", |d| d.metric("tarn_ledger_sequence") == d.metric("tarn_log_last_sequence"));
    assert!(daemon.stop());

    // One row each, and one leaf: what the webhook logged first is what the daemon's ledger has.
    let sql = "SELECT count(*) AS n, count(DISTINCT metadata.uid) AS uids FROM";
    let ours = "api_activity WHERE metadata.log_name = 'admission'";
    assert_eq!(place.sql(&format!("{sql} {ours}")), [json!({"n": 2, "uids": 2})]);
    assert_eq!(place.sql(&format!("{sql} artifact_signing")), [json!({"n": 2, "uids": 2})]);
    for row in place.sql(&format!("SELECT metadata.uid AS uid FROM {ours}")) {
        place.proved(row["uid"].as_str().unwrap());
    }
    // Another process that follows the ledger finds that all of it has rows.
    place.webhook(&[]).stop();
    assert_eq!(place.sql(&format!("{sql} {ours}")), [json!({"n": 2, "uids": 2})]);
    let run = tarn(&place.arguments(&["--to", "ftp://example.com"]));
    assert!(run.code == 2 && run.stderr.contains("--to: expected http://"), "{}", run.stderr);
}

#[test]
fn over_tls_only_who_shows_a_certificate_is_answered() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let place = Place::new();
    let root = || {
        let mut root = CertificateParams::new(vec![]).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap()
    };
    let (root, next) = (root(), root());
    let issued = |name: &str, root: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, root).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (server, client) = (issued("127.0.0.1", &root), issued("apiserver.example", &root));
    let mut arguments = Vec::new();
    for (option, file, pem) in [
        ("--tls-cert", "tls.crt", &server.0),
        ("--tls-key", "tls.key", &server.1),
        ("--tls-client-ca", "ca.crt", &root.pem()),
    ] {
        std::fs::write(place.at(file), pem).unwrap();
        arguments.extend([option.to_owned(), text(&place.at(file)).to_owned()]);
    }
    let hook = place.webhook(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(hook.url.starts_with("https://127.0.0.1:"), "{}", hook.url);
    let ask_by = |root: &str, url: String, shown: Option<&(String, String)>| {
        let trusted = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().add_root_certificate(trusted);
        if let Some((certificate, key)) = shown {
            builder = builder.identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
        }
        let asked =
            builder.build().unwrap().post(format!("{url}/validate")).body(review("uid-tls", &place.image).to_string());
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(async { asked.send().await.map(|answer| answer.status().as_u16()) })
    };
    let ask = |url, shown| ask_by(&root.pem(), url, shown);
    assert_eq!(ask(hook.url.clone(), Some(&client)).unwrap(), 200);
    assert!(ask(hook.url.clone(), None).is_err(), "who shows none");
    assert!(ask(hook.url.replace("https", "http"), Some(&client)).is_err(), "who speaks plainly");
    // A new certificate, whose key comes a moment later.
    let server = issued("127.0.0.1", &next);
    std::fs::write(place.at("tls.crt"), server.0).unwrap();
    soon("a certificate without its key is told", || hook.said().contains("certificates cannot be read"));
    assert_eq!(ask(hook.url.clone(), Some(&client)).unwrap(), 200);
    std::fs::write(place.at("tls.key"), server.1).unwrap();
    soon("the new certificate is shown", || ask_by(&next.pem(), hook.url.clone(), Some(&client)).is_ok());
    hook.stop();
}

#[test]
fn evidence_is_asked_of_the_registries_that_are_named() {
    let place = Place::new();
    let served = Served::of(&place.at("layouts/registry.example/app"));
    let digest = place.image.split_once('@').unwrap().1;
    let image = served.image(&format!("@{digest}"));
    place.policies_for("own.pub", image.split_once('@').unwrap().0);
    let host = image.split_once('/').unwrap().0;
    let hook = Webhook::start(&place.arguments_with(&["--registry", host, "--insecure-http"], &["--mode", "enforce"]));
    assert_eq!(decided(&hook.ask("uid-1", &image)), (true, "attested"));
    let absent = served.image(&format!("@sha256:{}", "0".repeat(64)));
    let response = hook.ask("uid-2", &absent);
    assert_eq!(decided(&response), (false, "refused"));
    assert!(response["status"]["message"].as_str().unwrap().contains("nothing is attached to it"), "{response}");
    place.policies("own.pub");
    hook.signal("HUP");
    let until = Instant::now() + Duration::from_secs(20);
    let other = loop {
        let response = hook.ask("uid-3", &place.image).to_string();
        if !response.contains("no policy is for it") || Instant::now() > until {
            break response;
        }
    };
    assert!(other.contains("the registry registry.example is not asked"), "{other}");
    hook.stop();
    let (verified, _) = place.proved(
        place.sql("SELECT metadata.uid AS uid FROM artifact_signing WHERE trust_verdict = 'Passed'")[0]["uid"]
            .as_str()
            .unwrap(),
    );
    assert!(
        verified["attestation"]["uri"].as_str().unwrap().starts_with(&format!("oci://{host}/team/app@sha256:")),
        "{verified}"
    );
    let run = |registry: &str| tarn(&place.arguments_with(&["--registry", registry], &[]));
    let wrong = run("Registry.example/x");
    assert!(wrong.code == 2 && wrong.stderr.contains("expected a host as images name it"), "{}", wrong.stderr);
}

#[test]
fn files_that_change_count_without_a_new_start() {
    let place = Place::new();
    let (layout, taken) = (place.at("layouts/registry.example/app"), Arc::new(Mutex::new("me:hush-1")));
    let secret = taken.clone();
    let served = Served::new(move |path, authorization| {
        let expected = format!("Basic {}", STANDARD.encode(*secret.lock().unwrap()));
        let challenge = (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"r\"")]).into_response();
        Some(if authorization == Some(expected.as_str()) { content(&layout, path) } else { challenge })
    });
    let docker = place.at("docker");
    std::fs::create_dir(&docker).unwrap();
    let config = docker.join("config.json");
    // As programs write it: beside, and then in its place.
    let put = |text: &str| {
        std::fs::write(docker.join("new"), text).unwrap();
        std::fs::rename(docker.join("new"), &config).unwrap();
    };
    let login = |secret: &str| put(&json!({"auths": {served.host(): {"auth": STANDARD.encode(secret)}}}).to_string());
    login("me:hush-1");
    let image = served.image(&format!("@{}", place.image.split_once('@').unwrap().1));
    let policies = || place.policies_for("own.pub", image.split_once('@').unwrap().0);
    policies();
    let (host, never) = (served.host(), ["--mode", "enforce", "--known-for", "0"]);
    let arguments = place.arguments_with(&["--registry", &host, "--insecure-http"], &never);
    let hook = Webhook::start_in(&[("DOCKER_CONFIG", text(&docker)), ("NO_COLOR", "1")], &arguments);
    let allowed = || decided(&hook.ask("uid", &image)).0;
    let says = |what: &str| soon(what, || hook.said().contains(what));
    assert!(allowed());

    // A new password: what cannot be read in its place changes nothing, and nobody becomes anonymous.
    *taken.lock().unwrap() = "me:hush-2";
    put(r#"{"auths": {"hush-3"#);
    says("credentials of registries cannot be read");
    assert!(!allowed());
    // In JSON, as logs are.
    says(r#"refused the user \"me\": 401"#);
    login("me:hush-2");
    soon("the new password is used", allowed);
    std::fs::remove_file(&config).unwrap();
    says("Docker's configuration has gone");
    assert!(allowed());

    // A policy that cannot be read, another key in the place of one that a policy names, and the policy for something else.
    std::fs::write(place.at("policies.toml"), "[[policy").unwrap();
    says("policies cannot be read");
    assert!(allowed());
    let own = std::fs::read(place.at("own.pub")).unwrap();
    policies();
    std::fs::copy(place.at("vsa.pub"), place.at("own.pub")).unwrap();
    soon("the new key counts", || !allowed());
    std::fs::write(place.at("own.pub"), own).unwrap();
    soon("the former key counts", allowed);
    place.policies("own.pub");
    soon("the policy is for another image", || hook.ask("uid", &image).to_string().contains("no policy is for it"));
    let said = hook.said();
    assert!(!said.contains("without credentials"), "{said}");
    assert!(!said.contains("hush") && !said.contains(&STANDARD.encode("me:hush-2")), "{said}");
    assert_eq!(said.matches("credentials of registries cannot be read").count(), 2, "once each: {said}");
    hook.stop();
}

#[test]
fn what_is_missing_for_a_webhook_is_named() {
    let place = Place::new();
    let run = |more: &[&str]| -> Run { tarn(&place.arguments(more)) };
    let told = |run: Run, why: &str| assert!(run.code == 2 && run.stderr.contains(why), "{}: {}", run.code, run.stderr);
    told(
        run(&["--vsa-key", text(&place.at("own.pub")), "--vsa-verifier", "https://v"]),
        "expected a private key in PKCS#8 PEM",
    );
    told(run(&["--vsa-key", text(&place.at("vsa.key")), "--vsa-verifier", "me"]), "--vsa-verifier: expected a URI");
    told(run(&["--vsa-key", "x"]), "--vsa-verifier");
    let open = place.arguments(&[]).into_iter().map(|a| a.replace("127.0.0.1:0", "0.0.0.0:0")).collect::<Vec<_>>();
    told(tarn(&open), "that needs --tls-cert and --tls-key");
    let (certificate, key) = (place.at("own.pub"), place.at("vsa.key"));
    let tls = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
    told(tarn(&[&open[..], &tls.map(str::to_owned)].concat()), "--tls-client-ca, or --any-client");
    told(run(&tls), "no usable certificate");
    let nowhere = place.arguments(&[]).into_iter().map(|a| a.replace("layouts", "nowhere")).collect::<Vec<_>>();
    told(tarn(&nowhere), "nowhere: expected a folder");
    std::fs::write(place.at("evidence.key"), "x").unwrap();
    told(run(&[]), "evidence.key");
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An API server's record of a Pod with an image.
fn audited(pod: &str, image: &str, query: &str, time: DateTime<Utc>, status: Value) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": "ResponseComplete",
        "auditID": format!("{pod}-{query}-{}", rfc3339(time)), "requestURI": format!("/api/v1/namespaces/shop/pods{query}"),
        "verb": "create", "user": {"username": "alice", "groups": ["system:authenticated"]}, "sourceIPs": ["10.0.0.5"],
        "objectRef": {"resource": "pods", "namespace": "shop", "name": pod, "apiVersion": "v1"},
        "requestObject": {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"name": "app", "image": image}]}},
        "responseStatus": status, "requestReceivedTimestamp": rfc3339(time), "stageTimestamp": rfc3339(time),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

/// An API server's record of what a node says of a Pod.
fn runs(pod: &str, image: &str, time: DateTime<Utc>) -> Value {
    let mut event = audited(pod, image, "/status", time, json!({"metadata": {}, "code": 200}));
    event["verb"] = "patch".into();
    event["user"] = json!({"username": "system:node:n1", "groups": ["system:nodes", "system:authenticated"]});
    event["objectRef"]["subresource"] = "status".into();
    event["requestObject"] = json!({
        "metadata": {"uid": "0a1b2c3d-0000-4000-8000-000000000001"},
        "status": {"containerStatuses": [{"name": "app", "image": image, "imageID": image, "ready": true}]},
    });
    event
}

/// What policy-controller logs of a Pod.
fn logged(message: &str, time: DateTime<Utc>, more: Value) -> Value {
    let mut line = json!({
        "level": "info", "ts": rfc3339(time), "logger": "policy-controller", "caller": "webhook/validator.go:1266",
        "msg": message, "commit": "7f1a0c2", "knative.dev/kind": "/v1, Kind=Pod", "knative.dev/namespace": "shop",
        "knative.dev/name": "web", "knative.dev/operation": "CREATE", "knative.dev/resource": "/v1, Resource=pods",
        "knative.dev/subresource": "", "knative.dev/userinfo": "alice",
    });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[test]
fn where_others_decide_otherwise_is_shown_and_recorded_once() {
    let place = Place::new();
    let lake = place.at("lake");
    let disagreements = |more: &[&str]| {
        tarn(&[&["evidence", "disagreements", "--lake", text(&lake), "--format", "ndjson"], more].concat())
    };
    let hook = place.webhook(&["--mode", "enforce"]);
    let unknown = format!("registry.example/app@sha256:{}", "0".repeat(64));
    assert!(!hook.ask("uid-unknown", &unknown)["allowed"].as_bool().unwrap());
    let ours = hook.ask("uid-attested", &place.image)["auditAnnotations"]["record"].clone();
    hook.stop();
    assert!(disagreements(&[]).ok().rows().is_empty());

    let at = |seconds: i64| Utc::now() + TimeDelta::seconds(seconds);
    let (created, forbidden) = (
        json!({"metadata": {}, "code": 201}),
        json!({
            "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": "pods \"web\" is forbidden: violates PodSecurity \"restricted:latest\"",
        }),
    );
    let verdict = |uid: &str, allowed: bool| json!({"admissionreview/uid": uid, "admissionreview/allowed": allowed, "admissionreview/result": "nil"});
    let stranger = format!("registry.example/app@sha256:{}", "5".repeat(64));
    let records = [
        // What was refused was let in, twice; one that is only tried, and one from before the refusal, say nothing.
        audited("miner-1", &unknown, "", at(60), created.clone()),
        audited("miner-2", &unknown, "", at(61), created.clone()),
        audited("miner-3", &unknown, "?dryRun=All", at(62), created.clone()),
        audited("miner-0", &unknown, "", at(-600), created.clone()),
        // What was attested was let in, and is refused for something else.
        audited("web", &place.image, "", at(60), created),
        audited("web", &place.image, "", at(63), forbidden),
        // A node says what it runs: that, and something that nobody decided on.
        runs("uid-attested", &place.image, at(65)),
        runs("uid-attested", &stranger, at(66)),
        // Kyverno's report on its image policies, which names the workload alone.
        json!({
            "apiVersion": "openreports.io/v1alpha1", "kind": "Report", "source": "KyvernoImageValidatingPolicy",
            "metadata": {"name": "r1", "namespace": "shop", "uid": "r1", "creationTimestamp": rfc3339(at(1))},
            "scope": {"apiVersion": "v1", "kind": "Pod", "name": "uid-attested", "namespace": "shop", "uid": "p1"},
            "results": [{
                "source": "KyvernoImageValidatingPolicy", "policy": "signed", "result": "fail", "scored": true,
                "message": "failed to verify image", "timestamp": {"seconds": at(1).timestamp(), "nanos": 0},
            }],
            "summary": {"error": 0, "fail": 1, "pass": 0, "skip": 0, "warn": 0},
        }),
        // policy-controller on the image, and on the request.
        logged(&format!("Failed to validate at least one policy for {}", place.image), at(0), json!({})),
        logged(&format!("Validated 1 policies for image {}", place.image), at(1), json!({})),
        logged("remote admission controller audit annotations", at(0), verdict("uid-unknown", true)),
        logged("remote admission controller audit annotations", at(0), verdict("uid-attested", true)),
    ];
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    tarn_reading(&["ingest", "--lake", text(&lake), "-"], lines.join("\n").as_bytes()).ok();

    let found = disagreements(&[]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    let rows = found.rows();
    let cell = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| (cell(row, "theirs"), cell(row, "ours"), cell(row, "about"), row["count"].as_u64().unwrap()))
        .collect();
    told.sort();
    let digest = |image: &str| image.split_once('@').unwrap().1.to_owned();
    let expected = [
        ("denied", "attested", digest(&place.image), 1),
        ("failed", "attested", digest(&place.image), 1),
        ("failed", "attested", "shop/uid-attested".to_owned(), 1),
        ("let_in", "refused", digest(&unknown), 2),
        ("passed", "refused", "uid-unknown".to_owned(), 1),
        ("runs", "attested", digest(&stranger), 1),
    ];
    assert_eq!(told, expected.map(|(theirs, ours, about, n)| (theirs.to_owned(), ours.to_owned(), about, n)));
    let of = |theirs: &str| rows.iter().find(|row| row["theirs"] == theirs).unwrap();
    assert_eq!((&of("let_in")["workload"], &of("failed")["our_record"]), (&json!("shop/miner-2"), &ours));
    assert_eq!(disagreements(&["--decider", "clusterimagepolicy"]).rows().len(), 2);
    assert_eq!(disagreements(&["--decider", "nobody"]).code, 0);
    assert_eq!(disagreements(&["--until", "2026-01-01"]).code, 0, "nothing was decided by then");

    let key = place.at("evidence.key");
    let recorded = disagreements(&["--record", "--ledger-key", text(&key)]);
    assert!(recorded.code == 1 && recorded.stderr.contains("recorded: 6 new of 6"), "{}", recorded.stderr);
    let again = disagreements(&["--record"]);
    assert!(again.stderr.contains("recorded: 0 new of 6"), "{}", again.stderr);
    let sql = "SELECT metadata.uid AS uid, severity, finding_info.title AS title FROM detection_finding ORDER BY severity_id DESC, title";
    let findings = place.sql(sql);
    let titles: Vec<_> = findings.iter().take(2).map(|finding| (&finding["severity"], &finding["title"])).collect();
    let high = json!("High");
    let (runs, let_in) =
        (json!("A workload runs another image than was decided on"), json!("A workload that was refused was let in"));
    assert_eq!((findings.len(), titles), (6, vec![(&high, &runs), (&high, &let_in)]));
    let (finding, _) = place.proved(findings[1]["uid"].as_str().unwrap());
    let related = [&of("let_in")["our_record"], &of("let_in")["their_record"]].map(|uid| json!({"uid": uid}));
    assert_eq!(finding["finding_info"]["related_events"], json!(related));
    let export = place.at("records.ndjson");
    std::fs::write(&export, tarn(&["ocsf", "export", "--lake", text(&lake)]).ok().stdout).unwrap();
    tarn(&["ocsf", "validate", text(&export)]).ok();
}
