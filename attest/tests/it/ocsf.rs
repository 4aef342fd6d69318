//! Documents to records: what a record says of what passed and failed, under which uid, and bills of materials as rows.

use crate::policies::{KEYED, policies};
use crate::world::{ARTIFACT, PAYLOAD_TYPE, SIGNED_AT, World, statement};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tarn_attest::intake::{Document, Given, IntakeError, Taken, take};
use tarn_attest::ocsf::{ArtifactType, Named};
use tarn_attest::{Digest, Policies, Reason};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(SIGNED_AT, 0).unwrap() + TimeDelta::days(1)
}

fn taken(policies: &Policies, document: &[u8], given: Option<&Given<'_>>) -> Result<Vec<Taken>, IntakeError> {
    let document = Document { bytes: document, uri: Some("a.sigstore.json"), name: "a.sigstore.json" };
    take(policies.only().unwrap(), document, given, now())
}

fn one(policies: &Policies, document: &Value) -> Taken {
    let mut taken = taken(policies, document.to_string().as_bytes(), None).unwrap();
    assert_eq!(taken.len(), 1);
    taken.pop().unwrap()
}

fn built() -> Value {
    let predicate = json!({
        "buildDefinition": {
            "buildType": "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
            "externalParameters": {"workflow": {
                "repository": "https://github.com/o/r", "ref": "refs/tags/v1", "path": ".github/workflows/b.yml",
            }},
            "resolvedDependencies": [{
                "uri": "git+https://github.com/o/r@refs/tags/v1", "digest": {"gitCommit": "a".repeat(40)},
            }],
        },
        "runDetails": {"builder": {"id": "https://b"}, "metadata": {
            "invocationId": "https://github.com/o/r/actions/runs/1", "startedOn": "2026-01-01T00:00:00Z",
        }},
    });
    statement("https://slsa.dev/provenance/v1", &predicate)
}

#[test]
fn what_passed_says_who_signed_and_how_it_was_built() {
    let world = World::new();
    let bundle = world.attested(PAYLOAD_TYPE, built().to_string().as_bytes());
    let policies = policies(&world, KEYED);
    let taken = one(&policies, &bundle);
    assert_eq!(taken.verdict, Some(Ok(())));
    let record = &taken.evidence.value;
    let at = |path: &str| record.pointer(path).cloned().unwrap_or_default();
    assert_eq!((at("/class_uid"), at("/type_uid")), (json!(99_906_001), json!(9_990_600_103_u64)));
    assert_eq!(
        (at("/trust_verdict"), at("/trust_reason"), at("/status")),
        ("Passed".into(), "Verified".into(), "Success".into())
    );
    assert_eq!(at("/artifact/uid"), Digest::sha256(ARTIFACT).to_string());
    assert_eq!(at("/artifact/name"), "built");
    assert_eq!(at("/attestation/uid"), Digest::sha256(bundle.to_string().as_bytes()).to_string());
    assert_eq!(
        (at("/attestation/type"), at("/attestation/time_source")),
        ("DSSE Envelope".into(), "Transparency Log".into())
    );
    assert_eq!(at("/attestation/signed_time"), SIGNED_AT * 1000);
    assert_eq!(
        (at("/signer/type"), at("/tlog_entry/type"), at("/tlog_entry/version")),
        ("Key".into(), "dsse".into(), "0.0.1".into())
    );
    assert_eq!((at("/policy/uid"), at("/policy/version")), ("builds".into(), policies.digest().to_string().into()));
    assert_eq!(at("/trust_root_uid"), Digest::sha256(world.root().to_string().as_bytes()).to_string());
    let provenance = at("/provenance");
    assert_eq!(provenance["source_uri"], "https://github.com/o/r");
    assert_eq!(provenance["source_commit"], "a".repeat(40));
    assert_eq!((&provenance["builder_uid"], &provenance["material_count"]), (&json!("https://b"), &json!(1)));
    assert_eq!(provenance["start_time"], SIGNED_AT * 1000);
    assert_eq!(at("/metadata/uid"), taken.evidence.uid);
}

