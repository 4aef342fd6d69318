//! `tarn evidence reverify` and `tarn evidence audit --record`: what held and holds no longer is told, recorded and found.

use crate::command::{Run, data, tarn, text};
use crate::serve::daemon::Daemon;
use crate::signed::{self, Key};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A lake whose ledger has what was ingested by `policies.toml`.
struct Place {
    folder: TempDir,
    public: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("evidence.key");
        let made = tarn(&["evidence", "key", "new", text(&key), "--name", "example.com/evidence"]).ok();
        std::fs::create_dir(folder.path().join("documents")).unwrap();
        Self { folder, public: made.stdout.trim_end().to_owned() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ingest(&self, more: &[&str]) -> Vec<Value> {
        let (lake, policies, key) = (self.at("lake"), self.at("policies.toml"), self.at("evidence.key"));
        let documents = self.at("documents");
        let ingest =
            ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies), "--ledger-key", text(&key)];
        tarn(&[&ingest[..], more, &[text(&documents)]].concat()).ok().rows()
    }

    fn run(&self, command: &str, more: &[&str]) -> Run {
        tarn(&[&["evidence", command, "--lake", text(&self.at("lake")), "--format", "ndjson"], more].concat())
    }

    fn count(&self, condition: &str) -> Value {
        let sql = format!("SELECT count(*) AS n FROM artifact_signing WHERE {condition}");
        let lake = self.at("lake");
        tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", &sql]).ok().rows()[0]["n"].clone()
    }

    /// Titles of what the pack's own rules find in the lake.
    fn found(&self) -> Vec<String> {
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust");
        let run = tarn(&["hunt", "--lake", text(&self.at("lake")), "--rules", rules]).ok();
        let title = |row: &Value| row["finding_info"]["title"].as_str().unwrap().to_owned();
        let mut titles: Vec<String> = run.rows().iter().map(title).collect();
        titles.sort();
        titles
    }
}

fn envelope(key: &Key, artifact: &str) -> String {
    key.envelope(&signed::statement(artifact, "https://cyclonedx.org/bom", &signed::bill()))
}

#[test]
fn what_holds_no_longer_is_told_and_recorded_once() {
    let place = Place::new();
    let (key, other) = (Key::new(1), Key::new(2));
    let policies = |policies: &[(&str, &Key)]| signed::policies(place.folder.path(), policies);
    policies(&[("release", &key)]);
    let write = |name: &str, content: &str| std::fs::write(place.at("documents").join(name), content).unwrap();
    write("a.json", &envelope(&key, "a"));
    write("b.json", &envelope(&key, "b"));
    // What did not pass cannot be lost.
    write("c.json", &envelope(&other, "c"));
    write("d.json", &signed::bill_of("d").to_string());
    let ingested = place.ingest(&[]);
    let verdicts: Vec<&str> = ingested.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["passed", "passed", "failed", "not_checked"]);

    let (policy_file, ledger_key) = (place.at("policies.toml"), place.at("evidence.key"));
    let by_policies = ["--policies", text(&policy_file)];
    let record = [&by_policies[..], &["--record", "--ledger-key", text(&ledger_key)]].concat();
    let holds = place.run("reverify", &by_policies).ok();
    assert!(holds.rows().is_empty() && holds.stderr.contains("passed: 2, hold no longer: 0"), "{}", holds.stderr);
    // Without policies there is nothing that says which key may sign.
    let unknown = place.run("reverify", &[]).ok().rows();
    assert_eq!(unknown.len(), 2);
    assert_eq!((&unknown[0]["standing"], &unknown[0]["reason"]), (&json!("unknown"), &Value::Null));
    assert!(unknown[0]["detail"].as_str().unwrap().contains("give the policies"), "{}", unknown[0]);

    policies(&[("release", &other)]);
    let lost = place.run("reverify", &by_policies);
    assert_eq!(lost.code, 1);
    let rows = lost.rows();
    let uids =
        |rows: &[Value], of: &str| rows.iter().map(|row| row[of].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(uids(&rows, "uid"), uids(&ingested[..2], "uid"));
    assert!(rows.iter().all(|row| row["standing"] == "lost" && row["reason"] == "signature_invalid"), "{rows:?}");
    assert_eq!((&rows[0]["artifact"], &rows[0]["policy"]), (&json!(signed::digest("a")), &json!("release")));
    assert_eq!(place.count("activity_id = 4"), 0, "nothing is recorded unasked");
    assert!(place.run("reverify", &[&by_policies[..], &["--since", "2100-01-01"]].concat()).ok().rows().is_empty());

    let run = place.run("reverify", &record);
    assert!(run.code == 1 && run.stderr.contains("recorded: 2 that"), "{}", run.stderr);
    let again = place.run("reverify", &record);
    assert!(again.code == 1 && again.stderr.contains("recorded: 0 that"), "{}", again.stderr);
    assert_eq!(place.count("activity_id = 4 AND trust_verdict = 'Failed'"), 2);
    let joined = format!("activity_id = 4 AND array_has(evidence_uids, '{}')", ingested[0]["uid"].as_str().unwrap());
    assert_eq!(place.count(&joined), 1);
    assert!(place.found().iter().filter(|title| *title == "Evidence That Had Passed No Longer Holds").count() == 2);
    // Each is a leaf with the document that it was made from, and OCSF.
    let audit = place.run("audit", &["--key", &place.public]).ok();
    assert_eq!(audit.rows()[0]["leaves"], 6);
    let (lake, proof) = (place.at("lake"), place.at("proof.json"));
    let uid = rows[0]["record"].as_str().unwrap();
    tarn(&["evidence", "prove", "--lake", text(&lake), uid, "-o", text(&proof)]).ok();
    let proof: Value = serde_json::from_str(&std::fs::read_to_string(proof).unwrap()).unwrap();
    assert_eq!(signed::decoded(proof["raw"].as_str().unwrap()), envelope(&key, "a").as_bytes());
    valid(&place);

    // A policy that is gone vouches for nothing.
    policies(&[("another", &key)]);
    let run = place.run("reverify", &record);
    assert_eq!((run.code, run.rows().len()), (1, 2));
    assert_eq!(run.rows()[0]["reason"], "policy_invalid");
    assert!(run.rows()[0]["detail"].as_str().unwrap().contains("\"release\" is not there any more"));
    assert_eq!(place.count("activity_id = 4"), 4);
    valid(&place);
}

