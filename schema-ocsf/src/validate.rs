//! Validation of canonical OCSF JSON, by the rules of OCSF's own server.
//!
//! Required and recommended attributes, unknown ones, types with their ranges and patterns, enum values and their
//! siblings, `type_uid` and the class's own ids, constraints, profiles, deprecations.

use crate::schema::{Attribute, Class, ClassUid, Entity, Requirement, Schema, Type};
use regex_lite::Regex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The rule that a value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `class_uid` names no class.
    ClassUnknown,
    /// A required attribute is absent.
    AttributeRequiredMissing,
    /// A recommended attribute is absent.
    AttributeRecommendedMissing,
    /// The class or object has no such attribute (with the record's profiles).
    AttributeUnknown,
    /// A value of another type.
    AttributeWrongType,
    /// A text that its type's pattern does not match.
    ValueFormat,
    /// A text longer than its type allows.
    ValueLength,
    /// A number outside its type's range.
    ValueRange,
    /// A value that the enum does not have.
    EnumValueUnknown,
    /// A caption that is not the one of its enum's value.
    EnumSiblingMismatch,
    /// A caption that repeats what value 99 means.
    EnumSiblingSuspicious,
    /// `type_uid` is not `class_uid * 100 + activity_id`, or `category_uid` not the class's.
    IdMismatch,
    /// A constraint of the class or object.
    ConstraintFailed,
    /// A profile that OCSF does not have.
    ProfileUnknown,
    /// A deprecated class, object or attribute.
    Deprecated,
    /// A schema version that is not this one.
    VersionMismatch,
}

/// Whether the record is invalid, or could be better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Invalid.
    Error,
    /// Valid, but.
    Warning,
}

/// One finding of the validator.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Where: `actor.user.uid`, `resources[2].name`.
    pub path: String,
    /// The rule.
    pub rule: Rule,
    /// The value, where there is one.
    pub value: Option<Value>,
    /// Error or warning.
    pub severity: Severity,
    /// What was expected.
    pub message: String,
}

/// Everything that is wrong with a record, in document order of the schema.
pub fn validate(record: &Value) -> Vec<Violation> {
    let mut run = Run { schema: Schema::v1_8(), profiles: None, found: Vec::new() };
    let Value::Object(record) = record else {
        run.add("", Rule::AttributeWrongType, None, Severity::Error, "expected an object");
        return run.found;
    };
    let uid = record.get("class_uid").and_then(Value::as_u64).and_then(|u| u32::try_from(u).ok());
    let Some(class) = uid.and_then(|u| run.schema.class(ClassUid(u))) else {
        run.add(
            "class_uid",
            Rule::ClassUnknown,
            record.get("class_uid"),
            Severity::Error,
            "expected the uid of an OCSF class",
        );
        return run.found;
    };
    run.record(class, record);
    run.found
}

struct Run {
    schema: &'static Schema,
    profiles: Option<Vec<String>>,
    found: Vec<Violation>,
}

impl Run {
    fn add(&mut self, path: &str, rule: Rule, value: Option<&Value>, severity: Severity, message: impl Into<String>) {
        self.found.push(Violation {
            path: path.to_owned(),
            rule,
            value: value.cloned(),
            severity,
            message: message.into(),
        });
    }

    fn record(&mut self, class: &Class, record: &Map<String, Value>) {
        let metadata = record.get("metadata");
        let listed = metadata.and_then(|m| m.get("profiles")).and_then(Value::as_array);
        let profiles: Vec<String> = listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        for profile in &profiles {
            let known = self.schema.profiles().iter().any(|p| p == profile || p.rsplit('/').next() == Some(profile));
            if !known {
                self.add(
                    "metadata.profiles",
                    Rule::ProfileUnknown,
                    Some(&Value::from(profile.as_str())),
                    Severity::Error,
                    "expected a profile of OCSF 1.8.0",
                );
            }
        }
        self.profiles = Some(profiles);
        if let Some(version) = metadata.and_then(|m| m.get("version"))
            && version.as_str() != Some(self.schema.version())
        {
            self.add("metadata.version", Rule::VersionMismatch, Some(version), Severity::Warning, "expected 1.8.0");
        }
        if let Some(since) = &class.entity.deprecated {
            self.add(
                "class_uid",
                Rule::Deprecated,
                record.get("class_uid"),
                Severity::Warning,
                format!("the class is deprecated since {since}"),
            );
        }
        self.ids(class, record);
        self.entity(&class.entity, "", record);
    }

