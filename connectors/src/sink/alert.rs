//! What people are told of a finding: rule, severity, ATT&CK, entities, evidence, and SQL to go on with.
//!
//! Made once, when a finding is offered, and kept so: every try tells the same. All texts come from rules and events,
//! so all are bounded here; escaping is each sink's own. Read are OCSF Detection Findings (2004) as the engine writes
//! them, and observables where other makers add them.

mod entity;
mod evidence;
mod query;

pub use entity::{Entity, Kind};
pub use evidence::EvidenceReader;

use super::severity::Severity;
use crate::attestation::Attestation;
use chrono::{DateTime, SecondsFormat, Utc};
use evidence::Mapped;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// Characters of a name or a value.
const NAME_MAX: usize = 512;
/// Characters of a description or an excerpt.
const TEXT_MAX: usize = 2_000;
/// ATT&CK entries, and entities, of one alert.
const LIST_MAX: usize = 32;

/// An alert, as sinks, templates and routes see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The finding's uid.
    pub uid: String,
    /// When the finding was made, milliseconds since 1970.
    pub time_ms: i64,
    /// The same, RFC 3339 in UTC.
    pub time: String,
    /// How bad it is.
    pub severity: Severity,
    /// The rule that found it.
    pub rule: Rule,
    /// Techniques and tactics.
    pub attack: Vec<Attack>,
    /// Their Sigma tags: `attack.t1059.001`, `attack.execution`.
    pub tags: Vec<String>,
    /// Users, hosts, addresses, processes and so on.
    pub entities: Vec<Entity>,
    /// The images that it is about, and whether they were attested; empty where it is about none, or where that could not be
    /// said in time.
    #[serde(default)]
    pub attestation: Vec<Attestation>,
    /// The first event that it stands on.
    pub event: Option<Event>,
    /// Events that it stands on.
    pub count: u64,
    /// The beginning of the first evidence's data, JSON.
    pub evidence: String,
    /// SQL for the event, or for the finding where no event is known.
    pub query: String,
    /// SQL for what its first entity did from an hour before to an hour after.
    pub entity_query: Option<String>,
}

/// The rule of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: Option<String>,
    /// What it says of itself.
    pub description: Option<String>,
    /// Where to read more.
    pub reference: Option<String>,
}

/// One entry of ATT&CK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attack {
    /// Id of the technique or sub-technique: `T1059.001`.
    pub technique: Option<String>,
    /// Its name, where the finding has it.
    pub technique_name: Option<String>,
    /// Id of the tactic: `TA0002`.
    pub tactic: Option<String>,
    /// Its name.
    pub tactic_name: Option<String>,
}

/// An event of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its `metadata.uid`.
    pub uid: String,
    /// The lake's table that holds it, where its log source is known.
    pub table: Option<String>,
}

