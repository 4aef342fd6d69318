//! A disagreement as a record: OCSF's Detection Finding (`docs/admission.md` says why this class).

use super::{Disagreement, Verdict};
use crate::admission::Outcome;
use crate::ocsf::Evidence;
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What makes these findings, as records name it.
const ANALYTIC: (&str, &str) = ("tarn.admission.disagreement", "Deciders disagree on an admission");

impl Disagreement {
    /// The record. It is the same one however often it is made on a day: of a decider, on an image or request, with these
    /// two verdicts.
    pub fn to_ocsf(&self, now: DateTime<Utc>) -> Evidence {
        let day = DateTime::from_timestamp_millis(self.last_time).unwrap_or_default().date_naive().to_string();
        let mut hasher = Sha256::new();
        let parts = ["tarn/disagreement/1", &self.decider, &self.about, self.ours.as_str(), self.theirs.as_str(), &day];
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let uid = hex::encode(hasher.finalize());
        let (severity_id, severity) = match self.theirs {
            Verdict::LetIn | Verdict::Runs => (4, "High"),
            Verdict::Passed | Verdict::Failed => (3, "Medium"),
            Verdict::Denied => (2, "Low"),
        };
        let title = self.title();
        let mut resources = Vec::new();
        if self.about.contains(':') {
            resources.push(json!({"type": "container image", "uid": self.about}));
        }
        if let Some((namespace, name)) = self.workload.split_once('/') {
            resources.push(json!({"type": "workload", "namespace": namespace, "name": name}));
        }
        let mut value = json!({
            "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
            "activity_id": 1, "activity_name": "Create", "type_uid": 200_401,
            "type_name": "Detection Finding: Create", "severity_id": severity_id, "severity": severity,
            "status_id": 1, "status": "New", "message": title, "time": now.timestamp_millis(), "count": self.count,
            "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"}},
            "finding_info": {
                "uid": uid, "title": title, "desc": self.description(), "created_time": now.timestamp_millis(),
                "first_seen_time": self.first_time, "last_seen_time": self.last_time,
                "analytic": {"uid": ANALYTIC.0, "name": ANALYTIC.1, "type_id": 1, "type": "Rule"},
                "related_events": [{"uid": self.our_record}, {"uid": self.their_record}],
            },
        });
        if !resources.is_empty() {
            value["resources"] = resources.into();
        }
        Evidence { uid, value }
    }

    fn title(&self) -> String {
        match (self.ours, self.theirs) {
            (Outcome::Refused, Verdict::LetIn) => "A workload that was refused was let in".to_owned(),
            (_, Verdict::Runs) => "A workload runs another image than was decided on".to_owned(),
            (_, theirs) => {
                format!("Deciders disagree on an admission: {} here, {} there", self.ours.as_str(), theirs.as_str())
            }
        }
    }

    fn description(&self) -> String {
        let Self { decider, about, ours, theirs, workload, .. } = self;
        if *theirs == Verdict::Runs {
            let other = format!("another image, which was {}", ours.as_str());
            return format!("{about} runs in {workload}, where Tarn's admission webhook decided on {other}");
        }
        format!("{about}: {} by Tarn's admission webhook, {} by {decider}", ours.as_str(), theirs.as_str())
    }
}
