//! Records to what was decided, and by whom.

use super::Verdict;
use super::running::running;
use crate::admission::Outcome;
use crate::lineage::Row;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 200;
/// What Kyverno's results of image policies are marked with.
pub const IMAGE_POLICY: &str = "KyvernoImageValidatingPolicy";

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
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Enrichment {
    #[serde(default)]
    value: String,
    #[serde(default)]
    desc: String,
    #[serde(default)]
    data: Value,
}

/// An image that was decided on, by its digest.
pub(super) struct Image {
    pub(super) container: String,
    pub(super) digest: String,
    pub(super) outcome: Outcome,
}

impl Record {
    pub(super) fn read(row: Row) -> Option<Self> {
        serde_json::from_value(Value::Object(row)).ok()
    }

    /// What was decided here: of the workload, and of each image with a digest.
    pub(super) fn decided(&self) -> (Outcome, Vec<Image>) {
        let workload = match (self.action_id, self.disposition_id) {
            (Some(2), _) => Outcome::Refused,
            (_, Some(19)) => Outcome::Warned,
            _ => Outcome::Attested,
        };
        let image = |one: &Enrichment| {
            let (_, digest) = one.value.split_once('@')?;
            let container = one.data.get("container").and_then(Value::as_str).unwrap_or_default().to_owned();
            let outcome = if one.desc == "attested" { Outcome::Attested } else { workload };
            Some(Image { container, digest: digest.to_ascii_lowercase(), outcome })
        };
        (workload, self.enrichments.iter().filter_map(image).collect())
    }

    pub(super) fn workload(&self) -> String {
        let named = |resource: &&Resource| !resource.name.is_empty() && !resource.name.contains('@');
        let Some(Resource { namespace, name, .. }) = self.resources.iter().find(named) else { return String::new() };
        shown(&if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") })
    }

    /// The kind of the workload, such as `Pod`.
    pub(super) fn kind(&self) -> &str {
        self.resources.first().and_then(|resource| resource.kind.as_deref()).unwrap_or_default()
    }

    /// What Kyverno's image policies say in a report, which names the workload and not the image.
    pub(super) fn reported(&self) -> Option<Verdict> {
        let results = self.policy.data.as_array()?.iter().filter(|result| result["source"] == IMAGE_POLICY);
        let results: Vec<&str> = results.filter_map(|result| result["result"].as_str()).collect();
        let said = |result: &str, verdict| results.contains(&result).then_some(verdict);
        said("fail", Verdict::Failed).or_else(|| said("pass", Verdict::Passed))
    }

    /// The images that a node says its containers run, by their names.
    pub(super) fn running(&self) -> BTreeMap<String, String> {
        let wrote = self.metadata.log_name.as_deref() == Some("audit") && self.verdict() == Some(Verdict::LetIn);
        if wrote { running(&self.raw_data) } else { BTreeMap::new() }
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
