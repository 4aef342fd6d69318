//! Bare envelopes and keys.

use crate::world::{ARTIFACT, PAYLOAD_TYPE, World, b64, statement};
use serde_json::{Value, json};
use tarn_attest::digest::Digest;
use tarn_attest::policy::{Expectation, PublicKey};
use tarn_attest::{Artifact, Attestation, Check, Reason, Verification, dsse};

const SAID: &str = "https://example.com/said";

fn verify(world: &World, envelope: &Value) -> Verification<Attestation> {
    let key = PublicKey::read(world.pem().as_bytes()).unwrap();
    dsse::verify(envelope.to_string().as_bytes(), Artifact::Bytes(ARTIFACT), &key, None)
}

fn envelope(world: &World) -> Value {
    world.envelope(PAYLOAD_TYPE, statement(SAID, &json!({})).to_string().as_bytes())
}

#[test]
fn an_envelope_by_the_key_passes() {
    let world = World::new();
    let verification = verify(&world, &envelope(&world));
    assert_eq!(verification.reason(), None, "{:#?}", verification.record());
    assert_eq!(verification.verified().unwrap().get().statement.as_ref().unwrap().predicate_type, SAID);
    // Of several signatures one is enough, whatever their key ids say.
    let mut several = envelope(&world);
    let own = several["signatures"][0]["sig"].clone();
    several["signatures"] = json!([{"keyid": "own", "sig": b64("no")}, {"keyid": "", "sig": own}]);
    assert_eq!(verify(&world, &several).reason(), None);
    // URL-safe base64 without padding is base64 too.
    let mut safe = envelope(&world);
    for pointer in ["/payload", "/signatures/0/sig"] {
        let text = safe.pointer_mut(pointer).unwrap();
        *text = text.as_str().unwrap().replace('+', "-").replace('/', "_").trim_end_matches('=').into();
    }
    assert_eq!(verify(&world, &safe).reason(), None);
}

#[test]
fn what_is_not_the_keys_or_not_about_the_artifact_fails() {
    let (world, other) = (World::new(), World::new());
    let reason = |envelope: &Value| verify(&world, envelope).reason();
    assert_eq!(reason(&envelope(&other)), Some(Reason::SignatureInvalid));
    let mut changed = envelope(&world);
    changed["payload"] = b64(statement(SAID, &json!({"more": 1})).to_string()).into();
    assert_eq!(reason(&changed), Some(Reason::SignatureInvalid));
    let mut typed = envelope(&world);
    typed["payloadType"] = "text/plain".into();
    assert_eq!(reason(&typed), Some(Reason::PayloadTypeUnexpected));
    for signatures in [json!([]), json!(vec![json!({"sig": ""}); 17])] {
        let mut bare = envelope(&world);
        bare["signatures"] = signatures;
        assert_eq!(reason(&bare), Some(Reason::BundleMalformed));
    }
    let mut broken = envelope(&world);
    broken["payload"] = "a b".into();
    assert_eq!(reason(&broken), Some(Reason::BundleMalformed));

    let key = PublicKey::read(world.pem().as_bytes()).unwrap();
    let bytes = envelope(&world).to_string();
    let elsewhere = dsse::verify(bytes.as_bytes(), Artifact::Bytes(b"else"), &key, None);
    assert_eq!(elsewhere.reason(), Some(Reason::ArtifactMismatch));
    assert!(elsewhere.record().signature.is_some());
    let by_digest = dsse::verify(bytes.as_bytes(), Artifact::Digest(Digest::sha256(ARTIFACT)), &key, None);
    assert_eq!(by_digest.reason(), None);
    let wanted = Expectation::PredicateType("https://example.com/other".into());
    let other = dsse::verify(bytes.as_bytes(), Artifact::Bytes(ARTIFACT), &key, Some(&wanted));
    assert_eq!(other.reason(), Some(Reason::PredicateTypeUnexpected));
}

#[test]
fn whoever_verifies_by_a_key_may_give_an_envelope_or_a_bundle() {
    let world = World::new();
    let said = statement(SAID, &json!({})).to_string();
    for document in [envelope(&world), world.attested(PAYLOAD_TYPE, said.as_bytes())] {
        assert_eq!(world.verify(&document).reason(), None);
        assert_eq!(World::new().verify_by(&world.root(), &document).reason(), Some(Reason::SignatureInvalid));
    }
    // A root that cannot be used is told, whether the document needs it or not.
    let root = json!("no root");
    assert_eq!(world.verify_by(&root, &envelope(&world)).reason(), Some(Reason::TrustedRootInvalid));
}

#[test]
fn a_digest_in_which_collisions_are_made_binds_nothing() {
    let world = World::new();
    let mut weak = statement(SAID, &json!({}));
    let sha1 = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";
    weak["subject"][0]["digest"] = json!({"sha1": sha1});
    let envelope = world.envelope(PAYLOAD_TYPE, weak.to_string().as_bytes());
    let key = PublicKey::read(world.pem().as_bytes()).unwrap();
    let digest = format!("sha1:{sha1}").parse().unwrap();
    let verification = dsse::verify(envelope.to_string().as_bytes(), Artifact::Digest(digest), &key, None);
    assert_eq!(verification.reason(), Some(Reason::ArtifactMismatch));
}

#[test]
fn statements_that_are_none() {
    let world = World::new();
    let reason = |change: &dyn Fn(&mut Value)| {
        let mut statement = statement(SAID, &json!({}));
        change(&mut statement);
        let verification = verify(&world, &world.envelope(PAYLOAD_TYPE, statement.to_string().as_bytes()));
        let failed = verification.record().steps.iter().find(|s| s.outcome != tarn_attest::Outcome::Passed).cloned();
        assert!(failed.is_none_or(|step| step.check == Check::Statement));
        verification.reason()
    };
    assert_eq!(reason(&|_| ()), None);
    assert_eq!(reason(&|s| s["_type"] = "https://in-toto.io/Statement/v0.1".into()), None);
    assert_eq!(
        reason(&|s| s["_type"] = "https://in-toto.io/Statement/v2".into()),
        Some(Reason::StatementVersionUnsupported)
    );
    for change in [
        &(|s: &mut Value| s["subject"] = json!([])) as &dyn Fn(&mut Value),
        &|s| s["subject"] = json!({}),
        &|s| s["subject"][0]["digest"]["sha256"] = "abc".into(),
        &|s| s["predicateType"] = "".into(),
        &|s| s["predicateType"] = json!(1),
    ] {
        assert_eq!(reason(change), Some(Reason::StatementMalformed));
    }
}
