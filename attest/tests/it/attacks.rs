//! What an attacker does to a bundle that is genuine, one change a test. `docs/threat-model.md` names these tests.

use crate::cases::Case;
use crate::world::{ARTIFACT, Log, PAYLOAD_TYPE, SIGNED_AT, World, b64, hashedrekord, root, statement, unb64};
use proptest::prelude::*;
use serde_json::{Value, json};
use tarn_attest::digest::Digest;
use tarn_attest::{Artifact, Attestation, Check, Outcome, Reason, Verification};

/// What fails, and why; and that nothing after it was reached.
fn failure(verification: &Verification<Attestation>) -> (Check, Reason) {
    assert!(verification.verified().is_none());
    let record = verification.record();
    let failed = record.steps.iter().position(|s| matches!(s.outcome, Outcome::Failed(_))).unwrap();
    let (before, after) = (&record.steps[..failed], &record.steps[failed + 1..]);
    assert!(before.iter().all(|s| s.outcome == Outcome::Passed), "{record:#?}");
    assert!(after.iter().all(|s| s.outcome == Outcome::NotReached), "{record:#?}");
    (record.steps[failed].check, record.reason.unwrap())
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

#[test]
fn bundles_made_here_are_genuine() {
    let world = World::new();
    let message = world.verify(&world.message(ARTIFACT));
    assert_eq!(message.reason(), None, "{:#?}", message.record());
    let signature = &message.verified().unwrap().get().signature;
    assert_eq!(signature.signed_at[0].timestamp(), SIGNED_AT);
    assert_eq!(signature.log_entries[0].index, Some(1));
    let payload = statement("https://example.com/said", &json!({})).to_string();
    let attested = world.verify(&world.attested(PAYLOAD_TYPE, payload.as_bytes()));
    assert_eq!(attested.reason(), None, "{:#?}", attested.record());
    assert_eq!(attested.record().predicate_type.as_deref(), Some("https://example.com/said"));
}

#[test]
fn a_bundle_for_another_digest() {
    let world = World::new();
    assert_eq!(failure(&world.verify(&world.message(b"else"))), (Check::Artifact, Reason::ArtifactMismatch));
    let mut other = statement("https://example.com/said", &json!({}));
    other["subject"][0]["digest"]["sha256"] = Digest::sha256(b"else").to_hex().into();
    let bundle = world.attested(PAYLOAD_TYPE, other.to_string().as_bytes());
    assert_eq!(failure(&world.verify(&bundle)), (Check::Artifact, Reason::ArtifactMismatch));
    // The digest of the artifact, and a signature over something else.
    let mut bundle = world.message(b"else");
    bundle["messageSignature"]["messageDigest"]["digest"] = b64(Digest::sha256(ARTIFACT).as_bytes()).into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::Signature, Reason::SignatureInvalid));
}

#[test]
fn a_subject_that_is_named_by_a_broken_digest_only() {
    let world = World::new();
    let mut weak = statement("https://example.com/said", &json!({}));
    // The SHA-1 of the artifact; somebody else may have made another with it.
    weak["subject"][0]["digest"] = json!({"sha1": "e5a2e8c1e5c1f2c1d0f6b0a4c7a8b9c0d1e2f3a4"});
    let verification = world.verify(&world.attested(PAYLOAD_TYPE, weak.to_string().as_bytes()));
    assert_eq!(failure(&verification).1, Reason::BundleUnsupported);
}

#[test]
fn a_payload_of_another_type() {
    let world = World::new();
    let payload = statement("https://example.com/said", &json!({})).to_string();
    let bundle = world.attested("application/vnd.example+json", payload.as_bytes());
    assert_eq!(failure(&world.verify(&bundle)), (Check::Statement, Reason::PayloadTypeUnexpected));
    // Signed as another type, and called a statement: the type is part of what is signed.
    let mut bundle = bundle;
    bundle["dsseEnvelope"]["payloadType"] = PAYLOAD_TYPE.into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::Signature, Reason::SignatureInvalid));
}

