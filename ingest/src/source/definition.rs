//! `mapping.toml` as it is written; docs/mapping.md explains the language. What it means is checked by `compile`.
#![allow(missing_docs, reason = "the language is documented in docs/mapping.md")]

use serde::Deserialize;
use std::collections::BTreeMap;

/// A whole mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub source: Header,
    #[serde(default)]
    pub recognise: Vec<Test>,
    #[serde(default)]
    pub shape: Vec<Shape>,
    #[serde(default)]
    pub inventory: Inventory,
    #[serde(default)]
    pub fields: BTreeMap<String, Targets>,
    #[serde(default)]
    pub constants: BTreeMap<String, Constant>,
    #[serde(default)]
    pub derive: Vec<Derive>,
    #[serde(default)]
    pub lookup: BTreeMap<String, BTreeMap<String, Constant>>,
    #[serde(default)]
    pub logsource: Vec<Logsource>,
    #[serde(default)]
    pub kind: Vec<Kind>,
    pub default: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub name: String,
    pub version: u32,
    #[serde(default)]
    pub product: OneOrMany,
    pub vendor_name: String,
    pub product_name: String,
    #[serde(default)]
    pub uid: Vec<String>,
    #[serde(default)]
    pub time: Vec<Time>,
    /// Texts that stand for no value.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Records are OCSF already.
    #[serde(default)]
    pub native: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    pub field: String,
    pub format: TimeFormat,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// A bare time that the vendor documents as UTC.
    Utc,
    /// RFC 3339, with its zone.
    Zoned,
    /// No zone: the source's configured zone, UTC by default.
    Bare,
    /// Seconds, milliseconds, microseconds or nanoseconds since 1970, by magnitude.
    Epoch,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    #[serde(default)]
    pub has: Vec<String>,
    #[serde(default)]
    pub equals: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub like: BTreeMap<String, OneOrMany>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub name: String,
    #[serde(default)]
    pub has: Vec<String>,
    #[serde(default)]
    pub any: Vec<String>,
    #[serde(default)]
    pub equals: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    pub like: BTreeMap<String, OneOrMany>,
    pub unwrap: Option<String>,
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    #[serde(default)]
    pub spread: Vec<String>,
    /// Paths of objects whose members have dotted names.
    #[serde(default)]
    pub dotted: Vec<String>,
    pub code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    #[serde(default)]
    pub kept: Vec<String>,
    #[serde(default)]
    pub free: Vec<String>,
    /// What shippers add to the vendor's event.
    #[serde(default)]
    pub shipper: Vec<String>,
}

/// One value or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    #[default]
    None,
    One(Constant),
    Many(Vec<Constant>),
}

impl OneOrMany {
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(value) => vec![value.text()],
            Self::Many(values) => values.iter().map(Constant::text).collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Constant {
    pub fn text(&self) -> String {
        match self {
            Self::Bool(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Text(v) => v.clone(),
        }
    }
}

/// Where a field goes: a path, a target, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Targets {
    Path(String),
    // Before the struct: serde reads a sequence of three texts as a struct with three fields, too.
    Many(Vec<TargetOrPath>),
    One(Target),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TargetOrPath {
    Path(String),
    Target(Target),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub to: String,
    #[serde(rename = "fn")]
    pub function: Option<String>,
    pub lookup: Option<String>,
}

impl Targets {
    pub fn list(&self) -> Vec<Target> {
        let path = |to: &String| Target { to: to.clone(), function: None, lookup: None };
        match self {
            Self::Path(to) => vec![path(to)],
            Self::One(target) => vec![target.clone()],
            Self::Many(many) => many
                .iter()
                .map(|t| match t {
                    TargetOrPath::Path(to) => path(to),
                    TargetOrPath::Target(target) => target.clone(),
                })
                .collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    pub to: String,
    #[serde(rename = "fn")]
    pub function: Option<String>,
    #[serde(default)]
    pub from: Vec<String>,
    #[serde(default)]
    pub first: Vec<String>,
    pub lookup: Option<String>,
    /// The column holds what the fields say, so they count as placed.
    #[serde(default)]
    pub places: bool,
}

/// Conditions on fields: all have to hold. `!` before a field negates, `"*"` is any value.
pub type When = BTreeMap<String, OneOrMany>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logsource {
    pub product: Option<String>,
    pub category: Option<String>,
    pub service: Option<String>,
    #[serde(default)]
    pub when: When,
    #[serde(default)]
    pub alias: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub when: When,
    pub class: String,
    #[serde(default)]
    pub constants: BTreeMap<String, Constant>,
    #[serde(default)]
    pub fields: BTreeMap<String, Targets>,
    #[serde(default)]
    pub derive: Vec<Derive>,
    #[serde(default)]
    pub kept: Vec<String>,
    #[serde(default)]
    pub free: Vec<String>,
}
