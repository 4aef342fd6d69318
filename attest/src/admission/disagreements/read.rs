//! Records to what was decided, and by whom.

use super::Verdict;
use crate::admission::Outcome;
use crate::lineage::Row;
use serde::Deserialize;
use serde_json::Value;

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct Record {
    pub(super) time: i64,
    #[serde(default)]
    pub(super) metadata: Metadata,
    action_id: Option<i64>,
    disposition_id: Option<i64>,
    status_id: Option<i64>,
    activity_id: Option<i64>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    enrichments: Vec<Enrichment>,
    #[serde(default)]
    raw_data: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) uid: String,
    pub(super) correlation_uid: Option<String>,
    log_name: Option<String>,
    #[serde(default)]
    product: Product,
}

#[derive(Default, Deserialize)]
struct Product {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Policy {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Enrichment {
    #[serde(default)]
    value: String,
    #[serde(default)]
    desc: String,
}

impl Record {
    pub(super) fn read(row: Row) -> Option<Self> {
        serde_json::from_value(Value::Object(row)).ok()
    }

    /// What was decided here: of the workload, and of each image with a digest.
    pub(super) fn decided(&self) -> (Outcome, Vec<(String, Outcome)>) {
        let workload = match (self.action_id, self.disposition_id) {
            (Some(2), _) => Outcome::Refused,
            (_, Some(19)) => Outcome::Warned,
            _ => Outcome::Attested,
        };
        let image = |one: &Enrichment| {
            let (_, digest) = one.value.split_once('@')?;
            Some((digest.to_ascii_lowercase(), if one.desc == "attested" { Outcome::Attested } else { workload }))
        };
        (workload, self.enrichments.iter().filter_map(image).collect())
    }

    pub(super) fn workload(&self) -> String {
        let named = |resource: &&Resource| !resource.name.is_empty() && !resource.name.contains('@');
        let Some(Resource { namespace, name }) = self.resources.iter().find(named) else { return String::new() };
        shown(&if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") })
    }

    /// What another says, if it says anything.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let is_audit = self.metadata.log_name.as_deref() == Some("audit");
        match (is_audit, self.action_id, self.status_id, self.activity_id) {
            (true, Some(2), ..) => Some(Verdict::Denied),
            // Created or changed, and not only tried.
            (true, _, Some(1), Some(1 | 3)) if !self.raw_data.contains("dryRun=All") => Some(Verdict::LetIn),
            (false, Some(2), ..) | (false, Some(3), Some(2), _) => Some(Verdict::Failed),
            // Let in with a warning.
            (false, Some(1), ..) if self.disposition_id == Some(19) => Some(Verdict::Failed),
            (false, Some(1 | 4), ..) => Some(Verdict::Passed),
            _ => None,
        }
    }

    pub(super) fn decider(&self) -> String {
        let product = self.metadata.product.name.as_deref();
        let policy = self.policy.name.as_deref().or(self.policy.kind.as_deref());
        shown(&match (product, policy) {
            (Some(product), Some(policy)) => format!("{product}: {policy}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => "unknown".to_owned(),
        })
    }
}

/// What may be shown on a terminal.
fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