#[test]
fn a_payload_that_was_changed() {
    let world = World::new();
    let said = statement("https://example.com/said", &json!({"ok": false})).to_string();
    let mut bundle = world.attested(PAYLOAD_TYPE, said.as_bytes());
    bundle["dsseEnvelope"]["payload"] = b64(said.replace("false", "true ")).into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::Signature, Reason::SignatureInvalid));
}

#[test]
fn two_signatures_in_one_envelope() {
    let world = World::new();
    let said = statement("https://example.com/said", &json!({})).to_string();
    let mut bundle = world.attested(PAYLOAD_TYPE, said.as_bytes());
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    bundle["dsseEnvelope"]["signatures"] = json!([signature, signature]);
    assert_eq!(failure(&world.verify(&bundle)), (Check::Document, Reason::BundleMalformed));
}

#[test]
fn the_key_of_somebody_else() {
    let (world, other) = (World::new(), World::new());
    let bundle = world.message(ARTIFACT);
    assert_eq!(failure(&other.verify_by(&world.root(), &bundle)), (Check::Signature, Reason::SignatureInvalid));
}

#[test]
fn an_entry_of_another_signature() {
    let world = World::new();
    // ECDSA signs anew each time: both are genuine, and only one of them was logged.
    let (mut bundle, other) = (world.message(ARTIFACT), world.message(ARTIFACT));
    *entry(&mut bundle) = other["verificationMaterial"]["tlogEntries"][0].clone();
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogEntry, Reason::LogEntryMismatch));
    let (mut bundle, other) = (world.message(ARTIFACT), world.message(b"else"));
    *entry(&mut bundle) = other["verificationMaterial"]["tlogEntries"][0].clone();
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogEntry, Reason::LogEntryMismatch));
}

#[test]
fn an_entry_of_another_key() {
    let (world, other) = (World::new(), World::new());
    let mut bundle = world.message(ARTIFACT);
    let body = hashedrekord(ARTIFACT, &unb64(&bundle["messageSignature"]["signature"]), &other.pem());
    *entry(&mut bundle) = world.log.entry("hashedrekord", "0.0.1", &body, SIGNED_AT);
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogEntry, Reason::LogEntryMismatch));
}

#[test]
fn an_entry_that_was_changed() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    let body = hashedrekord(b"else", b"signature", &world.pem()).to_string();
    entry(&mut bundle)["canonicalizedBody"] = b64(body).into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogInclusion, Reason::InclusionProofInvalid));
}

#[test]
fn a_proof_of_another_place() {
    let world = World::new();
    for (field, value) in [("logIndex", json!("0")), ("treeSize", json!("4")), ("hashes", json!([]))] {
        let mut bundle = world.message(ARTIFACT);
        entry(&mut bundle)["inclusionProof"][field] = value;
        let (check, reason) = failure(&world.verify(&bundle));
        assert_eq!((check, reason), (Check::LogInclusion, Reason::InclusionProofInvalid), "{field}");
    }
}

#[test]
fn a_checkpoint_of_another_log() {
    let (world, foreign) = (World::new(), Log::new("foreign.example"));
    let mut bundle = world.message(ARTIFACT);
    let root_hash = unb64(&entry(&mut bundle)["inclusionProof"]["rootHash"]);
    entry(&mut bundle)["inclusionProof"]["checkpoint"]["envelope"] = foreign.checkpoint(3, &root_hash).into();
    // One that is not trusted, and one that is, but is not the entry's.
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogInclusion, Reason::CheckpointInvalid));
    let both = root(&[&world.log, &foreign]);
    assert_eq!(failure(&world.verify_by(&both, &bundle)), (Check::LogInclusion, Reason::CheckpointInvalid));
}

