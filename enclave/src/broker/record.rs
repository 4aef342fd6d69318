//! What is left of every attempt to get a key: one record of OCSF's class Key Release (`docs/trust.md`).

use crate::broker::hex_uid;
use crate::evidence::{Claims, Measurement, Platform, Step, sha256};
use crate::keys::{KeyName, StoreKind};
use crate::reason::{Reason, Refusal};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use tarn_attest::digest::{Algorithm, Digest};
use tarn_attest::ocsf::frame::{self, KEY_RELEASE, Outcome, conclude, frame, put, put_enum};

/// What was tried (`activity_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Evidence was presented and verified; no key was asked for yet.
    Attest,
    /// A key was released, encrypted to the attested public key.
    Release,
    /// A key was asked for and refused.
    Refuse,
}

impl Activity {
    fn ocsf(self) -> (i32, &'static str) {
        match self {
            Self::Attest => (1, "Attest"),
            Self::Release => (2, "Release"),
            Self::Refuse => (3, "Refuse"),
        }
    }
}

/// What the policy said (`policy_verdict_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// It permits the release.
    Permit,
    /// It forbids the release, or does not permit it.
    Forbid,
    /// The attempt had failed before.
    NotAsked,
    /// It could not be evaluated, which counts as forbidden.
    Error,
}

impl PolicyVerdict {
    fn ocsf(self) -> (i32, &'static str) {
        match self {
            Self::Permit => (1, "Permit"),
            Self::Forbid => (2, "Forbid"),
            Self::NotAsked => (3, "Not Asked"),
            Self::Error => (4, "Error"),
        }
    }
}

/// One attempt, and what became of it. Nothing secret is in it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The decision's id, which the requester gets with its answer.
    pub uid: String,
    /// When. UTC.
    pub time: DateTime<Utc>,
    /// What was tried.
    pub activity: Activity,
    /// Why it failed, if it did.
    pub refusal: Option<Refusal>,
    /// SHA-256 of the session's id: the id itself opens the session.
    pub session: Option<[u8; 32]>,
    /// The key that was asked for.
    pub key: Option<KeyName>,
    /// Where keys are kept.
    pub store: StoreKind,
    /// What the policy said.
    pub policy_verdict: PolicyVerdict,
    /// SHA-256 of the policies' text.
    pub policy: [u8; 32],
    /// The kind of evidence that the session was opened for.
    pub platform: Option<Platform>,
    /// What the evidence says, if it could be read.
    pub claims: Option<Claims>,
    /// The evidence as it was presented, in this attempt: what the ledger keeps beside the record. Not in the record.
    pub document: Option<Vec<u8>>,
    /// The steps of its verification, in this attempt.
    pub steps: Vec<Step>,
    /// SHA-256 of the public key that keys are encrypted to, as SubjectPublicKeyInfo.
    pub recipient: Option<[u8; 32]>,
    /// `metadata.uid` of the records that passed for the image's digest.
    pub evidence_uids: Vec<String>,
    /// The request's id in the key store's own log.
    pub request_uid: Option<String>,
    /// Where the request came from.
    pub source: Option<SocketAddr>,
}

/// The record could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record could not be kept: {0}")]
pub struct RecorderError(pub String);

/// Keeps records. `record` returns when the record is in the ledger and a checkpoint over it is signed: only then is a key
/// released.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Keeps a record, once per `uid`.
    ///
    /// **Errors**: it is not kept, or that cannot be known.
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError>;
}

/// OCSF's object of a digest, whose length says how it was made.
fn fingerprint(digest: &[u8]) -> Value {
    let algorithm = match digest.len() {
        32 => Some(Algorithm::Sha256),
        48 => Some(Algorithm::Sha384),
        64 => Some(Algorithm::Sha512),
        _ => None,
    };
    let known = algorithm.and_then(|algorithm| Digest::new(algorithm, digest.to_vec()).ok());
    let unknown = || json!({"algorithm_id": 0, "algorithm": "Unknown", "value": hex::encode(digest)});
    known.as_ref().map_or_else(unknown, frame::fingerprint)
}

fn outcome(refusal: Option<&Refusal>) -> (Outcome, Reason) {
    refusal.map_or((Outcome::Passed, Reason::Verified), |refusal| (Outcome::Failed, refusal.reason))
}

impl Attempt {
    /// Why it ended as it did.
    pub fn reason(&self) -> Reason {
        self.refusal.as_ref().map_or(Reason::Verified, |refusal| refusal.reason)
    }

