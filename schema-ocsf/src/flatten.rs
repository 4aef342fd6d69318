//! Canonical OCSF JSON to paths and values: the way back from [`crate::nest`].

use crate::column::{LeafType, Nesting};
use crate::schema::{Attribute, ClassUid, Entity, Schema};
use serde_json::{Map, Value};
use thiserror::Error;

/// An object that cannot be an OCSF record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlattenError {
    /// `class_uid` is absent or no integer.
    #[error("class_uid: expected an integer")]
    NoClass,
    /// `class_uid` names no class of OCSF 1.8.0.
    #[error("class_uid: there is no OCSF class {0}")]
    UnknownClass(i64),
}

/// A record taken apart.
#[derive(Debug, Default)]
pub struct Flat {
    /// The class.
    pub class: Option<ClassUid>,
    /// Scalars and lists of scalars by path; JSON leaves are their values whole.
    pub leaves: Vec<(String, Value)>,
    /// Lists of objects: the column, and each object's children by flat name.
    pub objects: Vec<(String, Vec<Vec<(String, Value)>>)>,
    /// What the class has no attribute for, or not of that type, by path.
    pub unknown: Vec<(String, Value)>,
}

/// Takes a record apart.
///
/// **Errors**: [`FlattenError`] when it has no known class; unknown attributes and values of a wrong type are data
/// ([`Flat::unknown`]), not errors.
pub fn flatten(record: &Map<String, Value>) -> Result<Flat, FlattenError> {
    let schema = Schema::v1_8();
    let uid = record.get("class_uid").and_then(Value::as_i64).ok_or(FlattenError::NoClass)?;
    let class =
        u32::try_from(uid).ok().and_then(|u| schema.class(ClassUid(u))).ok_or(FlattenError::UnknownClass(uid))?;
    let mut flat = Flat { class: Some(class.uid), ..Flat::default() };
    walk(schema, &class.entity, "", record, &mut flat);
    Ok(flat)
}

fn walk(schema: &'static Schema, entity: &Entity, prefix: &str, object: &Map<String, Value>, flat: &mut Flat) {
    for (name, value) in object {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let Some(attribute) = schema.attribute(entity, name) else {
            flat.unknown.push((path, value.clone()));
            continue;
        };
        match (inner(schema, attribute), value) {
            (_, Value::Null) => {}
            (Some(inner), Value::Object(child)) if !attribute.is_array => walk(schema, inner, &path, child, flat),
            (Some(inner), Value::Array(items)) if attribute.is_array && items.iter().all(Value::is_object) => {
                let rows = items.iter().filter_map(Value::as_object).map(|o| children(schema, inner, o)).collect();
                flat.objects.push((path, rows));
            }
            (None, value) if fits(schema, attribute, value) => flat.leaves.push((path, value.clone())),
            _ => flat.unknown.push((path, value.clone())),
        }
    }
}

fn inner<'a>(schema: &'a Schema, attribute: &Attribute) -> Option<&'a Entity> {
    attribute.object.as_deref().filter(|o| *o != "object").and_then(|o| schema.object(o))
}

/// An object of a list: scalars by flat name, lists and unknown attributes as they are.
fn children(schema: &'static Schema, entity: &Entity, object: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let mut stack = vec![(String::new(), entity, object)];
    while let Some((prefix, entity, object)) = stack.pop() {
        for (name, value) in object {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match (schema.attribute(entity, name).and_then(|a| inner(schema, a)), value) {
                (Some(inner), Value::Object(child)) => stack.push((path, inner, child)),
                (_, Value::Null) => {}
                _ => out.push((path, value.clone())),
            }
        }
    }
    out
}

fn fits(schema: &'static Schema, attribute: &Attribute, value: &Value) -> bool {
    match value {
        Value::Array(items) if attribute.is_array => items.iter().all(|v| scalar_fits(schema, attribute, v)),
        value => !attribute.is_array && scalar_fits(schema, attribute, value),
    }
}

fn scalar_fits(schema: &'static Schema, attribute: &Attribute, value: &Value) -> bool {
    match (attribute.type_name.as_str(), schema.base_type(&attribute.type_name)) {
        ("object_t" | "json_t", _) => true,
        (_, "boolean_t") => value.is_boolean(),
        (_, "float_t") => value.is_number(),
        (_, "integer_t") if attribute.name.ends_with("_id") => value.as_i64().is_some_and(|v| i32::try_from(v).is_ok()),
        (_, "integer_t" | "long_t" | "timestamp_t") | ("timestamp_t", _) => value.is_i64(),
        _ => value.is_string(),
    }
}

/// Whether a leaf's JSON value can be written to a slot of this type; `nesting` tells lists from scalars.
pub fn writable(leaf_type: LeafType, nesting: Nesting, value: &Value) -> bool {
    nesting != Nesting::Column || leaf_type == LeafType::Json || !(value.is_array() || value.is_object())
}
