//! The walk over a record beside its schema: classes and objects, their attributes, enums and constraints.

use super::{Form, Rule, Violation};
use crate::schema::{Attribute, Entity, Requirement, Schema};
use serde_json::{Map, Value};

/// One validation under way.
pub(super) struct Run {
    pub(super) schema: &'static Schema,
    /// What `metadata.profiles` lists.
    pub(super) profiles: Vec<String>,
    pub(super) found: Vec<Violation>,
    /// Where the walk stands.
    path: String,
}

impl Run {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self { schema, profiles: Vec::new(), found: Vec::new(), path: String::new() }
    }

    /// A violation where the walk stands.
    pub(super) fn add(&mut self, rule: Rule, value: Option<&Value>, message: impl Into<String>) {
        let (path, value) = (self.path.clone(), value.cloned());
        self.found.push(Violation { path, rule, value, severity: rule.severity(), message: message.into() });
    }

    /// A violation at an attribute below where the walk stands.
    pub(super) fn at(&mut self, name: &str, rule: Rule, value: Option<&Value>, message: impl Into<String>) {
        self.below(name, |run| run.add(rule, value, message));
    }

    fn below(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 && !name.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(name);
        check(self);
        self.path.truncate(length);
    }

    /// Whether the attribute belongs to the record: one of its profiles, if it has any, is the record's.
    pub(super) fn applies(&self, attribute: &Attribute) -> bool {
        attribute.profiles.is_empty() || attribute.profiles.iter().any(|p| self.profiles.contains(p))
    }

    /// A class's or object's attributes. One without any is of free form.
    pub(super) fn entity(&mut self, entity: &'static Entity, object: &Map<String, Value>) {
        if entity.is_free_form() {
            return;
        }
        let schema = self.schema;
        for attribute in schema.attributes(entity) {
            if !self.applies(attribute) {
                continue;
            }
            match object.get(&attribute.name).filter(|v| !v.is_null()) {
                None => self.missing(attribute),
                Some(value) => self.below(&attribute.name, |run| run.attribute(attribute, value)),
            }
        }
        for (name, value) in object {
            match schema.attribute(entity, name) {
                Some(attribute) if self.applies(attribute) => {}
                Some(attribute) => {
                    let message = format!("needs {} in metadata.profiles", attribute.profiles.join(" or "));
                    self.at(name, Rule::AttributeUnknown, Some(value), message);
                }
                None => {
                    let message = format!("{} has no such attribute", entity.name);
                    self.at(name, Rule::AttributeUnknown, Some(value), message);
                }
            }
        }
        for attribute in schema.attributes(entity).filter(|a| !a.values.is_empty()) {
            if let Some(value) = object.get(&attribute.name).filter(|v| !v.is_null() && self.applies(attribute)) {
                self.enumerated(attribute, value, object);
            }
        }
    }

    fn missing(&mut self, attribute: &Attribute) {
        let (rule, message) = match attribute.requirement {
            Requirement::Required => (Rule::AttributeRequiredMissing, "a required attribute is absent"),
            Requirement::Recommended => (Rule::AttributeRecommendedMissing, "a recommended attribute is absent"),
            Requirement::Optional => return,
        };
        self.at(&attribute.name, rule, None, message);
    }

    fn attribute(&mut self, attribute: &'static Attribute, value: &Value) {
        if let Some(since) = &attribute.deprecated {
            self.add(Rule::AttributeDeprecated, Some(value), format!("deprecated since {since}"));
        }
        match value {
            Value::Array(items) if attribute.is_array => {
                for (i, item) in items.iter().enumerate() {
                    self.below(&format!("[{i}]"), |run| run.value(attribute, item));
                }
            }
            value if attribute.is_array => {
                let message = format!("expected an array of {}", attribute.type_name);
                self.add(Rule::AttributeWrongType, Some(value), message);
            }
            value => self.value(attribute, value),
        }
    }

    fn value(&mut self, attribute: &'static Attribute, value: &Value) {
        let Some(name) = &attribute.object else {
            return self.scalar(&attribute.type_name, value);
        };
        let Value::Object(object) = value else {
            return self.add(Rule::AttributeWrongType, Some(value), format!("expected an object ({name})"));
        };
        let Some(entity) = self.schema.object(name) else { return };
        if let Some(since) = &entity.deprecated {
            self.add(Rule::ObjectDeprecated, None, format!("{name} is deprecated since {since}"));
        }
        self.entity(entity, object);
        self.constraints(entity, object);
    }

    fn scalar(&mut self, type_name: &str, value: &Value) {
        let right = match self.schema.base_type(type_name) {
            "boolean_t" => value.is_boolean(),
            "integer_t" => value.is_i64(),
            "long_t" => value.is_i64() || value.is_u64(),
            "float_t" => value.is_number(),
            "json_t" => true,
            _ => value.is_string(),
        };
        if !right {
            return self.add(Rule::AttributeWrongType, Some(value), format!("expected {type_name}"));
        }
        let form = Form::of(type_name);
        if let (Some((least, greatest)), Some(number)) = (form.range, value.as_f64())
            && !(least as f64..=greatest as f64).contains(&number)
        {
            self.add(Rule::AttributeValueExceedsRange, Some(value), format!("expected {least} to {greatest}"));
        }
        let Some(text) = value.as_str() else { return };
        if let Some(max) = form.max_len.filter(|_| form.is_too_long(text)) {
            self.add(Rule::AttributeValueExceedsMaxLen, Some(value), format!("expected at most {max} characters"));
        }
        if !form.matches_pattern(text) {
            self.add(Rule::AttributeValueRegexNotMatched, Some(value), format!("expected the form of {type_name}"));
        }
    }

    fn enumerated(&mut self, attribute: &'static Attribute, value: &Value, object: &Map<String, Value>) {
        let sibling = attribute.sibling.as_ref().and_then(|name| Some((name, object.get(name)?)));
        let unknown = |value: &Value| format!("{value} is no value of {}", attribute.name);
        if !attribute.is_array {
            return match caption(attribute, value) {
                None => self.at(&attribute.name, Rule::AttributeEnumValueUnknown, Some(value), unknown(value)),
                Some(caption) => {
                    self.deprecated_value(attribute, &attribute.name, value);
                    if let Some((name, text)) = sibling {
                        self.sibling(name, value, caption, text);
                    }
                }
            };
        }
        let captions = sibling.and_then(|(name, texts)| Some((name, texts.as_array()?)));
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            let path = format!("{}[{i}]", attribute.name);
            let Some(caption) = caption(attribute, item) else {
                self.at(&path, Rule::AttributeEnumArrayValueUnknown, Some(item), unknown(item));
                continue;
            };
            self.deprecated_value(attribute, &path, item);
            let Some((name, texts)) = captions.filter(|_| !is_other(item)) else { continue };
            let path = format!("{name}[{i}]");
            let message = || format!("expected {caption:?} for {item}");
            match texts.get(i).filter(|t| !t.is_null()) {
                None => self.at(&path, Rule::AttributeEnumArraySiblingMissing, None, message()),
                Some(text) if text != caption => {
                    self.at(&path, Rule::AttributeEnumArraySiblingIncorrect, Some(text), message());
                }
                Some(_) => {}
            }
        }
    }

    fn deprecated_value(&mut self, attribute: &Attribute, path: &str, value: &Value) {
        if let Some(since) = attribute.deprecated_values.get(&key(value)) {
            self.at(path, Rule::AttributeEnumValueDeprecated, Some(value), format!("deprecated since {since}"));
        }
    }

    fn sibling(&mut self, name: &str, value: &Value, caption: &str, text: &Value) {
        if is_other(value) {
            if text == caption {
                let message = "expected the source's own word for 99";
                self.at(name, Rule::AttributeEnumSiblingSuspiciousOther, Some(text), message);
            }
        } else if text != caption && !text.is_null() {
            let message = format!("expected {caption:?} for {value}");
            self.at(name, Rule::AttributeEnumSiblingIncorrect, Some(text), message);
        }
    }

    /// A class's or object's constraints; a dotted name is a path.
    pub(super) fn constraints(&mut self, entity: &Entity, object: &Map<String, Value>) {
        let there = |path: &&String| {
            let mut steps = path.split('.');
            let first = steps.next().and_then(|step| object.get(step));
            steps.fold(first, |value, step| value?.get(step)).is_some_and(|v| !v.is_null())
        };
        let (some, one) = (&entity.constraints.at_least_one, &entity.constraints.just_one);
        if !some.is_empty() && !some.iter().any(|path| there(&path)) {
            self.add(Rule::ConstraintFailed, None, format!("expected at least one of {}", some.join(", ")));
        }
        let count = one.iter().filter(there).count();
        if !one.is_empty() && count != 1 {
            self.add(Rule::ConstraintFailed, None, format!("expected one of {}, got {count}", one.join(", ")));
        }
    }
}

/// The enum's caption for a value. Values are compared by their text, as types are checked elsewhere.
fn caption<'a>(attribute: &'a Attribute, value: &Value) -> Option<&'a str> {
    attribute.values.get(&key(value)).map(String::as_str)
}

fn key(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_other(value: &Value) -> bool {
    value.as_i64() == Some(99)
}
