//! Bare DSSE envelopes, signed by a key, as they lie beside artifacts and in registries. Specification: DSSE 1.0.
//!
//! Without a log or a timestamp nobody says when it was signed, and a stolen key's signatures pass until the key is
//! taken out of the policy. [`verify`](crate::verify) takes them as well, and envelopes in bundles.

use crate::artifact::Artifact;
use crate::attestation::{Attestation, said};
use crate::digest::Digest;
use crate::evidence::Statement;
use crate::json;
use crate::policy::{Expectation, PublicKey};
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use crate::sigstore::{Signature, SignedBy};
use crate::verified::Verification;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::types::{SignatureBytes, pae};

/// Signatures of one envelope that are tried.
const SIGNATURES_MAX: usize = 16;

/// The envelope, as its specification writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

/// The key id in it is a hint that nobody signed, so it is not read.
#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// Whether a document is a bare envelope. What cannot be told is for the bundle's reading to refuse.
pub(crate) fn is_envelope(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        payload_type: Option<IgnoredAny>,
        media_type: Option<IgnoredAny>,
    }
    json::read::<Keys>(document, json::DOCUMENT)
        .is_ok_and(|keys| keys.payload_type.is_some() && keys.media_type.is_none())
}

/// Verifies an envelope about an artifact: one of its signatures must be the key's.
///
/// **Bounds**: [`json::DOCUMENT`], 16 signatures.
pub fn verify(
    envelope: &[u8],
    artifact: Artifact<'_>,
    key: &PublicKey,
    expectation: Option<&Expectation>,
) -> Verification<Attestation> {
    verify_then(envelope, artifact, key, |trail, attestation| said(trail, attestation.statement.as_ref(), expectation))
}

/// Verifies who signed what, and then what the caller asks of it.
pub(crate) fn verify_then(
    envelope: &[u8],
    artifact: Artifact<'_>,
    key: &PublicKey,
    then: impl FnOnce(&mut Trail, &Attestation) -> Result<(), Failure>,
) -> Verification<Attestation> {
    Verification::run(|trail| {
        trail.plan([Check::Document, Check::Statement, Check::Signature, Check::Artifact]);
        trail.digests.document = Some(Digest::sha256(envelope));
        trail.digests.signer = Some(key.fingerprint());
        let malformed = |detail: String| Failure::new(Check::Document, Reason::BundleMalformed, detail);
        let envelope: Envelope = json::read(envelope, json::DOCUMENT)
            .map_err(|e| Failure::json(Check::Document, &e, Reason::BundleMalformed))?;
        let count = envelope.signatures.len();
        if !(1..=SIGNATURES_MAX).contains(&count) {
            return Err(malformed(format!("expected 1 to {SIGNATURES_MAX} signatures, got {count}")));
        }
        let payload = decode(&envelope.payload).map_err(malformed)?;
        let signatures: Vec<Vec<u8>> =
            envelope.signatures.iter().map(|s| decode(&s.sig)).collect::<Result<_, _>>().map_err(malformed)?;
        trail.passed(Check::Document, format!("a DSSE envelope with {count} signatures"));
        let statement = Statement::of_payload(trail, &envelope.payload_type, &payload)?;

        let message = pae(&envelope.payload_type, &payload);
        let verifier = VerificationKey::from_spki(key.der())
            .map_err(|e| Failure::new(Check::Policy, Reason::KeyInvalid, e.to_string()))?;
        let holds = |signature: Vec<u8>| verifier.verify(&message, &SignatureBytes::new(signature)).is_ok();
        if !signatures.into_iter().any(holds) {
            let detail = format!("none of {count} signatures is by {}", key.fingerprint());
            return Err(Failure::new(Check::Signature, Reason::SignatureInvalid, detail));
        }
        trail.passed(Check::Signature, format!("by {}", key.fingerprint()));
        let signature = Signature {
            signed_by: SignedBy::Key { fingerprint: key.fingerprint() },
            signed_at: Vec::new(),
            log_entries: Vec::new(),
        };
        trail.signature = Some(signature.clone());

        let digests =
            artifact.digests().map_err(|e| Failure::new(Check::Artifact, Reason::ArtifactUnreadable, e.to_string()))?;
        trail.digests.artifact = digests;
        let Some(subject) = statement.subject_of(&trail.digests.artifact) else {
            let detail = "no subject of the statement has the artifact's digest";
            return Err(Failure::new(Check::Artifact, Reason::ArtifactMismatch, detail));
        };
        trail.passed(Check::Artifact, format!("it is the subject {:?}", subject.name));
        let attestation = Attestation { signature, statement: Some(statement) };
        then(trail, &attestation)?;
        Ok(attestation)
    })
}

/// The envelope's own encodings: base64, standard or URL-safe, padded or not (DSSE protocol, "base64").
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, config).decode(text).map_err(|e| format!("no base64: {e}"))
}
