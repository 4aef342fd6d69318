//! Findings over HTTP: who may do what, what a change may say, and that nothing else reaches the log.

use crate::receiving::{Answer, overloaded, send, serve};
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tarn_connectors::access::{Access, Grant, token_digest};
use tarn_connectors::findings::{Findings, Keep, Update, router};
use tarn_connectors::intake::Refused;
use tarn_connectors::query::{Answer as Rows, Database, Queries, QueryLimits, Session, Shape, TableInfo};

/// One finding, whatever is asked, but for the uid `none`.
fn database() -> Database {
    let columns: [(&str, ArrayRef); 4] = [
        ("finding_info.uid", Arc::new(StringArray::from(vec!["f"]))),
        ("severity_id", Arc::new(Int32Array::from(vec![4]))),
        ("status_id", Arc::new(Int32Array::from(vec![1]))),
        ("time", Arc::new(arrow::array::Int64Array::from(vec![1]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Database::new(move || {
        let batch = batch.clone();
        let table = |name: &str| TableInfo { name: name.into(), schema: batch.schema() };
        let tables = vec![table("detection_finding"), table("findings")];
        let run = move |_: String, parameters: Vec<ArrayRef>| {
            let none: ArrayRef = Arc::new(StringArray::from(vec!["none"]));
            let batch = if parameters == [none] { batch.slice(0, 0) } else { batch.clone() };
            async move { Ok(Rows { schema: batch.schema(), rows: futures::stream::iter([Ok(batch)]).boxed() }) }.boxed()
        };
        let describe =
            |_| async { Ok(Shape { schema: arrow::datatypes::Schema::empty().into(), parameters: vec![] }) }.boxed();
        async move { Ok(Session::new(tables, run, describe)) }.boxed()
    })
}

struct Served {
    url: String,
    kept: Arc<Mutex<Vec<Update>>>,
}

impl Served {
    async fn start(refuse: Option<Refused>) -> Self {
        let grant = |name: &str, query, respond| Grant {
            name: name.into(),
            token_sha256: Some(token_digest(name)),
            query,
            respond,
            ..Grant::default()
        };
        let access = Access::new(vec![grant("reader", true, false), grant("analyst", true, true)]).unwrap();
        let kept: Arc<Mutex<Vec<Update>>> = Arc::default();
        let into = kept.clone();
        let keep = Keep::new(move |update| {
            let answer = refuse.clone().map_or(Ok(()), Err);
            if answer.is_ok() {
                into.lock().unwrap().push(update);
            }
            async { answer }.boxed()
        });
        let queries = Queries::new(database(), access, QueryLimits::default()).unwrap();
        Self { url: serve(router(Findings::new(queries, keep))).await, kept }
    }

    async fn ask(&self, method: reqwest::Method, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Answer {
        let url = format!("{}/v1/findings{path}", self.url);
        send(reqwest::Client::new().request(method, url).bearer_auth(token).body(body)).await
    }

    async fn patch(&self, uid: &str, token: &str, change: Value) -> Answer {
        self.ask(reqwest::Method::PATCH, &format!("/{uid}"), token, change.to_string()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(reqwest::Method::GET, path, "reader", "").await
    }
}

#[tokio::test]
async fn reading_and_changing_are_two_scopes() {
    let served = Served::start(None).await;
    assert_eq!(served.get("").await.body["findings"][0]["finding_info"]["uid"], "f");
    assert_eq!(served.get("/f").await.status, 200);
    let close = || json!({ "status": "resolved" });
    assert_eq!(served.patch("f", "reader", close()).await.status, 403);
    let stranger = served.patch("f", "nobody", close()).await;
    assert_eq!((stranger.status, stranger.headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    assert_eq!(served.ask(reqwest::Method::GET, "", "nobody", "").await.status, 401);
    assert!(served.kept.lock().unwrap().is_empty());
    let answer = served.patch("f", "analyst", close()).await;
    assert_eq!(
        (answer.status, &answer.body["status"], &answer.body["by"]),
        (200, &"Resolved".into(), &"analyst".into())
    );
    let kept = served.kept.lock().unwrap();
    let record: Value = serde_json::from_str(&kept[0].record).unwrap();
    assert_eq!((kept.len(), &*kept[0].by, &record["actor"]["user"]["name"]), (1, "analyst", &"analyst".into()));
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_field() {
    let served = Served::start(None).await;
    for (change, field, says) in [
        (json!({ "status": "done" }), Some("status"), "expected new, in_progress, suppressed, resolved"),
        (json!({ "status": null }), Some("status"), "null is not known"),
        (json!({ "verdict": "guilty" }), Some("verdict"), "false_positive"),
        (json!({ "assignee": "" }), Some("assignee"), "1 to 256 characters"),
        (json!({ "assignee": 7 }), Some("assignee"), "1 to 256 characters"),
        (json!({ "comment": "é".repeat(4_001) }), Some("comment"), "1 to 4000 characters"),
        (json!({ "severity": "low" }), Some("severity"), "no such field"),
        (json!({}), None, "nothing to change"),
        (json!([]), None, "expected an object"),
    ] {
        let answer = served.patch("f", "analyst", change.clone()).await;
        assert_eq!((answer.status, answer.body["field"].as_str()), (400, field), "{change}");
        assert!(answer.body["error"].as_str().unwrap().contains(says), "{}", answer.body);
    }
    for body in ["{", "\u{0}"] {
        assert_eq!(served.ask(reqwest::Method::PATCH, "/f", "analyst", body).await.status, 400);
    }
    assert_eq!(served.ask(reqwest::Method::PATCH, "/f", "analyst", "x".repeat(1 << 20)).await.status, 413);
    for (query, field) in [
        ("status=open", "status"),
        ("severity=9", "severity"),
        ("since=soon", "since"),
        ("limit=0", "limit"),
        ("x=1", "x"),
    ] {
        let answer = served.get(&format!("?{query}")).await;
        assert_eq!((answer.status, answer.body["field"].as_str()), (400, Some(field)), "{query}");
    }
    assert_eq!(served.patch("none", "analyst", json!({ "comment": "?" })).await.status, 404);
    assert_eq!(served.get("/none").await.status, 404);
    assert!(served.kept.lock().unwrap().is_empty());
    // The longest that is taken.
    assert_eq!(served.patch("f", "analyst", json!({ "comment": "é".repeat(4_000) })).await.status, 200);
}

#[tokio::test]
async fn a_log_that_takes_nothing_is_told() {
    for (refused, status) in [(overloaded(), 429), (Refused::Stopping, 503), (Refused::Broken, 503)] {
        let served = Served::start(Some(refused)).await;
        let answer = served.patch("f", "analyst", json!({ "status": "new" })).await;
        assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (status, true));
    }
}