    /// The record in OCSF's JSON.
    pub fn to_ocsf(&self) -> Value {
        let mut record = frame(KEY_RELEASE, self.activity.ocsf(), self.time, &self.uid);
        let (outcome, reason) = outcome(self.refusal.as_ref());
        conclude(&mut record, outcome, reason.ocsf());
        put(&mut record, "status_detail", self.refusal.as_ref().map(|refusal| refusal.detail.as_str()));
        record.insert("policy".into(), json!({"name": "Key release", "version": hex_uid(&self.policy)}));
        record.insert("key_release_info".into(), self.key_release_info());
        put(&mut record, "tee_evidence", self.claims.as_ref().map(tee_evidence));
        let checks: Vec<Value> = self.steps.iter().map(check).collect();
        put(&mut record, "trust_checks", (!checks.is_empty()).then_some(checks));
        put(&mut record, "evidence_uids", (!self.evidence_uids.is_empty()).then(|| self.evidence_uids.clone()));
        self.add_workload(&mut record);
        put(&mut record, "src_endpoint", self.source.map(|at| json!({"ip": at.ip().to_string(), "port": at.port()})));
        Value::Object(record)
    }

    /// The record as the ledger keeps it: canonical JSON (RFC 8785).
    ///
    /// **Errors**: none that such a record gives.
    pub fn to_canonical(&self) -> Result<Vec<u8>, RecorderError> {
        serde_json_canonicalizer::to_vec(&self.to_ocsf()).map_err(|error| RecorderError(error.to_string()))
    }

    fn key_release_info(&self) -> Value {
        let mut info = Map::new();
        info.insert("uid".into(), self.uid.as_str().into());
        put_enum(&mut info, "key_store", self.store.ocsf());
        put_enum(&mut info, "policy_verdict", self.policy_verdict.ocsf());
        // One of both must be there; before a key is asked for, the store as a whole is.
        let uri = self.key.as_ref().map_or("kbs:///".to_owned(), |key| format!("kbs:///{key}"));
        info.insert("key_uri".into(), uri.into());
        put(&mut info, "key_uid", self.key.as_ref().map(KeyName::as_str));
        put(&mut info, "request_uid", self.request_uid.as_deref());
        put(&mut info, "session_uid", self.session.as_ref().map(hex_uid));
        put(&mut info, "recipient_fingerprint", self.recipient.as_ref().map(|digest| fingerprint(digest)));
        info.into()
    }

    fn add_workload(&self, record: &mut Map<String, Value>) {
        let Some(claims) = &self.claims else { return };
        if let Some(digest) = &claims.image_digest {
            let kind = match claims.platform {
                Platform::Nitro => (6, "Enclave Image"),
                _ => (1, "Container Image"),
            };
            let mut artifact = Map::new();
            artifact.insert("uid".into(), digest.as_str().into());
            put_enum(&mut artifact, "type", kind);
            put(&mut artifact, "name", claims.image_name.as_deref());
            record.insert("artifact".into(), artifact.into());
        }
        put(record, "actor", claims.identity.as_ref().map(|identity| json!({"app_uid": identity})));
    }
}

fn tee_evidence(claims: &Claims) -> Value {
    let mut evidence = Map::new();
    let into = &mut evidence;
    put_enum(into, "platform", claims.platform.ocsf());
    put_enum(into, "assurance", claims.assurance.ocsf());
    put(into, "is_debug", Some(claims.debug));
    put(into, "hash", Some(fingerprint(&claims.document_digest)));
    put(into, "uid", claims.uid.as_deref());
    put(into, "hw_model", claims.hw_model.as_deref());
    put(into, "version", claims.version.as_deref());
    put(into, "issuer", claims.issuer.as_deref());
    put(into, "created_time", claims.issued_at.map(|time| time.timestamp_millis()));
    put(into, "expiration_time", claims.expires_at.map(|time| time.timestamp_millis()));
    put(into, "nonce", claims.nonce.as_ref().map(hex::encode));
    put(into, "report_data", claims.user_data.as_ref().map(hex::encode));
    put(into, "image", claims.image_digest.as_ref().map(|digest| json!({"uid": digest})));
    put(into, "fingerprint", claims.public_key.as_ref().map(|key| fingerprint(&sha256(key))));
    let certificates: Vec<Value> = claims.certificates.iter().map(|digest| fingerprint(digest)).collect();
    put(into, "fingerprints", (!certificates.is_empty()).then_some(certificates));
    let measurements: Vec<Value> = claims.measurements.iter().map(measurement).collect();
    put(into, "measurements", (!measurements.is_empty()).then_some(measurements));
    evidence.into()
}

fn measurement(measurement: &Measurement) -> Value {
    let mut value = fingerprint(&measurement.value);
    value["name"] = measurement.name.as_str().into();
    if let Some(index) = measurement.index {
        value["index"] = index.into();
    }
    value
}

fn check(step: &Step) -> Value {
    let (outcome, reason) = outcome(step.refusal.as_ref());
    frame::check(step.name, outcome, reason.ocsf(), step.refusal.as_ref().map_or("", |refusal| &refusal.detail))
}
