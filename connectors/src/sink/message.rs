//! What one delivery tells: an alert, or a group of them, under one key.

use super::alert::Alert;
use super::change::Change;
use super::route::GroupValue;
use super::severity::Severity;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A message. Every try of it is the same.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// What receivers know repeats by: the uid of its first finding; of a change, that of its record, or the key of the
    /// message whose findings it closes.
    pub key: String,
    /// The route that sent it.
    pub route: String,
    /// What its alerts have in common.
    #[serde(serialize_with = "as_object")]
    pub group: Vec<GroupValue>,
    /// When it was put together, milliseconds since 1970.
    pub created_ms: i64,
    /// Alerts of the same rule and group that were held back since the last message.
    pub held_back: u64,
    /// The worst of its alerts.
    pub severity: Severity,
    /// Its alerts, at least one, in the order in which they came; none where it only says that those of its key are over.
    pub alerts: Vec<Told>,
    /// What was done with a finding that was told before; none where its alerts are new.
    pub change: Option<Change>,
}

/// An alert in a message, with the finding that it was made of.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The alert.
    #[serde(flatten)]
    pub alert: Arc<Alert>,
    /// The OCSF finding, as it was offered; null where it was too large to keep.
    pub finding: Option<Box<RawValue>>,
}

fn as_object<S: serde::Serializer>(group: &[GroupValue], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(group.iter().map(|(name, value)| (name, value)))
}

impl Message {
    /// One line that says it all: the title of the first alert, and how many more there are.
    pub fn title(&self) -> String {
        let first = self.alerts.first().map_or("Finding", |told| told.alert.rule.title.as_str());
        let rules = self.alerts.iter().any(|told| told.alert.rule.title != first);
        match self.alerts.len() {
            0 | 1 => first.to_owned(),
            n if rules => format!("{n} alerts: {first}, and others"),
            n => format!("{n} alerts: {first}"),
        }
    }
}

#[cfg(test)]
pub(super) use sample::sample_alert;

#[cfg(test)]
mod sample {
    use super::super::alert::{Attack, Entity, Event, Kind, Rule};
    use super::*;

    /// An alert to try things on.
    pub fn sample_alert() -> Alert {
        Alert {
            uid: "f-1".into(),
            time_ms: 1_780_272_000_000,
            time: "2026-06-01T00:00:00.000Z".into(),
            severity: Severity::High,
            rule: Rule { id: "r-1".into(), title: "Rule".into(), version: None, description: None, reference: None },
            attack: vec![Attack {
                technique: Some("T1059".into()),
                technique_name: None,
                tactic: None,
                tactic_name: None,
            }],
            tags: vec!["attack.t1059".into()],
            entities: vec![Entity {
                kind: Kind::User,
                value: "alice".into(),
                field: "actor.user.name".into(),
                column: true,
            }],
            event: Some(Event { uid: "e-1".into(), table: Some("api_activity".into()) }),
            count: 1,
            attestation: Vec::new(),
            evidence: "{}".into(),
            query: "SELECT 1".into(),
            entity_query: None,
        }
    }
}