/// A finding that no alert can be made of.
#[derive(Debug, Error)]
pub enum FindingError {
    /// Not the JSON of a finding.
    #[error("not an OCSF finding")]
    Json(#[from] serde_json::Error),
    /// Nothing to know it by.
    #[error("the finding has no uid")]
    NoUid,
}

#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(default)]
    time: i64,
    #[serde(default)]
    severity_id: i64,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    metadata: Uid,
    #[serde(default)]
    finding_info: Info,
    #[serde(default, borrow)]
    evidences: Vec<Evidence<'a>>,
    #[serde(default)]
    observables: Vec<Observable>,
    #[serde(default)]
    count: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Uid {
    #[serde(default)]
    uid: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    uid: Option<String>,
    title: Option<String>,
    desc: Option<String>,
    src_url: Option<String>,
    analytic: Analytic,
    attacks: Vec<AttackText>,
    related_events: Vec<Uid>,
    first_seen_time: Option<i64>,
    last_seen_time: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Analytic {
    uid: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AttackText {
    technique: Named,
    sub_technique: Named,
    tactic: Named,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    uid: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Evidence<'a> {
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// Something that the finding itself calls worth looking at.
#[derive(Deserialize)]
struct Observable {
    #[serde(default)]
    name: String,
    #[serde(default)]
    type_id: i64,
    #[serde(default)]
    value: Option<String>,
}

/// An alert whose evidence was not looked into yet: it has no entities, and no queries.
pub struct Draft<'a> {
    alert: Alert,
    data: Option<&'a RawValue>,
    observables: Vec<Observable>,
    /// From when to when.
    seen_ms: (i64, i64),
}

impl<'a> Draft<'a> {
    /// Of a finding's JSON text.
    ///
    /// **Errors**: [`FindingError`]; a finding that lacks anything but its uid becomes an alert that lacks it too.
    pub fn of(finding: &'a str) -> Result<Self, FindingError> {
        let finding: Finding<'a> = serde_json::from_str(finding)?;
        let info = finding.finding_info;
        let uid = info.uid.or(finding.metadata.uid).filter(|uid| !uid.is_empty()).ok_or(FindingError::NoUid)?;
        let data = finding.evidences.first().and_then(|e| e.data);
        let title = info.analytic.name.or(info.title).or(finding.message).unwrap_or_else(|| "Finding".into());
        let seen_ms = (info.first_seen_time.unwrap_or(finding.time), info.last_seen_time.unwrap_or(finding.time));
        let event_uid = info.related_events.into_iter().find_map(|e| e.uid);
        let attack: Vec<Attack> = info.attacks.into_iter().take(LIST_MAX).map(Attack::of).collect();
        let alert = Alert {
            time_ms: finding.time,
            time: rfc3339(finding.time),
            severity: Severity::of_ocsf(finding.severity_id),
            rule: Rule {
                id: bounded(&info.analytic.uid.unwrap_or_default(), NAME_MAX),
                title: bounded(&title, NAME_MAX),
                version: info.analytic.version.map(|v| bounded(&v, NAME_MAX)),
                description: info.desc.map(|d| bounded(&d, TEXT_MAX)),
                reference: info.src_url.map(|u| bounded(&u, NAME_MAX)),
            },
            tags: tags(&attack),
            attack,
            query: String::new(),
            entity_query: None,
            entities: Vec::new(),
            attestation: Vec::new(),
            event: event_uid.map(|uid| Event { uid: bounded(&uid, NAME_MAX), table: None }),
            count: finding.count.unwrap_or(1),
            evidence: data.map(|data| bounded(data.get(), TEXT_MAX)).unwrap_or_default(),
            uid: bounded(&uid, NAME_MAX),
        };
        Ok(Self { alert, data, observables: finding.observables, seen_ms })
    }

    /// The alert as far as it is known.
    pub fn alert(&self) -> &Alert {
        &self.alert
    }

    /// The alert as it is, for where nobody is told of it.
    pub fn without_entities(self) -> Alert {
        self.alert
    }

    /// The alert with what its evidence says.
    pub fn with_entities(self, events: &EvidenceReader) -> Alert {
        let Self { mut alert, data, observables, seen_ms } = self;
        let mapped = data.map(|data| events.read(data.get())).unwrap_or_default();
        let table = match &mapped {
            Mapped::Record { table, .. } => Some(table.clone()),
            Mapped::Group(_) | Mapped::Nothing => None,
        };
        alert.entities = entity::all(&observables, &mapped);
        if let Some(event) = &mut alert.event {
            event.table = table.clone();
        }
        alert.query = query::of_event(&alert.uid, alert.event.as_ref());
        alert.entity_query = table.and_then(|table| query::of_entity(&table, alert.entities.first()?, seen_ms));
        alert
    }
}

impl Alert {
    /// Its first entity of a kind.
    pub fn entity(&self, kind: Kind) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.kind == kind)
    }
}

impl Attack {
    fn of(text: AttackText) -> Self {
        let short = |text: Option<String>| text.map(|t| bounded(&t, NAME_MAX));
        let technique = if text.sub_technique.uid.is_some() { text.sub_technique } else { text.technique };
        Self {
            technique: short(technique.uid),
            technique_name: short(technique.name),
            tactic: short(text.tactic.uid),
            tactic_name: short(text.tactic.name),
        }
    }

    /// As people write it: `T1059.001 (Execution)`.
    pub fn label(&self) -> String {
        let technique = [&self.technique, &self.technique_name].into_iter().flatten().cloned().collect::<Vec<_>>();
        let tactic = self.tactic_name.as_ref().or(self.tactic.as_ref());
        match (technique.is_empty(), tactic) {
            (false, Some(tactic)) => format!("{} ({tactic})", technique.join(" ")),
            (false, None) => technique.join(" "),
            (true, tactic) => tactic.cloned().unwrap_or_default(),
        }
    }
}

/// Sigma's tags of ATT&CK entries, each once.
fn tags(attack: &[Attack]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let names = attack.iter().flat_map(|a| [a.technique.as_ref(), a.tactic_name.as_ref()]).flatten();
    for name in names {
        let tag = format!("attack.{}", name.to_lowercase().replace(' ', "-"));
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// The first characters of a text, with `…` where there are more.
pub(super) fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max - 1).chain(['…']).collect(),
    }
}

/// A time as RFC 3339 in UTC, to the millisecond; 1970 for one beyond the calendar.
pub(super) fn rfc3339(time_ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(time_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
