//! Verification summaries: that an image was verified, by which policy, of which evidence, signed for others. Specifications:
//! SLSA Verification Summary Attestation v1, in-toto Statement v1, DSSE 1.0.

use super::examination::Question;
use crate::artifact::Artifact;
use crate::attestation::Attestation;
use crate::digest::Digest;
use crate::dsse;
use crate::evidence::PAYLOAD_TYPE;
use crate::evidence::vsa;
use crate::policy::{Expectation, PolicyError, PublicKey};
use crate::verified::Verification;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use sigstore_verify::types::pae;

const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";
/// What a summary says of the build track where no evidence says a level.
const UNEVALUATED: &str = "SLSA_BUILD_LEVEL_UNEVALUATED";
/// Bytes of a verifier's URI.
const VERIFIER_BYTES_MAX: usize = 1024;

/// Who signs summaries.
pub struct Summarizer {
    key: Key,
    public: PublicKey,
    verifier: String,
}

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// What summaries cannot be signed with.
#[derive(Debug, thiserror::Error)]
pub enum SummarizerError {
    /// No private key, or of another form.
    #[error("expected a private key in PKCS#8 PEM (BEGIN PRIVATE KEY), of P-256 or Ed25519")]
    Key,
    /// Its public key cannot be read, which no key of these kinds gives.
    #[error("{0}")]
    Public(#[from] PolicyError),
    /// A verifier without a name.
    #[error(
        "expected a URI of 1 to {VERIFIER_BYTES_MAX} bytes that names the verifier, such as https://example.com/admission, got {0:?}"
    )]
    Verifier(String),
}

impl Summarizer {
    /// Reads a private key; `verifier` is the URI under which it verifies.
    ///
    /// **Errors**: what is no key, and a verifier that is no URI.
    pub fn read(pem: &[u8], verifier: &str) -> Result<Self, SummarizerError> {
        let is_uri = verifier.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        if !is_uri || verifier.len() > VERIFIER_BYTES_MAX || verifier.chars().any(|c| c.is_control() || c == ' ') {
            return Err(SummarizerError::Verifier(verifier.chars().take(160).collect()));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SummarizerError::Key)?;
        let der = der.secret_pkcs8_der();
        let (key, public) = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Ok(key) => {
                let public = key.public_key().as_der().map(|der| der.as_ref().to_vec());
                (Key::P256(key), public)
            }
            Err(_) => {
                let key = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SummarizerError::Key)?;
                let public = key.public_key().as_der().map(|der| der.as_ref().to_vec());
                (Key::Ed25519(key), public)
            }
        };
        let public = PublicKey::read(&public.map_err(|_| SummarizerError::Key)?)?;
        Ok(Self { key, public, verifier: verifier.to_owned() })
    }

    /// A DSSE envelope with a statement that the image passed.
    ///
    /// **Errors**: the cryptographic library's, in words.
    pub(super) fn sign(&self, question: &Question<'_>, inputs: &[&Digest]) -> Result<Vec<u8>, String> {
        let name = &question.image.name;
        let digests = |digest: &Digest| json!({digest.algorithm().as_str(): digest.to_hex()});
        // Levels are those that a summary in the evidence was asked for, and had.
        let levels = question.policy.summary.as_ref().map(|summary| summary.levels.clone()).unwrap_or_default();
        let levels = if levels.is_empty() { vec![UNEVALUATED.to_owned()] } else { levels };
        let (_, version) = question.policy.version.split_once(':').unwrap_or_default();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": digests(question.digest)}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "verifier": {"id": self.verifier, "version": {"tarn": env!("CARGO_PKG_VERSION")}},
                "timeVerified": question.now.to_rfc3339_opts(SecondsFormat::Millis, true),
                "resourceUri": resource_uri(name),
                "policy": {"uri": format!("urn:tarn:trust-policy:{}", urn(&question.policy.name)), "digest": {"sha256": version}},
                "inputAttestations": inputs.iter().map(|digest| json!({"digest": digests(digest)})).collect::<Vec<_>>(),
                "verificationResult": "PASSED",
                "verifiedLevels": levels,
                "slsaVersion": "1.1",
            },
        });
        let payload = statement.to_string();
        let message = pae(PAYLOAD_TYPE, payload.as_bytes());
        let signature = match &self.key {
            Key::P256(key) => key.sign(&SystemRandom::new(), &message).map(|s| s.as_ref().to_vec()),
            Key::Ed25519(key) => Ok(key.sign(&message).as_ref().to_vec()),
        };
        let signature = signature.map_err(|_| "the key does not sign".to_owned())?;
        let envelope = json!({
            "payloadType": PAYLOAD_TYPE, "payload": STANDARD.encode(&payload),
            "signatures": [{"keyid": self.public.fingerprint().to_hex(), "sig": STANDARD.encode(signature)}],
        });
        Ok(envelope.to_string().into_bytes())
    }

    /// Verifies one of its own.
    pub(super) fn verify(&self, envelope: &[u8], image: &Digest) -> Verification<Attestation> {
        let expected =
            vsa::Expectations { verifier: self.verifier.clone(), resource_uri: None, levels: Vec::new(), fresh: None };
        let artifact = Artifact::Digest(image.clone());
        dsse::verify(envelope, artifact, &self.public, Some(&Expectation::Summary(expected)))
    }
}

/// The URI of an image's repository, as summaries name it.
fn resource_uri(name: &str) -> String {
    format!("oci://{name}")
}

/// A policy's name within a URN (RFC 8141): what is no unreserved character, escaped.
fn urn(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
