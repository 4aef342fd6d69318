//! What is left of every attempt to get a key: one record of OCSF's class Key Release (`docs/trust.md`).

use crate::broker::hex_uid;
use crate::evidence::{Claims, Platform, Step};
use crate::keys::{KeyName, StoreKind};
use crate::reason::{Reason, Refusal};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

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

const CLASS: i32 = 99_903_001;

fn fingerprint(digest: &[u8]) -> Value {
    let (id, name) = algorithm(digest.len());
    json!({"algorithm_id": id, "algorithm": name, "value": hex::encode(digest)})
}

/// OCSF's `algorithm_id` of a digest by its length.
fn algorithm(bytes: usize) -> (i32, &'static str) {
    match bytes {
        32 => (3, "SHA-256"),
        48 => (9, "SHA-384"),
        64 => (4, "SHA-512"),
        _ => (0, "Unknown"),
    }
}

fn verdict(passed: bool) -> (i32, &'static str) {
    if passed { (1, "Passed") } else { (2, "Failed") }
}

impl Attempt {
    /// Why it ended as it did.
    pub fn reason(&self) -> Reason {
        self.refusal.as_ref().map_or(Reason::Verified, |refusal| refusal.reason)
    }

    /// The record in OCSF's JSON.
    pub fn to_ocsf(&self) -> Value {
        let (activity_id, activity) = self.activity.ocsf();
        let passed = self.refusal.is_none();
        let (verdict_id, verdict) = verdict(passed);
        let mut record = json!({
            "class_uid": CLASS, "class_name": "Key Release",
            "category_uid": 3, "category_name": "Identity & Access Management",
            "activity_id": activity_id, "activity_name": activity,
            "type_uid": i64::from(CLASS) * 100 + i64::from(activity_id), "type_name": format!("Key Release: {activity}"),
            "time": self.time.timestamp_millis(),
            "severity_id": if passed { 1 } else { 3 }, "severity": if passed { "Informational" } else { "Medium" },
            "status_id": if passed { 1 } else { 2 }, "status": if passed { "Success" } else { "Failure" },
            "trust_verdict_id": verdict_id, "trust_verdict": verdict,
            "trust_reason_id": self.reason().id(), "trust_reason": self.reason().caption(),
            "metadata": {
                "uid": self.uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"},
                "extensions": [{"name": "trust", "uid": "999", "version": "0.1.0"}],
            },
            "policy": {"name": "Key release", "version": hex_uid(&self.policy)},
            "key_release_info": self.key_release_info(),
        });
        if let Some(refusal) = &self.refusal {
            record["status_detail"] = refusal.detail.clone().into();
        }
        if let Some(evidence) = self.tee_evidence() {
            record["tee_evidence"] = evidence;
        }
        if !self.steps.is_empty() {
            record["trust_checks"] = self.steps.iter().map(check).collect();
        }
        if !self.evidence_uids.is_empty() {
            record["evidence_uids"] = self.evidence_uids.clone().into();
        }
        self.add_workload(&mut record);
        if let Some(source) = self.source {
            record["src_endpoint"] = json!({"ip": source.ip().to_string(), "port": source.port()});
        }
        record
    }

    /// The record as the ledger keeps it: canonical JSON (RFC 8785).
    ///
    /// **Errors**: none that such a record gives.
    pub fn to_canonical(&self) -> Result<Vec<u8>, RecorderError> {
        serde_json_canonicalizer::to_vec(&self.to_ocsf()).map_err(|error| RecorderError(error.to_string()))
    }

    fn key_release_info(&self) -> Value {
        let (store_id, store) = self.store.ocsf();
        let (verdict_id, verdict) = self.policy_verdict.ocsf();
        let mut info = json!({
            "uid": self.uid, "key_store_id": store_id, "key_store": store,
            "policy_verdict_id": verdict_id, "policy_verdict": verdict,
        });
        // One of both must be there; before a key is asked for, the store as a whole is.
        let uri = self.key.as_ref().map_or("kbs:///".to_owned(), |key| format!("kbs:///{key}"));
        info["key_uri"] = uri.into();
        if let Some(key) = &self.key {
            info["key_uid"] = key.as_str().into();
        }
        if let Some(request) = &self.request_uid {
            info["request_uid"] = request.as_str().into();
        }
        if let Some(session) = &self.session {
            info["session_uid"] = hex_uid(session).into();
        }
        if let Some(recipient) = &self.recipient {
            info["recipient_fingerprint"] = fingerprint(recipient);
        }
        info
    }

    fn tee_evidence(&self) -> Option<Value> {
        let claims = self.claims.as_ref()?;
        let ((platform_id, platform), (assurance_id, assurance)) = (claims.platform.ocsf(), claims.assurance.ocsf());
        let mut evidence = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                evidence.insert(name.to_owned(), value);
            }
        };
        put("platform_id", platform_id.into());
        put("platform", platform.into());
        put("assurance_id", assurance_id.into());
        put("assurance", assurance.into());
        put("is_debug", claims.debug.into());
        put("hash", fingerprint(&claims.document_digest));
        put("uid", json!(claims.uid));
        put("hw_model", json!(claims.hw_model));
        put("version", json!(claims.version));
        put("issuer", json!(claims.issuer));
        put("created_time", json!(claims.issued_at.map(|time| time.timestamp_millis())));
        put("expiration_time", json!(claims.expires_at.map(|time| time.timestamp_millis())));
        put("nonce", json!(claims.nonce.as_ref().map(hex::encode)));
        put("report_data", json!(claims.user_data.as_ref().map(hex::encode)));
        put("image", claims.image_digest.as_ref().map_or(Value::Null, |digest| json!({"uid": digest})));
        let bound = claims.public_key.as_ref().map(|key| fingerprint(&crate::evidence::sha256(key)));
        put("fingerprint", json!(bound));
        if !claims.certificates.is_empty() {
            put("fingerprints", claims.certificates.iter().map(|digest| fingerprint(digest)).collect());
        }
        if !claims.measurements.is_empty() {
            put("measurements", claims.measurements.iter().map(measurement).collect());
        }
        Some(Value::Object(evidence))
    }

    fn add_workload(&self, record: &mut Value) {
        let Some(claims) = &self.claims else { return };
        if let Some(digest) = &claims.image_digest {
            let (type_id, kind) = match claims.platform {
                Platform::Nitro => (6, "Enclave Image"),
                _ => (1, "Container Image"),
            };
            record["artifact"] = json!({"uid": digest, "type_id": type_id, "type": kind});
            if let Some(name) = &claims.image_name {
                record["artifact"]["name"] = name.as_str().into();
            }
        }
        if let Some(identity) = &claims.identity {
            record["actor"] = json!({"app_uid": identity});
        }
    }
}

fn measurement(measurement: &crate::evidence::Measurement) -> Value {
    let mut value = fingerprint(&measurement.value);
    value["name"] = measurement.name.as_str().into();
    if let Some(index) = measurement.index {
        value["index"] = index.into();
    }
    value
}

fn check(step: &Step) -> Value {
    let reason = step.refusal.as_ref().map_or(Reason::Verified, |refusal| refusal.reason);
    let (id, caption) = verdict(step.refusal.is_none());
    let mut value = json!({
        "name": step.name, "trust_verdict_id": id, "trust_verdict": caption,
        "trust_reason_id": reason.id(), "trust_reason": reason.caption(),
    });
    if let Some(refusal) = &step.refusal {
        value["desc"] = refusal.detail.as_str().into();
    }
    value
}