#[test]
fn what_failed_is_recorded_with_its_reason_up_to_the_failed_step() {
    let world = World::new();
    let asks = policies(&world, &format!("{KEYED}[policy.provenance]\nbuilder = \"https://c\"\n"));
    let taken = one(&asks, &world.attested(PAYLOAD_TYPE, built().to_string().as_bytes()));
    let record = &taken.evidence.value;
    assert_eq!(taken.verdict, Some(Err(Reason::BuilderMismatch)));
    assert_eq!((&record["trust_verdict"], &record["trust_reason_id"]), (&json!("Failed"), &json!(60)));
    assert_eq!((&record["status"], &record["status_code"]), (&json!("Failure"), &json!("builder_mismatch")));
    let last = record["trust_checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["name"], &last["trust_verdict"]), (&json!("builder"), &json!("Failed")));
    assert!(record.get("provenance").is_none(), "what did not pass is not told as if it had");

    // What is no bundle at all is a record too, under the document's name.
    let taken = &self::taken(&asks, b"{", None).unwrap()[0];
    assert_eq!(taken.verdict, Some(Err(Reason::DocumentMalformed)));
    assert_eq!(taken.evidence.value["artifact"]["name"], "a.sigstore.json");
    assert_eq!(taken.evidence.value["attestation"]["type_id"], 0);
}

#[test]
fn a_digest_that_is_given_is_what_is_verified() {
    let world = World::new();
    let bundle = world.attested(PAYLOAD_TYPE, built().to_string().as_bytes()).to_string();
    let other = Digest::sha256(b"something else");
    let named = Named { digest: Some(other.clone()), name: None, uri: None, kind: ArtifactType::ContainerImage };
    let given = Given { named, bytes: None };
    let taken = &self::taken(&policies(&world, KEYED), bundle.as_bytes(), Some(&given)).unwrap()[0];
    assert_eq!(taken.verdict, Some(Err(Reason::ArtifactMismatch)));
    assert_eq!(taken.evidence.value["artifact"]["uid"], other.to_string());
    assert_eq!(taken.evidence.value["trust_reason"], "Digest Mismatch");
}

#[test]
fn a_plain_signature_of_nobody_knows_what_is_not_taken_for_an_empty_file() {
    let world = World::new();
    let policies = policies(&world, KEYED);
    let mut bundle = world.message(b"");
    assert_eq!(one(&policies, &bundle).verdict, Some(Ok(())));
    bundle["messageSignature"].as_object_mut().unwrap().remove("messageDigest");
    let error = taken(&policies, bundle.to_string().as_bytes(), None).unwrap_err();
    assert!(matches!(error, IntakeError::NoArtifact), "{error}");
}

#[test]
fn a_verification_has_one_uid_and_another_one_has_another() {
    let world = World::new();
    let bundle = world.message(ARTIFACT);
    let document = bundle.to_string();
    let first = one(&policies(&world, KEYED), &bundle).evidence;
    let of = |policies: &Policies, now| {
        let document = Document { bytes: document.as_bytes(), uri: None, name: "" };
        take(policies.only().unwrap(), document, None, now).unwrap().pop().unwrap().evidence
    };
    let later = of(&policies(&world, KEYED), now() + TimeDelta::days(1));
    assert_eq!(first.uid, later.uid);
    assert_ne!(first.value["time"], later.value["time"]);
    let other = of(&policies(&world, &format!("{KEYED}# another text\n")), now());
    assert_ne!(first.uid, other.uid);
    assert_eq!(first.to_canonical().unwrap(), first.to_canonical().unwrap());
}

#[test]
fn each_subject_of_a_statement_is_a_record() {
    let world = World::new();
    let mut statement = built();
    let more = json!({"name": "another", "digest": {"sha256": Digest::sha256(b"another").to_hex()}});
    statement["subject"].as_array_mut().unwrap().push(more);
    let bundle = world.attested(PAYLOAD_TYPE, statement.to_string().as_bytes()).to_string();
    let policies = policies(&world, KEYED);
    let both = taken(&policies, bundle.as_bytes(), None).unwrap();
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|taken| taken.verdict == Some(Ok(()))));
    assert_ne!(both[0].evidence.uid, both[1].evidence.uid);
    assert_eq!(both[0].evidence.value["artifacts"].as_array().unwrap().len(), 2);

    statement["subject"] = (0..257)
        .map(|n| json!({"name": "", "digest": {"sha256": Digest::sha256(&[n as u8, (n / 256) as u8]).to_hex()}}))
        .collect();
    let bundle = world.attested(PAYLOAD_TYPE, statement.to_string().as_bytes()).to_string();
    assert!(matches!(taken(&policies, bundle.as_bytes(), None), Err(IntakeError::Subjects(257))));

    // Nobody makes a gigabyte of a few megabytes: each of the records would have the document beside it.
    statement["subject"].as_array_mut().unwrap().pop();
    statement["predicate"]["padding"] = "x".repeat(300 << 10).into();
    let bundle = world.attested(PAYLOAD_TYPE, statement.to_string().as_bytes()).to_string();
    let error = taken(&policies, bundle.as_bytes(), None).unwrap_err();
    assert!(matches!(error, IntakeError::Copies { subjects: 256, .. }), "{error}");
    let given = Named { digest: Some(Digest::sha256(&[0, 0])), name: None, uri: None, kind: ArtifactType::File };
    assert_eq!(taken(&policies, bundle.as_bytes(), Some(&Given { named: given, bytes: None })).unwrap().len(), 1);
}

