//! JSON to rows and back, and rows to JSON and back.

use crate::arbitrary::{self, Seed};
use arrow::array::RecordBatch;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_schema_ocsf::flatten::flatten;
use tarn_schema_ocsf::nest::{to_json, write_ndjson};
use tarn_schema_ocsf::{BatchBuilder, ClassUid, TableSchema};

/// One batch of records of one class, with the columns that they need.
fn batch(class: ClassUid, records: &[Map<String, Value>]) -> RecordBatch {
    let flats: Vec<_> = records.iter().map(|r| flatten(r).unwrap()).collect();
    let paths: BTreeSet<String> = flats.iter().flat_map(|f| f.paths()).collect();
    let table = TableSchema::new(class, paths.iter().map(String::as_str)).unwrap();
    let mut builder = BatchBuilder::new(Arc::new(table));
    for flat in &flats {
        assert_eq!(flat.unknown, []);
        flat.write(&mut builder).unwrap();
        builder.end_row();
    }
    builder.finish()
}

/// Enums' captions are filled in on the way: only what the record had is compared.
fn without_captions(mut got: Value, record: &Value) -> Value {
    if let (Value::Object(got), Value::Object(record)) = (&mut got, record) {
        got.retain(|name, _| record.contains_key(name));
        for (name, value) in got {
            *value = without_captions(value.take(), &record[name]);
        }
    }
    got
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nesting_what_was_flattened_gives_the_same_values(seeds in prop::collection::vec(any::<u64>(), 1..4)) {
        let class = arbitrary::class(&mut Seed::new(seeds[0]));
        let records: Vec<_> = seeds.iter().map(|s| arbitrary::record(class, &mut Seed::new(*s))).collect();
        let batch = batch(class.uid, &records);
        prop_assert_eq!(batch.num_rows(), records.len());
        for (row, record) in records.into_iter().enumerate() {
            let record = Value::Object(record);
            let got = without_captions(Value::Object(to_json(&batch, row)), &record);
            prop_assert_eq!(got, record);
        }
    }

    #[test]
    fn flattening_what_was_nested_gives_the_same_rows(seeds in prop::collection::vec(any::<u64>(), 1..4)) {
        let class = arbitrary::class(&mut Seed::new(seeds[0]));
        let records: Vec<_> = seeds.iter().map(|s| arbitrary::record(class, &mut Seed::new(*s))).collect();
        let first = batch(class.uid, &records);
        let nested: Vec<_> = (0..first.num_rows()).map(|row| to_json(&first, row)).collect();
        let mut again = BatchBuilder::new(Arc::new(
            TableSchema::new(class.uid, paths(&first).iter().map(String::as_str)).unwrap(),
        ));
        for record in &nested {
            flatten(record).unwrap().write(&mut again).unwrap();
            again.end_row();
        }
        prop_assert_eq!(again.finish(), first);
    }

    #[test]
    fn lines_are_the_same_objects(seed: u64) {
        let class = arbitrary::class(&mut Seed::new(seed));
        let batch = batch(class.uid, &[arbitrary::record(class, &mut Seed::new(seed))]);
        let mut out = Vec::new();
        write_ndjson(&batch, &mut out).unwrap();
        prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        let line: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(line, Value::Object(to_json(&batch, 0)));
    }
}

/// The paths that make a batch's columns.
fn paths(batch: &RecordBatch) -> Vec<String> {
    use arrow::datatypes::DataType;
    let mut paths = Vec::new();
    for field in batch.schema().fields() {
        match field.data_type() {
            DataType::List(element) => match element.data_type() {
                DataType::Struct(children) => {
                    paths.extend(children.iter().map(|c| format!("{}[].{}", field.name(), c.name())));
                }
                _ => paths.push(field.name().clone()),
            },
            _ => paths.push(field.name().clone()),
        }
    }
    paths
}

#[test]
fn what_the_class_does_not_have_is_reported_apart() {
    let record = json!({
        "class_uid": 6003, "nope": 1, "time": "soon", "api": {"operation": "x", "nope": {"a": 1}}, "message": null,
        "resources": [{"uid": "a"}, {"nope": true, "type": 5}], "actor": [], "unmapped": "text", "device": {},
        "observables": [], "metadata": {"profiles": "cloud", "logged_time": 9_300_000_000_000_000_i64},
    });
    let flat = flatten(record.as_object().unwrap()).unwrap();
    let unknown: Vec<&str> = flat.unknown.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "nope",
        "time",
        "api.nope",
        "resources[1].nope",
        "resources[1].type",
        "actor",
        "unmapped",
        "metadata.profiles",
        "metadata.logged_time",
    ];
    assert_eq!(unknown, expected);
    assert_eq!(flat.paths(), ["class_uid", "api.operation", "resources[].uid"]);
    let class = |record: Value| flatten(record.as_object().unwrap()).unwrap_err().to_string();
    assert_eq!(class(json!({})), "class_uid: expected an integer");
    assert_eq!(class(json!({"class_uid": 12})), "class_uid: there is no OCSF class 12");
    assert_eq!(class(json!({"class_uid": -1})), "class_uid: there is no OCSF class -1");
}
