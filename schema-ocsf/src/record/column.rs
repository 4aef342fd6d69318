//! Columns that grow row by row, and Arrow arrays out of them.

use super::table::Shape;
use super::values::Values;
use arrow::array::{Array, ArrayRef, ListArray, StructArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};
use std::sync::Arc;

/// A column; rows that it has nothing for are padded when it is next touched.
pub(super) enum Column {
    Scalar(Values),
    /// `ends[row]` is the number of elements after the row.
    List {
        ends: Vec<i32>,
        values: Values,
    },
    Objects {
        ends: Vec<i32>,
        objects: usize,
        children: Vec<Values>,
    },
}

impl Column {
    pub(super) fn new(shape: &Shape) -> Self {
        match shape {
            Shape::Scalar(leaf) => Self::Scalar(Values::new(*leaf)),
            Shape::List(leaf) => Self::List { ends: Vec::new(), values: Values::new(*leaf) },
            Shape::Objects(children) => Self::Objects {
                ends: Vec::new(),
                objects: 0,
                children: children.iter().map(|(_, leaf)| Values::new(*leaf)).collect(),
            },
        }
    }
}

pub(super) fn last_end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |e| *e as usize)
}

/// Rows between the last one with an element and `rows` are empty; the row before `rows` ends at `end`.
pub(super) fn pad_ends(ends: &mut Vec<i32>, rows: usize, end: usize) {
    let before = last_end(ends) as i32;
    if ends.len() < rows {
        ends.resize(rows - 1, before);
        ends.push(end as i32);
    }
}

/// A column's first `rows` rows; the column is empty then.
pub(super) fn array(column: &mut Column, field: &FieldRef, rows: usize) -> ArrayRef {
    match column {
        Column::Scalar(values) => {
            values.pad(rows);
            let all = values.finish();
            // A row that was begun and not ended.
            if all.len() > rows { all.slice(0, rows) } else { all }
        }
        Column::List { ends, values } => list(field, offsets(ends, rows), values.finish()),
        Column::Objects { ends, objects, children } => {
            let offsets = offsets(ends, rows);
            let count = std::mem::take(objects);
            let finish = |values: &mut Values| {
                values.pad(count);
                values.finish()
            };
            let arrays: Vec<ArrayRef> = children.iter_mut().map(finish).collect();
            let structs = match field.data_type() {
                DataType::List(element) => match element.data_type() {
                    DataType::Struct(fields) => StructArray::try_new(fields.clone(), arrays, None).ok(),
                    _ => None,
                },
                _ => None,
            };
            // The shapes are those of the schema by construction.
            structs.map_or_else(|| new_null_array(field.data_type(), rows), |s| list(field, offsets, Arc::new(s)))
        }
    }
}

/// Offsets of `rows` lists; a row without elements is null.
fn offsets(ends: &mut Vec<i32>, rows: usize) -> Vec<i32> {
    let ends = std::mem::take(ends);
    let last = last_end(&ends) as i32;
    std::iter::once(0).chain(ends.into_iter().chain(std::iter::repeat(last)).take(rows)).collect()
}

fn list(field: &FieldRef, offsets: Vec<i32>, values: ArrayRef) -> ArrayRef {
    let DataType::List(element) = field.data_type() else { return values };
    let valid: NullBuffer = offsets.windows(2).map(|w| w[1] > w[0]).collect::<Vec<_>>().into();
    let rows = offsets.len() - 1;
    match ListArray::try_new(element.clone(), OffsetBuffer::new(offsets.into()), values, Some(valid)) {
        Ok(list) => Arc::new(list),
        Err(_) => new_null_array(field.data_type(), rows),
    }
}
