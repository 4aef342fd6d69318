//! `SHOW TABLES` and `DESCRIBE`.

use crate::sql::{SqlError, SqlSession};
use crate::table::TableSnapshot;
use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use std::sync::Arc;

fn stream(columns: Vec<(&str, ArrayRef)>) -> Result<SendableRecordBatchStream, SqlError> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)]))))
}

/// **Shape**: a row per table: `table_name`, `rows`, `files`, `bytes`, `first_day`, `last_day` (true days only).
pub(crate) fn show_tables(session: &SqlSession) -> Result<SendableRecordBatchStream, SqlError> {
    let tables: Vec<&TableSnapshot> = session.tables().collect();
    let days = |table: &TableSnapshot| {
        let days = table.files.iter().filter_map(|f| f.event_day).filter(|day| *day != 0);
        days.fold(None, |range: Option<(i32, i32)>, day| match range {
            Some((first, last)) => Some((first.min(day), last.max(day))),
            None => Some((day, day)),
        })
    };
    let names: StringArray = tables.iter().map(|t| Some(t.name.as_str())).collect();
    let rows: UInt64Array = tables.iter().map(|t| t.rows()).collect();
    let files: UInt64Array = tables.iter().map(|t| Some(t.files.len() as u64)).collect();
    let bytes: UInt64Array = tables.iter().map(|t| Some(t.bytes())).collect();
    let first: Date32Array = tables.iter().map(|t| days(t).map(|d| d.0)).collect();
    let last: Date32Array = tables.iter().map(|t| days(t).map(|d| d.1)).collect();
    stream(vec![
        ("table_name", Arc::new(names)),
        ("rows", Arc::new(rows)),
        ("files", Arc::new(files)),
        ("bytes", Arc::new(bytes)),
        ("first_day", Arc::new(first)),
        ("last_day", Arc::new(last)),
    ])
}

/// **Shape**: a row per column: `column_name`, `data_type`.
pub(crate) fn describe(table: &TableSnapshot) -> Result<SendableRecordBatchStream, SqlError> {
    let fields = table.schema.fields();
    let names: StringArray = fields.iter().map(|f| Some(f.name().as_str())).collect();
    let types: StringArray = fields.iter().map(|f| Some(type_name(f))).collect();
    stream(vec![("column_name", Arc::new(names)), ("data_type", Arc::new(types))])
}

/// A type as a user of SQL says it.
fn type_name(field: &Field) -> String {
    if field.metadata().get("ocsf.type").is_some_and(|t| t == "json") {
        return "json".to_owned();
    }
    match field.data_type() {
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(element) => format!("list<{}>", type_name(element)),
        DataType::Struct(children) => {
            let children = children.iter().map(|c| format!("{}: {}", c.name(), type_name(c)));
            format!("struct<{}>", children.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
