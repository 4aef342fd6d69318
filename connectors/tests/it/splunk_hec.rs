//! The collector: what shippers send, Splunk's codes, and hostile bodies.

use crate::receiving::{Answer, Taken, grants, gzip, overloaded, post, push, send, serve};
use serde_json::{Value, json};
use tarn_connectors::access::Access;
use tarn_connectors::intake::Refused;
use tarn_connectors::source::splunk_hec::router;

const SYSLOG: &str = "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick";
const FLOW: &str =
    "2 111122223333 eni-0a1b2c3d4e5f60718 203.0.113.9 10.0.3.20 52110 22 6 12 840 1773743400 1773743460 ACCEPT OK";

async fn open() -> (Taken, String) {
    let taken = Taken::default();
    let url = serve(router(push(&taken, Access::open()))).await;
    (taken, format!("{url}/services/collector"))
}

fn told(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.body["code"].as_u64().unwrap())
}

#[tokio::test]
async fn known_events_go_on_as_they_are() {
    let (taken, url) = open().await;
    let trail = json!({ "eventVersion": "1.08", "eventSource": "iam.amazonaws.com", "eventName": "ListUsers",
        "eventTime": "2026-01-01T00:00:00Z", "awsRegion": "us-east-1", "eventID": "e" });
    let envelopes = [
        json!({ "time": 1, "event": trail }),
        json!({ "time": 1, "event": trail.to_string() }),
        json!({ "time": 1, "event": { "log": trail.to_string(), "stream": "stdout" } }),
        json!({ "host": "h", "event": SYSLOG }),
        json!({ "host": "h", "event": { "message": SYSLOG } }),
        json!({ "host": "h", "event": FLOW }),
    ];
    let body: String = envelopes.iter().map(Value::to_string).collect();
    let answer = post(&format!("{url}/event"), &[("content-encoding", "gzip")], gzip(body.as_bytes())).await;
    assert_eq!((answer.status, answer.body), (200, json!({ "text": "Success", "code": 0 })));
    let records = taken.json();
    assert_eq!(records[..3], [trail.clone(), trail.clone(), trail]);
    assert_eq!(records[3], records[4]);
    assert_eq!(records[3]["appname"], "su");
    assert_eq!((&records[5]["action"], &records[5]["srcport"]), (&json!("ACCEPT"), &json!(52110)));
    assert_eq!(taken.originals(), envelopes.map(|envelope| envelope.to_string()));
}

#[tokio::test]
async fn other_events_keep_what_the_envelope_says() {
    let (taken, url) = open().await;
    let body = r#"{"time":1426279439.5,"host":"h","sourcetype":"s","fields":{"f":"1"},"event":"hello \"you\""}
        {"time":"7","host":"h","event":{"host":"own","a":{"b":[1]}}} {"event":[1,2]}{"event":5}{"event":"\ud800"}"#;
    assert_eq!(told(&post(&url, &[], body).await), (200, 0));
    assert_eq!(
        taken.json(),
        [
            json!({ "time": 1426279439.5, "host": "h", "sourcetype": "s", "fields": { "f": "1" }, "message": "hello \"you\"" }),
            json!({ "time": "7", "host": "own", "a": { "b": [1] } }),
            json!({ "event": [1, 2] }),
            json!({ "event": 5 }),
            json!({ "message": "\u{fffd}" }),
        ]
    );
    assert!(taken.originals().iter().all(|original| original.contains("\"event\"")));
}

#[tokio::test]
async fn audit_records_of_one_event_are_joined() {
    let (taken, url) = open().await;
    let line = |kind: &str, rest: &str| json!({ "event": format!("type={kind} msg=audit(1.0:7): {rest}") }).to_string();
    let body = line("SYSCALL", "arch=c000003e syscall=59 pid=1 exe=\"/bin/ls\"") + &line("CWD", "cwd=\"/tmp\"");
    assert_eq!(told(&post(&url, &[], body).await), (200, 0));
    assert_eq!(taken.originals().len(), 1);
    assert!(taken.originals()[0].contains("SYSCALL") && taken.originals()[0].contains("CWD"));
}

