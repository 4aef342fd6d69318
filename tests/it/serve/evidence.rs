//! Evidence through the daemon: documents are records, rows, findings and leaves, each once, whatever is killed and when.

use super::daemon::{Answer, Daemon, event, request};
use crate::command::{tarn, text};
use crate::signed::{self, Key};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// The tables' records of evidence, and those of them that differ.
const RECORDS: &str = "SELECT count(*) AS n, count(DISTINCT metadata.uid) AS uids FROM artifact_signing";

/// A folder with a policy file, its key and a ledger's, and the ledger's public key.
struct Place {
    folder: TempDir,
    key: Key,
    public: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(1);
        signed::policies(folder.path(), &[("release", &key)]);
        let ledger = folder.path().join("evidence.key");
        let made = tarn(&["evidence", "key", "new", text(&ledger), "--name", "example.com/evidence"]).ok();
        Self { folder, key, public: made.stdout.trim_end().to_owned() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, over: &[(&str, &str)]) -> Daemon {
        self.begun(over).unwrap()
    }

    /// The same; none where it died before it served.
    fn begun(&self, over: &[(&str, &str)]) -> Option<Daemon> {
        let rules = format!("['{}']", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust"));
        let own = [
            ("TARN_SERVE__EVIDENCE__LEDGER_KEY", "evidence.key"),
            ("TARN_SERVE__EVIDENCE__POLICIES", "policies.toml"),
            ("TARN_SERVE__RULES", rules.as_str()),
        ];
        Daemon::start(self.path(), &[&own, over].concat())
    }

    /// A bill of materials of some artifact, signed.
    fn document(&self, artifact: &str) -> String {
        self.key.envelope(&signed::statement(artifact, "https://cyclonedx.org/bom", &signed::bill()))
    }

    fn sql(&self, sql: &str) -> Vec<Value> {
        tarn(&["sql", "--lake", text(&self.path().join("lake")), "--format", "ndjson", sql]).ok().rows()
    }

    /// How many leaves the ledger has, of which an audit finds nothing wrong.
    fn leaves(&self) -> u64 {
        let lake = self.path().join("lake");
        let audit = ["evidence", "audit", "--lake", text(&lake), "--key", &self.public, "--format", "ndjson"];
        tarn(&audit).ok().rows()[0]["leaves"].as_u64().unwrap()
    }

    /// Every record of the tables is a leaf that can be proved.
    fn proved(&self) {
        let (lake, proof) = (self.path().join("lake"), self.path().join("proof.json"));
        for row in self.sql("SELECT metadata.uid AS uid FROM artifact_signing") {
            let uid = row["uid"].as_str().unwrap();
            tarn(&["evidence", "prove", "--lake", text(&lake), uid, "-o", text(&proof)]).ok();
            tarn(&["evidence", "verify", text(&proof), "--key", &self.public]).ok();
        }
    }
}

fn told(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str::<Value>(&answer.body).unwrap()["records"].as_array().unwrap().clone()
}

fn settled(daemon: &Daemon) {
    daemon.wait("the ledger", |d| d.metric("tarn_ledger_sequence") == d.metric("tarn_log_last_sequence"));
}

#[test]
fn a_document_is_records_rows_leaves_and_findings_once() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let good = place.document("a");
    let first = told(&daemon.post("/v1/evidence", &good));
    assert_eq!(first.len(), 1);
    let of = |record: &Value| (record["passed"].clone(), record["verdict"].clone(), record["new"].clone());
    assert_eq!(of(&first[0]), (json!(true), json!("passed"), json!(true)), "{first:?}");
    assert_eq!((&first[0]["reason"], &first[0]["components"]), (&Value::Null, &json!(2)));
    assert_eq!(first[0]["artifact"], json!(signed::digest("a")));
    // Seen at once by SQL, and not added again.
    let again = told(&daemon.post("/v1/evidence", &good));
    assert_eq!(of(&again[0]), (json!(true), json!("passed"), json!(false)));
    assert_eq!(again[0]["uid"], first[0]["uid"]);

