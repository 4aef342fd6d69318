//! What concerns the record as a whole: its class, profiles, version, `type_uid` and observables.

use super::Rule;
use super::walk::Run;
use crate::schema::{Class, ClassUid, Entity};
use serde_json::{Map, Value};

impl Run {
    /// Checks a record; without a known class there is nothing to check against.
    pub(super) fn record(&mut self, record: &Map<String, Value>) {
        let Some(class) = self.class(record) else { return };
        self.profiles(record);
        if let Some(since) = &class.entity.deprecated {
            self.at("class_uid", Rule::ClassDeprecated, record.get("class_uid"), format!("deprecated since {since}"));
        }
        self.entity(&class.entity, record);
        self.version(record);
        self.type_uid(record);
        self.constraints(&class.entity, record);
        self.observables(class, record);
    }

    fn class(&mut self, record: &Map<String, Value>) -> Option<&'static Class> {
        let Some(value) = record.get("class_uid").filter(|v| !v.is_null()) else {
            self.at("class_uid", Rule::AttributeRequiredMissing, None, "a required attribute is absent");
            return None;
        };
        let Some(uid) = value.as_i64() else {
            self.at("class_uid", Rule::AttributeWrongType, Some(value), "expected integer_t");
            return None;
        };
        let class = u32::try_from(uid).ok().and_then(|uid| self.schema.class(ClassUid(uid)));
        if class.is_none() {
            self.at("class_uid", Rule::ClassUidUnknown, Some(value), "expected the uid of an OCSF class");
        }
        class
    }

    fn profiles(&mut self, record: &Map<String, Value>) {
        let listed = record.get("metadata").and_then(|m| m.get("profiles")).and_then(Value::as_array);
        for (i, profile) in listed.into_iter().flatten().enumerate() {
            let Some(name) = profile.as_str() else { continue };
            if !self.schema.profiles().contains_key(name) {
                let path = format!("metadata.profiles[{i}]");
                self.at(&path, Rule::ProfileUnknown, Some(profile), "expected a profile of OCSF 1.8.0");
            }
            self.profiles.push(name.to_owned());
        }
    }

    fn version(&mut self, record: &Map<String, Value>) {
        let Some(value) = record.get("metadata").and_then(|m| m.get("version")) else { return };
        let Some(version) = value.as_str() else { return };
        let ours = self.schema.version();
        let (rule, expected) = match parse_version(version) {
            None => (Rule::VersionInvalidFormat, format!("expected a version such as {ours}")),
            Some(number) if number < (1, 0, 0) || Some(number) > parse_version(ours) => {
                (Rule::VersionIncompatible, format!("expected a version from 1.0.0 to {ours}"))
            }
            Some(_) if version != ours => (Rule::VersionIncorrect, format!("expected {ours}")),
            Some(_) => return,
        };
        self.at("metadata.version", rule, Some(value), expected);
    }

    fn type_uid(&mut self, record: &Map<String, Value>) {
        let number = |name| record.get(name).and_then(Value::as_i64);
        let (Some(class), Some(activity), Some(uid)) = (number("class_uid"), number("activity_id"), number("type_uid"))
        else {
            return;
        };
        let expected = class.saturating_mul(100).saturating_add(activity);
        if uid != expected {
            self.at("type_uid", Rule::TypeUidIncorrect, record.get("type_uid"), format!("expected {expected}"));
        }
    }

    fn observables(&mut self, class: &'static Class, record: &Map<String, Value>) {
        let listed = record.get("observables").and_then(Value::as_array);
        for (i, observable) in listed.into_iter().flatten().enumerate() {
            let Some(value) = observable.get("name") else { continue };
            if value.as_str().is_some_and(|name| !self.refers(&class.entity, name)) {
                let path = format!("observables[{i}].name");
                let message = format!("expected the path of an attribute of {}", class.entity.name);
                self.at(&path, Rule::ObservableNameInvalidReference, Some(value), message);
            }
        }
    }

    fn refers(&self, class: &'static Entity, name: &str) -> bool {
        let mut entity = Some(class);
        name.split('.').all(|step| {
            let attribute = entity.and_then(|e| self.schema.attribute(e, step)).filter(|a| self.applies(a));
            entity = attribute.and_then(|a| self.schema.object(a.object.as_deref()?));
            attribute.is_some()
        })
    }
}

/// `x.y.z`, also with `-dev` or `-rc.n` behind it, which counts as that version.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let (number, suffix) = text.split_once('-').map_or((text, None), |(n, s)| (n, Some(s)));
    let digits = |t: &str| (!t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse().ok()).flatten();
    if !suffix.is_none_or(|s| s == "dev" || s.strip_prefix("rc.").and_then(digits).is_some()) {
        return None;
    }
    let mut parts = number.split('.').map(digits);
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}
