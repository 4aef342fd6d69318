//! What goes in comes out: rows, findings, dead letters; and what cannot go in is told.

use super::daemon::{Daemon, announce, event, request};
use crate::command::{tarn, text};
use std::path::Path;

fn count(folder: &Path, sql: &str) -> i64 {
    tarn(&["sql", "--lake", text(&folder.join("lake")), sql]).ok().rows()[0]["n"].as_i64().unwrap()
}

#[test]
fn what_is_pushed_is_in_the_lake_with_its_findings() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]).unwrap();
    let events: String = (0..30).map(|n| event(&format!("e{n}"), n)).collect();
    let answer = daemon.post("/v1/ingest", &events);
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"accepted":30,"dead_letters":0}"#));
    // Acknowledged is visible, before anything is committed.
    let sql = |query: &str| request(daemon.address, "POST", "/v1/sql", "Content-Type: text/plain\r\n", query).unwrap();
    let seen = sql("SELECT count(*) AS n FROM api_activity WHERE api.operation = 'StopLogging'");
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(seen.body.contains(r#"{"n":10}"#), "{seen:?}");
    let refused = sql("DELETE FROM api_activity");
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("only reads"), "{refused:?}");
    // A sender that names the source, and one bad line.
    let answer = daemon.post("/v1/ingest/aws_cloudtrail", &(event("e30", 30) + "{\"cut\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""accepted":1,"dead_letters":1"#), "{answer:?}");
    assert!(answer.body.contains("\"reason\""), "{answer:?}");
    daemon.wait("detection", |d| d.metric("tarn_findings_total") == 11.0);
    assert_eq!(daemon.get("/healthz").status, 200);
    assert_eq!(daemon.get("/readyz").status, 200);
    assert!(daemon.stop());
    let n = |sql: &str| count(folder.path(), sql);
    assert_eq!(n("SELECT count(*) AS n FROM api_activity"), 31);
    assert_eq!(n("SELECT count(DISTINCT metadata.uid) AS n FROM api_activity"), 31);
    assert_eq!(n("SELECT count(*) AS n FROM dead_letters"), 1);
    assert_eq!(n("SELECT count(*) AS n FROM detection_finding"), 11);
    let joined = "SELECT count(*) AS n FROM detection_finding f JOIN api_activity e \
                  ON e.metadata.uid = f.finding_info.related_events[1].uid WHERE e.api.operation = 'StopLogging'";
    assert_eq!(n(joined), 11);
    // A hunt through the lake finds what the stream found.
    let rule = folder.path().join("rule.yml");
    let hunt = tarn(&["hunt", "--lake", text(&folder.path().join("lake")), "--rules", text(&rule)]).ok();
    assert_eq!(hunt.rows().len(), 11);
}

#[test]
fn what_cannot_go_in_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__LIMITS__BODY_MIB", "1")]).unwrap();
    let unknown = daemon.post("/v1/ingest/nowhere", "{}");
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert!(unknown.body.contains("nowhere"), "{unknown:?}");
    // It is not read to its end, nor is its end waited for.
    let large = announce(daemon.address, "POST", "/v1/ingest", "", 2 << 20).unwrap();
    assert_eq!(large.status, 413, "{large:?}");
    let broken = request(daemon.address, "POST", "/v1/ingest", "Content-Encoding: gzip\r\n", "no gzip").unwrap();
    assert_eq!(broken.status, 400, "{broken:?}");
    let odd = request(daemon.address, "POST", "/v1/ingest", "Content-Encoding: br\r\n", "x").unwrap();
    assert_eq!(odd.status, 415, "{odd:?}");
    assert_eq!(daemon.get("/v1/ingest").status, 405);
    assert_eq!(daemon.metric("tarn_records_total"), 0.0);
    assert!(daemon.stop());
}

#[test]
fn tokens_open_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let digest = tarn_connectors::access::token_digest("s3cret");
    let access = format!("[{{ name = 'x', token_sha256 = '{digest}', ingest = ['aws_cloudtrail'] }}]");
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__ACCESS", &access)]).unwrap();
    let push = |headers: &str| {
        request(daemon.address, "POST", "/v1/ingest/aws_cloudtrail", headers, &event("e", 1)).unwrap().status
    };
    assert_eq!(push(""), 401);
    assert_eq!(push("Authorization: Bearer wrong\r\n"), 401);
    let known = "Authorization: Bearer s3cret\r\n";
    assert_eq!(push(known), 200);
    assert_eq!(request(daemon.address, "POST", "/v1/ingest", known, "{}").unwrap().status, 403, "any source");
    assert_eq!(request(daemon.address, "POST", "/v1/sql", known, r#"{"sql":"SELECT 1"}"#).unwrap().status, 403);
    assert_eq!(request(daemon.address, "GET", "/metrics", known, "").unwrap().status, 403);
    assert_eq!(daemon.get("/metrics").status, 401);
    assert_eq!(daemon.get("/healthz").status, 200);
    assert!(daemon.stop());
}

/// What is sent again, as after an answer that was lost, is acknowledged and not kept again: also after a restart, of what
/// the log still has.
#[test]
fn repeats_are_dropped_within_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let window = [("TARN_SERVE__REPEATS__WINDOW_SECONDS", "600"), ("TARN_SERVE__COMMIT__SECONDS", "3600")];
    let daemon = Daemon::start(folder.path(), &window).unwrap();
    let events: String = (0..6).map(|n| event(&format!("e{n}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    let again = events.clone() + &event("e6", 6);
    assert_eq!(daemon.post("/v1/ingest", &again).status, 200);
    assert_eq!(daemon.post("/v1/ingest", &again).status, 200);
    assert_eq!(daemon.metric("tarn_repeats_total"), 13.0);
    daemon.signal("KILL");
    assert!(daemon.died());
    let daemon = Daemon::start(folder.path(), &window).unwrap();
    assert_eq!(daemon.post("/v1/ingest", &again).status, 200);
    assert_eq!(daemon.metric("tarn_repeats_total"), 7.0);
    assert!(daemon.stop());
    assert_eq!(count(folder.path(), "SELECT count(*) AS n FROM api_activity"), 7);
    assert_eq!(count(folder.path(), "SELECT count(*) AS n FROM detection_finding"), 3);
}

/// Who sends more than it may is asked to come again, and then taken; others are not held up by it.
#[test]
fn an_identity_has_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let digest = tarn_connectors::access::token_digest;
    let access = format!(
        "[{{ name = 'x', token_sha256 = '{}', ingest = ['*'], ingest_mib_per_second = 1, query = true, queries_max = 1 }}, \
          {{ name = 'y', token_sha256 = '{}', ingest = ['*'] }}]",
        digest("x"),
        digest("y")
    );
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__ACCESS", &access)]).unwrap();
    let six_mib = event("e", 1).replace("eu-north-1", &"x".repeat(6 << 20));
    let push = |token: &str, body: &str| {
        request(daemon.address, "POST", "/v1/ingest", &format!("Authorization: Bearer {token}\r\n"), body)
            .unwrap()
            .status
    };
    assert_eq!(push("x", &six_mib), 200);
    assert_eq!(push("x", &event("more", 1)), 429);
    assert_eq!(push("y", &six_mib), 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while push("x", &event("more", 1)) == 429 {
        assert!(std::time::Instant::now() < deadline, "it is never taken");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Of two queries at once, the one that comes second is refused, while the other runs.
    let (told, answers) = std::sync::mpsc::channel();
    let sql = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    for _ in 0..2 {
        let (address, told) = (daemon.address, told.clone());
        std::thread::spawn(move || {
            let headers = "Authorization: Bearer x\r\nContent-Type: text/plain\r\n";
            let _ = told.send(request(address, "POST", "/v1/sql", headers, sql));
        });
    }
    let refused = answers.recv().unwrap().unwrap();
    assert_eq!(refused.status, 429, "{refused:?}");
    daemon.signal("KILL");
    assert!(daemon.died());
}

/// Beyond loopback without TLS and credentials it does not start, and says what is missing.
#[test]
fn an_open_door_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let started = Daemon::start(folder.path(), &[("TARN_SERVE__LISTEN__HTTP", "['0.0.0.0:0']")]);
    assert!(started.is_none());
    assert!(!folder.path().join("lake").exists(), "and it changes nothing");
}

/// New rules apply from the next event on, without a restart; broken ones change nothing.
#[test]
fn rules_change_live() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]).unwrap();
    daemon.post("/v1/ingest", &event("before", 1));
    daemon.wait("detection", |d| d.metric("tarn_detected_sequence") >= 1.0);
    std::fs::write(folder.path().join("rule.yml"), "title: broken").unwrap();
    daemon.signal("HUP");
    daemon.post("/v1/ingest", &event("between", 3));
    daemon.wait("the old rule's finding", |d| d.metric("tarn_findings_total") == 1.0);
    let rule = super::daemon::RULE.replace("StopLogging", "DescribeTrails");
    std::fs::write(folder.path().join("rule.yml"), rule).unwrap();
    daemon.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    daemon.post("/v1/ingest", &event("after", 4));
    daemon.post("/v1/ingest", &event("not-any-more", 6));
    daemon.wait("the new rule's finding", |d| d.metric("tarn_findings_total") == 2.0);
    assert!(daemon.stop());
    let uids = "SELECT finding_info.related_events[1].uid AS uid FROM detection_finding ORDER BY 1";
    let rows = tarn(&["sql", "--lake", text(&folder.path().join("lake")), uids]).ok().rows();
    let uids: Vec<&str> = rows.iter().map(|row| row["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ["after", "between"]);
}

/// A log record of OpenTelemetry is kept with its resource; one whose body is an event of a known source is that event.
#[test]
fn opentelemetry_logs_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]).unwrap();
    let inner = serde_json::Value::String(event("inside", 3).trim().to_owned());
    let body = serde_json::json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeLogs": [{ "logRecords": [
            { "timeUnixNano": "1767225600000000000", "severityNumber": 17, "body": { "stringValue": "out of stock" } },
            { "timeUnixNano": "1767225601000000000", "body": { "stringValue": inner } },
        ] }],
    }] });
    let headers = "Content-Type: application/json\r\n";
    let answer = request(daemon.address, "POST", "/v1/logs", headers, &body.to_string()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    daemon.wait("the finding in the record's body", |d| d.metric("tarn_findings_total") == 1.0);
    assert!(daemon.stop());
    let n = |sql: &str| count(folder.path(), sql);
    assert_eq!(n("SELECT count(*) AS n FROM api_activity WHERE metadata.uid = 'inside'"), 1);
    assert_eq!(n("SELECT count(*) AS n FROM base_event WHERE message = 'out of stock' AND severity_id = 4"), 1);
}

