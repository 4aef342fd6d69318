//! Tables and columns as JSON.

use super::super::TableInfo;
use arrow::datatypes::{DataType, Schema};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tarn_schema_ocsf::record::FIELD_TYPE_KEY;

/// A column as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    name: &'a str,
    columns: Vec<Column<'a>>,
}

#[derive(Debug, Serialize)]
struct Tables<'a> {
    tables: Vec<Table<'a>>,
}

/// `{"tables": [{"name": …, "columns": [{"name": …, "type": …, "nullable": …}]}]}`.
pub(super) fn respond(tables: &[TableInfo]) -> Response {
    let tables = tables.iter().map(|t| Table { name: &t.name, columns: columns(&t.schema) }).collect();
    Json(Tables { tables }).into_response()
}

/// A schema's columns, in order.
pub(super) fn columns(schema: &Schema) -> Vec<Column<'_>> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let json = field.metadata().get(FIELD_TYPE_KEY).is_some_and(|mark| mark == "json");
            let kind = if json { "json".to_owned() } else { kind(field.data_type()) };
            Column { name: field.name(), kind, nullable: field.is_nullable() }
        })
        .collect()
}

/// A type's name, in SQL's words where it has any.
fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        DataType::List(element) | DataType::LargeList(element) => match element.data_type() {
            DataType::Struct(_) => "list of object".to_owned(),
            other => format!("list of {}", kind(other)),
        },
        DataType::Struct(_) => "object".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