#[test]
fn a_checkpoint_of_another_tree() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    entry(&mut bundle)["inclusionProof"]["checkpoint"]["envelope"] = world.log.checkpoint(3, &[7; 32]).into();
    assert_eq!(failure(&world.verify(&bundle)).1, Reason::CheckpointInvalid);
    let mut bundle = world.message(ARTIFACT);
    let envelope = entry(&mut bundle)["inclusionProof"]["checkpoint"]["envelope"].as_str().unwrap().to_owned();
    let forged = envelope.replace("log.example\n3\n", "log.example\n9\n");
    assert_ne!(forged, envelope);
    entry(&mut bundle)["inclusionProof"]["checkpoint"]["envelope"] = forged.into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogInclusion, Reason::CheckpointInvalid));
}

#[test]
fn a_log_that_is_not_trusted() {
    let (world, foreign) = (World::new(), Log::new("foreign.example"));
    let bundle = world.message(ARTIFACT);
    assert_eq!(failure(&world.verify_by(&root(&[&foreign]), &bundle)).0, Check::LogInclusion);
}

#[test]
fn a_promise_with_another_time() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    entry(&mut bundle)["integratedTime"] = (SIGNED_AT - 86_400).to_string().into();
    assert_eq!(failure(&world.verify(&bundle)), (Check::LogInclusion, Reason::InclusionPromiseInvalid));
}

#[test]
fn a_place_that_nobody_vouches_for_is_not_recorded() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    entry(&mut bundle)["logIndex"] = "7".into();
    assert_eq!(failure(&world.verify(&bundle)).1, Reason::InclusionPromiseInvalid);
    entry(&mut bundle).as_object_mut().unwrap().remove("inclusionPromise");
    let verification = world.verify(&bundle);
    let signature = &verification.verified().unwrap().get().signature;
    assert_eq!((signature.log_entries[0].index, signature.signed_at.len()), (None, 0));
}

#[test]
fn proofs_that_were_stripped() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    entry(&mut bundle).as_object_mut().unwrap().remove("inclusionProof");
    assert_eq!(failure(&world.verify(&bundle)), (Check::Document, Reason::InclusionProofMissing));
    let mut bundle = world.message(ARTIFACT);
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    assert_eq!(failure(&world.verify(&bundle)), (Check::Structure, Reason::InclusionProofMissing));
    // An entry without proof beside one that has it.
    let mut bundle = world.message(ARTIFACT);
    let mut bare = entry(&mut bundle).clone();
    bare.as_object_mut().unwrap().remove("inclusionProof");
    bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap().push(bare);
    assert_eq!(failure(&world.verify(&bundle)), (Check::Document, Reason::InclusionProofMissing));
}

#[test]
fn a_timestamp_that_was_stripped() {
    let Some(case) = Case::named("rekor2-happy-path") else { return };
    let stripped = case.tampered(|b| b["verificationMaterial"]["timestampVerificationData"] = json!({}));
    assert_eq!(failure(&stripped.verify()), (Check::SigningTime, Reason::TimestampMissing));
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let stripped = case.tampered(|b| {
        entry(b).as_object_mut().unwrap().remove("inclusionPromise");
    });
    assert_eq!(failure(&stripped.verify()), (Check::SigningTime, Reason::TimestampMissing));
}

#[test]
fn another_issuer_and_another_identity() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let other = Case { issuer: "https://accounts.example.com".into(), ..case.clone() };
    assert_eq!(failure(&other.verify()), (Check::Issuer, Reason::IssuerMismatch));
    let other = Case { identity: case.identity.replace("refs/heads/main", "refs/heads/main2"), ..case };
    assert_eq!(failure(&other.verify()), (Check::Identity, Reason::IdentityMismatch));
}

