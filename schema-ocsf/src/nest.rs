//! Rows back to canonical OCSF JSON: dotted columns nest, timestamps are milliseconds, nulls are left out.

use crate::record::FIELD_TYPE_KEY;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
};
use serde_json::{Map, Value};
use std::io;

/// One row as a nested object.
pub fn to_json(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let mut out = Map::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if let Some(value) = value(field, column, row) {
            insert(&mut out, field.name(), value);
        }
    }
    out
}

/// Every row as a line of JSON.
pub fn write_ndjson(batch: &RecordBatch, out: &mut impl io::Write) -> io::Result<()> {
    for row in 0..batch.num_rows() {
        serde_json::to_writer(&mut *out, &to_json(batch, row))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Puts a value at a dotted path; a value that stands in the way is kept and the new one dropped.
fn insert(into: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            into.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let child = into.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(child) = child {
                insert(child, rest, value);
            }
        }
    }
}

fn value(field: &Field, column: &dyn Array, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return None;
    }
    let text = |text: &str| {
        let json = field.metadata().get(FIELD_TYPE_KEY).is_some_and(|t| t == "json");
        if json { serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)) } else { Value::from(text) }
    };
    Some(match column.data_type() {
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::Int32 => Value::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Value::from(column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Value::from(column.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::List(element) => {
            let items = column.as_list::<i32>().value(row);
            Value::Array((0..items.len()).filter_map(|i| value(element, &items, i)).collect())
        }
        DataType::Struct(fields) => {
            let mut out = Map::new();
            for (child, array) in fields.iter().zip(column.as_struct().columns()) {
                if let Some(v) = value(child, array, row) {
                    insert(&mut out, child.name(), v);
                }
            }
            Value::Object(out)
        }
        // Columns that SQL made: their Arrow text.
        _ => Value::from(arrow::util::display::array_value_to_string(column, row).unwrap_or_default()),
    })
}