/// With `--to`, the daemon over the lake makes the rows: its rules tell of them at once, and of each once.
#[test]
fn what_is_lost_is_told_to_a_daemon() {
    let place = Place::new();
    let (key, other) = (Key::new(1), Key::new(2));
    signed::policies(place.folder.path(), &[("release", &key)]);
    std::fs::write(place.at("documents/a.json"), envelope(&key, "a")).unwrap();
    place.ingest(&[]);
    let rules = format!("['{}']", concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sigma/trust"));
    // What it has, nobody else sees before it stops.
    let own = [
        ("TARN_SERVE__RULES", rules.as_str()),
        ("TARN_SERVE__EVIDENCE__LEDGER_KEY", "evidence.key"),
        ("TARN_SERVE__COMMIT__SECONDS", "3600"),
    ];
    let daemon = Daemon::start(place.folder.path(), &own).unwrap();
    let (policies, ledger_key) = (place.at("policies.toml"), place.at("evidence.key"));
    let url = format!("http://{}", daemon.address);
    let record = ["--policies", text(&policies), "--record", "--ledger-key", text(&ledger_key)];
    let to = [&record[..], &["--to", &url]].concat();

    signed::policies(place.folder.path(), &[("release", &other)]);
    let lost = place.run("reverify", &to);
    assert!(lost.code == 1 && lost.stderr.contains("recorded: 1 that"), "{}", lost.stderr);
    daemon.finds("Evidence That Had Passed No Longer Holds");
    let again = place.run("reverify", &to);
    assert!(again.code == 1 && again.stderr.contains("recorded: 0 that"), "{}", again.stderr);
    let told = |title: &String| title == "Evidence That Had Passed No Longer Holds";
    assert_eq!(daemon.titles().iter().filter(|title| told(title)).count(), 1);
    assert_eq!(place.count("activity_id = 4"), 0);
    assert!(daemon.stop());
    assert_eq!(place.count("activity_id = 4"), 1);

    // A daemon that has gone: the record is a leaf, and the next run makes its row.
    signed::policies(place.folder.path(), &[("another", &key)]);
    let gone = place.run("reverify", &to);
    assert!(gone.code == 1 && gone.stderr.contains("has not taken the records"), "{}", gone.stderr);
    assert_eq!(place.count("activity_id = 4"), 1);
    let next = place.run("reverify", &record);
    assert!(next.code == 1 && next.stderr.contains("recorded: 0 that"), "{}", next.stderr);
    assert_eq!(place.count("activity_id = 4"), 2);
    let audit = place.run("audit", &["--key", &place.public]).ok();
    assert_eq!(audit.rows()[0]["leaves"], 3);
    valid(&place);

    let wrong = place.run("reverify", &[&record[..], &["--to", "ftp://example.com"]].concat());
    assert!(wrong.code == 2 && wrong.stderr.contains("--to: expected http://"), "{}", wrong.stderr);
}

/// Every record of the lake is of its class.
fn valid(place: &Place) {
    let records = place.at("records.ndjson");
    std::fs::write(&records, tarn(&["ocsf", "export", "--lake", text(&place.at("lake"))]).ok().stdout).unwrap();
    tarn(&["ocsf", "validate", text(&records)]).ok();
}

/// A bundle of Sigstore's own conformance suite, and a root that does not know its authority.
#[test]
fn an_identity_is_held_against_another_root() {
    let Some(data) = data() else { return };
    let place = Place::new();
    let case = data.join("sigstore-bundles/intoto-with-custom-trust-root");
    let file = |name: &str| std::fs::read_to_string(case.join(name)).ok().map(|t| t.trim().to_owned());
    let identity = file("identity").unwrap_or_else(|| "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main".into());
    let issuer = file("issuer").unwrap_or_else(|| "https://token.actions.githubusercontent.com".into());
    let policy = |identity: &str| {
        let text = format!(
            "[[policy]]\nname = \"release\"\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\ntrusted_root = \"root.json\"\n"
        );
        std::fs::write(place.at("policies.toml"), text).unwrap();
    };
    policy(&identity);
    std::fs::copy(case.join("trusted_root.json"), place.at("root.json")).unwrap();
    std::fs::copy(case.join("bundle.sigstore.json"), place.at("documents/d.sigstore.json")).unwrap();
    assert_eq!(place.ingest(&[])[0]["verdict"], "passed");

    let root = place.at("root.json");
    let holds = place.run("reverify", &["--trusted-root", text(&root)]).ok();
    assert!(holds.stderr.contains("passed: 1, hold no longer: 0, cannot be told: 0"), "{}", holds.stderr);
    // Sigstore's public instance knows nothing of that authority.
    let lost = place.run("reverify", &[]);
    assert_eq!((lost.code, &lost.rows()[0]["standing"]), (1, &json!("lost")), "{}", lost.stderr);
    assert_eq!(lost.rows()[0]["record"], Value::Null, "without a policy there is nothing to record");
    // Today's policy names somebody else.
    policy("https://example.com/other");
    let lost = place.run("reverify", &["--policies", text(&place.at("policies.toml"))]);
    assert_eq!((lost.code, &lost.rows()[0]["reason"]), (1, &json!("identity_mismatch")));
}

#[test]
fn what_cannot_be_is_told_before_anything_is_done() {
    let place = Place::new();
    signed::policies(place.folder.path(), &[("release", &Key::new(1))]);
    let (policies, key) = (place.at("policies.toml"), place.at("evidence.key"));
    std::fs::create_dir(place.at("lake")).unwrap();
    tarn(&["ingest", "--lake", text(&place.at("lake")), text(&events(&place.at("e.ndjson")))]).ok();
    for (more, words) in [
        (&["--record", "--policies", text(&policies)][..], "--ledger-key"),
        (&["--record", "--ledger-key", text(&key)], "--policies"),
        (&["--policies", "none.toml"], "none.toml"),
        (&["--trusted-root", text(&policies)], "--trusted-root"),
        (&["--since", "yesterday"], "expected a day"),
        (&["--policies", text(&policies), "--record", "--ledger-key", text(&policies)], "not a key"),
        (&[], "there is no ledger here"),
        (&["--policies", text(&policies), "--record", "--ledger-key", text(&key)], "there is no ledger here"),
    ] {
        let run = place.run("reverify", more);
        assert!(run.code == 2 && run.stderr.contains(words), "{more:?}: {}", run.stderr);
    }
    assert!(!place.at("lake/_evidence").exists(), "no ledger was begun");
}

fn events(path: &Path) -> PathBuf {
    std::fs::write(path, "{\"a\": 1}\n").unwrap();
    path.to_owned()
}

#[test]
fn a_broken_ledger_is_a_record_that_a_rule_finds() {
    let place = Place::new();
    let key = Key::new(1);
    signed::policies(place.folder.path(), &[("release", &key)]);
    std::fs::write(place.at("documents/a.json"), envelope(&key, "a")).unwrap();
    place.ingest(&[]);
    let audit = ["--key", &place.public, "--record"];
    let whole = place.run("audit", &audit).ok();
    assert!(!whole.stderr.contains("recorded"), "{}", whole.stderr);

    let batch = place.at("lake/_evidence/ledger/batch/00000000000000000000");
    let mut bytes = std::fs::read(&batch).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&batch, bytes).unwrap();
    let unrecorded = place.run("audit", &audit[..2]);
    assert!(unrecorded.code == 1 && !unrecorded.stderr.contains("recorded"), "{}", unrecorded.stderr);
    for _ in 0..2 {
        let broken = place.run("audit", &audit);
        assert!(broken.code == 1 && broken.stderr.contains("recorded: "), "{}", broken.stderr);
        assert_eq!(broken.rows()[0]["kind"], "raw_changed");
    }
    let record = "activity_id = 4 AND artifact.type = 'Evidence Ledger' AND artifact.name = 'example.com/evidence' \
                  AND trust_reason = 'Digest Mismatch' AND status_code = 'raw_changed'";
    assert_eq!(place.count(record), 1);
    assert_eq!(place.found(), ["Evidence Ledger Is Not as It Was Logged"], "and no rule on images");
    valid(&place);
}
