//! What OCSF asks of a record beyond what the log says: profiles named, required attributes there, constraints met.
//!
//! A text that is missing becomes `Unknown`, a number 0, a truth `false`; each path that got such a fallback is
//! listed with the record.

use std::collections::BTreeMap;
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::schema::{Attribute, Entity, Requirement};
use tarn_schema_ocsf::{BatchBuilder, ClassUid, LeafType, Schema, Slot, TableSchema};

/// Attributes of every record that the mapper sets by itself.
const OWN: &[&str] = &["time", "class_uid", "category_uid", "activity_id", "type_uid", "severity_id"];

/// Which attribute stands in where a constraint wants one of several.
const PREFERRED: &[&str] = &["hostname", "name", "uid", "app_name", "privileges", "user", "dst_endpoint"];

/// A leaf that may have to be filled.
struct Rule {
    path: String,
    /// Paths of which one has to be set for the leaf to be asked for; none is always.
    asked: Option<Vec<String>>,
    /// Paths of which any does instead.
    unless: Vec<String>,
}

struct Gap {
    path: String,
    slot: Slot,
    asked: Option<Vec<Slot>>,
    unless: Vec<Slot>,
}

/// A kind's completion.
pub struct Completion {
    gaps: Vec<Gap>,
    /// Profiles by what brings them.
    profiles: BTreeMap<&'static str, Vec<Slot>>,
    named: Option<Slot>,
}

/// Columns that completion fills, beside those that a kind populates.
pub fn columns(class: ClassUid, populated: &[String]) -> Vec<String> {
    let mut columns: Vec<String> = rules(class, populated).into_iter().map(|r| r.path).collect();
    if populated.iter().any(|p| !profiles(class, p).is_empty()) {
        columns.push("metadata.profiles".to_owned());
    }
    columns
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn below<'a>(populated: &'a [String], path: &'a str) -> impl Iterator<Item = &'a String> + 'a {
    populated.iter().filter(move |p| p.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with(['.', '['])))
}

fn inner(attribute: &Attribute) -> Option<&'static Entity> {
    Schema::v1_8().object(attribute.object.as_deref()?)
}

fn required(attribute: &Attribute) -> bool {
    attribute.requirement == Requirement::Required && attribute.profiles.is_empty()
}

fn rules(class: ClassUid, populated: &[String]) -> Vec<Rule> {
    let mut out = Vec::new();
    if let Some(class) = Schema::v1_8().class(class) {
        walk(&class.entity, "", None, populated, &mut out);
    }
    out
}

fn walk(entity: &'static Entity, prefix: &str, asked: Option<&[String]>, populated: &[String], out: &mut Vec<Rule>) {
    let asked_list = || asked.map(<[String]>::to_vec);
    for attribute in Schema::v1_8().attributes(entity) {
        if prefix.is_empty() && OWN.contains(&attribute.name.as_str()) {
            continue;
        }
        let path = join(prefix, &attribute.name);
        match inner(attribute).filter(|_| !attribute.is_array) {
            Some(object) if required(attribute) => {
                let under: Vec<String> = below(populated, &path).cloned().collect();
                let before = out.len();
                walk(object, &path, asked, populated, out);
                if out.len() == before && under.is_empty() {
                    out.extend(stand_in(object, &path, asked));
                }
            }
            Some(object) => {
                let under: Vec<String> = below(populated, &path).cloned().collect();
                if !under.is_empty() {
                    walk(object, &path, Some(&under), populated, out);
                }
            }
            None if required(attribute) && attribute.object.is_none() => {
                out.push(Rule { path, asked: asked_list(), unless: Vec::new() });
            }
            None => {}
        }
    }
    let constraints = &entity.constraints;
    for names in [&constraints.at_least_one, &constraints.just_one] {
        let order = PREFERRED.iter().copied().filter(|p| names.iter().any(|n| n == p));
        let order = order.chain(names.iter().map(String::as_str));
        if let Some(path) = order.filter_map(|name| leaf_of(entity, prefix, name)).next() {
            let unless =
                names.iter().flat_map(|n| below(populated, &join(prefix, n)).cloned().collect::<Vec<_>>()).collect();
            out.push(Rule { path, asked: asked_list(), unless });
        }
    }
}

