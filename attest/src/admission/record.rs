//! A decision as a record: OCSF's API Activity with the profile Security Control (`docs/admission.md`). What of question and
//! answer no attribute holds as AdmissionReview has it is in `unmapped`, where rules over admission find it.
//!
//! The record's uid is the digest of what it says. A decision that is put to the ledger again is the same record.

use super::decision::{Decision, Mode, Outcome, Verdict};
use super::examination::{Document, Examination};
use super::reference::Reference;
use super::review::{Review, Used};
use crate::ledger::{Entry, EntryError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Characters of the problems in a record.
const DETAIL_CHARS_MAX: usize = 4096;

/// Keeps records. `record` returns when all of them are in the ledger and a checkpoint over them is signed.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Keeps records, each once by its uid.
    ///
    /// **Errors**: one of them is not kept, or that cannot be known; in words.
    async fn record(&self, entries: Vec<Entry>) -> Result<(), String>;
}

/// What a decision stands on, by the image's reference.
pub(super) type Examinations = HashMap<String, Arc<Examination>>;

/// A decision, and what is recorded with it.
pub(super) struct Decided<'a> {
    pub(super) review: &'a Review,
    pub(super) decision: &'a Decision,
    pub(super) examinations: &'a Examinations,
    /// The policy file's digest.
    pub(super) policies: &'a str,
    pub(super) time: DateTime<Utc>,
    /// Who asked, as the connection says.
    pub(super) source: Option<SocketAddr>,
}

