//! The workload's side of the broker's protocol, without its HTTP: what to send, and how to open what comes back.

use crate::broker::{PROTOCOL_VERSION, protocol::report_data};
use crate::evidence::Platform;
use crate::jwe::{JweError, WorkloadKey};
use crate::reason::Refusal;
use crate::secret::Secret;
use kbs_types::{Attestation, Challenge, CompositeEvidence, Response, RuntimeData};
use serde_json::{Value, json};

/// One workload with its key pair.
pub struct Workload {
    key: WorkloadKey,
}

/// What evidence has to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToBind {
    /// The challenge: SHA-384 over the public key and the broker's nonce.
    pub report_data: Vec<u8>,
    /// The public key as SubjectPublicKeyInfo in DER, for evidence that carries one.
    pub public_key: Vec<u8>,
}

impl Workload {
    /// A workload with a new key pair.
    ///
    /// **Errors**: the library refused.
    pub fn new() -> Result<Self, JweError> {
        Ok(Self { key: WorkloadKey::generate()? })
    }

    /// The body of `auth`.
    pub fn request(platform: Platform) -> Value {
        json!({"version": PROTOCOL_VERSION, "tee": platform.as_str(), "extra-params": ""})
    }

    /// What the evidence for a challenge has to bind.
    ///
    /// **Errors**: the library refused.
    pub fn to_bind(&self, challenge: &Challenge) -> Result<ToBind, Refusal> {
        let failed = |error: JweError| Refusal::new(crate::Reason::KeyStoreFailed, error);
        let runtime = self.runtime(challenge).map_err(failed)?;
        Ok(ToBind { report_data: report_data(&runtime)?, public_key: self.key.der().map_err(failed)? })
    }

    fn runtime(&self, challenge: &Challenge) -> Result<RuntimeData, JweError> {
        Ok(RuntimeData { nonce: challenge.nonce.clone(), tee_pubkey: self.key.public()? })
    }

    /// The body of `attest`.
    ///
    /// **Errors**: the library refused.
    pub fn attestation(&self, challenge: &Challenge, evidence: Value) -> Result<Attestation, JweError> {
        let tee_evidence = CompositeEvidence { primary_evidence: evidence, additional_evidence: String::new() };
        Ok(Attestation { init_data: None, runtime_data: self.runtime(challenge)?, tee_evidence })
    }

    /// Opens the answer of `resource`.
    ///
    /// **Errors**: it is not for this workload, or was changed.
    pub fn open(&self, answer: &Response) -> Result<Secret, JweError> {
        self.key.open(answer)
    }
}