/// `tarn config check` says whether the daemon would start, and if not, which key is wrong.
#[test]
fn a_configuration_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tarn.toml");
    std::fs::write(folder.path().join("rule.yml"), super::daemon::RULE).unwrap();
    let start = format!("lake = 'lake'\nstate = 'state'\nrules = [{:?}]\n", text(&folder.path().join("rule.yml")));
    let check = |rest: &str| {
        std::fs::write(&file, format!("{start}{rest}")).unwrap();
        tarn(&["config", "check", text(&file)])
    };
    assert_eq!(check("").code, 0);
    for (rest, key) in [
        ("colour = 'red'", "colour"),
        ("[listen]\nhttp = ['here']", "http"),
        ("[[access]]\nname = 'a'", "access.a"),
        ("[tls]\ncertificate = 'no.pem'\nkey = 'no.key'", "no.pem"),
        ("[alerts.sinks.x]\nkind = 'slack'\nurl = 'env:TARN_TEST_NO_SUCH'", "alerts.sinks.x.url"),
    ] {
        let run = check(rest);
        assert_eq!(run.code, 2, "{rest}: {}", run.stderr);
        assert!(run.stderr.contains(key), "{rest}: {}", run.stderr);
    }
}

/// What other shippers speak: Splunk HEC, Elasticsearch's bulk API, syslog.
#[test]
fn other_shippers_are_understood() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let over = [
        ("TARN_SERVE__LISTEN__ELASTICSEARCH", "['127.0.0.1:0']"),
        ("TARN_SERVE__LISTEN__SYSLOG_TCP", "['127.0.0.1:0']"),
    ];
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    let hec = format!(r#"{{"time":1767225600,"event":{}}}"#, event("hec", 3).trim());
    assert_eq!(daemon.post("/services/collector/event", &hec).status, 200);
    let bulk = format!("{{\"create\":{{}}}}\n{}", event("bulk", 6));
    let headers = "Content-Type: application/x-ndjson\r\n";
    let answer = request(daemon.at("Elasticsearch"), "POST", "/logs/_bulk", headers, &bulk).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""errors":false"#), "{answer:?}");
    let mut stream = std::net::TcpStream::connect(daemon.at("SyslogTcp")).unwrap();
    stream
        .write_all(b"<38>1 2026-01-01T00:00:00Z web sshd 42 - - Accepted publickey for eva from 192.0.2.9\n")
        .unwrap();
    drop(stream);
    daemon.wait("all three", |d| d.metric("tarn_records_total") == 3.0);
    daemon.wait("the findings", |d| d.metric("tarn_findings_total") == 2.0);
    assert!(daemon.stop());
    let n = |sql: &str| count(folder.path(), sql);
    assert_eq!(n("SELECT count(*) AS n FROM api_activity WHERE metadata.uid IN ('hec', 'bulk')"), 2);
    assert_eq!(n("SELECT count(*) AS n FROM authentication"), 1);
}

/// A file that grows is read on, also after a restart.
#[test]
fn a_file_that_grows_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.log");
    let tail = format!("{{ trail = {{ paths = [{:?}], poll_ms = 20 }} }}", text(&file));
    let over = [("TARN_SERVE__TAIL", tail.as_str())];
    std::fs::write(&file, event("t1", 1) + &event("t2", 3)).unwrap();
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    daemon.wait("the beginning", |d| d.metric("tarn_records_total") == 2.0);
    assert!(daemon.stop());
    let more = std::fs::read_to_string(&file).unwrap() + &event("t3", 6);
    std::fs::write(&file, more).unwrap();
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    daemon.wait("the rest", |d| d.metric("tarn_records_total") == 1.0);
    assert!(daemon.stop());
    assert_eq!(count(folder.path(), "SELECT count(DISTINCT metadata.uid) AS n FROM api_activity"), 3);
    assert_eq!(count(folder.path(), "SELECT count(*) AS n FROM api_activity"), 3);
}