impl Decided<'_> {
    /// The record.
    ///
    /// **Errors**: none that such a record gives.
    pub(super) fn entry(&self) -> Result<Entry, EntryError> {
        let mut record = self.to_ocsf();
        let canonical = serde_json_canonicalizer::to_vec(&record).map_err(EntryError::NotJson)?;
        let uid = hex::encode(Sha256::digest(canonical));
        record["metadata"]["uid"] = uid.as_str().into();
        Entry::new(&uid, &record, None)
    }

    fn to_ocsf(&self) -> Value {
        let Self { review, decision, .. } = self;
        let (activity_id, activity) = match review.operation.as_str() {
            "CREATE" => (1, "Create"),
            "UPDATE" => (3, "Update"),
            "DELETE" => (4, "Delete"),
            other => (99, other),
        };
        let (severity_id, severity) = if decision.is_attested() { (1, "Informational") } else { (3, "Medium") };
        let (action, disposition) = match decision.outcome() {
            Outcome::Attested => ((1, "Allowed"), (1, "Allowed")),
            Outcome::Warned => ((1, "Allowed"), (19, "Alert")),
            Outcome::Refused => ((2, "Denied"), (2, "Blocked")),
        };
        let (status_id, status) = if decision.allowed { (1, "Success") } else { (2, "Failure") };
        let did = format!("{} {} {}/{}", decision.outcome().as_str(), review.kind, review.namespace, review.name);
        let mut record = json!({
            "class_uid": 6003, "class_name": "API Activity",
            "category_uid": 6, "category_name": "Application Activity",
            "activity_id": activity_id, "activity_name": activity,
            "type_uid": 600_300 + activity_id, "type_name": format!("API Activity: {activity}"),
            "time": self.time.timestamp_millis(),
            "severity_id": severity_id, "severity": severity, "status_id": status_id, "status": status,
            "action_id": action.0, "action": action.1,
            "disposition_id": disposition.0, "disposition": disposition.1,
            "message": did,
            "metadata": {
                "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"},
                "profiles": ["security_control"], "log_name": "admission", "correlation_uid": review.uid,
            },
            "actor": {"user": {"name": review.user}},
            "api": {
                "operation": review.operation,
                "request": {"uid": review.uid},
                "response": {"code": if decision.allowed { 200 } else { 403 }},
            },
            "src_endpoint": match self.source {
                Some(source) => json!({"ip": source.ip().to_string(), "port": source.port()}),
                None => json!({"hostname": "Unknown"}),
            },
            "policy": {
                "name": "Image attestation", "type": "admission webhook", "version": self.policies,
                "is_applied": decision.mode() == Mode::Enforce,
            },
            "resources": self.resources(),
            "unmapped": {"request": self.request(), "response": decision.response()},
        });
        if review.dry_run {
            record["api"]["request"]["flags"] = json!(["dryRun"]);
        }
        let problems: Vec<String> = decision.problems().collect();
        if !problems.is_empty() {
            let detail: String = problems.join("; ").chars().take(DETAIL_CHARS_MAX).collect();
            record["message"] = format!("{did}: {detail}").into();
            record["status_detail"] = detail.into();
        }
        let images = decision.images.iter();
        let (authorizations, enrichments): (Vec<Value>, Vec<Value>) =
            images.map(|(used, verdict)| (self.authorization(used, verdict), self.enrichment(used, verdict))).unzip();
        if !enrichments.is_empty() {
            record["authorizations"] = authorizations.into();
            record["enrichments"] = enrichments.into();
        }
        record
    }

    /// What rules ask of the question, as AdmissionReview names it.
    fn request(&self) -> Value {
        let Review { kind, resource, namespace, name, groups, dry_run, .. } = self.review;
        json!({
            "kind": {"kind": kind}, "resource": {"resource": resource}, "namespace": namespace, "name": name,
            "userInfo": {"groups": groups}, "dryRun": dry_run,
        })
    }

    /// The workload, and the images that have a digest.
    fn resources(&self) -> Value {
        let Review { kind, namespace, name, object_uid, .. } = self.review;
        let mut workload = json!({"type": kind, "namespace": namespace, "name": name, "role_id": 1, "role": "Target"});
        if !object_uid.is_empty() {
            workload["uid"] = object_uid.as_str().into();
        }
        let mut resources = vec![workload];
        let mut seen: Vec<&Reference> = Vec::new();
        for (used, _) in &self.decision.images {
            let Ok(reference @ Reference { digest: Some(digest), .. }) = &used.reference else { continue };
            if !seen.contains(&reference) {
                seen.push(reference);
                resources.push(json!({
                    "type": "container image", "uid": digest.to_string(), "name": reference.to_string(),
                    "role_id": 4, "role": "Related",
                }));
            }
        }
        resources.into()
    }

    fn examination(&self, used: &Used) -> Option<&Examination> {
        let reference = used.reference.as_ref().ok()?;
        self.examinations.get(&pinned(reference)?).map(Arc::as_ref)
    }

    /// What the image's policy says to the workload.
    fn authorization(&self, used: &Used, verdict: &Verdict) -> Value {
        let decision = match (verdict, self.decision.allowed) {
            (Verdict::Attested, _) => "allow",
            (Verdict::Unattested(_), true) => "warn",
            (Verdict::Unattested(_), false) => "deny",
        };
        match self.examination(used) {
            Some(Examination { policy, version, .. }) => {
                json!({"decision": decision, "policy": {"uid": policy, "version": version, "type": "trust policy"}})
            }
            None => json!({"decision": decision}),
        }
    }

    /// What is known of an image, and by which records.
    fn enrichment(&self, used: &Used, verdict: &Verdict) -> Value {
        let why = match verdict {
            Verdict::Attested => "attested".to_owned(),
            Verdict::Unattested(why) => why.to_string(),
        };
        let mut data = json!({"container": used.by, "attested": *verdict == Verdict::Attested});
        if let Some(examination) = self.examination(used) {
            let document = |document: &Document| json!({"uid": document.uid, "document": document.digest.to_string(), "passed": document.passed});
            data["evidence"] = examination.documents.iter().map(document).collect();
            if let Some(summary) = &examination.summary {
                data["summary"] = document(summary);
            }
        }
        json!({
            "name": "image", "value": used.image, "type": "image attestation", "provider": "Tarn", "desc": why, "data": data,
        })
    }
}

/// What examinations go by: an image's name and digest, without its tag.
pub(super) fn pinned(reference: &Reference) -> Option<String> {
    reference.digest.as_ref().map(|digest| format!("{}@{digest}", reference.name))
}