    fn ids(&mut self, class: &Class, record: &Map<String, Value>) {
        let uid = i64::from(class.uid.0);
        let activity = record.get("activity_id").and_then(Value::as_i64);
        let expected =
            [("category_uid", Some(i64::from(class.category_uid))), ("type_uid", activity.map(|a| uid * 100 + a))];
        for (name, expected) in expected {
            let Some((expected, value)) = expected.zip(record.get(name)) else { continue };
            if value.as_i64() != Some(expected) {
                self.add(name, Rule::IdMismatch, Some(value), Severity::Error, format!("expected {expected}"));
            }
        }
    }

    /// Whether the attribute belongs to the record: its profiles, if any, are the record's.
    fn applies(&self, attribute: &Attribute) -> bool {
        let Some(profiles) = &self.profiles else { return true };
        attribute.profiles.is_empty()
            || attribute.profiles.iter().any(|p| profiles.iter().any(|q| p == q || p.rsplit('/').next() == Some(q)))
    }

    fn entity(&mut self, entity: &Entity, prefix: &str, object: &Map<String, Value>) {
        let at = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        for attribute in self.schema.attributes(entity) {
            let absent = object.get(&attribute.name).is_none_or(Value::is_null);
            if !absent || !self.applies(attribute) {
                continue;
            }
            match attribute.requirement {
                Requirement::Required => {
                    self.add(
                        &at(&attribute.name),
                        Rule::AttributeRequiredMissing,
                        None,
                        Severity::Error,
                        "a required attribute is absent",
                    );
                }
                Requirement::Recommended => {
                    self.add(
                        &at(&attribute.name),
                        Rule::AttributeRecommendedMissing,
                        None,
                        Severity::Warning,
                        "a recommended attribute is absent",
                    );
                }
                Requirement::Optional => {}
            }
        }
        for (name, value) in object {
            match self.schema.attribute(entity, name) {
                Some(attribute) if self.applies(attribute) => self.attribute(attribute, &at(name), value, object),
                Some(attribute) => {
                    let message = format!("needs one of the profiles {:?} in metadata.profiles", attribute.profiles);
                    self.add(&at(name), Rule::AttributeUnknown, Some(value), Severity::Error, message);
                }
                None => {
                    let message = format!("{} has no such attribute", entity.name);
                    self.add(&at(name), Rule::AttributeUnknown, Some(value), Severity::Error, message);
                }
            }
        }
        self.constraints(entity, prefix, object);
    }

    fn constraints(&mut self, entity: &Entity, prefix: &str, object: &Map<String, Value>) {
        let there = |path: &String| {
            let mut at = object;
            let mut steps = path.split('.').peekable();
            while let Some(step) = steps.next() {
                match at.get(step) {
                    Some(Value::Object(inner)) if steps.peek().is_some() => at = inner,
                    Some(value) => return !value.is_null() && steps.peek().is_none(),
                    None => return false,
                }
            }
            true
        };
        let (some, one) = (&entity.constraints.at_least_one, &entity.constraints.just_one);
        if !some.is_empty() && !some.iter().any(there) {
            self.add(
                prefix,
                Rule::ConstraintFailed,
                None,
                Severity::Error,
                format!("expected at least one of {}", some.join(", ")),
            );
        }
        if !one.is_empty() && one.iter().filter(|path| there(path)).count() != 1 {
            self.add(
                prefix,
                Rule::ConstraintFailed,
                None,
                Severity::Error,
                format!("expected exactly one of {}", one.join(", ")),
            );
        }
    }

