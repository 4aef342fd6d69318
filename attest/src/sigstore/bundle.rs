//! Reading a bundle: bounds first, then what the format leaves ambiguous, then the library's own reading.

use crate::digest::{Algorithm, Digest};
use crate::evidence::Statement;
use crate::json;
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sigstore_verify::types::bundle::{SignatureContent, VerificationMaterialContent};
use sigstore_verify::types::{Bundle as Parsed, HashAlgorithm, MediaType};

/// Log entries, timestamps and certificates of one bundle: each costs signatures to check.
const PARTS_MAX: usize = 16;
/// Hashes of an inclusion proof: a log of 2^63 entries has as many.
const PROOF_HASHES_MAX: usize = 63;

/// A bundle as it came: nothing in it is believed yet.
pub(crate) struct Bundle {
    pub(crate) parsed: Parsed,
    pub(crate) content: Content,
}

/// What was signed.
pub(crate) enum Content {
    /// The artifact, with its digest where the bundle says it.
    Message(Option<Digest>),
    /// A statement about it.
    Statement(Statement),
}

/// The parts of which there must be one: the format says `oneof`, and readers take the first or the last.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: String,
    verification_material: Material,
    message_signature: Option<IgnoredAny>,
    dsse_envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
    public_key: Option<IgnoredAny>,
}

impl Bundle {
    pub(crate) fn read(trail: &mut Trail, bytes: &[u8]) -> Result<Self, Failure> {
        trail.digests.document = Some(Digest::sha256(bytes));
        let malformed = |detail: String| Failure::new(Check::Document, Reason::BundleMalformed, detail);
        let shape: Shape = json::read(bytes, json::DOCUMENT)
            .map_err(|e| Failure::json(Check::Document, &e, Reason::BundleMalformed))?;
        if shape.media_type.parse::<MediaType>().is_err() {
            let detail = format!("expected a Sigstore bundle 0.1, 0.2 or 0.3, got {:?}", shape.media_type);
            return Err(Failure::new(Check::Document, Reason::BundleVersionUnsupported, detail));
        }
        let Material { certificate, x509_certificate_chain, public_key } = shape.verification_material;
        one("messageSignature, dsseEnvelope", &[shape.message_signature, shape.dsse_envelope]).map_err(malformed)?;
        let material = [certificate, x509_certificate_chain, public_key];
        one("certificate, x509CertificateChain, publicKey", &material).map_err(malformed)?;
        let text = std::str::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
        let parsed = Parsed::from_json(text).map_err(|e| malformed(e.to_string()))?;
        bounded(&parsed)?;
        trail.passed(Check::Document, format!("{}, {}", parsed.media_type, contents(&parsed)));
        let content = Content::of(trail, &parsed)?;
        Ok(Self { parsed, content })
    }

    pub(crate) fn is_keyed(&self) -> bool {
        matches!(self.parsed.verification_material.content, VerificationMaterialContent::PublicKey(_))
    }
}

impl Content {
    fn of(trail: &mut Trail, parsed: &Parsed) -> Result<Self, Failure> {
        match &parsed.content {
            SignatureContent::MessageSignature(message) => {
                Ok(Self::Message(message.message_digest.as_ref().and_then(|d| {
                    let algorithm = match d.algorithm {
                        HashAlgorithm::Sha2256 => Algorithm::Sha256,
                        HashAlgorithm::Sha2384 => Algorithm::Sha384,
                        HashAlgorithm::Sha2512 => Algorithm::Sha512,
                        _ => return None,
                    };
                    Digest::new(algorithm, d.digest.as_bytes().to_vec()).ok()
                })))
            }
            SignatureContent::DsseEnvelope(envelope) => {
                Statement::of_payload(trail, &envelope.payload_type, envelope.payload.as_bytes()).map(Self::Statement)
            }
            _ => Err(Failure::new(Check::Document, Reason::BundleUnsupported, "neither a signature nor an envelope")),
        }
    }
}

fn one(names: &str, parts: &[Option<IgnoredAny>]) -> Result<(), String> {
    match parts.iter().flatten().count() {
        1 => Ok(()),
        n => Err(format!("expected one of {names}, got {n}")),
    }
}

/// Counts, and that no log entry travels along without any proof.
fn bounded(parsed: &Parsed) -> Result<(), Failure> {
    let material = &parsed.verification_material;
    let fail = |reason, detail: String| Err(Failure::new(Check::Document, reason, detail));
    let chain = match &material.content {
        VerificationMaterialContent::X509CertificateChain { certificates } => certificates.as_slice(),
        _ => &[],
    };
    if chain.is_empty() && matches!(material.content, VerificationMaterialContent::X509CertificateChain { .. }) {
        return fail(Reason::BundleMalformed, "the certificate chain is empty".into());
    }
    let parts = [
        ("log entries", material.tlog_entries.len()),
        ("timestamps", material.timestamp_verification_data.rfc3161_timestamps.len()),
        ("certificates", chain.len()),
    ];
    if let Some((what, n)) = parts.into_iter().find(|(_, n)| *n > PARTS_MAX) {
        return fail(Reason::DocumentTooLarge, format!("{n} {what}, at most {PARTS_MAX} are looked at"));
    }
    // A root comes from whoever verifies (bundle format, "x509CertificateChain").
    if chain.iter().skip(1).any(|certificate| is_root(certificate.raw_bytes.as_bytes())) {
        return fail(Reason::BundleMalformed, "the certificate chain holds a root".into());
    }
    for entry in &material.tlog_entries {
        let proof = entry.inclusion_proof.as_ref();
        if proof.is_some_and(|p| p.hashes.len() > PROOF_HASHES_MAX) {
            return fail(Reason::InclusionProofInvalid, format!("a proof of more than {PROOF_HASHES_MAX} hashes"));
        }
        let promise = parsed.media_type == MediaType::Bundle0_1 && entry.inclusion_promise.is_some();
        if proof.is_none() && !promise {
            return fail(Reason::InclusionProofMissing, "a log entry without inclusion proof".into());
        }
    }
    Ok(())
}

/// Whether a certificate was issued by itself. One that cannot be read is for the chain's verification to refuse.
fn is_root(der: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok_and(|(_, c)| c.subject().as_raw() == c.issuer().as_raw())
}

fn contents(parsed: &Parsed) -> String {
    let material = &parsed.verification_material;
    let signer = match &material.content {
        VerificationMaterialContent::PublicKey(_) => "signed by a key",
        _ => "signed by a certificate's key",
    };
    let (entries, times) = (material.tlog_entries.len(), material.timestamp_verification_data.rfc3161_timestamps.len());
    format!("{signer}, log entries: {entries}, timestamps: {times}")
}
