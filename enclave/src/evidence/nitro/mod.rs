//! AWS Nitro attestation documents: an untagged COSE_Sign1 (RFC 9052) by ES384 over a map in CBOR, with the certificate
//! of the Nitro Secure Module and its chain inside ("Verifying the root of trust", AWS Nitro Enclaves user guide).
//!
//! The chain is checked at the document's own time and not at the verification's: such certificates live for hours. That
//! the document is fresh is a check of its own. Revocation is not checked, as AWS publishes none for these.

mod chain;
mod document;

use super::{
    Assurance, Claims, Expected, Platform, Trail, Verification, check_age, check_nonce, check_public_key, sha256,
};
use crate::reason::{Reason, Refusal};
use crate::simulated::SimulatedRoot;
use document::Document;
use rustls_pki_types::CertificateDer;

/// A document's bytes: its fields' limits sum to some 50 KiB, real ones are under 6 KiB.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// The root certificate of a Nitro partition, given by whoever runs the verifier; AWS publishes it with its fingerprint.
#[derive(Clone, Debug)]
pub struct HardwareRoot(CertificateDer<'static>);

/// What is no root of hardware.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// No X.509 certificate in DER.
    #[error("the root is no certificate in DER")]
    NoCertificate,
    /// A root that the software in this crate made.
    #[error("the root is a simulated one, {subject:?}: it vouches for no hardware")]
    Simulated {
        /// Its subject.
        subject: String,
    },
}

impl HardwareRoot {
    /// A root, from DER.
    ///
    /// **Errors**: no certificate, or a simulated root.
    pub fn from_der(der: &[u8]) -> Result<Self, RootError> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| RootError::NoCertificate)?;
        let root = CertificateDer::from(der.to_vec());
        if !rest.is_empty() || webpki::anchor_from_trusted_cert(&root).is_err() {
            return Err(RootError::NoCertificate);
        }
        let subject = certificate.subject().to_string();
        if SimulatedRoot::is_name(&subject) {
            return Err(RootError::Simulated { subject });
        }
        Ok(Self(root))
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

/// The verifier, for one root.
#[derive(Clone, Debug)]
pub struct Nitro {
    root: CertificateDer<'static>,
    assurance: Assurance,
}

impl Nitro {
    /// For documents of hardware.
    pub fn new(root: HardwareRoot) -> Self {
        Self { root: root.0, assurance: Assurance::Hardware }
    }

    /// For documents of software that acts as a Nitro Secure Module.
    pub fn simulated(root: &SimulatedRoot) -> Self {
        Self { root: root.certificate().clone(), assurance: Assurance::Simulated }
    }

    /// SHA-256 of the root's certificate.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        sha256(&self.root)
    }

    /// Verifies a document. Steps, in their order: `document`, `certificate_chain`, `signature`, `age`, `debug`,
    /// `public_key`, `nonce`. Which measurements are good ones is the policy's to say.
    pub fn verify(&self, bytes: &[u8], expected: &Expected<'_>) -> Verification {
        Verification::run(|trail| self.check(bytes, expected, trail))
    }

    fn check(&self, bytes: &[u8], expected: &Expected<'_>, trail: &mut Trail) -> Result<(), Refusal> {
        trail.step("document");
        let envelope = document::open(bytes)?;
        let document = Document::read(envelope.payload())?;
        let claims = self.claims(bytes, envelope.payload(), &document);
        trail.claims = Some(claims.clone());

        trail.step("certificate_chain");
        let leaf = chain::verify(&self.root, &document)?;
        trail.step("signature");
        envelope.verify(&leaf)?;
        trail.step("age");
        check_age(document.timestamp, expected)?;
        trail.step("debug");
        check_measured(&document)?;
        trail.step("public_key");
        check_public_key(document.public_key.as_deref(), expected)?;
        trail.step("nonce");
        check_nonce(document.nonce.as_deref(), expected)
    }

    fn claims(&self, bytes: &[u8], payload: &[u8], document: &Document) -> Claims {
        let chain = std::iter::once(&document.certificate).chain(document.cabundle.iter().rev());
        Claims {
            uid: Some(document.module_id.clone()),
            issued_at: Some(document.timestamp),
            debug: document.is_debug(),
            // PCR0 is the digest of the enclave's image.
            image_digest: document.pcrs.get(&0).map(|value| named_digest(value)),
            measurements: document.measurements(),
            nonce: document.nonce.clone(),
            user_data: document.user_data.clone(),
            public_key: document.public_key.clone(),
            certificates: chain.map(|der| sha256(der)).collect(),
            ..Claims::new(Platform::Nitro, self.assurance, bytes, payload)
        }
    }
}

/// A digest with the name of the algorithm that has its length.
fn named_digest(value: &[u8]) -> String {
    format!("sha{}:{}", value.len() * 8, hex::encode(value))
}

/// An enclave in debug mode measures nothing: its PCR0, PCR1 and PCR2 are zeros, whatever is loaded.
fn check_measured(document: &Document) -> Result<(), Refusal> {
    if document.is_debug() {
        return Err(Refusal::new(Reason::DebugMode, "PCR0, PCR1 and PCR2 are zeros, as in debug mode"));
    }
    for index in 0..3 {
        if document.pcrs.get(&index).is_none_or(|value| value.iter().all(|byte| *byte == 0)) {
            return Err(Refusal::new(Reason::MeasurementMissing, format!("PCR{index} is absent or zeros")));
        }
    }
    Ok(())
}