    // A signature by somebody else is a record that failed, and a finding.
    let other = Key::new(2).envelope(&signed::statement("b", "https://cyclonedx.org/bom", &signed::bill()));
    let failed = told(&daemon.post("/v1/evidence", &other));
    assert_eq!(of(&failed[0]), (json!(false), json!("failed"), json!(true)));
    assert_eq!((&failed[0]["reason"], &failed[0]["components"]), (&json!("signature_invalid"), &json!(0)));
    daemon.finds("Signature or Transparency Log Proof Does Not Hold");
    assert_eq!(daemon.titles().len(), 1, "what passed is no finding");
    // Nobody signed this one.
    let bare = told(&daemon.post("/v1/evidence?name=bill.json", &signed::bill_of("c").to_string()));
    assert_eq!(of(&bare[0]), (json!(false), json!("not_checked"), json!(true)));
    // Nothing of this one can be read.
    let broken = told(&daemon.post("/v1/evidence?name=broken.json", "{}"));
    assert_eq!((&broken[0]["artifact"], &broken[0]["passed"]), (&json!("broken.json"), &json!(false)));

    settled(&daemon);
    assert_eq!(daemon.metric("tarn_ledger_leaves_total"), 4.0);
    assert_eq!((daemon.metric("tarn_ledger_failures_total"), daemon.metric("tarn_ledger_refused_total")), (0.0, 0.0));
    assert!(daemon.stop());
    assert_eq!(place.sql(RECORDS), [json!({"n": 4, "uids": 4})]);
    assert_eq!(place.sql("SELECT count(*) AS n FROM software_info"), [json!({"n": 4})]);
    assert_eq!(place.leaves(), 4);
    place.proved();
    // The leaf stands for the document, byte for byte, and for the bytes that another would log.
    let uid = first[0]["uid"].as_str().unwrap();
    let lake = place.path().join("lake");
    let proof: Value =
        serde_json::from_str(&tarn(&["evidence", "prove", "--lake", text(&lake), uid]).ok().stdout).unwrap();
    assert_eq!(signed::decoded(proof["raw"].as_str().unwrap()), good.as_bytes());
    let documents = place.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(documents.join("good.json"), &good).unwrap();
    let (policies, key) = (place.path().join("policies.toml"), place.path().join("evidence.key"));
    let ingest = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies)];
    let ingested = tarn(&[&ingest[..], &["--ledger-key", text(&key), text(&documents)]].concat()).ok().rows();
    assert_eq!((&ingested[0]["uid"], &ingested[0]["new"]), (&first[0]["uid"], &json!(false)));
    assert_eq!(place.sql(RECORDS), [json!({"n": 4, "uids": 4})]);
    assert_eq!(place.leaves(), 4);
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    let place = Place::new();
    signed::policies(place.path(), &[("release", &place.key), ("other", &place.key)]);
    let token = "7a8f3a1e";
    let digest = tarn_connectors::access::token_digest(token);
    let access = |name: &str, ingest: &str| format!("{{name='{name}', token_sha256='{digest}', ingest=['{ingest}']}}");
    let document = place.document("a");
    let header = format!("Authorization: Bearer {token}\r\n");
    let post = |daemon: &Daemon, path: &str, header: &str, body: &str| {
        let answer = request(daemon.address, "POST", path, header, body).unwrap();
        let error = serde_json::from_str::<Value>(&answer.body).unwrap_or_default()["error"].clone();
        (answer.status, error.as_str().unwrap_or_default().to_owned())
    };
    let daemon = place.start(&[("TARN_SERVE__ACCESS", &format!("[{}]", access("pipeline", "evidence")))]);
    for (path, header, body, status, words) in [
        ("", "", "{}", 401, "credentials"),
        ("", header.as_str(), "{}", 400, "there are release, other"),
        ("?policy=none", &header, "{}", 400, "none is named \"none\""),
        ("?policy=release&artifact=abc", &header, "{}", 400, "artifact: expected a digest"),
        ("?policy=release&name=", &header, "{}", 400, "name: expected 1 to 256 bytes"),
        ("?policy=release&kind=sbom", &header, "{}", 400, "unknown field `kind`"),
        ("?policy=release", &header, r#"{"bomFormat": "CycloneDX", "specVersion": "1.6"}"#, 422, "name the artifact"),
        ("?policy=release", &header, r#"{"bomFormat": "CycloneDX", "specVersion": "9"}"#, 422, "bill of materials"),
    ] {
        let (found, error) = post(&daemon, &format!("/v1/evidence{path}"), header, body);
        assert!(found == status && error.contains(words), "{path} {body}: {found} {error}");
    }
    // An artifact that is named is the one that it is verified for.
    let path = format!("/v1/evidence?policy=other&artifact={}", signed::digest("another"));
    let answer = request(daemon.address, "POST", &path, &header, &document).unwrap();
    assert_eq!(told(&answer)[0]["reason"], "artifact_mismatch");
    let large = format!("Content-Length: {}\r\n", 65 << 20);
    let refused = super::daemon::announce(daemon.address, "POST", "/v1/evidence?policy=release", &header, 65 << 20);
    assert_eq!(refused.unwrap().status, 413, "{large}");
    assert!(daemon.stop());

    let over = [("TARN_SERVE__ACCESS", &*format!("[{}]", access("pipeline", "aws_cloudtrail")))];
    let daemon = place.start(&over);
    assert_eq!(post(&daemon, "/v1/evidence?policy=release", &header, &document).0, 403);
    assert!(daemon.stop());

    // Without policies there are no documents, without a key no ledger.
    std::fs::create_dir(place.path().join("bare")).unwrap();
    let daemon = Daemon::start(&place.path().join("bare"), &[]).unwrap();
    let (status, error) = post(&daemon, "/v1/evidence", "", &document);
    assert!(status == 404 && error.contains("evidence.policies"), "{status} {error}");
    assert!(!daemon.get("/metrics").body.contains("tarn_ledger"), "there is no ledger");
    assert!(daemon.stop());
    assert!(!place.path().join("bare/lake/_evidence").exists());
}

#[test]
fn records_that_are_pushed_are_leaves_as_well() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let record = |class: u64, uid: Option<&str>| {
        json!({"class_uid": class, "category_uid": class / 1000 % 100, "activity_id": 3, "time": 1_791_115_413_000_u64,
            "severity_id": 1, "type_uid": class * 100 + 3, "trust_verdict_id": 2, "trust_reason_id": 30,
            "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "x"}}, "artifact": {"uid": "sha256:00"}})
    };
    let mut lines = [record(99_906_001, Some("p1")), record(99_903_001, Some("p2")), record(99_906_001, None)].to_vec();
    // An event of another class that speaks of ours, and one that has no canonical form.
    let mut other = record(3002, Some("p3"));
    other["message"] = "99906001".into();
    let mut inexact = record(99_906_001, Some("p4"));
    inexact["count"] = ((1_u64 << 53) + 1).into();
    lines.extend([other, inexact, record(99_906_001, Some("p1"))]);
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(daemon.post("/v1/ingest", &body).status, 200);
    settled(&daemon);
    assert_eq!(daemon.metric("tarn_ledger_leaves_total"), 3.0);
    assert_eq!(daemon.metric("tarn_ledger_refused_total"), 1.0);
    assert!(daemon.stop());
    assert_eq!(place.leaves(), 3);
    // The row of the one without a uid has that of its leaf.
    let lake = place.path().join("lake");
    let made = place.sql("SELECT metadata.uid AS uid FROM artifact_signing WHERE metadata.uid NOT IN ('p1', 'p4')");
    assert_eq!(made.len(), 1);
    tarn(&["evidence", "prove", "--lake", text(&lake), made[0]["uid"].as_str().unwrap()]).ok();
    tarn(&["evidence", "prove", "--lake", text(&lake), "p2"]).ok();
}

/// Killed after the frame is on disk and before, within and after the ledger's turn: each record is there once.
#[test]
fn killed_between_answer_and_ledger() {
    let place = Place::new();
    let documents: Vec<String> = (0..6).map(|n| place.document(&format!("artifact {n}"))).collect();
    let places = ["before-answer:2", "before-ledger:1", "after-ledger:1", "before-ledger:1", "before-cut:2"];
    let mut answered = 0;
    for at in places {
        // What the one before left behind may be enough to die of at once.
        let Some(daemon) = place.begun(&[("TARN_SERVE_CRASH_AT", at)]) else { continue };
        for document in &documents {
            match request(daemon.address, "POST", "/v1/evidence", "", document) {
                Some(answer) => answered += told(&answer).len(),
                None => break,
            }
        }
        assert!(daemon.died(), "it did not die at {at}");
    }
    assert!(answered > 10, "{answered}");
    let daemon = place.start(&[]);
    for document in &documents {
        told(&daemon.post("/v1/evidence", document));
    }
    settled(&daemon);
    daemon.signal("KILL");
    assert!(daemon.died());
    let daemon = place.start(&[]);
    settled(&daemon);
    assert!(daemon.stop());
    assert_eq!(place.sql(RECORDS), [json!({"n": 6, "uids": 6})]);
    assert_eq!(place.sql("SELECT count(*) AS n FROM software_info"), [json!({"n": 12})]);
    assert_eq!(place.leaves(), 6);
    place.proved();
}

/// A ledger that cannot be written ends nothing: it is tried until it can be, and the log waits for it.
#[test]
fn a_ledger_that_fails_is_tried_again() {
    let place = Place::new();
    // A file stands where its folder should be.
    let daemon = place.start(&[]);
    assert!(daemon.stop());
    let evidence = place.path().join("lake/_evidence");
    std::fs::remove_dir_all(&evidence).unwrap();
    std::fs::write(&evidence, "in the way").unwrap();
    let daemon = place.start(&[]);
    told(&daemon.post("/v1/evidence", &place.document("a")));
    daemon.wait("failures", |d| d.metric("tarn_ledger_failures_total") >= 3.0);
    let committed = |d: &Daemon| d.metric("tarn_committed_sequence") == d.metric("tarn_log_last_sequence");
    daemon.wait("a commit", committed);
    told(&daemon.post("/v1/evidence", &place.document("b")));
    assert_eq!(daemon.metric("tarn_ledger_leaves_total"), 0.0);
    // Not even a stop loses it.
    assert!(daemon.stop());
    let daemon = place.start(&[]);
    std::fs::remove_file(&evidence).unwrap();
    daemon.wait("leaves", |d| d.metric("tarn_ledger_leaves_total") == 2.0);
    assert!(daemon.stop());
    assert_eq!(place.leaves(), 2);
    assert_eq!(place.sql(RECORDS), [json!({"n": 2, "uids": 2})]);
}

/// What goes from ledger to rows and what goes from rows to ledger meet, and no row is made twice.
#[test]
fn both_directions_meet_and_double_nothing() {
    let place = Place::new();
    let (lake, policies) = (place.path().join("lake"), place.path().join("policies.toml"));
    let (key, documents) = (place.path().join("evidence.key"), place.path().join("documents"));
    std::fs::create_dir(&documents).unwrap();
    // Rows stay in memory, so that others cannot see them.
    let daemon = place.start(&[("TARN_SERVE__COMMIT__SECONDS", "3600")]);
    told(&daemon.post("/v1/evidence", &place.document("a")));
    std::fs::write(documents.join("b.json"), place.document("b")).unwrap();
    let ingest = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies)];
    let ingest = || tarn(&[&ingest[..], &["--ledger-key", text(&key), text(&documents)]].concat()).ok().rows();
    assert_eq!(ingest()[0]["new"], true);
    // What another process has just committed is known here.
    assert_eq!(told(&daemon.post("/v1/evidence", &place.document("b")))[0]["new"], false);
    assert!(daemon.stop());
    assert_eq!(place.leaves(), 2);
    assert_eq!(ingest()[0]["new"], false);
    assert_eq!(place.sql(RECORDS), [json!({"n": 2, "uids": 2})]);
    assert_eq!(place.leaves(), 2);
}

