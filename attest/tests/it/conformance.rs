//! All cases decide as the suite says, and for the reason that the case is about.

use crate::cases::{Case, folder};
use std::collections::BTreeMap;
use tarn_attest::digest::Digest;
use tarn_attest::{Artifact, Outcome, Reason};

/// Case → the reason for which it fails; none where it passes.
const CASES: &[(&str, Option<Reason>)] = &[
    ("bundle-empty-certificate-chain_fail", Some(Reason::BundleMalformed)),
    ("bundle-from-wrong-instance_fail", Some(Reason::InclusionPromiseInvalid)),
    ("bundle-malformed-json_fail", Some(Reason::DocumentMalformed)),
    ("bundle-negative-log-index_fail", Some(Reason::BundleMalformed)),
    ("bundle-unknown-version_fail", Some(Reason::BundleVersionUnsupported)),
    ("bundle-with-root-cert_fail", Some(Reason::BundleMalformed)),
    ("checkpoint-wrong-roothash_fail", Some(Reason::CheckpointInvalid)),
    ("dsse-mismatch-envelope_fail", Some(Reason::LogEntryMismatch)),
    ("happy-path-v0.3", None),
    ("happy-path-v0.3-new-mediaType", None),
    ("intoto-expired-certificate_fail", Some(Reason::CertificateNotYetValid)),
    ("intoto-set-outside-signing-cert-validity_fail", Some(Reason::CertificateExpired)),
    ("intoto-with-custom-trust-root", None),
    ("invalid-checkpoint-signature_fail", Some(Reason::CheckpointInvalid)),
    // Its proof has no checkpoint.
    ("invalid-inclusion-proof_fail", Some(Reason::CheckpointInvalid)),
    ("managed-key-and-trusted-root", None),
    ("managed-key-no-key_fail", Some(Reason::SignerKindUnexpected)),
    ("rekor2-checkpoint-cosigned", None),
    ("rekor2-checkpoint-missing-origin_fail", Some(Reason::BundleMalformed)),
    ("rekor2-checkpoint-origin-not-first", None),
    ("rekor2-checkpoint-two-sigs-cosigned", None),
    ("rekor2-dsse-mismatch-envelope_fail", Some(Reason::LogEntryMismatch)),
    ("rekor2-happy-path", None),
    ("rekor2-timestamp-payload-mismatch_fail", Some(Reason::TimestampInvalid)),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", Some(Reason::TimestampInvalid)),
    // Its timestamp has line breaks in its base64; `certificates` takes them out.
    ("rekor2-timestamp-with-incorrect-time_fail", Some(Reason::BundleMalformed)),
    ("rekor2-timestamp-without-embedded-cert", None),
    ("trust-root-tlog-validity-end-inclusive", None),
    ("trust-root-tsa-validity-end-inclusive", None),
    // The signature is of the artifact; the log has another.
    ("wrong-hashedrekord-artifact_fail", Some(Reason::LogEntryMismatch)),
];

#[test]
fn every_case_decides_as_expected() {
    let Some(folder) = folder() else { return };
    let expected: BTreeMap<&str, Option<Reason>> = CASES.iter().copied().collect();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let verification = Case::read(&path).verify();
        assert_eq!(verification.verified().is_some(), !name.ends_with("_fail"), "{name}: {:#?}", verification.record());
        match expected.get(name.as_str()) {
            Some(reason) if *reason == verification.reason() => {}
            other => {
                let failed = verification.record().steps.iter().find(|s| s.outcome != Outcome::Passed).cloned();
                wrong.push(format!("{name}: expected {other:?}, got {failed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_named_cases_are_there() {
    let Some(folder) = folder() else { return };
    for (name, _) in CASES {
        assert!(folder.join(name).is_dir(), "{name}");
    }
}

#[test]
fn a_digest_and_a_reader_decide_as_the_bytes_do() {
    for name in
        ["happy-path-v0.3", "intoto-with-custom-trust-root", "rekor2-happy-path", "managed-key-and-trusted-root"]
    {
        let Some(case) = Case::named(name) else { return };
        let digest = Digest::sha256(&case.artifact);
        let by_digest = case.verify_of(Artifact::Digest(digest.clone()));
        assert_eq!(by_digest.reason(), None, "{name}: {:#?}", by_digest.record());
        let mut reader = case.artifact.as_slice();
        let by_reader = case.verify_of(Artifact::Reader(&mut reader));
        assert_eq!(by_reader.reason(), None, "{name}: {:#?}", by_reader.record());
        assert!(by_reader.record().digests.artifact.contains(&digest), "{name}");

        let other = case.verify_of(Artifact::Digest(Digest::sha256(b"another artifact")));
        assert_eq!(other.reason(), Some(Reason::ArtifactMismatch), "{name}");
        let mut reader: &[u8] = b"another artifact";
        let other = case.verify_of(Artifact::Reader(&mut reader));
        assert_eq!(other.reason(), Some(Reason::ArtifactMismatch), "{name}");
        assert!(other.record().digests.artifact.contains(&Digest::sha256(b"another artifact")), "{name}");
    }
}

#[test]
fn a_record_says_what_was_established() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let (record, verified) = case.verify().into_parts();
    assert!(record.steps.iter().all(|s| s.outcome == Outcome::Passed));
    assert_eq!(Some(verified.unwrap().get().signature.clone()), record.signature);
    let json = serde_json::to_value(&record).unwrap();
    let certificate = &json["signature"]["signed_by"]["certificate"];
    assert_eq!(certificate["identity"], case.identity);
    assert_eq!(certificate["issuer"], case.issuer);
    assert_eq!(json["digests"]["document"], Digest::sha256(&case.bundle).to_string());
    assert_eq!(json["reason"], serde_json::Value::Null);
    let signed_at = json["signature"]["signed_at"][0].as_str().unwrap();
    assert!(certificate["not_before"].as_str().unwrap() <= signed_at);
    assert!(signed_at <= certificate["not_after"].as_str().unwrap());

    let (record, verified) = Case { identity: "somebody@example.com".into(), ..case }.verify().into_parts();
    assert!(verified.is_none());
    assert_eq!(record.reason, Some(Reason::IdentityMismatch));
    assert!(record.signature.is_some(), "it is genuine, and another's");
    let json = serde_json::to_value(record.steps.last().unwrap()).unwrap();
    assert_eq!(json["check"], "issuer");
    assert_eq!(json["outcome"], "not_reached");
}
