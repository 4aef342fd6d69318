//! What a trusted execution environment says of itself, verified: one module a kind of evidence.
//!
//! A verifier gives its steps and, where the document could be read, what it claims, whether it passed or not: refusals
//! are recorded with what was presented. An [`Attested`] comes only from a verification that passed.

pub mod nitro;
pub mod sample;
pub mod token;

use crate::reason::{Reason, Refusal};
use chrono::{DateTime, TimeDelta, Utc};

/// The kind of evidence: whose root signs it and in which form (`platform_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// An attestation document of the AWS Nitro Secure Module.
    Nitro,
    /// A token of Microsoft Azure Attestation.
    AzureMaa,
    /// A token of Google Cloud's Confidential Space.
    ConfidentialSpace,
    /// No trusted execution environment: the same exchange on a machine without one.
    Sample,
}

impl Platform {
    /// `platform_id` and its caption.
    pub fn ocsf(self) -> (i32, &'static str) {
        match self {
            Self::Nitro => (1, "AWS Nitro"),
            Self::AzureMaa => (2, "Azure MAA"),
            Self::ConfidentialSpace => (3, "GCP Confidential Space"),
            Self::Sample => (6, "Sample"),
        }
    }

    /// Its name in policies and in requests of the broker's protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::AzureMaa => "azure-maa",
            Self::ConfidentialSpace => "gcp-confidential-space",
            Self::Sample => "sample",
        }
    }
}

/// What vouches for the evidence (`assurance_id`). It follows from the type of the root that a verifier was given, never
/// from the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Assurance {
    /// A manufacturer's or cloud provider's root of trust.
    Hardware,
    /// A root made for tests, or for machines without a trusted execution environment.
    Simulated,
}

impl Assurance {
    /// `assurance_id` and its caption.
    pub fn ocsf(self) -> (i32, &'static str) {
        match self {
            Self::Hardware => (1, "Hardware"),
            Self::Simulated => (2, "Simulated"),
        }
    }

    /// Its name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Simulated => "simulated",
        }
    }
}

/// The digest in one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The register's name, such as `PCR0`.
    pub name: String,
    /// Its number, where registers have numbers.
    pub index: Option<u32>,
    /// The digest.
    pub value: Vec<u8>,
}

/// What evidence says, as it was presented. Claims alone prove nothing: see [`Attested`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The kind of the evidence.
    pub platform: Platform,
    /// What vouches for it.
    pub assurance: Assurance,
    /// The environment's own id, such as a Nitro enclave's module id.
    pub uid: Option<String>,
    /// When it was made, as it states. UTC.
    pub issued_at: Option<DateTime<Utc>>,
    /// When it ends, as it states. UTC.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the environment's memory can be read from outside.
    pub debug: bool,
    /// The hardware that it names.
    pub hw_model: Option<String>,
    /// The platform's firmware or software version.
    pub version: Option<String>,
    /// The image that is loaded, as `algorithm:hex`.
    pub image_digest: Option<String>,
    /// The image's name.
    pub image_name: Option<String>,
    /// The workload's identity, such as a service account.
    pub identity: Option<String>,
    /// Who issued a token.
    pub issuer: Option<String>,
    /// Digests of what was loaded, by register, in their order.
    pub measurements: Vec<Measurement>,
    /// The challenge that it answers.
    pub nonce: Option<Vec<u8>>,
    /// What the workload had bound into it besides.
    pub user_data: Option<Vec<u8>>,
    /// The public key that it binds, as SubjectPublicKeyInfo in DER.
    pub public_key: Option<Vec<u8>>,
    /// SHA-256 of each certificate to the root, the signing one first.
    pub certificates: Vec<[u8; 32]>,
    /// SHA-256 of the evidence as presented.
    pub document_digest: [u8; 32],
    /// SHA-256 of what is signed: the same for every signature over it, so replays are told by it.
    pub payload_digest: [u8; 32],
}

impl Claims {
    /// Claims of which only the kind is known.
    pub(crate) fn new(platform: Platform, assurance: Assurance, document: &[u8], payload: &[u8]) -> Self {
        Self {
            platform,
            assurance,
            uid: None,
            issued_at: None,
            expires_at: None,
            debug: false,
            hw_model: None,
            version: None,
            image_digest: None,
            image_name: None,
            identity: None,
            issuer: None,
            measurements: Vec::new(),
            nonce: None,
            user_data: None,
            public_key: None,
            certificates: Vec::new(),
            document_digest: sha256(document),
            payload_digest: sha256(payload),
        }
    }
}

