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
#[derive(Clone, Debug, Deserialize)]
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
    /// Enumerated values that are deprecated, with the version since.
    #[serde(rename = "x", default)]
    pub deprecated_values: BTreeMap<String, String>,
    /// The attribute that holds the caption of this one's value.
    #[serde(rename = "s")]
    pub sibling: Option<String>,
    /// The profiles that bring it; empty when the class itself does.
    #[serde(rename = "p", default)]
    pub profiles: Vec<String>,
    /// The version that deprecated it.
    #[serde(rename = "d")]
    pub deprecated: Option<String>,
    /// Observable type id of its values here; else the type's, else the object's.
    #[serde(rename = "b")]
    pub observable: Option<u32>,
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
    /// The profiles that it can be used with.
    pub profiles: Vec<String>,
    /// Observable type id of such objects.
    pub observable: Option<u32>,
    // By name.
    attributes: Vec<u32>,
}

impl Entity {
    /// Whether it has no attributes of its own and so takes any, like the object `object`.
    pub fn is_free_form(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The extension that it comes from: `win`, `linux`, `macos`, `trust`.
    pub fn extension(&self) -> Option<&str> {
        Some(self.name.split_once('/')?.0)
    }
}

/// An event class.
#[derive(Debug)]
pub struct Class {
    /// Class uid.
    pub uid: ClassUid,
    /// Category, such as `system`.
    pub category: String,
    /// Its caption, such as `System Activity`: what OCSF calls `category_name`.
    pub category_name: String,
    /// Category uid.
    pub category_uid: u32,
    /// Name, attributes, constraints.
    pub entity: Entity,
}

impl Class {
    /// The name of the class's table: the class name, with `_` for the extension's `/`. Classes of our own extension go
    /// without it: `artifact_signing`.
    pub fn table(&self) -> String {
        let name = &self.entity.name;
        name.strip_prefix("trust/").unwrap_or(name).replace('/', "_")
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

/// An extension, as `metadata.extensions` names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Extension {
    /// Its uid in OCSF's registry; 999 is for development.
    #[serde(rename = "u")]
    pub uid: u32,
    /// Its version.
    #[serde(rename = "v")]
    pub version: String,
}

/// OCSF 1.8.0 with its linux, win and macos extensions, and with ours, `trust`.
pub struct Schema {
    version: String,
    types: HashMap<String, Type>,
    classes: BTreeMap<ClassUid, Class>,
    class_names: HashMap<String, ClassUid>,
    objects: HashMap<String, Entity>,
    attributes: Vec<Attribute>,
    profiles: BTreeMap<String, String>,
    extensions: BTreeMap<String, Extension>,
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
    #[serde(default)]
    f: Vec<String>,
    b: Option<u32>,
    d: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    version: String,
    types: HashMap<String, Type>,
    categories: HashMap<String, String>,
    classes: HashMap<String, RawEntity>,
    objects: HashMap<String, RawEntity>,
    profiles: BTreeMap<String, String>,
    extensions: BTreeMap<String, Extension>,
    attributes: Vec<Attribute>,
}

impl RawEntity {
    fn entity(self, name: String) -> Entity {
        Entity {
            name,
            caption: self.c,
            constraints: self.k,
            deprecated: self.d,
            profiles: self.f,
            observable: self.b,
            attributes: self.m,
        }
    }
}

/// Gives a class its own `type_uid`: `class_uid * 100 + activity_id`, captioned "Class: Activity".
fn own_type_uid(attributes: &mut Vec<Attribute>, class: &mut RawEntity) {
    let position = |name| class.m.iter().position(|i| attributes[*i as usize].name == name);
    let (Some(activity), Some(at)) = (position("activity_id"), position("type_uid")) else { return };
    let typed = |(id, caption): (&String, &String)| {
        Some(((u64::from(class.u) * 100 + id.parse::<u64>().ok()?).to_string(), format!("{}: {caption}", class.c)))
    };
    let own = Attribute {
        values: attributes[class.m[activity] as usize].values.iter().filter_map(typed).collect(),
        ..attributes[class.m[at] as usize].clone()
    };
    class.m[at] = attributes.len() as u32;
    attributes.push(own);
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
        let mut attributes = raw.attributes;
        let mut classes = BTreeMap::new();
        for (name, mut e) in raw.classes {
            own_type_uid(&mut attributes, &mut e);
            let (uid, category_uid, category) = (ClassUid(e.u), e.h, std::mem::take(&mut e.g));
            let category_name = raw.categories.get(&category).cloned().unwrap_or_else(|| "Uncategorized".to_owned());
            classes.insert(uid, Class { uid, category, category_name, category_uid, entity: e.entity(name) });
        }
        let class_names =
            classes.values().flat_map(|c: &Class| [(c.entity.name.clone(), c.uid), (c.table(), c.uid)]).collect();
        Self {
            version: raw.version,
            types: raw.types,
            classes,
            class_names,
            objects: raw.objects.into_iter().map(|(n, e)| (n.clone(), e.entity(n))).collect(),
            profiles: raw.profiles,
            extensions: raw.extensions,
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

    /// All objects, in no order.
    pub fn objects(&self) -> impl Iterator<Item = &Entity> {
        self.objects.values()
    }

    /// All types with their names, in no order.
    pub fn types(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.types.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// The type with a name.
    pub fn type_named(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// The primitive type that a type narrows down to.
    pub fn base_type<'a>(&'a self, name: &'a str) -> &'a str {
        self.types.get(name).and_then(|t| t.base.as_deref()).unwrap_or(name)
    }

    /// All profiles: names, as `metadata.profiles` lists them, with captions.
    pub fn profiles(&self) -> &BTreeMap<String, String> {
        &self.profiles
    }

    /// All extensions, by name.
    pub fn extensions(&self) -> &BTreeMap<String, Extension> {
        &self.extensions
    }

    /// An entity's attributes, by name.
    pub fn attributes<'a>(&'a self, of: &'a Entity) -> impl Iterator<Item = &'a Attribute> {
        of.attributes.iter().map(|i| &self.attributes[*i as usize])
    }

    /// An entity's attribute.
    pub fn attribute<'a>(&'a self, of: &Entity, name: &str) -> Option<&'a Attribute> {
        let at = |i: &u32| self.attributes[*i as usize].name.as_str();
        let found = of.attributes.binary_search_by(|i| at(i).cmp(name)).ok()?;
        Some(&self.attributes[of.attributes[found] as usize])
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
        assert_eq!(schema.classes().count(), 85);
        assert_eq!(schema.objects().count(), 187);
        assert_eq!(schema.profiles().len(), 14);
        assert_eq!(schema.extensions().keys().collect::<Vec<_>>(), ["linux", "macos", "trust", "win"]);
        assert_eq!(schema.type_named("port_t").unwrap().range, Some((0, 65_535)));
        let api = schema.class(ClassUid(6003)).unwrap();
        assert_eq!((api.entity.name.as_str(), api.category_uid), ("api_activity", 6));
        assert_eq!((api.category.as_str(), api.category_name.as_str()), ("application", "Application Activity"));
        let key = schema.class_named("win_registry_key_activity").unwrap();
        assert_eq!((key.uid, key.entity.extension()), (ClassUid(201_001), Some("win")));
        assert_eq!(schema.object("process").unwrap().observable, Some(25));
        let tables: std::collections::BTreeSet<_> = schema.classes().map(Class::table).collect();
        assert_eq!(tables.len(), 85);
    }

    #[test]
    fn every_reference_in_it_resolves() {
        let schema = Schema::v1_8();
        for entity in schema.classes().map(|c| &c.entity).chain(schema.objects()) {
            let names: Vec<&str> = schema.attributes(entity).map(|a| a.name.as_str()).collect();
            assert!(names.is_sorted(), "{}", entity.name);
            for attribute in schema.attributes(entity) {
                let at = format!("{}.{}", entity.name, attribute.name);
                assert_eq!(schema.attribute(entity, &attribute.name).unwrap().name, attribute.name);
                match &attribute.object {
                    Some(object) => assert!(schema.object(object).is_some(), "{at}: {object}"),
                    None => assert!(schema.type_named(&attribute.type_name).is_some(), "{at}"),
                }
                assert!(attribute.profiles.iter().all(|p| schema.profiles().contains_key(p)), "{at}");
                assert!(attribute.deprecated_values.keys().all(|v| attribute.values.contains_key(v)), "{at}");
            }
            assert!(entity.profiles.iter().all(|p| schema.profiles().contains_key(p)), "{}", entity.name);
        }
    }

    #[test]
    fn type_uids_are_the_class_times_100_and_the_activity() {
        let schema = Schema::v1_8();
        let values = |name| &schema.attribute(&schema.class_named(name).unwrap().entity, "type_uid").unwrap().values;
        assert_eq!(values("api_activity")["600301"], "API Activity: Create");
        assert_eq!(values("base_event")["0"], "Base Event: Unknown");
        assert!(!values("api_activity").contains_key("100701"));
    }

    #[test]
    fn the_data_loads_in_milliseconds() {
        let start = std::time::Instant::now();
        let raw: Raw = serde_json::from_str(include_str!("../data/ocsf.json")).unwrap();
        assert_eq!(Schema::build(raw).classes.len(), 85);
        let took = start.elapsed();
        eprintln!("schema loaded in {took:?}");
        // Unoptimised and with other tests beside it; an optimised build takes a few.
        assert!(took.as_millis() < 500, "{took:?}");
    }
}
