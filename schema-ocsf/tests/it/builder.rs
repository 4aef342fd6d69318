//! Records by path: what can be written, and what the batch then holds.

use arrow::array::{Array, AsArray};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tarn_schema_ocsf::nest::{to_json, write_ndjson};
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::{BatchBuilder, ClassUid, LeafType, Slot, TableSchema};

const API: ClassUid = ClassUid(6003);

struct Fixture {
    table: Arc<TableSchema>,
    builder: BatchBuilder,
}

impl Fixture {
    fn new(paths: &[&str]) -> Self {
        let table = Arc::new(TableSchema::new(API, paths.iter().copied()).unwrap());
        Self { builder: BatchBuilder::new(table.clone()), table }
    }

    fn slot(&self, path: &str) -> Slot {
        self.table.slot(path).unwrap()
    }

    fn set(&mut self, path: &str, value: Value<'_>) -> Result<bool, String> {
        let slot = self.slot(path);
        self.builder.set(slot, value).map_err(|e| e.to_string())
    }

    fn rows(&mut self) -> Vec<Json> {
        let batch = self.builder.finish();
        (0..batch.num_rows()).map(|row| Json::Object(to_json(&batch, row))).collect()
    }
}

#[test]
fn only_paths_of_the_class_make_a_table() {
    let error = |path: &str| TableSchema::new(API, ["time", path]).unwrap_err().to_string();
    assert_eq!(error("actor.user.nope"), "actor.user.nope: api_activity has no attribute \"nope\" there");
    assert_eq!(error("actor.user"), "actor.user: \"user\" is an object, expected one of its attributes");
    assert_eq!(error("time.x"), "time.x: \"time\" is a value, expected the end of the path");
    assert!(error("resources").contains("`[]`"));
    assert!(error("").contains("no attribute"));
    let none = TableSchema::new(ClassUid(12), ["time"]).unwrap_err().to_string();
    assert_eq!(none, "there is no OCSF class 12");
}

#[test]
fn the_first_value_stays_and_a_wrong_type_changes_nothing() {
    let mut f = Fixture::new(&["api.operation", "activity_id", "severity_id", "time", "is_alert"]);
    assert_eq!(f.set("api.operation", Value::Text("a")), Ok(true));
    assert_eq!(f.set("api.operation", Value::Text("b")), Ok(false));
    assert!(f.set("activity_id", Value::Text("1")).unwrap_err().contains("activity_id: expected Int32"));
    assert!(f.set("activity_id", Value::Int(1 << 40)).is_err());
    assert!(!f.builder.is_set(f.slot("activity_id")));
    assert_eq!(f.set("activity_id", Value::Int(2)), Ok(true));
    assert!(f.set("is_alert", Value::Int(1)).is_err());
    assert!(f.set("time", Value::Int(1)).is_err());
    assert_eq!(f.set("time", Value::Time(1_700_000_000_123_456)), Ok(true));
    f.builder.end_row();
    let expected =
        json!({"api": {"operation": "a"}, "activity_id": 2, "activity_name": "Read", "time": 1_700_000_000_123_i64});
    assert_eq!(f.rows(), [expected]);
}

#[test]
fn captions_come_with_their_ids_unless_the_source_had_its_own() {
    let mut f = Fixture::new(&["activity_id", "type_uid", "class_uid", "category_uid", "severity_id"]);
    f.set("activity_id", Value::Int(1)).unwrap();
    f.set("type_uid", Value::Int(600_301)).unwrap();
    f.set("class_uid", Value::Int(6003)).unwrap();
    f.set("category_uid", Value::Int(6)).unwrap();
    f.set("severity", Value::Text("DEFCON 2")).unwrap();
    f.set("severity_id", Value::Int(99)).unwrap();
    f.builder.end_row();
    f.builder.end_row();
    let first = json!({
        "activity_id": 1, "activity_name": "Create", "type_uid": 600_301, "type_name": "API Activity: Create",
        "class_uid": 6003, "class_name": "API Activity", "category_uid": 6, "category_name": "Application Activity",
        "severity_id": 99, "severity": "DEFCON 2",
    });
    assert_eq!(f.rows(), [first, json!({})]);
}

