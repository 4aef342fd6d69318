//! Lists and structs as JSON text, for formats that know scalars only (CSV, PostgreSQL's text).

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::make_encoder;
use std::sync::Arc;

/// The batch with its columns of `nested` types as JSON text; the others as they are.
///
/// **Shape**: as many columns and rows; nulls stay nulls. **Errors**: a type that JSON cannot hold.
pub fn nested_as_json(batch: &RecordBatch, nested: impl Fn(&DataType) -> bool) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|f| nested(f.data_type())) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if nested(field.data_type()) {
            let text = field.as_ref().clone().with_data_type(DataType::Utf8);
            columns.push(json_text(field, column)?);
            fields.push(Arc::new(text));
        } else {
            columns.push(Arc::clone(column));
            fields.push(Arc::clone(field));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn json_text(field: &Arc<Field>, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(false);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut cell = Vec::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        cell.clear();
        encoder.encode(row, &mut cell);
        texts.append_value(String::from_utf8_lossy(&cell));
    }
    Ok(Arc::new(texts.finish()))
}
