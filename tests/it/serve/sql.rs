//! SQL over HTTP: formats, limits, and what is refused.

use super::daemon::{Answer, Daemon, event, request};
use serde_json::{Value, json};

fn daemon(folder: &std::path::Path, over: &[(&str, &str)]) -> Daemon {
    let daemon = Daemon::start(folder, over).unwrap();
    let events: String = (0..30).map(|n| event(&format!("e{n:02}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    daemon
}

fn ask(daemon: &Daemon, question: Value, accept: &str) -> Answer {
    let headers = format!("Content-Type: application/json\r\nAccept: {accept}\r\n");
    request(daemon.address, "POST", "/v1/sql", &headers, &question.to_string()).unwrap()
}

const ROWS: &str = "SELECT metadata.uid, api.operation FROM api_activity ORDER BY 1 LIMIT 2";

#[test]
fn rows_come_as_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let answer = |accept: &str| ask(&daemon, json!({ "sql": ROWS }), accept).body;
    let rows: Value = serde_json::from_str(&answer("application/json")).unwrap();
    assert_eq!(rows["rows"][1], json!({ "metadata.uid": "e01", "api.operation": "DescribeTrails" }));
    assert_eq!((&rows["row_count"], &rows["truncated"]), (&json!(2), &json!(false)));
    assert_eq!(rows["columns"][0], json!({ "name": "metadata.uid", "type": "text", "nullable": true }));
    let lines = answer("application/x-ndjson");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let csv = answer("text/csv");
    assert_eq!(csv, "metadata.uid,api.operation\ne00,StopLogging\ne01,DescribeTrails\n");
    let nested = ask(&daemon, json!({ "sql": ROWS, "nested": true }), "application/x-ndjson").body;
    let first: Value = serde_json::from_str(nested.lines().next().unwrap()).unwrap();
    assert_eq!(first["api"]["operation"], "StopLogging");
    let tables: Value = serde_json::from_str(&daemon.get("/v1/tables").body).unwrap();
    assert!(tables["tables"].as_array().unwrap().iter().any(|t| t["name"] == "api_activity"), "{tables}");
    assert!(daemon.stop());
}

#[test]
fn limits_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[("TARN_SERVE__QUERY__ROWS_MAX", "10")]);
    let all = "SELECT metadata.uid FROM api_activity";
    let cut: Value = serde_json::from_str(&ask(&daemon, json!({ "sql": all }), "*/*").body).unwrap();
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(10), &json!(true)));
    let own = ask(&daemon, json!({ "sql": all, "rows_max": 3 }), "application/x-ndjson").body;
    assert_eq!(own.lines().count(), 4, "three rows, and that there are more: {own}");
    // As many rows as take far longer than the question may.
    let long = "SELECT count(*) FROM api_activity a, api_activity b, api_activity c, api_activity d, api_activity e, \
                api_activity f WHERE a.time + b.time + c.time > d.time + e.time + f.time";
    let late = ask(&daemon, json!({ "sql": long.replace(".time", ".severity_id"), "timeout_ms": 200 }), "*/*");
    assert_eq!(late.status, 408, "{late:?}");
    assert!(daemon.stop());
}

#[test]
fn what_does_not_only_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    for (sql, status, says) in [
        ("DROP TABLE api_activity", 403, "only reads"),
        ("COPY api_activity TO '/tmp/x'", 403, "only reads"),
        ("CREATE TABLE t AS SELECT 1", 403, "only reads"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", 400, "Expected"),
        ("SELECT * FROM '/etc/passwd'", 404, "no table"),
        ("SELECT 1; SELECT 2", 400, "one statement"),
        ("SELECT nothing FROM api_activity", 400, "no column nothing"),
        ("SELECT user.name FROM api_activity", 400, "actor.user.name"),
        ("SELEC 1", 400, "SELEC"),
        ("", 400, "no statement"),
    ] {
        let answer = ask(&daemon, json!({ "sql": sql }), "*/*");
        assert_eq!(answer.status, status, "{sql}: {answer:?}");
        assert!(answer.body.contains(says), "{sql}: {answer:?}");
    }
    let typo = ask(&daemon, json!({ "sgl": "SELECT 1" }), "*/*");
    assert!(typo.status == 400 && typo.body.contains("sgl"), "{typo:?}");
    assert_eq!(ask(&daemon, json!({ "sql": "SELECT 1" }), "image/png").status, 406);
    let form = request(daemon.address, "POST", "/v1/sql", "Content-Type: text/html\r\n", "SELECT 1").unwrap();
    assert_eq!(form.status, 415, "{form:?}");
    assert_eq!(request(daemon.address, "DELETE", "/v1/sql/x", "", "").unwrap().status, 404);
    // The others are unharmed.
    assert_eq!(ask(&daemon, json!({ "sql": ROWS }), "*/*").status, 200);
    assert!(daemon.stop());
}
