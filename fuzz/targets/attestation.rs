//! Bundles, envelopes, statements, provenance, summaries and SBOMs: an error or a value, and records without a gap.
#![no_main]
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tarn_attest::evidence::sbom::{Purl, Sbom};
use tarn_attest::evidence::{Provenance, Summary};
use tarn_attest::policy::{Expectation, Identity, Issuer, Policy, PublicKey, Signer};
use tarn_attest::sigstore::Verifier;
use tarn_attest::{Artifact, Attestation, Digest, Outcome, Verification, dsse, json, verify};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::production().unwrap());

/// P-256's base point as a key.
const KEY: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
    046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
    4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

static KEYED: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::read(&hex::decode(KEY).unwrap()).unwrap());

fuzz_target!(|data: &[u8]| {
    if json::check(data, json::DOCUMENT).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_ok());
    }
    let signer = Signer::Keyless { identity: Identity::exact("a").unwrap(), issuer: Issuer::exact("b").unwrap() };
    lawful(&verify(&VERIFIER, Artifact::Bytes(b"c"), data, &Policy { signer, expectation: None }));
    let keyed = Policy { signer: Signer::Key(KEYED.clone()), expectation: Some(Expectation::Sbom) };
    lawful(&verify(&VERIFIER, Artifact::Bytes(b"c"), data, &keyed));
    lawful(&dsse::verify(data, Artifact::Bytes(b"c"), &KEYED, None));
    let envelope = serde_json::json!({
        "payloadType": "application/vnd.in-toto+json", "payload": STANDARD.encode(data), "signatures": [{"sig": "AAAA"}],
    });
    lawful(&dsse::verify(envelope.to_string().as_bytes(), Artifact::Bytes(b"c"), &KEYED, None));
    for provenance in [Provenance::v1(data), Provenance::v0_2(data)].into_iter().flatten() {
        assert!(!provenance.builder.is_empty());
    }
    let _ = Summary::read(data);
    for sbom in [Sbom::cyclonedx(data), Sbom::spdx(data)].into_iter().flatten() {
        for component in sbom.components.iter().chain(&sbom.subject) {
            assert!(component.purl.as_ref().is_none_or(|purl| Purl::read(purl.as_str()).as_ref() == Some(purl)));
            assert!(component.hashes.iter().all(|hash| hash.to_string().parse::<Digest>().as_ref() == Ok(hash)));
        }
    }
});

/// Nothing here is signed by anybody who is asked for; and every check before the one that fails passed, none after it.
fn lawful(verification: &Verification<Attestation>) {
    assert!(verification.verified().is_none() && verification.reason().is_some());
    let steps = &verification.record().steps;
    let failed = steps.iter().position(|s| matches!(s.outcome, Outcome::Failed(_))).unwrap();
    assert!(steps[..failed].iter().all(|s| s.outcome == Outcome::Passed));
    assert!(steps[failed + 1..].iter().all(|s| s.outcome == Outcome::NotReached));
    assert!(steps.iter().all(|s| !s.detail.contains(char::is_control)));
}
