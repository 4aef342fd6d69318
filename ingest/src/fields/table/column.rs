//! A class table's column, as texts.

use crate::fields::lane::Told;
use crate::fields::{FieldIx, Rows};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, PrimitiveArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use std::borrow::Cow;
use std::sync::Arc;
use tarn_schema_ocsf::LeafType;

/// A value of a column.
pub enum Cell<'a> {
    /// A text as it is.
    Text(Cow<'a, str>),
    /// A JSON text.
    Json(Cow<'a, str>),
}

impl Cell<'_> {
    /// The code of the value in a field's dictionary.
    pub fn code(&self, field: FieldIx, rows: &mut Rows) -> u32 {
        match self {
            Self::Text(text) => rows.code(field, text, false),
            Self::Json(raw) => rows.code(field, raw, true),
        }
    }

    /// The value, to tell a route.
    pub fn told(&self) -> Told<'_> {
        match self {
            Self::Text(text) => Told::Text(text),
            Self::Json(raw) => Told::Json(raw),
        }
    }
}

/// A column of one batch; what it holds is told by its type in the batch and its leaf in the class.
pub enum Column {
    Text(StringViewArray),
    Json(StringViewArray),
    /// Of texts.
    List(ListArray),
    Whole(PrimitiveArray<Int64Type>),
    Decimal(PrimitiveArray<Float64Type>),
    Bool(BooleanArray),
    /// Not in the batch, without a value in it, or of a type that gives no vendor's value back.
    Absent,
}

impl Column {
    /// The column of a leaf; none stands for a column that the batch lacks.
    pub fn new(array: Option<&ArrayRef>, leaf: LeafType) -> Self {
        let Some(array) = array.filter(|a| a.null_count() < a.len()) else { return Self::Absent };
        let to = |target: &DataType| cast(array, target).ok();
        let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        let found = match array.data_type() {
            DataType::List(_) | DataType::LargeList(_) => to(&texts).map(|a| Self::List(a.as_list().clone())),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                to(&DataType::Int64).map(|a| Self::Whole(a.as_primitive().clone()))
            }
            DataType::Float32 | DataType::Float64 => {
                to(&DataType::Float64).map(|a| Self::Decimal(a.as_primitive().clone()))
            }
            DataType::Boolean => Some(Self::Bool(array.as_boolean().clone())),
            DataType::Timestamp(..) | DataType::Struct(_) => None,
            _ => to(&DataType::Utf8View).map(|a| {
                let texts = a.as_string_view().clone();
                if leaf == LeafType::Json { Self::Json(texts) } else { Self::Text(texts) }
            }),
        };
        found.unwrap_or(Self::Absent)
    }

    /// A row's value; none where it has none.
    pub fn value(&self, row: usize) -> Option<Cell<'_>> {
        match self {
            Self::Text(texts) => texts.is_valid(row).then(|| Cell::Text(texts.value(row).into())),
            Self::Json(texts) => texts.is_valid(row).then(|| Cell::Json(texts.value(row).into())),
            Self::Whole(numbers) => numbers.is_valid(row).then(|| Cell::Text(numbers.value(row).to_string().into())),
            Self::Decimal(numbers) => numbers.is_valid(row).then(|| Cell::Text(numbers.value(row).to_string().into())),
            Self::Bool(values) => {
                values.is_valid(row).then(|| Cell::Text(if values.value(row) { "true" } else { "false" }.into()))
            }
            Self::List(lists) => {
                let list = lists.is_valid(row).then(|| lists.value(row))?;
                let texts = list.as_string::<i32>();
                // Elements without a value are fields that are not there.
                let mut out = String::from("[");
                for text in texts.iter().flatten() {
                    if out.len() > 1 {
                        out.push(',');
                    }
                    crate::json::push_string(&mut out, text);
                }
                out.push(']');
                (texts.null_count() < texts.len()).then_some(Cell::Json(out.into()))
            }
            Self::Absent => None,
        }
    }
}
