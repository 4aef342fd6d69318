//! `tarn slo` and its views, over records made up here.

use crate::lineage::{Place, admitted, asked, audited, verified};
use serde_json::{Value, json};

fn value<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

#[test]
fn nothing_observed_is_null_whatever_tables_there_are() {
    for records in [vec![], vec![verified(1, "spdx", 1, true)], vec![audited(None, "*", 1, true)]] {
        let place = Place::new(&records);
        let rows = place.run(&["slo", "--format", "ndjson"]).ok().rows();
        assert_eq!(rows.len(), 6, "{rows:?}");
        for row in &rows {
            assert_eq!((&row["value"], &row["lower"], &row["denominator"]), (&Value::Null, &Value::Null, &json!(0)));
        }
    }
    let place = Place::new(&[]);
    assert_eq!(place.run(&["slo", "--fail-under", "policy_recall=0.9"]).code, 0);
    assert_eq!(place.run(&["slo", "--fail-under", "policy_recall=0.9", "--fail-unknown"]).code, 1);
    let unknown = place.run(&["slo", "--fail-under", "recall=0.9"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("attested_deployments"), "{}", unknown.stderr);
}

#[test]
fn levels_are_counted_over_all_that_was_observed() {
    let place = Place::new(&[
        // Let in with evidence, told of by two records, one of them twice.
        admitted(1, "app-1", 70, true),
        admitted(1, "app-1", 70, true),
        audited(None, "app-1", 71, true),
        // Let in without evidence, by a digest and by a tag.
        admitted(2, "app-2", 80, true),
        audited(None, "app-3", 81, true),
        // Let in although its evidence fails.
        verified(4, "provenance", 60, false),
        admitted(4, "app-4", 90, true),
        // Refused: by a webhook, and by one that only the audit log tells of.
        admitted(5, "app-5", 91, false),
        audited(None, "app-6", 92, false),
        asked(1, "k-1", 95, true),
        asked(1, "k-1", 95, true),
        asked(4, "k-2", 96, false),
    ]);
    // Evidence that comes after what it is about.
    place.add(&[verified(1, "provenance", 60, true)]);
    let rows = place.run(&["slo", "--format", "ndjson"]).ok().rows();
    let counts = |name: &str| (value(&rows, name)["numerator"].clone(), value(&rows, name)["denominator"].clone());
    assert_eq!(counts("attested_deployments"), (json!(1), json!(4)));
    assert_eq!(counts("policy_rejections"), (json!(2), json!(6)));
    assert_eq!(counts("policy_recall"), (json!(2), json!(3)));
    assert_eq!(counts("key_release_refusals"), (json!(1), json!(2)));
    assert_eq!(value(&rows, "attested_deployments")["value"], 0.25);
    // Built at 10 s, let in at 70 s.
    for name in ["attestation_latency_p50", "attestation_latency_p95"] {
        assert_eq!((&value(&rows, name)["value"], &value(&rows, name)["denominator"]), (&json!(60.0), &json!(1)));
    }
    let (lower, upper) = (&value(&rows, "policy_recall")["lower"], &value(&rows, "policy_recall")["upper"]);
    assert!((lower.as_f64().unwrap() - 0.2077).abs() < 1e-3 && (upper.as_f64().unwrap() - 0.9385).abs() < 1e-3);

    assert_eq!(place.run(&["slo", "--fail-under", "attested_deployments=0.25"]).code, 0);
    let below = place.run(&["slo", "--fail-under", "attested_deployments=0.5"]);
    assert_eq!(below.code, 1);
    assert!(below.stderr.contains("0.25 is less than 0.5"), "{}", below.stderr);
    assert_eq!(place.run(&["slo", "--fail-over", "attestation_latency_p95=30"]).code, 1);

    // The span is of what was let in and asked for, not of the evidence.
    let later = place.run(&["slo", "--since", "2025-11-27T00:01:15Z", "--format", "ndjson"]).ok().rows();
    assert_eq!(value(&later, "attested_deployments")["denominator"], 3);
    let none = place.run(&["slo", "--until", "2025-11-27T00:00:01Z", "--format", "ndjson"]).ok().rows();
    assert_eq!(value(&none, "attested_deployments")["value"], Value::Null);

    let sql = "SELECT d.name, v.passed FROM evidence_deployments d LEFT JOIN evidence_verdicts v ON v.digest = d.digest
        WHERE d.name IN ('app-1', 'app-4') ORDER BY d.name";
    let rows = place.run(&["sql", sql, "--format", "ndjson"]).ok().rows();
    assert_eq!(rows, [json!({"name": "app-1", "passed": true}), json!({"name": "app-4", "passed": false})]);
    let described = place.run(&["sql", "DESCRIBE slo_policy_enforcement", "--format", "ndjson"]).ok().rows();
    assert_eq!(described[0]["column_name"], "name");
}
