//! Schemas that grow in place: columns are added, never changed. And batches brought to a schema.

use crate::error::LakeError;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use std::sync::Arc;

/// The column of records as they came.
pub(crate) const RAW_DATA: &str = "raw_data";
/// The column that names an event.
pub(crate) const UID: &str = "metadata.uid";

/// Columns whose files carry minima and maxima in the Delta log, where a table has them: what a filter of an
/// investigation usually names. Each costs some hundred bytes of log per file, so not all columns are here.
const STATISTICS: &[&str] = &[
    "time",
    "start_time",
    "end_time",
    "ingest_time",
    "class_uid",
    "activity_id",
    "type_uid",
    "severity_id",
    "status_id",
    "disposition_id",
    UID,
    "metadata.event_code",
    "metadata.log_name",
    "metadata.product.name",
    "metadata.logged_time",
    "actor.user.name",
    "actor.user.uid",
    "actor.process.name",
    "actor.process.file.path",
    "user.name",
    "user.uid",
    "api.operation",
    "api.service.name",
    "cloud.account.uid",
    "cloud.region",
    "src_endpoint.ip",
    "src_endpoint.hostname",
    "src_endpoint.port",
    "dst_endpoint.ip",
    "dst_endpoint.hostname",
    "dst_endpoint.port",
    "device.hostname",
    "process.name",
    "process.pid",
    "process.file.path",
    "file.path",
    "file.name",
    "query.hostname",
    "finding_info.uid",
    "finding_info.analytic.uid",
    "artifact.uid",
    "container",
    "record",
    crate::table::ARRIVAL,
];

/// Whether a column's minimum and maximum go to the log.
pub(crate) fn has_statistics(column: &str) -> bool {
    STATISTICS.contains(&column)
}

/// The value of `delta.dataSkippingStatsColumns`: names with a dot are quoted, else they would mean nested fields.
pub(crate) fn statistics_property(schema: &Schema) -> String {
    let named = schema.fields().iter().filter(|f| has_statistics(f.name()));
    named.map(|f| format!("`{}`", f.name())).collect::<Vec<_>>().join(",")
}

/// Whether a column is a text of high entropy, for which a dictionary only costs.
pub(crate) fn is_bulk(field: &Field) -> bool {
    let json = field.metadata().get("ocsf.type").is_some_and(|t| t == "json");
    json || matches!(field.name().as_str(), RAW_DATA | UID | "unmapped" | "bytes" | "message")
}

/// `base` with the columns, and the children of lists of structs, that only `more` has.
///
/// **Errors**: [`LakeError::ColumnType`] when both have a column of different types.
pub(crate) fn merge(base: &Schema, more: &Schema) -> Result<Schema, LakeError> {
    Ok(Schema::new(merge_fields(base.fields(), more.fields(), "")?))
}

fn merge_fields(base: &Fields, more: &Fields, within: &str) -> Result<Fields, LakeError> {
    let mut merged: Vec<FieldRef> = base.iter().cloned().collect();
    for field in more {
        match merged.iter_mut().find(|f| f.name() == field.name()) {
            Some(found) => {
                let name = format!("{within}{}", field.name());
                let data_type = merge_types(found.data_type(), field.data_type(), &name)?;
                if data_type != *found.data_type() {
                    *found = Arc::new(found.as_ref().clone().with_data_type(data_type));
                }
            }
            None => merged.push(Arc::new(nullable(field))),
        }
    }
    Ok(merged.into())
}

/// All columns are nullable: a file need not have them.
fn nullable(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(Arc::new(nullable(element).with_name("element"))),
        DataType::Struct(children) => DataType::Struct(children.iter().map(|c| nullable(c)).collect()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone())
}

fn merge_types(base: &DataType, more: &DataType, name: &str) -> Result<DataType, LakeError> {
    match (base, more) {
        (DataType::List(a), DataType::List(b)) => {
            let data_type = merge_types(a.data_type(), b.data_type(), name)?;
            Ok(DataType::List(Arc::new(a.as_ref().clone().with_data_type(data_type))))
        }
        (DataType::Struct(a), DataType::Struct(b)) => Ok(DataType::Struct(merge_fields(a, b, &format!("{name}[]."))?)),
        (a, b) if a == b => Ok(a.clone()),
        (a, b) => Err(LakeError::ColumnType { column: name.to_owned(), expected: a.to_string(), found: b.to_string() }),
    }
}

/// `array` as `target`, a type that [`merge`] made of its own: absent children of structs are null.
pub(crate) fn conform(array: &ArrayRef, target: &DataType) -> ArrayRef {
    if array.data_type() == target {
        return Arc::clone(array);
    }
    match target {
        DataType::List(element) if matches!(array.data_type(), DataType::List(_)) => {
            let list = array.as_list::<i32>();
            let values = conform(list.values(), element.data_type());
            Arc::new(ListArray::new(Arc::clone(element), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) if matches!(array.data_type(), DataType::Struct(_)) && !fields.is_empty() => {
            let from = array.as_struct();
            let children = fields.iter().map(|f| match from.column_by_name(f.name()) {
                Some(child) => conform(child, f.data_type()),
                None => new_null_array(f.data_type(), from.len()),
            });
            Arc::new(StructArray::new(fields.clone(), children.collect(), from.nulls().cloned()))
        }
        _ => Arc::clone(array),
    }
}