/// A leaf that makes an object be there.
fn stand_in(object: &'static Entity, prefix: &str, asked: Option<&[String]>) -> Option<Rule> {
    let first = PREFERRED.iter().find_map(|name| leaf_of(object, prefix, name))?;
    Some(Rule { path: first, asked: asked.map(<[String]>::to_vec), unless: Vec::new() })
}

/// The path of an attribute, or of what makes it valid where it is an object.
fn leaf_of(entity: &'static Entity, prefix: &str, name: &str) -> Option<String> {
    let attribute = Schema::v1_8().attribute(entity, name)?;
    let path = join(prefix, name);
    match inner(attribute) {
        None => Some(path),
        Some(_) if attribute.is_array => None,
        Some(object) => {
            let names = object.constraints.at_least_one.iter().map(String::as_str);
            PREFERRED.iter().copied().chain(names).find_map(|n| {
                let plain = Schema::v1_8().attribute(object, n).is_some_and(|a| a.object.is_none());
                plain.then(|| join(&path, n))
            })
        }
    }
}

/// The profiles that bring what is on a path.
fn profiles(class: ClassUid, path: &str) -> Vec<&'static str> {
    let schema = Schema::v1_8();
    let mut entity = schema.class(class).map(|c| &c.entity);
    let mut out = Vec::new();
    for step in path.split('.') {
        let Some(attribute) = entity.and_then(|e| schema.attribute(e, step.trim_end_matches("[]"))) else { break };
        out.extend(attribute.profiles.first().map(String::as_str));
        entity = inner(attribute);
    }
    out
}

impl Completion {
    /// Resolves a kind's completion in its table.
    pub fn new(class: ClassUid, populated: &[String], table: &TableSchema) -> Self {
        let slots = |paths: &[String]| paths.iter().filter_map(|p| table.slot(p)).collect::<Vec<_>>();
        let gap = |rule: Rule| {
            let slot = table.slot(&rule.path)?;
            let asked = rule.asked.as_deref().map(slots);
            Some(Gap { path: rule.path, slot, asked, unless: slots(&rule.unless) })
        };
        let gaps = rules(class, populated).into_iter().filter_map(gap).collect();
        let mut by_profile: BTreeMap<&'static str, Vec<Slot>> = BTreeMap::new();
        for path in populated {
            for profile in profiles(class, path) {
                by_profile.entry(profile).or_default().extend(table.slot(path));
            }
        }
        Self { gaps, profiles: by_profile, named: table.slot("metadata.profiles") }
    }

    /// Fills what a row lacks and names its profiles.
    pub fn run<'a>(&'a self, builder: &mut BatchBuilder, fallbacks: &mut Vec<&'a str>) {
        for gap in &self.gaps {
            let asked = gap.asked.as_ref().is_none_or(|slots| slots.iter().any(|s| builder.is_set(*s)));
            if !asked || builder.is_set(gap.slot) || gap.unless.iter().any(|s| builder.is_set(*s)) {
                continue;
            }
            let value = match gap.slot.leaf_type() {
                LeafType::Int32 | LeafType::Int64 => Value::Int(0),
                LeafType::Float64 => Value::Float(0.0),
                LeafType::Bool => Value::Bool(false),
                LeafType::Timestamp => Value::Time(0),
                LeafType::Json => Value::Text("null"),
                LeafType::Text => Value::Text("Unknown"),
            };
            if builder.set(gap.slot, value) == Ok(true) {
                fallbacks.push(&gap.path);
            }
        }
        let Some(named) = self.named else { return };
        for (profile, slots) in &self.profiles {
            if slots.iter().any(|s| builder.is_set(*s)) {
                let _ = builder.set(named, Value::Text(profile));
            }
        }
    }
}
