//! Canonical OCSF JSON to paths and values, and into a batch: the way back from [`crate::nest`].
//!
//! For every record without unknown attributes, nesting what was flattened gives the same values. Nulls, empty lists
//! and empty objects say nothing and are left out; a whole number in a decimal's place becomes a decimal.

use crate::column::LeafType;
use crate::record::{BatchBuilder, Slot, TypeError, Value as Cell};
use crate::schema::{Attribute, ClassUid, Entity, Schema};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
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

/// An object's values by path.
pub type Children = Vec<(String, Value)>;

/// A record taken apart. Every path in `leaves` and `objects` resolves in the class, and its values have its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat {
    /// The class.
    pub class: Option<ClassUid>,
    /// Scalars and lists of scalars by path; JSON leaves are their values whole. Timestamps are milliseconds.
    pub leaves: Children,
    /// Lists of objects: the column, and each object's children by flat name. Lists inside are JSON values.
    pub objects: Vec<(String, Vec<Children>)>,
    /// What the class has no attribute for, or not of that type, by path (`resources[2].nope`).
    pub unknown: Vec<(String, Value)>,
}

impl Flat {
    /// The columns that the record needs, as [`crate::TableSchema::new`] takes them.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.leaves.iter().map(|(path, _)| path.clone()).collect();
        for (column, rows) in &self.objects {
            let children: BTreeSet<&str> = rows.iter().flatten().map(|(child, _)| child.as_str()).collect();
            paths.extend(children.into_iter().map(|child| format!("{column}[].{child}")));
        }
        paths
    }

    /// Writes the record to the builder's current row, without ending it. What the table has no column for is left out.
    ///
    /// **Errors**: [`TypeError`] for a table of another class; the row is then written in part.
    pub fn write(&self, builder: &mut BatchBuilder) -> Result<(), TypeError> {
        for (path, value) in &self.leaves {
            let Some(slot) = builder.schema().slot(path) else { continue };
            match value {
                Value::Array(items) if slot.is_list() => {
                    items.iter().try_for_each(|item| set(builder, slot, item))?;
                }
                value => set(builder, slot, value)?,
            }
        }
        for (column, rows) in &self.objects {
            let slot = |builder: &BatchBuilder, child: &str| builder.schema().slot(&format!("{column}[].{child}"));
            let Some(first) = rows.iter().flatten().find_map(|(child, _)| slot(builder, child)) else { continue };
            for row in rows {
                builder.begin_object(first);
                for (child, value) in row {
                    if let Some(slot) = slot(builder, child) {
                        set(builder, slot, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn set(builder: &mut BatchBuilder, slot: Slot, value: &Value) -> Result<(), TypeError> {
    let text;
    let cell = match (slot.leaf_type(), value) {
        (_, Value::Null) => return Ok(()),
        (LeafType::Json, value) => {
            text = value.to_string();
            Cell::Text(&text)
        }
        (LeafType::Timestamp, Value::Number(n)) => Cell::Time(n.as_i64().unwrap_or_default().saturating_mul(1_000)),
        (_, Value::Number(n)) => n.as_i64().map_or_else(|| Cell::Float(n.as_f64().unwrap_or_default()), Cell::Int),
        (_, Value::Bool(b)) => Cell::Bool(*b),
        (_, Value::String(s)) => Cell::Text(s),
        // A list or an object in a scalar's place: a table of another class.
        (_, Value::Array(_) | Value::Object(_)) => Cell::Text(""),
    };
    builder.set(slot, cell).map(drop)
}

/// Takes a record apart.
///
/// **Errors**: [`FlattenError`] when it has no known class; unknown attributes and values of a wrong type are data
/// ([`Flat::unknown`]), not errors.
pub fn flatten(record: &Map<String, Value>) -> Result<Flat, FlattenError> {
    let schema = Schema::v1_8();
    let uid = record.get("class_uid").and_then(Value::as_i64).ok_or(FlattenError::NoClass)?;
    let class = u32::try_from(uid).ok().and_then(|u| schema.class(ClassUid(u)));
    let class = class.ok_or(FlattenError::UnknownClass(uid))?;
    let mut walk = Walk { schema, flat: Flat { class: Some(class.uid), ..Flat::default() } };
    let mut leaves = Vec::new();
    walk.object(&class.entity, "", record, None, &mut leaves);
    Ok(Flat { leaves, ..walk.flat })
}

struct Walk {
    schema: &'static Schema,
    flat: Flat,
}

impl Walk {
    /// An object's attributes, to `out` by path from the record, or from its object in `list` (a column and an index).
    fn object(
        &mut self,
        entity: &Entity,
        prefix: &str,
        object: &Map<String, Value>,
        list: Option<(&str, usize)>,
        out: &mut Vec<(String, Value)>,
    ) {
        for (name, value) in object {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let attribute = self.schema.attribute(entity, name);
            let inner = attribute.and_then(|a| self.inner(a));
            match (attribute, inner, value) {
                (Some(_), _, Value::Null) => {}
                (Some(a), Some(inner), Value::Object(child)) if !a.is_array => {
                    self.object(inner, &path, child, list, out);
                }
                (Some(a), Some(inner), Value::Array(items)) if a.is_array && items.iter().all(Value::is_object) => {
                    match list {
                        None => self.list(inner, path, items),
                        Some(_) => out.push((path, value.clone())),
                    }
                }
                (Some(a), None, value) if self.fits(a, value) => out.push((path, value.clone())),
                _ => {
                    let shown = list.map(|(column, i)| format!("{column}[{i}].{path}"));
                    self.flat.unknown.push((shown.unwrap_or(path), value.clone()));
                }
            }
        }
    }

    fn list(&mut self, entity: &Entity, column: String, items: &[Value]) {
        let mut rows = Vec::with_capacity(items.len());
        for (i, item) in items.iter().filter_map(Value::as_object).enumerate() {
            let mut row = Vec::new();
            self.object(entity, "", item, Some((&column, i)), &mut row);
            rows.push(row);
        }
        if !rows.is_empty() {
            self.flat.objects.push((column, rows));
        }
    }

    /// The object that an attribute's value is, unless it is of free form.
    fn inner(&self, attribute: &Attribute) -> Option<&'static Entity> {
        attribute.object.as_deref().and_then(|o| self.schema.object(o)).filter(|o| !o.is_free_form())
    }

    fn fits(&self, attribute: &Attribute, value: &Value) -> bool {
        match value {
            Value::Array(items) if attribute.is_array => items.iter().all(|v| self.scalar_fits(attribute, v)),
            value => !attribute.is_array && self.scalar_fits(attribute, value),
        }
    }

    fn scalar_fits(&self, attribute: &Attribute, value: &Value) -> bool {
        let int = || value.as_i64();
        match self.schema.leaf_type(attribute) {
            LeafType::Json => attribute.object.is_none() || value.is_object(),
            LeafType::Bool => value.is_boolean(),
            LeafType::Int32 => int().is_some_and(|v| i32::try_from(v).is_ok()),
            LeafType::Int64 => int().is_some(),
            // In milliseconds, as a column has it in microseconds.
            LeafType::Timestamp => int().is_some_and(|v| v.checked_mul(1_000).is_some()),
            // A whole number that a decimal cannot hold would come back as another.
            LeafType::Float64 if value.is_f64() => true,
            LeafType::Float64 => int().is_some_and(|v| v.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS),
            LeafType::Text => value.is_string(),
        }
    }
}