    fn attribute(&mut self, attribute: &Attribute, path: &str, value: &Value, of: &Map<String, Value>) {
        if value.is_null() {
            return;
        }
        if let Some(since) = &attribute.deprecated {
            self.add(path, Rule::Deprecated, Some(value), Severity::Warning, format!("deprecated since {since}"));
        }
        match (attribute.is_array, value) {
            (true, Value::Array(items)) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(attribute, &format!("{path}[{i}]"), item);
                }
            }
            (true, _) => self.add(path, Rule::AttributeWrongType, Some(value), Severity::Error, "expected an array"),
            (false, _) => self.value(attribute, path, value),
        }
        self.sibling(attribute, path, value, of);
    }

    fn sibling(&mut self, attribute: &Attribute, path: &str, value: &Value, of: &Map<String, Value>) {
        let Some(sibling) = attribute.sibling.as_ref().and_then(|s| of.get(s)) else { return };
        let (Some(id), Some(text)) = (value.as_i64(), sibling.as_str()) else { return };
        let Some(caption) = attribute.values.get(&id.to_string()) else { return };
        if id == 99 && text == caption {
            self.add(
                path,
                Rule::EnumSiblingSuspicious,
                Some(sibling),
                Severity::Warning,
                "value 99 should come with the source's own word",
            );
        } else if id != 99 && text != caption {
            self.add(
                path,
                Rule::EnumSiblingMismatch,
                Some(sibling),
                Severity::Warning,
                format!("expected {caption:?} for {id}"),
            );
        }
    }

    fn value(&mut self, attribute: &Attribute, path: &str, value: &Value) {
        if attribute.type_name == "object_t" {
            let Value::Object(object) = value else {
                return self.add(path, Rule::AttributeWrongType, Some(value), Severity::Error, "expected an object");
            };
            let name = attribute.object.as_deref().unwrap_or("object");
            if let Some(entity) = self.schema.object(name).filter(|_| name != "object") {
                self.entity(entity, path, object);
            }
            return;
        }
        let base = self.schema.base_type(&attribute.type_name);
        let right = match base {
            "boolean_t" => value.is_boolean(),
            "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
            "float_t" => value.is_number(),
            "json_t" => true,
            _ => value.is_string(),
        };
        if !right {
            let message = format!("expected {}", attribute.type_name);
            return self.add(path, Rule::AttributeWrongType, Some(value), Severity::Error, message);
        }
        self.limits(attribute, path, value);
        let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !attribute.values.is_empty() && !attribute.values.contains_key(&key) {
            self.add(
                path,
                Rule::EnumValueUnknown,
                Some(value),
                Severity::Error,
                format!("{key} is no value of {}", attribute.name),
            );
        }
    }

    fn limits(&mut self, attribute: &Attribute, path: &str, value: &Value) {
        let Some(kind) = self.schema.type_named(&attribute.type_name) else { return };
        if let Some(text) = value.as_str() {
            if too_long(kind, text) {
                self.add(
                    path,
                    Rule::ValueLength,
                    Some(value),
                    Severity::Error,
                    format!("longer than {:?} characters", kind.max_len),
                );
            }
            if !matches(&attribute.type_name, text) {
                self.add(path, Rule::ValueFormat, Some(value), Severity::Error, format!("is no {}", kind.caption));
            }
        }
        if let (Some((least, greatest)), Some(n)) = (kind.range, value.as_i64())
            && !(least..=greatest).contains(&n)
        {
            self.add(path, Rule::ValueRange, Some(value), Severity::Error, format!("expected {least} to {greatest}"));
        }
    }
}

static PATTERNS: LazyLock<HashMap<&'static str, Regex>> = LazyLock::new(|| {
    let names = [
        "bytestring_t",
        "datetime_t",
        "email_t",
        "hostname_t",
        "mac_t",
        "subnet_t",
        "uuid_t",
        "url_t",
        "resource_uid_t",
    ];
    let of = |name: &'static str| Some((name, Regex::new(Schema::v1_8().type_named(name)?.regex.as_ref()?).ok()?));
    names.into_iter().filter_map(of).collect()
});

fn too_long(kind: &Type, text: &str) -> bool {
    kind.max_len.is_some_and(|max| text.len() > max && text.chars().count() > max)
}

/// Whether a text can stand in an attribute of a type: its form and its length.
pub fn fits(type_name: &str, text: &str) -> bool {
    matches(type_name, text) && !Schema::v1_8().type_named(type_name).is_some_and(|kind| too_long(kind, text))
}

/// Whether a text has its type's form. Addresses are parsed: the schema's pattern for them is an approximation.
pub fn matches(type_name: &str, text: &str) -> bool {
    match type_name {
        "ip_t" => text.trim().split('%').next().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok()),
        _ => PATTERNS.get(type_name).is_none_or(|pattern| pattern.is_match(text)),
    }
}
