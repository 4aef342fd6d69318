//! The schema's facts: classes, objects, attributes, types, enums, constraints.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

/// The uid of an OCSF class, such as 6003 for API Activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassUid(pub u32);

impl fmt::Display for ClassUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How strongly OCSF asks for an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Requirement {
    /// A record without it is invalid.
    #[serde(rename = "r")]
    Required,
    /// A record should have it.
    #[serde(rename = "c")]
    Recommended,
    /// A record may have it.
    #[serde(rename = "o")]
    Optional,
}

/// One attribute as a class or an object uses it.
#[derive(Debug, Deserialize)]
pub struct Attribute {
    /// Name, one step of a path.
    #[serde(rename = "n")]
    pub name: String,
    /// Caption.
    #[serde(rename = "c")]
    pub caption: String,
    /// OCSF type, such as `ip_t`; `object_t` for objects.
    #[serde(rename = "t")]
    pub type_name: String,
    /// The object, where the type is `object_t`.
    #[serde(rename = "o")]
    pub object: Option<String>,
    /// Whether the value is an array of that type.
    #[serde(rename = "a", default)]
    pub is_array: bool,
    /// Requirement.
    #[serde(rename = "r")]
    pub requirement: Requirement,
    /// Enumerated values with their captions.
    #[serde(rename = "e", default)]
    pub values: BTreeMap<String, String>,
    /// The attribute that holds the caption of this one's value.
    #[serde(rename = "s")]
    pub sibling: Option<String>,
    /// The profiles that bring it; empty when the class itself does.
    #[serde(rename = "p", default)]
    pub profiles: Vec<String>,
    /// The version that deprecated it.
    #[serde(rename = "d")]
    pub deprecated: Option<String>,
}

/// Which attributes have to be there together.
#[derive(Debug, Default, Deserialize)]
pub struct Constraints {
    /// At least one of these.
    #[serde(default)]
    pub at_least_one: Vec<String>,
    /// Exactly one of these.
    #[serde(default)]
    pub just_one: Vec<String>,
}

/// What classes and objects have in common: named attributes and constraints.
#[derive(Debug)]
pub struct Entity {
    /// Name, with the extension's prefix (`win/registry_key_activity`).
    pub name: String,
    /// Caption.
    pub caption: String,
    /// Constraints.
    pub constraints: Constraints,
    /// The version that deprecated it.
    pub deprecated: Option<String>,
    attributes: Vec<u32>,
    by_name: HashMap<String, u32>,
}

/// An event class.
#[derive(Debug)]
pub struct Class {
    /// Class uid.
    pub uid: ClassUid,
    /// Category name, such as `system`.
    pub category: String,
    /// Category uid.
    pub category_uid: u32,
    /// Name, attributes, constraints.
    pub entity: Entity,
}

impl Class {
    /// The name of the class's table: the class name, with `_` for the extension's `/`.
    pub fn table(&self) -> String {
        self.entity.name.replace('/', "_")
    }
}

/// A type of values.
#[derive(Debug, Deserialize)]
pub struct Type {
    /// Caption.
    #[serde(rename = "c")]
    pub caption: String,
    /// The type that it narrows.
    #[serde(rename = "t")]
    pub base: Option<String>,
    /// What a text has to match.
    #[serde(rename = "x")]
    pub regex: Option<String>,
    /// Longest text, in characters.
    #[serde(rename = "l")]
    pub max_len: Option<usize>,
    /// Least and greatest number.
    #[serde(rename = "g")]
    pub range: Option<(i64, i64)>,
    /// Observable type id.
    #[serde(rename = "b")]
    pub observable: Option<u32>,
}

/// OCSF 1.8.0 with the linux, win and macos extensions.
pub struct Schema {
    version: String,
    types: HashMap<String, Type>,
    classes: BTreeMap<ClassUid, Class>,
    class_names: HashMap<String, ClassUid>,
    objects: HashMap<String, Entity>,
    attributes: Vec<Attribute>,
    profiles: Vec<String>,
}