/// What others recorded is handed over with `--to`, while the daemon has rows that nobody else can see.
#[test]
fn what_is_handed_over_is_a_row_once_and_seen_by_rules() {
    let place = Place::new();
    let (lake, policies) = (place.path().join("lake"), place.path().join("policies.toml"));
    let key = place.path().join("evidence.key");
    let daemon = place.start(&[("TARN_SERVE__COMMIT__SECONDS", "3600")]);
    let url = format!("http://{}", daemon.address);
    let ingest = |artifact: &str| {
        let document = place.path().join(format!("{artifact}.json"));
        std::fs::write(&document, place.document(artifact)).unwrap();
        let ingest = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies), "--to", &url];
        tarn(&[&ingest[..], &["--ledger-key", text(&key), text(&document)]].concat())
    };
    // In one order and in the other.
    told(&daemon.post("/v1/evidence", &place.document("a")));
    ingest("a").ok();
    ingest("b").ok();
    assert_eq!(told(&daemon.post("/v1/evidence", &place.document("b")))[0]["new"], false);

    let record = |uid: &str| {
        json!({"class_uid": 99_906_001, "category_uid": 6, "activity_id": 4, "type_uid": 9_990_600_104_u64,
            "activity_name": "Reverify", "severity_id": 4, "time": 1_791_115_413_000_u64, "trust_verdict_id": 2,
            "trust_verdict": "Failed", "trust_reason_id": 53, "artifact": {"type_id": 99, "type": "Evidence Ledger"},
            "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "x"}}})
    };
    let lines = format!("{}\n{}\n\n{}\n", record("r1"), record("r2"), record("r1"));
    let hand_over = || {
        let answer = daemon.post("/v1/evidence/records", &lines);
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    assert_eq!(hand_over(), json!({"records": 3, "new": 2}));
    assert_eq!(hand_over(), json!({"records": 3, "new": 0}));
    daemon.finds("Evidence Ledger Is Not as It Was Logged");
    for (body, words) in [
        ("{}", "record 1: missing field `class_uid`"),
        ("{\"class_uid\":1,\"metadata\":{\"uid\":\"x\"}}", "class_uid 1: there is no such class"),
        ("x", "record 1: expected value"),
    ] {
        let answer = daemon.post("/v1/evidence/records", body);
        assert!(answer.status == 400 && answer.body.contains(words), "{body}: {answer:?}");
    }
    assert!(daemon.stop());
    assert_eq!(place.sql(RECORDS), [json!({"n": 4, "uids": 4})]);
    assert_eq!(place.sql("SELECT count(*) AS n FROM software_info"), [json!({"n": 4})]);
    assert_eq!(place.leaves(), 4);
    place.proved();

    // A daemon that is not there, and one that does not let everybody in.
    let gone = ingest("c");
    assert!(gone.code == 1 && gone.stderr.contains("has not taken the records"), "{}", gone.stderr);
    let digest = tarn_connectors::access::token_digest("5d3c");
    let access = format!("[{{name='pipeline', token_sha256='{digest}', ingest=['evidence']}}]");
    let daemon = place.start(&[("TARN_SERVE__ACCESS", &access)]);
    let header = "Authorization: Bearer 5d3c\r\n";
    let post = |header| request(daemon.address, "POST", "/v1/evidence/records", header, &lines).unwrap().status;
    assert_eq!((post(""), post(header)), (401, 403), "records are nothing that a policy looks at");
    assert!(daemon.stop());
}

/// The rule on a broken ledger fires where the daemon is that has the lake.
#[test]
fn an_audit_tells_the_daemon() {
    let place = Place::new();
    let daemon = place.start(&[]);
    told(&daemon.post("/v1/evidence", &place.document("a")));
    settled(&daemon);
    assert!(daemon.stop());
    let lake = place.path().join("lake");
    let batch = lake.join("_evidence/ledger/batch").join("0".repeat(20));
    let mut changed = std::fs::read(&batch).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&batch, changed).unwrap();
    // One that leaves the ledger alone.
    let rules = format!("['{}']", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust"));
    let daemon = Daemon::start(place.path(), &[("TARN_SERVE__RULES", &rules)]).unwrap();
    let url = format!("http://{}", daemon.address);
    let audit = || {
        let audit = ["evidence", "audit", "--lake", text(&lake), "--key", &place.public, "--record", "--to", &url];
        let run = tarn(&audit);
        assert!(run.code == 1 && run.stderr.contains("recorded: "), "{}", run.stderr);
    };
    audit();
    daemon.finds("Evidence Ledger Is Not as It Was Logged");
    audit();
    assert_eq!(daemon.titles(), ["Evidence Ledger Is Not as It Was Logged"], "once, and by no rule on images");
    assert!(daemon.stop());
    assert_eq!(place.sql(RECORDS), [json!({"n": 2, "uids": 2})]);
}

#[test]
fn policies_change_while_it_runs_and_mistakes_are_named_before() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let document = Key::new(2).envelope(&signed::statement("a", "https://example.com/p", &json!({})));
    assert_eq!(told(&daemon.post("/v1/evidence", &document))[0]["passed"], false);
    signed::policies(place.path(), &[("release", &Key::new(2))]);
    daemon.signal("HUP");
    daemon.wait("other policies", |d| told(&d.post("/v1/evidence", &document))[0]["passed"] == true);
    assert!(daemon.stop());
    assert_eq!(place.sql(RECORDS), [json!({"n": 2, "uids": 2})]);

    let (file, wrong) = (place.path().join("tarn.toml"), place.path().join("wrong.toml"));
    std::fs::write(&wrong, "[[policy]]\nname = 'x'\n").unwrap();
    let secret = std::fs::read_to_string(place.path().join("evidence.key")).unwrap();
    // Base64 has `+` as well.
    let secret = secret.trim_end().splitn(5, '+').nth(4).unwrap();
    assert!(secret.len() > 40, "{secret}");
    std::fs::write(place.path().join("cut.key"), format!("PRIVATE+KEY+example.com/evidence+{secret}")).unwrap();
    let at = |name: &str| format!("'{}'", text(&place.path().join(name)));
    for (evidence, words) in [
        (format!("ledger_key = {}", at("none.key")), "evidence.ledger_key: "),
        (format!("ledger_key = {}", at("cut.key")), "evidence.ledger_key: "),
        (format!("policies = {}", at("none.toml")), "evidence.policies: "),
        (format!("policies = {}", at("wrong.toml")), "policy[0].identity"),
        (format!("policies = {}\ntrusted_root = {}", at("policies.toml"), at("wrong.toml")), "evidence.trusted_root: "),
        (format!("trusted_root = {}", at("wrong.toml")), "evidence.trusted_root: "),
        ("ledger = 'x'".to_owned(), "ledger"),
    ] {
        std::fs::write(&file, format!("lake = 'l'\nstate = 's'\n[evidence]\n{evidence}\n")).unwrap();
        let run = tarn(&["config", "check", text(&file)]);
        assert!(run.code == 2 && run.stderr.contains(words), "{evidence}: {}", run.stderr);
        assert!(!run.stderr.contains(secret), "{}", run.stderr);
    }
    // A ledger of another key is no ledger of this daemon's.
    let other = place.path().join("other.key");
    tarn(&["evidence", "key", "new", text(&other), "--name", "example.com/other"]).ok();
    let over = [("TARN_SERVE__EVIDENCE__LEDGER_KEY", "other.key")];
    assert!(Daemon::start(place.path(), &over).is_none());
}

/// A store that was put back to an earlier state is not signed on: what it had is in the daemon's own state.
#[test]
fn a_ledger_that_was_rolled_back_is_not_gone_on_with() {
    let place = Place::new();
    let daemon = place.start(&[]);
    told(&daemon.post("/v1/evidence", &place.document("a")));
    assert!(daemon.stop());
    let (ledger, copy) = (place.path().join("lake/_evidence/ledger"), place.path().join("copy"));
    std::fs::rename(&ledger, &copy).unwrap();
    let daemon = place.start(&[]);
    told(&daemon.post("/v1/evidence", &place.document("b")));
    daemon.wait("failures", |d| d.metric("tarn_ledger_failures_total") >= 3.0);
    assert_eq!(daemon.metric("tarn_ledger_leaves_total"), 0.0);
    std::fs::remove_dir_all(&ledger).unwrap();
    std::fs::rename(&copy, &ledger).unwrap();
    daemon.wait("the leaf", |d| d.metric("tarn_ledger_leaves_total") == 1.0);
    assert!(daemon.stop());
    assert_eq!(place.leaves(), 2);
    place.proved();
}

#[test]
fn records_of_marked_tables_are_leaves_whatever_they_were_mapped_from() {
    let place = Place::new();
    let start = || place.start(&[("TARN_SERVE__EVIDENCE__TABLES", "['api_activity']")]);
    let daemon = start();
    let decided = json!({
        "class_uid": 6003, "category_uid": 6, "activity_id": 1, "type_uid": 600_301, "severity_id": 1, "time": 1_773_743_400_000_i64,
        "metadata": {"uid": "decision-1", "version": "1.8.0", "product": {"name": "Gate", "vendor_name": "Example"}},
        "api": {"operation": "admit"}, "actor": {"user": {"name": "kube"}}, "src_endpoint": {"ip": "192.0.2.1"},
    });
    let other =
        decided.to_string().replace("6003", "3002").replace("600301", "300201").replace("decision-1", "logon-1");
    assert_eq!(daemon.post("/v1/ingest/ocsf", &format!("{decided}\n{other}\n")).status, 200);
    // Events of a cloud's trail, one of them with a number that no double holds, and a line of another table.
    let trail = event("e1", 1) + &event("e2", 2).replacen('{', r#"{"requestParameters":{"n":9007199254740993},"#, 1);
    let line = r#"{"ts":"2026-03-17T10:00:00Z","message":"of no source"}"#;
    assert_eq!(daemon.post("/v1/ingest", &format!("{trail}{line}\n")).status, 200);
    settled(&daemon);
    assert_eq!(daemon.metric("tarn_ledger_leaves_total"), 3.0);
    // A sender that repeats itself: other rows, the same leaves.
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(daemon.post("/v1/ingest/aws_cloudtrail", &event("e1", 1)).status, 200);
    settled(&daemon);
    let counted = (daemon.metric("tarn_ledger_leaves_total"), daemon.metric("tarn_ledger_refused_total"));
    assert_eq!(counted, (3.0, 0.0));
    daemon.signal("KILL");
    assert!(daemon.died());
    // Frames that are read again are mapped to the same.
    let daemon = start();
    settled(&daemon);
    assert_eq!(daemon.metric("tarn_ledger_refused_total"), 0.0);
    assert!(daemon.stop());

    assert_eq!(place.sql("SELECT count(*) AS n FROM api_activity"), [json!({"n": 4})]);
    assert_eq!(place.leaves(), 3);
    let (lake, proof) = (place.path().join("lake"), place.path().join("proof.json"));
    let proved = |uid: &str| -> Value {
        tarn(&["evidence", "prove", "--lake", text(&lake), uid, "-o", text(&proof)]).ok();
        tarn(&["evidence", "verify", text(&proof), "--key", &place.public]).ok();
        let proof: Value = serde_json::from_slice(&std::fs::read(&proof).unwrap()).unwrap();
        assert!(proof.get("raw").is_none());
        serde_json::from_str(proof["record"].as_str().unwrap()).unwrap()
    };
    assert_eq!(proved("decision-1"), decided);
    // The record as the lake has it, with the event that it was made of.
    let (record, row) = (proved("e1"), "SELECT raw_data, api.operation AS operation, type_uid FROM api_activity");
    let row = &place.sql(&format!("{row} WHERE metadata.uid = 'e1'"))[0];
    assert_eq!((&record["raw_data"], &record["type_uid"]), (&row["raw_data"], &row["type_uid"]));
    assert_eq!(record["api"]["operation"], row["operation"]);
    assert_eq!(record["raw_data"].as_str().unwrap(), event("e1", 1).trim_end());
    assert_eq!(record["metadata"]["transformation_info_list"][0]["name"], "aws_cloudtrail");
    assert_eq!(proved("e2")["api"]["request"]["data"]["n"], "9007199254740993");
    let export = place.path().join("records.ndjson");
    std::fs::write(&export, record.to_string()).unwrap();
    tarn(&["ocsf", "validate", text(&export)]).ok();
}
