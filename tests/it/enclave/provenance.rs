//! Keys that go to images whose evidence passed: the lake has it, its ledger proves it, and a later failure takes it back.

use super::place::{Broker, MODEL, Place};
use crate::command::{Run, tarn, tarn_reading, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;
use sha2::{Digest as _, Sha384};
use std::time::Duration;

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// Longer than the broker keeps an answer.
const STALE: Duration = Duration::from_millis(2_500);

/// The image that the simulated enclave runs: the file `model.bin`, by PCR0.
fn image() -> String {
    hex::encode(Sha384::digest(MODEL))
}

/// A place whose policy asks for provenance, with a signed statement of how the image was built.
fn place() -> Place {
    let place = Place::new();
    place.policy(&format!(
        "@reason(\"Evidence Missing\")\nforbid (principal, action, resource) unless {{ context.evidence.contains(\"{PROVENANCE}\") }};"
    ));
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend(key.verifying_key().to_bytes());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let policy = "[[policy]]\nname = \"release\"\nkey = \"builder.pub\"\n\
        [policy.provenance]\nbuilder = \"https://build.example/runner\"\n";
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": PROVENANCE,
        "subject": [{"name": "scorer.eif", "digest": {"sha384": image()}}],
        "predicate": {
            "buildDefinition": {"buildType": "https://build.example/eif/v1", "externalParameters": {}},
            "runDetails": {"builder": {"id": "https://build.example/runner"}},
        },
    })
    .to_string();
    let kind = "application/vnd.in-toto+json";
    let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let signature = STANDARD.encode(key.sign(signed.as_bytes()).to_bytes());
    let envelope =
        json!({"payloadType": kind, "payload": STANDARD.encode(statement), "signatures": [{"sig": signature}]});
    for (name, content) in
        [("builder.pub", pem), ("policies.toml", policy.to_owned()), ("scorer.intoto.json", envelope.to_string())]
    {
        std::fs::write(place.path(name), content).unwrap();
    }
    place
}

fn ingest(place: &Place, more: &[&str]) -> Run {
    let [lake, policies, document] = ["lake", "policies.toml", "scorer.intoto.json"].map(|name| place.path(name));
    let all = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies), text(&document)];
    tarn(&[&all[..], more].concat()).ok()
}

fn unseal(place: &Place, broker: &Broker) -> Run {
    place.unseal(broker, &["--measure", text(&place.path("model.bin"))])
}

fn refused(run: &Run, why: &str) {
    assert!(run.code == 1 && run.stderr.contains(&format!("\nrefused: {why}")), "{}", run.stderr);
}

/// The uid of the only record.
fn first(place: &Place) -> String {
    let lake = place.path("lake");
    let sql = "SELECT metadata.uid AS uid FROM artifact_signing";
    let rows = tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok().rows();
    assert_eq!(rows.len(), 1);
    rows[0]["uid"].as_str().unwrap().to_owned()
}

/// Puts a verdict on the document into the tables, as anybody who may ingest can.
fn put(place: &Place, uid: &str, activity: i64, verdict: i64, time: i64) {
    let document = document_uid(place);
    let record = json!({
        "class_uid": 99_906_001, "class_name": "Artifact Signing", "category_uid": 6, "activity_id": activity,
        "type_uid": 9_990_600_100_i64 + activity, "time": time, "severity_id": 1,
        "trust_verdict_id": verdict, "trust_reason_id": if verdict == 1 { 1 } else { 15 },
        "artifact": {"uid": format!("sha384:{}", image())}, "policy": {"uid": "release"},
        "attestation": {"uid": document, "type_id": 2, "predicate_type": PROVENANCE},
        "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "Other", "vendor_name": "Other"},
            "extensions": [{"name": "trust", "uid": "999", "version": "0.1.0"}]},
    });
    let lake = place.path("lake");
    tarn_reading(&["ingest", "--lake", text(&lake), "--source", "ocsf", "-"], record.to_string().as_bytes()).ok();
}

fn document_uid(place: &Place) -> String {
    let bytes = std::fs::read(place.path("scorer.intoto.json")).unwrap();
    tarn_attest::Digest::sha256(&bytes).to_string()
}

#[test]
fn a_key_goes_to_an_image_whose_evidence_the_lake_proves() {
    let place = place();
    let broker = place.broker(&["--trial"]);
    refused(&unseal(&place, &broker), "Evidence Missing");
    // Rows alone prove nothing: whoever may ingest can have made them.
    ingest(&place, &[]);
    std::thread::sleep(STALE);
    refused(&unseal(&place, &broker), "Evidence Missing");
    put(&place, "forged", 3, 1, chrono::Utc::now().timestamp_millis());
    std::thread::sleep(STALE);
    refused(&unseal(&place, &broker), "Evidence Missing");
}

#[test]
fn evidence_opens_a_key_until_a_later_verdict_takes_it_back() {
    let place = place();
    let broker = place.broker(&["--trial"]);
    ingest(&place, &["--ledger-key", text(&place.path("evidence.key"))]);
    let run = unseal(&place, &broker).ok();
    assert_eq!(std::fs::read(place.path("opened.bin")).unwrap(), MODEL);
    let release = place.whole_records(&run).pop().unwrap();
    let first = first(&place);
    let stands_on = json!([first]);
    assert_eq!((&release["activity_name"], &release["evidence_uids"]), (&json!("Release"), &stands_on));

    put(&place, "reverified", 4, 2, chrono::Utc::now().timestamp_millis());
    std::thread::sleep(STALE);
    refused(&unseal(&place, &broker), "Evidence Missing");
    // A copy of the first record with another time is not the one that the ledger has.
    put(&place, &first, 3, 1, chrono::Utc::now().timestamp_millis());
    std::thread::sleep(STALE);
    refused(&unseal(&place, &broker), "Evidence Missing");
}

#[test]
fn evidence_by_another_trust_policy_than_the_brokers_does_not_count() {
    let place = place();
    ingest(&place, &["--ledger-key", text(&place.path("evidence.key"))]);
    let strict = place.broker(&["--trial", "--trust-policy", "images-of-production"]);
    refused(&unseal(&place, &strict), "Evidence Missing");
    drop(strict);
    let named = place.broker(&["--trial", "--trust-policy", "images-of-production", "--trust-policy", "release"]);
    unseal(&place, &named).ok();
}

#[test]
fn a_lake_that_cannot_be_read_refuses() {
    let place = place();
    ingest(&place, &["--ledger-key", text(&place.path("evidence.key"))]);
    let broker = place.broker(&["--trial"]);
    let table = place.path("lake").join("tables/artifact_signing");
    for entry in walkdir::WalkDir::new(table).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "parquet") {
            std::fs::write(entry.path(), "no parquet").unwrap();
        }
    }
    let run = unseal(&place, &broker);
    refused(&run, "Policy Error");
    assert_eq!(place.records(&run).last().unwrap(), &("Refuse".to_owned(), "Policy Error".to_owned()));
}
