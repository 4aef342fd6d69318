//! OCSF records: flattened to columns and nested again they are the same, and no less valid.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::sync::Arc;
use tarn_schema_ocsf::flatten::{Flat, flatten};
use tarn_schema_ocsf::validate::{is_valid, validate};
use tarn_schema_ocsf::{BatchBuilder, TableSchema, nest};

fuzz_target!(|data: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    for violation in validate(&value) {
        assert_eq!(violation.severity, violation.rule.severity());
        assert!(!violation.to_string().is_empty());
    }
    let Value::Object(record) = value else { return };
    let Ok(flat) = flatten(&record) else { return };
    let nested = round_trip(&flat);
    if flat.unknown.is_empty() {
        let said = without_empty(Value::Object(record.clone())).unwrap_or_default();
        let got = without_empty(Value::Object(nested.clone())).unwrap_or_default();
        assert_eq!(without_captions(got, &said), said);
        let (before, after) = (Value::Object(record), Value::Object(nested));
        assert!(!is_valid(&before) || is_valid(&after), "{before} became invalid: {after}");
    }
});

/// Through a table with the record's columns.
fn round_trip(flat: &Flat) -> Map<String, Value> {
    let paths = flat.paths();
    let table = TableSchema::new(flat.class.unwrap(), paths.iter().map(String::as_str)).unwrap();
    let mut builder = BatchBuilder::new(Arc::new(table));
    flat.write(&mut builder).unwrap();
    builder.end_row();
    let batch = builder.finish();
    assert_eq!(batch.num_rows(), 1);
    nest::to_json(&batch, 0)
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

/// Nulls, empty lists and empty objects say nothing.
fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(without_empty).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.into_iter().filter_map(|(k, v)| Some((k, without_empty(v)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        scalar => Some(scalar),
    }
}
