//! OTLP metrics: every kind of data point comes out of its table as it went in, and no rule sees it.

use super::daemon::{Daemon, request};
use crate::command::{tarn, text};
use serde_json::{Value, json};

/// One metric of each kind, with times of 2026-03-17.
fn export() -> Value {
    let at = |micros: u64| (1_773_743_400_000_000_000_u64 + micros * 1_000).to_string();
    let attributes = json!([{ "key": "cpu", "value": { "stringValue": "0" } }]);
    let number = |value: Value| {
        let mut point = json!({ "attributes": attributes, "startTimeUnixNano": at(0), "timeUnixNano": at(7) });
        point.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        point
    };
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "cart" } }] },
        "scopeMetrics": [{
            "scope": { "name": "meter", "version": "2" },
            "metrics": [
                { "name": "load", "unit": "1", "description": "Load.", "gauge": { "dataPoints": [
                    number(json!({ "asDouble": 0.5 })), number(json!({ "asDouble": "NaN" })) ] } },
                { "name": "requests", "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
                    number(json!({ "asInt": "9007199254740993", "flags": 1, "exemplars": [
                        { "asInt": -1, "traceId": "5b8efff798038103d269b633813fc60c", "timeUnixNano": at(3) } ] })) ] } },
                { "name": "latency", "histogram": { "aggregationTemporality": 1, "dataPoints": [ number(json!({
                    "count": 3, "sum": 4.5, "min": 1, "max": 2, "bucketCounts": ["1", 2], "explicitBounds": [1.5] })) ] } },
                { "name": "sizes", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [ number(json!({
                    "count": "3", "scale": -1, "zeroCount": 1, "positive": { "offset": -2, "bucketCounts": [2] } })) ] } },
                { "name": "old", "summary": { "dataPoints": [ number(json!({
                    "count": 2, "sum": 5, "quantileValues": [{ "quantile": 0.5, "value": 2 }] })) ] } },
                { "name": "empty" }
            ]
        }]
    }] })
}

#[test]
fn each_data_point_is_a_row_of_the_metrics_table() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]).unwrap();
    let json = "Content-Type: application/json\r\n";
    let answer = request(daemon.address, "POST", "/v1/metrics", json, &export().to_string()).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    // Where it can be asked for before it is committed, too.
    let sql = "SELECT count(*) AS n FROM metrics WHERE json_get(attributes, 'cpu') = '0'";
    let seen = request(daemon.address, "POST", "/v1/sql", "Content-Type: text/plain\r\n", sql).unwrap();
    assert!(seen.body.contains(r#"{"n":6}"#), "{seen:?}");
    let broken = request(daemon.address, "POST", "/v1/metrics", json, r#"{"resourceMetrics":7}"#).unwrap();
    assert_eq!(broken.status, 400, "{broken:?}");
    assert!(daemon.stop());

    let lake = folder.path().join("lake");
    let rows = |sql: &str| tarn(&["sql", "--lake", text(&lake), sql]).ok().rows();
    let all = rows(
        "SELECT name, type, temporality, is_monotonic, value, int_value, count, sum, min, max, buckets, quantiles, flags
         FROM metrics ORDER BY name, value NULLS LAST",
    );
    // What is null is left out.
    let expected = json!([
        { "name": "latency", "type": "histogram", "temporality": "delta", "count": 3, "sum": 4.5, "min": 1.0, "max": 2.0,
          "buckets": r#"{"explicitBounds":[1.5],"bucketCounts":[1,2]}"#, "flags": 0 },
        { "name": "load", "type": "gauge", "value": 0.5, "flags": 0 },
        { "name": "load", "type": "gauge", "flags": 0 },
        { "name": "old", "type": "summary", "count": 2, "sum": 5.0,
          "quantiles": r#"[{"quantile":0.5,"value":2.0}]"#, "flags": 0 },
        { "name": "requests", "type": "sum", "temporality": "cumulative", "is_monotonic": true,
          "value": 9_007_199_254_740_992.0, "int_value": 9_007_199_254_740_993_i64, "flags": 1 },
        { "name": "sizes", "type": "exponential_histogram", "temporality": "cumulative", "count": 3,
          "buckets": r#"{"scale":-1,"zeroCount":1,"positive":{"offset":-2,"bucketCounts":[2]}}"#, "flags": 0 },
    ]);
    let present = |row: &Value| {
        let members = row.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        members.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>()
    };
    let all: Vec<_> = all.iter().map(present).collect();
    assert_eq!(json!(all), expected);
    let about = rows(
        "SELECT DISTINCT time, start_time, service.name AS service, scope.name AS scope, scope.version AS version, event_day
         FROM metrics",
    );
    assert_eq!(about.len(), 1, "{about:?}");
    assert_eq!(
        (&about[0]["service"], &about[0]["scope"], &about[0]["version"]),
        (&json!("cart"), &json!("meter"), &json!("2"))
    );
    assert_eq!(about[0]["time"], json!("2026-03-17T10:30:00.000007Z"));
    let uids = rows("SELECT count(DISTINCT metadata.uid) AS n, count(exemplars) AS exemplars FROM metrics");
    assert_eq!((&uids[0]["n"], &uids[0]["exemplars"]), (&json!(6), &json!(1)));
    assert_eq!(rows("SHOW TABLES").len(), 1, "no event was made of them");
}