#[test]
fn a_key_where_a_certificate_is_asked_for_and_the_other_way_round() {
    let Some(case) = Case::named("happy-path-v0.3") else { return };
    let keyed = Case { key: Some(World::new().pem().into_bytes()), ..case };
    assert_eq!(failure(&keyed.verify()), (Check::SignerKind, Reason::SignerKindUnexpected));
    let Some(case) = Case::named("managed-key-and-trusted-root") else { return };
    let keyless = Case { key: None, ..case };
    assert_eq!(failure(&keyless.verify()), (Check::SignerKind, Reason::SignerKindUnexpected));
}

#[test]
fn the_certificate_of_another_signature() {
    let (Some(case), Some(other)) = (Case::named("happy-path-v0.3"), Case::named("wrong-hashedrekord-artifact_fail"))
    else {
        return;
    };
    let certificate = other.json()["verificationMaterial"]["certificate"].clone();
    let swapped = case.tampered(|b| b["verificationMaterial"]["certificate"] = certificate);
    // Its ten minutes are others.
    let (check, reason) = failure(&swapped.verify());
    assert_eq!(check, Check::CertificateChain);
    assert!([Reason::CertificateExpired, Reason::CertificateNotYetValid].contains(&reason), "{reason}");
}

#[test]
fn two_contents_and_two_signers_in_one_bundle() {
    let world = World::new();
    let mut bundle = world.message(ARTIFACT);
    bundle["dsseEnvelope"] = world.envelope(PAYLOAD_TYPE, b"{}");
    assert_eq!(failure(&world.verify(&bundle)), (Check::Document, Reason::BundleMalformed));
    let mut bundle = world.message(ARTIFACT);
    bundle["verificationMaterial"]["certificate"] = json!({"rawBytes": "AAAA"});
    assert_eq!(failure(&world.verify(&bundle)), (Check::Document, Reason::BundleMalformed));
}

#[test]
fn a_root_within_the_chain() {
    let Some(case) = Case::named("bundle-with-root-cert_fail") else { return };
    // What else is wrong with that bundle goes: a bundle of version 0.1 needs no proof beside its promise.
    let only = case.tampered(|b| {
        entry(b).as_object_mut().unwrap().remove("inclusionProof");
    });
    assert_eq!(failure(&only.verify()), (Check::Document, Reason::BundleMalformed));
    let step = only.verify().record().steps[0].clone();
    assert!(step.detail.contains("holds a root"), "{step:?}");
}

