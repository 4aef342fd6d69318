//! Who and what an alert is about: read from the event's OCSF record, so that no vendor's field names stand here.

use super::evidence::Mapped;
use super::{LIST_MAX, NAME_MAX, Observable, bounded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::net::IpAddr;

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A user, by name.
    User,
    /// A machine, by name.
    Host,
    /// An IP address.
    Address,
    /// A process, by its file's path or its name.
    Process,
    /// A file, by path.
    File,
    /// A resource of a cloud or a cluster.
    Resource,
    /// What a correlation grouped by and is none of these.
    Field,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Address => "address",
            Self::Process => "process",
            Self::File => "file",
            Self::Resource => "resource",
            Self::Field => "field",
        })
    }
}

/// One entity of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub value: String,
    /// The column of the event's table that has it, or the name that a correlation gave it.
    pub field: String,
    /// Whether `field` is a column that SQL can ask for.
    pub column: bool,
}

/// Where OCSF records have entities, the most telling of each kind first. The order is the alert's.
const COLUMNS: &[(Kind, &str)] = &[
    (Kind::User, "actor.user.name"),
    (Kind::User, "actor.user.uid"),
    (Kind::User, "user.name"),
    (Kind::User, "actor.process.user.name"),
    (Kind::Host, "device.hostname"),
    (Kind::Host, "device.name"),
    (Kind::Host, "src_endpoint.hostname"),
    (Kind::Host, "dst_endpoint.hostname"),
    (Kind::Address, "src_endpoint.ip"),
    (Kind::Address, "dst_endpoint.ip"),
    (Kind::Address, "device.ip"),
    (Kind::Process, "process.file.path"),
    (Kind::Process, "process.name"),
    (Kind::Process, "actor.process.file.path"),
    (Kind::Process, "actor.process.name"),
    (Kind::Process, "process.parent_process.file.path"),
    (Kind::File, "file.path"),
    (Kind::Resource, "resource.uid"),
    (Kind::Resource, "resource.name"),
];

/// All entities: those that the finding names, then those of its event. Each once, at most [`LIST_MAX`].
pub(super) fn all(observables: &[Observable], mapped: &Mapped) -> Vec<Entity> {
    let mut found = Vec::new();
    for observable in observables {
        if let (Some(kind), Some(value)) = (kind_of_type(observable.type_id), &observable.value) {
            add(&mut found, kind, value, &observable.name, false);
        }
    }
    match mapped {
        Mapped::Record { record, .. } => {
            for (kind, path) in COLUMNS {
                if let Some(value) = at(record, path) {
                    add(&mut found, *kind, value, path, true);
                }
            }
        }
        Mapped::Group(group) => {
            for (field, value) in group {
                if let Some(value) = value.as_str() {
                    add(&mut found, kind_of_field(field, value), value, field, false);
                }
            }
        }
        Mapped::Nothing => {}
    }
    found
}

fn add(found: &mut Vec<Entity>, kind: Kind, value: &str, field: &str, column: bool) {
    let value = bounded(value, NAME_MAX);
    let known = found.iter().any(|entity| entity.kind == kind && entity.value == value);
    // `-` is how Windows writes that there is none.
    if !known && !matches!(value.as_str(), "" | "-") && found.len() < LIST_MAX {
        found.push(Entity { kind, value, field: bounded(field, NAME_MAX), column });
    }
}

/// OCSF 1.8, `observable.type_id`.
fn kind_of_type(type_id: i64) -> Option<Kind> {
    match type_id {
        1 | 20 => Some(Kind::Host),
        2 => Some(Kind::Address),
        4 | 21 | 31 => Some(Kind::User),
        9 | 25 => Some(Kind::Process),
        7 | 24 | 45 => Some(Kind::File),
        10 => Some(Kind::Resource),
        _ => None,
    }
}

/// A guess, for people's eyes and for grouping: correlations group by vendors' fields.
fn kind_of_field(field: &str, value: &str) -> Kind {
    let last = field.rsplit('.').next().unwrap_or(field).to_lowercase();
    if value.parse::<IpAddr>().is_ok() {
        Kind::Address
    } else if last.contains("user") || last.contains("arn") || last.contains("principal") {
        Kind::User
    } else if last.contains("host") || last.contains("computer") || last.contains("workstation") {
        Kind::Host
    } else if last.ends_with("image") || last.contains("process") {
        Kind::Process
    } else {
        Kind::Field
    }
}

fn at<'a>(record: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    let mut parts = path.split('.');
    let first = record.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))?.as_str()
}
