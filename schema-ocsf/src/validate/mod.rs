//! The validator for canonical OCSF JSON, by the rules of OCSF's own server (`ocsf-server`, its second validator).
//!
//! Required and recommended attributes, unknown ones (those of profiles that `metadata.profiles` does not list too),
//! types with their ranges, lengths and patterns, enum values and their siblings, `type_uid`, constraints, versions,
//! what observables refer to, deprecations. A rule is an error or a warning as it is there: a text that its type's
//! pattern does not match is a warning, for one.
//!
//! Deliberately unlike the server: a null is an absent attribute everywhere, a constraint's dotted name is a path (the
//! server looks for a key with dots, so class 5004 cannot be valid there), and a whole number is a valid `float_t`
//! (JSON knows one kind of number).

mod form;
mod record;
mod walk;

pub use form::{Form, fits, matches};

use crate::schema::Schema;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The rule that a value breaks; [`fmt::Display`] and serde give the server's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `class_uid` names no class; nothing else is checked then.
    ClassUidUnknown,
    /// The class is deprecated (warning).
    ClassDeprecated,
    /// `metadata.profiles` names a profile that OCSF does not have.
    ProfileUnknown,
    /// A required attribute is absent.
    AttributeRequiredMissing,
    /// A recommended attribute is absent (warning).
    AttributeRecommendedMissing,
    /// The class or object has no such attribute, with the record's profiles.
    AttributeUnknown,
    /// A value of another type.
    AttributeWrongType,
    /// An attribute is deprecated (warning).
    AttributeDeprecated,
    /// An object is deprecated (warning).
    ObjectDeprecated,
    /// A text that its type's pattern does not match (warning).
    AttributeValueRegexNotMatched,
    /// A text longer than its type allows.
    AttributeValueExceedsMaxLen,
    /// A number outside its type's range.
    AttributeValueExceedsRange,
    /// A value that the enum does not have.
    AttributeEnumValueUnknown,
    /// A value that the enum of an array does not have.
    AttributeEnumArrayValueUnknown,
    /// An enum's value is deprecated (warning).
    AttributeEnumValueDeprecated,
    /// A caption that is not the one of its enum's value (warning).
    AttributeEnumSiblingIncorrect,
    /// Value 99 with the caption of 99 instead of the source's own word (warning).
    AttributeEnumSiblingSuspiciousOther,
    /// An array of captions shorter than its array of enum values.
    AttributeEnumArraySiblingMissing,
    /// A caption in an array that is not the one of its enum's value.
    AttributeEnumArraySiblingIncorrect,
    /// `metadata.version` is no version.
    VersionInvalidFormat,
    /// `metadata.version` is of no released schema up to this one.
    VersionIncompatible,
    /// `metadata.version` is of another schema (warning).
    VersionIncorrect,
    /// `type_uid` is not `class_uid * 100 + activity_id`.
    TypeUidIncorrect,
    /// A constraint of the class or object.
    ConstraintFailed,
    /// An observable's `name` is no attribute of the class.
    ObservableNameInvalidReference,
}

impl Rule {
    /// Whether a record that breaks it is invalid.
    pub fn severity(self) -> Severity {
        match self {
            Self::ClassDeprecated
            | Self::AttributeRecommendedMissing
            | Self::AttributeDeprecated
            | Self::ObjectDeprecated
            | Self::AttributeValueRegexNotMatched
            | Self::AttributeEnumValueDeprecated
            | Self::AttributeEnumSiblingIncorrect
            | Self::AttributeEnumSiblingSuspiciousOther
            | Self::VersionIncorrect => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Whether the record is invalid, or could be better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Invalid.
    Error,
    /// Valid, but.
    Warning,
}

/// One finding of the validator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// Where: `actor.user.uid`, `resources[2].name`; empty for the record itself.
    pub path: String,
    /// The rule.
    pub rule: Rule,
    /// The value, where there is one.
    pub value: Option<Value>,
    /// Error or warning: [`Rule::severity`].
    pub severity: Severity,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the record" } else { &self.path };
        write!(f, "{path}: {}: {}", self.rule, self.message)?;
        match &self.value {
            Some(value) => write!(f, ", got {value}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a record, in the order of the checks: attributes by name, then the record as a whole.
///
/// A record is valid when no violation is an error.
pub fn validate(record: &Value) -> Vec<Violation> {
    let mut run = walk::Run::new(Schema::v1_8());
    match record {
        Value::Object(record) => run.record(record),
        _ => run.add(Rule::AttributeWrongType, Some(record), "expected an object"),
    }
    run.found
}

/// Whether a record breaks no rule that makes it invalid.
pub fn is_valid(record: &Value) -> bool {
    validate(record).iter().all(|v| v.severity == Severity::Warning)
}