fn bill() -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": {"component": {"name": "scorer", "type": "application",
            "hashes": [{"alg": "SHA-256", "content": Digest::sha256(ARTIFACT).to_hex()}]}},
        "components": [
            {"type": "library", "name": "openssl", "version": "3.0.1", "purl": "pkg:deb/debian/openssl@3.0.1"},
            {"type": "library", "name": "unversioned"},
        ],
    })
}

#[test]
fn a_bill_of_materials_is_rows_of_the_artifact() {
    let world = World::new();
    let policies = policies(&world, &format!("{KEYED}sbom = true\n"));
    let signed = statement("https://cyclonedx.org/bom", &bill()).to_string();
    let taken = one(&policies, &world.attested(PAYLOAD_TYPE, signed.as_bytes()));
    assert_eq!((taken.verdict, taken.components.len()), (Some(Ok(())), 2));
    let row = &taken.components[0].value;
    assert_eq!((&row["class_uid"], &row["package"]["purl"]), (&json!(5020), &json!("pkg:deb/debian/openssl@3.0.1")));
    assert_eq!(row["device"]["image"]["uid"], Digest::sha256(ARTIFACT).to_string());
    assert_eq!(row["metadata"]["correlation_uid"], taken.evidence.uid);
    assert_ne!(taken.components[0].uid, taken.components[1].uid);

    let other = World::new();
    let forged = other.attested(PAYLOAD_TYPE, signed.as_bytes());
    assert!(one(&policies, &forged).components.is_empty(), "what nobody trusted signed is no row");
}

#[test]
fn a_bill_that_nobody_signed_is_rows_and_says_so() {
    let policies = policies(&World::new(), KEYED);
    let taken = one(&policies, &bill());
    assert_eq!((taken.verdict, taken.components.len()), (None, 2));
    let record = &taken.evidence.value;
    assert_eq!(
        (&record["trust_verdict"], &record["trust_reason"]),
        (&json!("Not Checked"), &json!("Evidence Missing"))
    );
    assert_eq!(record["artifact"]["uid"], Digest::sha256(ARTIFACT).to_string());
    let mut unnamed = bill();
    unnamed["metadata"] = json!({});
    let error = self::taken(&policies, unnamed.to_string().as_bytes(), None).unwrap_err();
    assert!(matches!(error, IntakeError::NoArtifact), "{error}");
    let broken = json!({"bomFormat": "CycloneDX", "specVersion": "9"});
    let error = self::taken(&policies, broken.to_string().as_bytes(), None).unwrap_err();
    assert!(matches!(error, IntakeError::Sbom(_)), "{error}");
}