#[test]
fn documents_over_the_bounds() {
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let mut bundle = world.message(ARTIFACT).to_string();
    bundle.insert_str(1, &format!("\"more\":{deep},"));
    let verification = world.verify_bytes(&world.root(), bundle.as_bytes());
    assert_eq!(failure(&verification), (Check::Document, Reason::DocumentTooDeep));

    let mut twice = world.message(ARTIFACT).to_string();
    twice.insert_str(1, "\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",");
    let verification = world.verify_bytes(&world.root(), twice.as_bytes());
    assert_eq!(failure(&verification), (Check::Document, Reason::DocumentAmbiguous));

    let large = vec![b' '; (64 << 20) + 1];
    let verification = world.verify_bytes(&world.root(), &large);
    assert_eq!(failure(&verification), (Check::Document, Reason::DocumentTooLarge));

    let mut many = world.message(ARTIFACT);
    let one = entry(&mut many).clone();
    many["verificationMaterial"]["tlogEntries"] = vec![one; 17].into();
    assert_eq!(failure(&world.verify(&many)), (Check::Document, Reason::DocumentTooLarge));
}

#[test]
fn a_statement_over_the_bounds() {
    let world = World::new();
    let said = statement("https://example.com/said", &json!({})).to_string();
    let deep = said.replace("{}", &format!("{}{}", "[".repeat(100), "]".repeat(100)));
    let bundle = world.attested(PAYLOAD_TYPE, deep.as_bytes());
    assert_eq!(failure(&world.verify(&bundle)), (Check::Statement, Reason::DocumentTooDeep));
    let digest = Digest::sha256(b"else").to_hex();
    let twice = said.replace("{\"sha256\":", &format!("{{\"sha256\":\"{digest}\",\"sha256\":"));
    assert_ne!(twice, said);
    let bundle = world.attested(PAYLOAD_TYPE, twice.as_bytes());
    assert_eq!(failure(&world.verify(&bundle)), (Check::Statement, Reason::DocumentAmbiguous));
}

#[test]
fn what_is_no_key_and_no_root() {
    let world = World::new();
    let bundle = world.message(ARTIFACT);
    let mut bad = world.root();
    bad["tlogs"][0]["publicKey"]["rawBytes"] = b64("no key").into();
    assert_eq!(failure(&world.verify_by(&bad, &bundle)), (Check::TrustedRoot, Reason::TrustedRootInvalid));
    let mut twice = world.root();
    let log = twice["tlogs"][0].clone();
    twice["tlogs"] = json!([log, log]);
    assert_eq!(failure(&world.verify_by(&twice, &bundle)), (Check::TrustedRoot, Reason::TrustedRootInvalid));
    let verification = tarn_attest::conformance::verify_bundle(
        Artifact::Bytes(ARTIFACT),
        bundle.to_string().as_bytes(),
        tarn_attest::RequestedSigner::Key(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        None,
    );
    assert_eq!(failure(&verification), (Check::Policy, Reason::KeyInvalid));
}

#[test]
fn details_do_nothing_to_a_terminal() {
    let world = World::new();
    let mut named = statement("https://example.com/said\u{1b}[2J", &json!({}));
    named["subject"][0]["name"] = format!("built\r\u{7}{}", "x".repeat(1000)).into();
    let verification = world.verify(&world.attested(PAYLOAD_TYPE, named.to_string().as_bytes()));
    assert_eq!(verification.reason(), None);
    for step in &verification.record().steps {
        assert!(!step.detail.contains(char::is_control), "{step:?}");
        assert!(step.detail.chars().count() < 600, "{step:?}");
    }
}

/// A byte that is put in the place of another, before it, or for nothing.
fn edit(bytes: &[u8], at: usize, byte: u8, how: u8) -> Vec<u8> {
    let at = at % bytes.len();
    match how {
        0 => [&bytes[..at], &[byte], &bytes[at + 1..]].concat(),
        1 => [&bytes[..at], &[byte], &bytes[at..]].concat(),
        _ => [&bytes[..at], &bytes[at + 1..]].concat(),
    }
}

proptest! {
    // Keys are new each time, so a seed would repeat nothing.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_changes_nothing_that_is_verified(at in any::<usize>(), byte in 0x20_u8..0x7f, how in 0_u8..3, kind in any::<bool>()) {
        let world = World::new();
        let said = statement("https://example.com/said", &json!({"ok": true})).to_string();
        let bundle = if kind { world.message(ARTIFACT) } else { world.attested(PAYLOAD_TYPE, said.as_bytes()) };
        let genuine = world.verify(&bundle).into_parts().1.unwrap();
        let changed = edit(bundle.to_string().as_bytes(), at, byte, how);
        if let Some(verified) = world.verify_bytes(&world.root(), &changed).verified() {
            // A key that is renamed is a part that is left out: less may be established, nothing else.
            let (found, all) = (verified.get(), genuine.get());
            prop_assert_eq!(&found.statement, &all.statement);
            prop_assert_eq!(&found.signature.signed_by, &all.signature.signed_by);
            prop_assert!(found.signature.signed_at.iter().all(|time| all.signature.signed_at.contains(time)));
            let (entry, whole) = (&found.signature.log_entries[0], &all.signature.log_entries[0]);
            prop_assert!(entry.index.is_none_or(|index| Some(index) == whole.index));
            prop_assert_eq!((&entry.log_id, &entry.body, &entry.kind), (&whole.log_id, &whole.body, &whole.kind));
        }
    }
}
