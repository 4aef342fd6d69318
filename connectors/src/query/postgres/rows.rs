//! Rows as PostgreSQL's clients read them, and their columns' types.
//!
//! Lists are arrays; structs, maps and lists of them are JSON text, as are types that PostgreSQL lacks, in Arrow's text.

use crate::query::{QueryError, nested_as_json};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch, field_into_pg_type};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireError;
use pgwire::messages::data::{DataRow, RowDescription};
use std::sync::Arc;

/// Rows that become messages at once.
pub const SLICE_ROWS: usize = 1024;

/// Whether a type becomes JSON text.
pub fn is_json(of: &DataType) -> bool {
    match of {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_nested()
        }
        DataType::Dictionary(_, values) => is_json(values),
        other => other.is_nested(),
    }
}

/// A column's type.
pub fn pg_type(of: &Arc<Field>) -> Type {
    if is_json(of.data_type()) {
        return Type::TEXT;
    }
    field_into_pg_type(of).unwrap_or(Type::TEXT)
}

/// How rows of a schema are written.
#[derive(Clone, Debug)]
pub struct Writing {
    schema: Arc<Schema>,
    fields: Arc<Vec<FieldInfo>>,
}

impl Writing {
    /// `formats` as `Bind` has them: none, one for all columns, or one for each.
    ///
    /// **Errors**: another number of them.
    pub fn new(schema: &Schema, formats: &[i16]) -> Result<Self, QueryError> {
        let columns = schema.fields().len();
        if formats.len() > 1 && formats.len() != columns {
            let message = format!("{} formats for {columns} columns", formats.len());
            return Err(QueryError::Parameter { message });
        }
        let format = match formats {
            [] => Format::UnifiedText,
            [one] => Format::from(*one),
            each => Format::Individual(each.to_vec()),
        };
        let text = |field: &Arc<Field>| {
            let known = !is_json(field.data_type()) && field_into_pg_type(field).is_ok();
            let text = || Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable()));
            if known { Arc::clone(field) } else { text() }
        };
        let schema = Schema::new(schema.fields().iter().map(text).collect::<Vec<_>>());
        let fields = arrow_schema_to_pg_fields(&schema, &format, None).map_err(|error| internal(&error))?;
        Ok(Self { schema: Arc::new(schema), fields: Arc::new(fields) })
    }

    /// What the columns are.
    pub fn description(&self) -> RowDescription {
        RowDescription::new(self.fields.iter().map(Into::into).collect())
    }

    /// A batch's rows, one message each. **Errors**: a value that cannot be written.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<DataRow>, QueryError> {
        let failed = |error: arrow::error::ArrowError| QueryError::Internal { message: error.to_string() };
        let batch = nested_as_json(batch, is_json).map_err(failed)?;
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns: Vec<ArrayRef> = columns
            .map(|(column, field)| {
                if column.data_type() == field.data_type() {
                    Ok(Arc::clone(column))
                } else {
                    cast(column, field.data_type())
                }
            })
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        let rows = encode_recordbatch(Arc::clone(&self.fields), batch);
        rows.collect::<Result<_, _>>().map_err(|error| internal(&error))
    }
}

fn internal(error: &PgWireError) -> QueryError {
    QueryError::Internal { message: error.to_string() }
}
