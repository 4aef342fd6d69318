//! Texts as those who ask know them: queries work on views of texts, and what they give has texts.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::sync::Arc;

/// The type with texts for views, at any depth.
fn plain(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| plain_field(field);
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(element) => DataType::List(field(element)),
        DataType::LargeList(element) => DataType::LargeList(field(element)),
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(field(element), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = plain(field.data_type());
    match data_type == *field.data_type() {
        true => Arc::clone(field),
        false => Arc::new(Field::clone(field).with_data_type(data_type)),
    }
}

/// The stream, whose columns have texts.
pub(super) fn without_views(stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let given = stream.schema();
    let fields: Vec<FieldRef> = given.fields().iter().map(plain_field).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, given.metadata().clone()));
    if schema == given {
        return stream;
    }
    let of_batch = Arc::clone(&schema);
    let batches = stream.map(move |batch| conformed(&batch?, &of_batch));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn conformed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
