//! Records and what the validator says of them: `tests/cases/validate.json`.
//!
//! A case is a base record with a merge patch (RFC 7396) and the violations to expect, `rule path`, in any order.
//! Recommended attributes that are absent are left out of the comparison unless a case names one.

use serde_json::Value;
use std::collections::BTreeSet;
use tarn_schema_ocsf::validate::{Rule, Severity, is_valid, validate};

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let into = into.as_object_mut().unwrap();
    for (name, value) in patch {
        match value {
            Value::Null => drop(into.shift_remove(name)),
            value => merge(into.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

#[test]
fn cases() {
    let cases: Value = serde_json::from_str(include_str!("../cases/validate.json")).unwrap();
    let mut failed = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let mut record = cases["bases"][case["base"].as_str().unwrap_or("api_activity")].clone();
        assert!(record.is_object(), "{name}: no such base");
        merge(&mut record, &case["patch"]);
        let expected: BTreeSet<String> =
            case["expect"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().to_owned()).collect();
        let recommended = expected.iter().any(|e| e.starts_with("attribute_recommended_missing"));
        let found = validate(&record);
        let got: BTreeSet<String> = found
            .iter()
            .filter(|v| recommended || v.rule != Rule::AttributeRecommendedMissing)
            .map(|v| format!("{} {}", v.rule, v.path).trim_end().to_owned())
            .collect();
        let matches = if recommended { expected.is_subset(&got) } else { expected == got };
        if !matches {
            failed.push(format!("{name}:\n  expected {expected:?}\n  got      {got:?}"));
        }
        assert_eq!(is_valid(&record), found.iter().all(|v| v.severity == Severity::Warning));
        assert!(found.iter().all(|v| v.severity == v.rule.severity() && !v.message.is_empty()));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_violation_reads_as_path_rule_and_value() {
    let record = serde_json::json!({"class_uid": 6003, "activity_id": 1, "type_uid": 7});
    let found = validate(&record);
    let of = |rule| found.iter().find(|v| v.rule == rule).unwrap().to_string();
    assert_eq!(of(Rule::TypeUidIncorrect), "type_uid: type_uid_incorrect: expected 600301, got 7");
    let json = serde_json::to_value(found.iter().find(|v| v.rule == Rule::TypeUidIncorrect)).unwrap();
    assert_eq!(json["rule"], "type_uid_incorrect");
    assert_eq!(json["severity"], "error");
}
