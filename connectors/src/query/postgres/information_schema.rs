//! `information_schema`: the SQL standard's catalog, in PostgreSQL's names for types.

use super::catalog::{DATABASE, SCHEMA};
use super::rows;
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use std::collections::BTreeMap;
use std::sync::Arc;

type Tables = Vec<(&'static str, Arc<dyn TableProvider>)>;

/// Its tables, over tables by their name.
pub fn tables(of: &BTreeMap<String, SchemaRef>) -> Result<Tables, DataFusionError> {
    let constant = |value: &'static str, rows: usize| text(std::iter::repeat_n(value, rows));
    let names = of.len();
    let schemas = [SCHEMA, "pg_catalog", "information_schema"];
    let all = vec![
        (
            "schemata",
            table(vec![
                ("catalog_name", constant(DATABASE, schemas.len())),
                ("schema_name", text(schemas)),
                ("schema_owner", constant(DATABASE, schemas.len())),
            ])?,
        ),
        (
            "tables",
            table(vec![
                ("table_catalog", constant(DATABASE, names)),
                ("table_schema", constant(SCHEMA, names)),
                ("table_name", text(of.keys().map(String::as_str))),
                ("table_type", constant("BASE TABLE", names)),
                ("is_insertable_into", constant("NO", names)),
            ])?,
        ),
        ("columns", columns(of)?),
        (
            "views",
            table(vec![
                ("table_catalog", constant("", 0)),
                ("table_schema", constant("", 0)),
                ("table_name", constant("", 0)),
                ("view_definition", constant("", 0)),
            ])?,
        ),
    ];
    Ok(all)
}

fn columns(of: &BTreeMap<String, SchemaRef>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let fields = || of.iter().flat_map(|(table, schema)| schema.fields().iter().map(move |field| (table, field)));
    let count = fields().count();
    let places = of.values().flat_map(|schema| 1..=schema.fields().len() as i32);
    let types = || fields().map(|(_, field)| rows::pg_type(field));
    let constant = |value: &'static str| text(std::iter::repeat_n(value, count));
    table(vec![
        ("table_catalog", constant(DATABASE)),
        ("table_schema", constant(SCHEMA)),
        ("table_name", text(fields().map(|(table, _)| table.as_str()))),
        ("column_name", text(fields().map(|(_, field)| field.name().as_str()))),
        ("ordinal_position", Arc::new(places.collect::<Int32Array>())),
        ("column_default", Arc::new(StringArray::new_null(count))),
        ("is_nullable", text(fields().map(|(_, field)| if field.is_nullable() { "YES" } else { "NO" }))),
        ("data_type", text(types().map(|type_| standard(&type_)))),
        ("udt_schema", constant("pg_catalog")),
        ("udt_name", Arc::new(types().map(|type_| Some(type_.name().to_owned())).collect::<StringArray>())),
        ("is_generated", constant("NEVER")),
        ("is_updatable", constant("NO")),
    ])
}

/// The standard's name of a type; lists are `ARRAY`.
fn standard(of: &pgwire::api::Type) -> &'static str {
    match of.name() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "numeric" => "numeric",
        "date" => "date",
        "time" => "time without time zone",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "interval" => "interval",
        "bytea" => "bytea",
        name if name.starts_with('_') => "ARRAY",
        _ => "text",
    }
}

fn text<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<StringArray>())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?;
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
}