#[test]
fn lists_and_objects_belong_to_their_row() {
    let mut f = Fixture::new(&["metadata.profiles", "resources[].uid", "resources[].owner.name", "resources[].labels"]);
    let uid = f.slot("resources[].uid");
    // No object was begun: there is nothing to write to.
    assert!(f.set("resources[].uid", Value::Text("x")).is_err());
    f.builder.end_row();
    f.builder.begin_object(uid);
    f.set("resources[].uid", Value::Text("a")).unwrap();
    assert_eq!(f.set("resources[].uid", Value::Text("b")), Ok(false));
    f.builder.begin_object(uid);
    f.set("resources[].owner.name", Value::Text("o")).unwrap();
    f.set("resources[].labels", Value::Text("[\"l\"]")).unwrap();
    f.set("metadata.profiles", Value::Text("cloud")).unwrap();
    f.set("metadata.profiles", Value::Text("host")).unwrap();
    f.builder.end_row();
    // The last row's object is not this row's.
    assert!(!f.builder.is_set(uid));
    assert!(f.set("resources[].owner.name", Value::Text("late")).is_err());
    f.builder.end_row();
    // Not ended: not in the batch, nor in the next.
    f.builder.begin_object(uid);
    f.set("resources[].uid", Value::Text("c")).unwrap();
    f.set("metadata.profiles", Value::Text("lost")).unwrap();
    let full = json!({
        "metadata": {"profiles": ["cloud", "host"]},
        "resources": [{"uid": "a"}, {"owner": {"name": "o"}, "labels": ["l"]}],
    });
    assert_eq!(f.rows(), [json!({}), full, json!({})]);
    f.builder.end_row();
    assert_eq!(f.rows(), [json!({})]);
}

#[test]
fn the_arrow_schema_is_flat_and_marks_json() {
    let f = Fixture::new(&["time", "actor.user.name", "unmapped", "resources[].uid", "resources[].type", "type_uid"]);
    let schema = f.table.arrow();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["time", "actor.user.name", "unmapped", "resources", "type_uid", "type_name"]);
    assert_eq!(names, f.table.columns().collect::<Vec<_>>());
    let json = schema.field_with_name("unmapped").unwrap();
    assert_eq!(json.metadata().get("ocsf.type").map(String::as_str), Some("json"));
    assert_eq!(f.slot("time").leaf_type(), LeafType::Timestamp);
    assert!(f.slot("resources[].uid").is_child() && !f.slot("time").is_child());
    assert_eq!(f.slot("resources[].uid").column(), f.slot("resources[].type").column());
    assert!(f.table.slot("actor.user.uid").is_none());
}

#[test]
fn json_columns_keep_their_numbers_and_stay_on_one_line() {
    let mut f = Fixture::new(&["unmapped", "time"]);
    for text in ["{\"n\":123456789012345678901234567890}", "{\"a\":\n1}", "not json"] {
        f.set("unmapped", Value::Text(text)).unwrap();
        f.builder.end_row();
    }
    assert!(f.builder.bytes() > f.builder.text_bytes());
    let batch = f.builder.finish();
    assert_eq!(batch.column(0).as_string::<i32>().value(2), "not json");
    assert_eq!(batch.column(1).null_count(), 3);
    let mut out = Vec::new();
    write_ndjson(&batch, &mut out).unwrap();
    let expected = "{\"unmapped\":{\"n\":123456789012345678901234567890}}\n{\"unmapped\":{\"a\":1}}\n{\"unmapped\":\"not json\"}\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn columns_of_a_query_nest_where_they_can() {
    use arrow::array::{ArrayRef, Int64Array, NullArray, RecordBatch, StringArray, UInt64Array};
    let column = |values: ArrayRef| values;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("a", column(Arc::new(Int64Array::from(vec![1]))), true),
        ("a.b", column(Arc::new(StringArray::from(vec!["stays dotted"]))), true),
        ("c.d", column(Arc::new(UInt64Array::from(vec![u64::MAX]))), true),
        ("c.e", column(Arc::new(NullArray::new(1))), true),
        ("count(*)", column(Arc::new(Int64Array::from(vec![7]))), true),
    ])
    .unwrap();
    let expected = json!({"a": 1, "a.b": "stays dotted", "c": {"d": u64::MAX}, "count(*)": 7});
    assert_eq!(Json::Object(to_json(&batch, 0)), expected);
}