#[derive(Deserialize)]
struct RawEntity {
    c: String,
    m: Vec<u32>,
    #[serde(default)]
    u: u32,
    #[serde(default)]
    g: String,
    #[serde(default)]
    h: u32,
    #[serde(default)]
    k: Constraints,
    d: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    version: String,
    types: HashMap<String, Type>,
    classes: HashMap<String, RawEntity>,
    objects: HashMap<String, RawEntity>,
    profiles: Vec<String>,
    attributes: Vec<Attribute>,
}

// The data is part of the program: a test parses it, so it cannot fail in a build that passed.
#[allow(clippy::expect_used)]
static V1_8: LazyLock<Schema> = LazyLock::new(|| {
    let raw: Raw = serde_json::from_str(include_str!("../data/ocsf.json")).expect("the embedded schema is valid");
    Schema::build(raw)
});

impl Schema {
    /// OCSF 1.8.0.
    pub fn v1_8() -> &'static Self {
        &V1_8
    }

    fn build(raw: Raw) -> Self {
        let attributes = raw.attributes;
        let entity = |name: &str, e: &mut RawEntity| Entity {
            name: name.to_owned(),
            caption: std::mem::take(&mut e.c),
            constraints: std::mem::take(&mut e.k),
            deprecated: e.d.take(),
            by_name: e.m.iter().map(|i| (attributes[*i as usize].name.clone(), *i)).collect(),
            attributes: std::mem::take(&mut e.m),
        };
        let objects = raw.objects.into_iter().map(|(n, mut e)| (n.clone(), entity(&n, &mut e))).collect();
        let classes: BTreeMap<_, _> = raw
            .classes
            .into_iter()
            .map(|(name, mut e)| {
                let entity = entity(&name, &mut e);
                let uid = ClassUid(e.u);
                (uid, Class { uid, category: e.g, category_uid: e.h, entity })
            })
            .collect();
        let class_names = classes.values().flat_map(|c| [(c.entity.name.clone(), c.uid), (c.table(), c.uid)]).collect();
        Self {
            version: raw.version,
            types: raw.types,
            classes,
            class_names,
            objects,
            profiles: raw.profiles,
            attributes,
        }
    }

    /// The schema's version, `1.8.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The class with a uid.
    pub fn class(&self, uid: ClassUid) -> Option<&Class> {
        self.classes.get(&uid)
    }

    /// The class with a name, or with a table's name.
    pub fn class_named(&self, name: &str) -> Option<&Class> {
        self.classes.get(self.class_names.get(name)?)
    }

    /// All classes, by uid.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// The object with a name.
    pub fn object(&self, name: &str) -> Option<&Entity> {
        self.objects.get(name)
    }

    /// The type with a name.
    pub fn type_named(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// The primitive type that a type narrows down to.
    pub fn base_type<'a>(&'a self, name: &'a str) -> &'a str {
        self.types.get(name).and_then(|t| t.base.as_deref()).unwrap_or(name)
    }

    /// Names of all profiles.
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// An entity's attributes, by name.
    pub fn attributes<'a>(&'a self, of: &'a Entity) -> impl Iterator<Item = &'a Attribute> {
        of.attributes.iter().map(|i| &self.attributes[*i as usize])
    }

    /// An entity's attribute.
    pub fn attribute<'a>(&'a self, of: &Entity, name: &str) -> Option<&'a Attribute> {
        of.by_name.get(name).map(|i| &self.attributes[*i as usize])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_schema_is_complete() {
        let schema = Schema::v1_8();
        assert_eq!(schema.version(), "1.8.0");
        assert_eq!(schema.classes().count(), 83);
        assert_eq!(schema.objects.len(), 178);
        assert_eq!(schema.profiles().len(), 14);
        let api = schema.class(ClassUid(6003)).unwrap();
        assert_eq!((api.entity.name.as_str(), api.category_uid), ("api_activity", 6));
        assert_eq!(schema.class_named("win_registry_key_activity").unwrap().uid, ClassUid(201_001));
    }
}