/// What evidence must answer, and when.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The challenge; `None` takes any or none, which only a look at old documents may.
    pub nonce: Option<&'a [u8]>,
    /// The public key that it must bind, as SubjectPublicKeyInfo in DER, where the kind of evidence carries one.
    pub public_key: Option<&'a [u8]>,
    /// The time of the verification. UTC.
    pub now: DateTime<Utc>,
    /// How old it may be.
    pub age_max: TimeDelta,
    /// How far another machine's clock may be ahead.
    pub skew_max: TimeDelta,
}

/// One check of a verification, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name in records.
    pub name: &'static str,
    /// Why it did not pass.
    pub refusal: Option<Refusal>,
}

/// Claims of a verification that passed. There is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested(Claims);

impl Attested {
    /// What was attested.
    pub fn claims(&self) -> &Claims {
        &self.0
    }
}

/// What came of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    steps: Vec<Step>,
    claims: Option<Claims>,
}

impl Verification {
    /// Runs a verifier's checks. They pass when none refuses.
    pub(crate) fn run(checks: impl FnOnce(&mut Trail) -> Result<(), Refusal>) -> Self {
        let mut trail = Trail::default();
        let refusal = checks(&mut trail).err();
        if let Some(name) = trail.current.take() {
            trail.steps.push(Step { name, refusal });
        }
        Self { steps: trail.steps, claims: trail.claims }
    }

    /// The checks up to the one that did not pass.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the document says, where it could be read.
    pub fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    /// Why it did not pass.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.steps.last().and_then(|step| step.refusal.as_ref())
    }

    /// The claims, where every check passed.
    ///
    /// **Errors**: the check that did not.
    pub fn attested(&self) -> Result<Attested, Refusal> {
        match (self.refusal(), &self.claims) {
            (Some(refusal), _) => Err(refusal.clone()),
            (None, Some(claims)) => Ok(Attested(claims.clone())),
            (None, None) => Err(Refusal::new(Reason::MalformedDocument, "no claims")),
        }
    }
}

/// The steps as they happen.
#[derive(Default)]
pub(crate) struct Trail {
    steps: Vec<Step>,
    current: Option<&'static str>,
    pub(crate) claims: Option<Claims>,
}

impl Trail {
    /// Begins a step; the one before has passed.
    pub(crate) fn step(&mut self, name: &'static str) {
        if let Some(name) = self.current.replace(name) {
            self.steps.push(Step { name, refusal: None });
        }
    }
}

/// Whether evidence is of the time that counts.
pub(crate) fn check_age(issued_at: DateTime<Utc>, expected: &Expected<'_>) -> Result<(), Refusal> {
    let age = expected.now.signed_duration_since(issued_at);
    if age > expected.age_max {
        let detail =
            format!("made at {issued_at}, more than {} s before {}", expected.age_max.num_seconds(), expected.now);
        return Err(Refusal::new(Reason::DocumentExpired, detail));
    }
    if -age > expected.skew_max {
        let detail = format!("made at {issued_at}, which is after {}", expected.now);
        return Err(Refusal::new(Reason::DocumentNotYetValid, detail));
    }
    Ok(())
}

/// Whether evidence answers the challenge.
pub(crate) fn check_nonce(found: Option<&[u8]>, expected: &Expected<'_>) -> Result<(), Refusal> {
    match (expected.nonce, found) {
        (None, _) => Ok(()),
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::new(Reason::NonceMismatch, "the evidence answers another challenge")),
        (Some(_), None) => Err(Refusal::new(Reason::NonceMismatch, "the evidence answers no challenge")),
    }
}

/// Whether evidence binds the public key.
pub(crate) fn check_public_key(found: Option<&[u8]>, expected: &Expected<'_>) -> Result<(), Refusal> {
    match (expected.public_key, found) {
        (None, _) => Ok(()),
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::new(Reason::KeyNotBound, "the evidence binds another public key")),
        (Some(_), None) => Err(Refusal::new(Reason::KeyNotBound, "the evidence binds no public key")),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
