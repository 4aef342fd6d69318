//! Paths to columns: what Arrow type a dotted OCSF path has in the table of a class.
//!
//! `actor.user.name` is a leaf. `resources[].uid` is a child of the list-of-objects column `resources`; below the first
//! such list the children stay flat (`evidences[].process.file.name`), and lists inside it are JSON. Attributes of free
//! form (`unmapped`, `json_t`) are JSON texts.

use crate::schema::{Attribute, ClassUid, Entity, Schema};
use arrow::datatypes::{DataType, TimeUnit};
use std::sync::Arc;
use thiserror::Error;

/// What a leaf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafType {
    /// UTF-8.
    Text,
    /// A JSON text: OCSF has no fixed attributes here.
    Json,
    /// An enum's id.
    Int32,
    /// Any other integer.
    Int64,
    /// A decimal number.
    Float64,
    /// True or false.
    Bool,
    /// Microseconds since 1970, UTC.
    Timestamp,
}

impl LeafType {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        }
    }
}

/// Where a path's values stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// A column of its own.
    Column,
    /// A list column of scalars.
    List,
    /// A child of a list-of-structs column.
    Child,
}

/// A resolved path.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The column's name: the path, up to the first list of objects.
    pub column: String,
    /// The child's name inside a list of objects.
    pub child: Option<String>,
    /// What it holds.
    pub leaf_type: LeafType,
    /// Where it stands.
    pub nesting: Nesting,
    /// The attribute that the path ends in.
    pub attribute: &'static Attribute,
}

/// A path that the class does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// No class has this uid.
    #[error("there is no OCSF class {0}")]
    UnknownClass(ClassUid),
    /// A step names no attribute.
    #[error("{path}: {class} has no attribute {step:?} there")]
    UnknownAttribute {
        /// The whole path.
        path: String,
        /// The step that fails.
        step: String,
        /// The class's name.
        class: String,
    },
    /// The path ends in an object, or goes on below a scalar.
    #[error("{path}: {step:?} is {is}, expected {expected}")]
    WrongShape {
        /// The whole path.
        path: String,
        /// The step that fails.
        step: String,
        /// What it is.
        is: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

impl Schema {
    /// Resolves a path in a class.
    ///
    /// **Errors**: [`PathError`] for what the class does not have; nothing outside the schema resolves.
    pub fn leaf(&'static self, class: ClassUid, path: &str) -> Result<Leaf, PathError> {
        let class = self.class(class).ok_or(PathError::UnknownClass(class))?;
        let mut entity: &Entity = &class.entity;
        let mut column = String::new();
        let mut child: Option<String> = None;
        let mut steps = path.split('.').peekable();
        while let Some(raw) = steps.next() {
            let step = raw.strip_suffix("[]").unwrap_or(raw);
            let fail = |is, expected| PathError::WrongShape { path: path.into(), step: step.into(), is, expected };
            let attribute = self.attribute(entity, step).ok_or_else(|| PathError::UnknownAttribute {
                path: path.into(),
                step: step.into(),
                class: class.entity.name.clone(),
            })?;
            let target = child.as_mut().unwrap_or(&mut column);
            if !target.is_empty() {
                target.push('.');
            }
            target.push_str(step);
            let last = steps.peek().is_none();
            let object = attribute.object.as_deref().filter(|o| *o != "object").and_then(|o| self.object(o));
            match object {
                Some(inner) if attribute.is_array && child.is_none() => {
                    if last || !raw.ends_with("[]") {
                        return Err(fail("a list of objects", "`[]` and one of its attributes"));
                    }
                    child = Some(String::new());
                    entity = inner;
                }
                // A list inside a list of objects is one JSON text.
                Some(_) if attribute.is_array && last => {
                    return Ok(Self::end(column, child, attribute, LeafType::Json));
                }
                Some(_) if attribute.is_array => return Err(fail("a list inside a list", "the end of the path")),
                Some(_) if last => return Err(fail("an object", "one of its attributes")),
                Some(inner) => entity = inner,
                None if last => {
                    let leaf_type =
                        if attribute.is_array && child.is_some() { LeafType::Json } else { self.leaf_type(attribute) };
                    return Ok(Self::end(column, child, attribute, leaf_type));
                }
                None => return Err(fail("a value", "the end of the path")),
            }
        }
        Err(PathError::UnknownAttribute { path: path.into(), step: String::new(), class: class.entity.name.clone() })
    }

    fn end(column: String, child: Option<String>, attribute: &'static Attribute, leaf_type: LeafType) -> Leaf {
        let nesting = match (&child, attribute.is_array) {
            (Some(_), _) => Nesting::Child,
            (None, true) if leaf_type != LeafType::Json => Nesting::List,
            _ => Nesting::Column,
        };
        Leaf { column, child, leaf_type, nesting, attribute }
    }

    /// What an attribute's values (the elements, of an array) are stored as.
    pub fn leaf_type(&self, attribute: &Attribute) -> LeafType {
        match (attribute.type_name.as_str(), self.base_type(&attribute.type_name)) {
            ("object_t" | "json_t", _) => LeafType::Json,
            ("timestamp_t", _) => LeafType::Timestamp,
            (_, "boolean_t") => LeafType::Bool,
            (_, "float_t") => LeafType::Float64,
            (_, "integer_t") if attribute.name.ends_with("_id") => LeafType::Int32,
            (_, "integer_t" | "long_t") => LeafType::Int64,
            _ => LeafType::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_resolve_to_types_or_say_why_not() {
        let leaf = |class, path| Schema::v1_8().leaf(ClassUid(class), path);
        let of = |class, path| leaf(class, path).map(|l| (l.leaf_type, l.nesting)).unwrap();
        assert_eq!(of(6003, "actor.user.name"), (LeafType::Text, Nesting::Column));
        assert_eq!(of(6003, "activity_id"), (LeafType::Int32, Nesting::Column));
        assert_eq!(of(6003, "type_uid"), (LeafType::Int64, Nesting::Column));
        assert_eq!(of(6003, "time"), (LeafType::Timestamp, Nesting::Column));
        assert_eq!(of(6003, "unmapped"), (LeafType::Json, Nesting::Column));
        assert_eq!(of(6003, "resources[].uid"), (LeafType::Text, Nesting::Child));
        assert_eq!(of(1007, "process.parent_process.file.path"), (LeafType::Text, Nesting::Column));
        assert_eq!(of(1007, "process.file.hashes[].algorithm_id"), (LeafType::Int32, Nesting::Child));
        assert_eq!(of(6003, "metadata.profiles"), (LeafType::Text, Nesting::List));
        assert_eq!(of(2004, "evidences[].process.file.name"), (LeafType::Text, Nesting::Child));
        assert!(leaf(6003, "actor.user.nope").unwrap_err().to_string().contains("nope"));
        assert!(leaf(6003, "actor.user").unwrap_err().to_string().contains("object"));
        assert!(leaf(6003, "resources.uid").is_err());
        assert!(leaf(6003, "time.x").is_err());
    }
}