#[tokio::test]
async fn wrong_bodies_are_told_apart() {
    let (taken, url) = open().await;
    let deep = format!("{{\"event\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    for (body, code, number) in [
        ("", 5, None),
        (" \n", 5, None),
        ("{\"event\":\"a\"}{\"time\":1}", 12, Some(1)),
        ("{\"event\":null}", 12, Some(0)),
        ("{\"event\":\"a\"}{\"event\":\"\"}", 13, Some(1)),
        ("{\"event\":\"a\"}\n{\"event\":", 6, Some(1)),
        ("hello", 6, Some(0)),
        ("[{\"event\":1}]", 6, Some(0)),
        (&deep, 6, Some(0)),
    ] {
        let answer = post(&url, &[], body.to_owned()).await;
        assert_eq!(told(&answer), (400, code), "{body}");
        assert_eq!(answer.body.get("invalid-event-number").and_then(Value::as_u64), number, "{body}");
    }
    assert_eq!(told(&post(&url, &[], b"{\"event\":\"\xff\"}".to_vec()).await), (400, 6));
    assert_eq!(told(&post(&format!("{url}/raw"), &[], "").await), (400, 5));
    let bomb = gzip(&vec![b' '; 8 << 20]);
    assert_eq!(post(&url, &[("content-encoding", "gzip")], bomb).await.status, 413);
    assert!(taken.records().is_empty());
}

#[tokio::test]
async fn raw_is_what_a_file_holds() {
    let (taken, url) = open().await;
    let answer =
        post(&format!("{url}/raw/1.0?channel=x&sourcetype=syslog&host=h"), &[], format!("{SYSLOG}\nx\n")).await;
    assert_eq!(told(&answer), (200, 0));
    assert_eq!((taken.originals(), taken.dead()), (vec![SYSLOG.to_owned()], 1));
    assert_eq!(taken.deliveries.lock().unwrap()[0].source.as_deref(), Some("syslog"));
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let taken = Taken::default();
    let url = serve(router(push(&taken, grants()))).await + "/services/collector";
    let send = async |authorization: Option<&str>, query: &str| {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        told(&post(&format!("{url}{query}"), &headers, "{\"event\":\"a\"}").await)
    };
    assert_eq!(send(Some("Splunk all"), "").await, (200, 0));
    assert_eq!(send(Some("Basic eDphbGw="), "").await, (200, 0));
    assert_eq!(send(None, "").await, (401, 2));
    assert_eq!(send(Some("Digest x"), "").await, (401, 3));
    assert_eq!(send(Some("Splunk other"), "").await, (403, 4));
    assert_eq!(send(Some("Splunk none"), "").await, (403, 4));
    assert_eq!(send(None, "?token=all").await, (400, 16));
    assert_eq!(send(Some("Splunk trail"), "?sourcetype=aws_cloudtrail").await, (200, 0));
    assert_eq!(send(Some("Splunk all"), "/ack?channel=x").await, (400, 14));
    assert_eq!(send(None, "/ack").await, (401, 2));
    assert_eq!(taken.records().len(), 3);
}

#[tokio::test]
async fn health_and_overload() {
    let (taken, url) = open().await;
    for path in ["/health", "/health/1.0"] {
        assert_eq!(told(&send(reqwest::Client::new().get(format!("{url}{path}"))).await), (200, 17));
    }
    taken.refuse(overloaded());
    let answer = post(&url, &[], "{\"event\":1}").await;
    assert_eq!((told(&answer), answer.headers["retry-after"].to_str().unwrap()), ((503, 9), "7"));
    assert_eq!(answer.body["text"], "Server is busy");
    taken.refuse(Refused::Broken);
    assert_eq!(told(&post(&url, &[], "{\"event\":1}").await), (503, 9));
}
