//! A broken ledger as a record: an audit is a verification of the ledger, and this is its verdict.

use super::frame::{ARTIFACT_SIGNING, Caption, frame};
use super::verdict::uid;
use super::{Activity, Evidence};
use crate::ledger::{Divergence, Report};
use chrono::{DateTime, Utc};
use serde_json::json;

/// What `artifact.type` says of a ledger.
pub const LEDGER: &str = "Evidence Ledger";

/// The record of a ledger that is not as it was logged: `origin` is its key's name, `uri` where it is.
///
/// It is of the activity Reverify, for every leaf was a record that held. The same finding is the same record, whenever it
/// is made.
pub fn broken_ledger(
    origin: &str,
    uri: &str,
    report: &Report,
    divergence: &Divergence,
    now: DateTime<Utc>,
) -> Evidence {
    let (root, message) = (hex::encode(report.root), divergence.to_string());
    let leaves = report.leaves.to_string();
    let uid = uid(Activity::Reverify, &[LEDGER, origin, uri, &leaves, &root, &message], None);
    let mut map = frame(ARTIFACT_SIGNING, Activity::Reverify.caption(), now, &uid);
    let (reason_id, reason) = reason(divergence);
    let value = json!({
        "trust_verdict_id": 2, "trust_verdict": "Failed", "trust_reason_id": reason_id, "trust_reason": reason,
        "status_id": 2, "status": "Failure", "severity_id": 4, "severity": "High",
        "status_code": divergence.kind(), "status_detail": message,
        "artifact": {"name": origin, "uri": uri, "type_id": 99, "type": LEDGER},
        "attestation": {"type_id": 99, "type": "Ledger Checkpoint"},
        "trust_checks": [{
            "name": "audit", "trust_verdict_id": 2, "trust_verdict": "Failed", "trust_reason_id": reason_id,
            "trust_reason": reason, "desc": format!("{leaves} leaves with root {root} are as they were logged"),
        }],
    });
    if let serde_json::Value::Object(more) = value {
        map.extend(more);
    }
    Evidence { uid, value: map.into() }
}

/// `trust_reason_id` and `trust_reason`.
fn reason(divergence: &Divergence) -> Caption {
    match divergence {
        Divergence::Checkpoint { .. }
        | Divergence::RolledBack { .. }
        | Divergence::TwoHistories { .. }
        | Divergence::NotWitnessed { .. } => (53, "Log Untrusted"),
        Divergence::Record { .. } | Divergence::Raw { .. } => (21, "Digest Mismatch"),
        Divergence::TimeWentBack { .. } | Divergence::BackDated { .. } | Divergence::PostDated { .. } => {
            (55, "Timestamp Invalid")
        }
        Divergence::ObjectMissing { .. }
        | Divergence::ObjectChanged { .. }
        | Divergence::Removed { .. }
        | Divergence::Leaves { .. }
        | Divergence::Leaf { .. }
        | Divergence::Moved { .. }
        | Divergence::Twice { .. } => (52, "Inclusion Not Proven"),
    }
}
