//! The bulk API: what shippers send and ask before, items in order, and hostile bodies.

use crate::receiving::{Taken, grants, gzip, overloaded, post, push, send, serve};
use reqwest::Method;
use serde_json::json;
use tarn_connectors::access::Access;
use tarn_connectors::source::elasticsearch::router;

async fn open() -> (Taken, String) {
    let taken = Taken::default();
    let url = serve(router(push(&taken, Access::open()))).await;
    (taken, url)
}

#[tokio::test]
async fn every_action_has_its_item() {
    let (taken, url) = open().await;
    let body = "{\"create\":{\"_index\":\"logs\"}}\n{\"a\":1}\n\n{\"index\":{\"_id\":\"7\",\"_index\":\"x\",\"routing\":1}}\r\n\
                {\"a\":2}\r\n{\"delete\":{\"_index\":\"x\",\"_id\":\"7\"}}\n{\"update\":{\"_index\":\"x\",\"_id\":\"7\"}}\n\
                {\"doc\":{}}\n{\"create\":{\"_index\":\"x\"}}\n[1]\n{\"create\":{\"_index\":\"x\"}}\n{\"a\":\n\
                {\"create\":{\"_index\":\"x\"}}\n{\"a\":3}";
    let answer = post(&format!("{url}/_bulk"), &[("content-type", "application/x-ndjson")], body).await;
    assert_eq!((answer.status, &answer.body["errors"]), (200, &true.into()), "{}", answer.body);
    assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch");
    let items = answer.body["items"].as_array().unwrap();
    let told: Vec<(&str, u64)> = items
        .iter()
        .map(|item| item.as_object().unwrap().iter().next().unwrap())
        .map(|(verb, item)| (verb.as_str(), item["status"].as_u64().unwrap()))
        .collect();
    let expected = [201, 201, 400, 400, 400, 400, 201];
    assert_eq!(
        told,
        ["create", "index", "delete", "update", "create", "create", "create"]
            .into_iter()
            .zip(expected)
            .collect::<Vec<_>>()
    );
    assert_eq!((&items[0]["create"]["_index"], &items[1]["index"]["_id"]), (&json!("logs"), &json!("7")));
    assert_eq!(items[4]["create"]["error"]["type"], "document_parsing_exception");
    assert_eq!(taken.json(), [json!({ "a": 1 }), json!({ "a": 2 }), json!({ "a": 3 })]);
    assert_eq!((taken.dead(), taken.deliveries.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn shippers_addresses_are_taken() {
    let (taken, url) = open().await;
    let body = gzip(b"{\"create\":{}}\n{\"a\":1}\n");
    for (path, source) in [
        ("/filebeat-8.17.0/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status", None),
        ("/logs/_bulk/?pipeline=x", None),
        ("/aws_cloudtrail/_bulk?filter_path=errors,items.*.status", Some("aws_cloudtrail")),
    ] {
        let answer = post(&format!("{url}{path}"), &[("content-encoding", "gzip")], body.clone()).await;
        assert_eq!((answer.status, &answer.body["errors"]), (200, &false.into()), "{path}");
        assert_eq!(answer.body["items"][0]["create"]["status"], 201);
        assert_eq!(taken.deliveries.lock().unwrap().pop().unwrap().source.as_deref(), source);
    }
    let without = post(&format!("{url}/_bulk"), &[], "{\"create\":{}}\n{\"a\":1}\n").await;
    assert_eq!(without.status, 400);
    assert!(without.body["error"]["reason"].as_str().unwrap().contains("index is missing"));
}

#[tokio::test]
async fn carried_records_go_on_as_they_are() {
    let (taken, url) = open().await;
    let line = "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick";
    let document = json!({ "@timestamp": "2026-01-01T00:00:00Z", "message": line, "agent": { "type": "filebeat" } });
    let plain = json!({ "@timestamp": "2026-01-01T00:00:00Z", "message": "hello" });
    let body = format!("{{\"create\":{{}}}}\n{document}\n{{\"create\":{{}}}}\n{plain}\n");
    assert_eq!(post(&format!("{url}/logs/_bulk"), &[], body).await.body["errors"], false);
    assert_eq!(taken.json()[0]["appname"], "su");
    assert_eq!(taken.json()[1], plain);
    assert_eq!(taken.originals(), [document.to_string(), plain.to_string()]);
}

#[tokio::test]
async fn lines_of_flow_and_access_logs_are_records() {
    let (taken, url) = open().await;
    let flow =
        "2 111122223333 eni-0c1d2e3f4a5b6c7d8 203.0.113.31 10.0.4.7 40112 443 6 3 180 1773743400 1773743460 REJECT OK";
    let access = "4c1de0b27a9f4c1de0b27a9f4c1de0b27a9f4c1de0b27a9f4c1de0b27a9f4c1d reports [17/Mar/2026:10:30:00 +0000] 203.0.113.31 - 3E57427F3EXAMPLE REST.GET.OBJECT q1.csv \
                  \"GET /reports/q1.csv HTTP/1.1\" 403 AccessDenied 243 - 7 - \"-\" \"curl/8.5.0\" -";
    let document = |line: &str| json!({ "@timestamp": "2026-01-01T00:00:00Z", "message": line }).to_string();
    // Neither the names of a custom format nor its values are a record by themselves.
    let others =
        ["interface-id srcaddr dstaddr action", "2 111122223333 eni-1 203.0.113.31 ACCEPT OK", "2 lines\n2 more"];
    let documents: Vec<String> = [flow, access].into_iter().chain(others).map(document).collect();
    let body: String = documents.iter().map(|document| format!("{{\"create\":{{}}}}\n{document}\n")).collect();
    assert_eq!(post(&format!("{url}/logs/_bulk"), &[], body).await.body["errors"], false);
    let records = taken.json();
    assert_eq!((&records[0]["action"], &records[0]["dstport"]), (&json!("REJECT"), &json!(443)));
    assert_eq!(records[1]["operation"], "REST.GET.OBJECT");
    assert!(records[2..].iter().zip(others).all(|(record, line)| record["message"] == line));
    assert_eq!(taken.originals(), documents);
}

#[tokio::test]
async fn what_clients_ask_before_is_answered() {
    let (_, url) = open().await;
    let ask = async |method: Method, path: &str| {
        let answer = send(reqwest::Client::new().request(method, format!("{url}{path}"))).await;
        assert_eq!(answer.headers["x-elastic-product"], "Elasticsearch", "{path}");
        (answer.status, answer.body)
    };
    assert_eq!(ask(Method::HEAD, "/").await.0, 200);
    assert!(ask(Method::GET, "/").await.1["version"]["number"].as_str().unwrap().starts_with("8."));
    assert_eq!(ask(Method::GET, "/_license?human=false").await.1["license"]["status"], "active");
    assert_eq!(ask(Method::GET, "/_xpack").await.1["features"]["ilm"]["enabled"], true);
    assert_eq!(ask(Method::GET, "/_cluster/health").await.1["status"], "green");
    for path in [
        "/_ilm/policy/filebeat",
        "/_index_template/filebeat-8",
        "/_data_stream/filebeat-8",
        "/_ingest/pipeline/p",
        "/logs",
    ] {
        assert_eq!(ask(Method::HEAD, path).await.0, 404, "{path}");
        let (status, body) = ask(Method::GET, path).await;
        assert_eq!((status, &body["status"]), (404, &404.into()), "{path}");
        assert_eq!(ask(Method::PUT, path).await.1["acknowledged"], true, "{path}");
    }
}

#[tokio::test]
async fn senders_are_asked_who_they_are() {
    let taken = Taken::default();
    let url = serve(router(push(&taken, grants()))).await;
    let body = "{\"create\":{}}\n{\"a\":1}\n";
    let status = async |path: &str, authorization: &str| {
        post(&format!("{url}{path}"), &[("authorization", authorization)], body).await.status
    };
    assert_eq!(status("/logs/_bulk", "Basic eDphbGw=").await, 200);
    assert_eq!(status("/logs/_bulk", "ApiKey aWQ6YWxs").await, 200);
    assert_eq!(status("/logs/_bulk", "Basic eDpub25l").await, 403);
    assert_eq!(status("/logs/_bulk", "Bearer trail").await, 403);
    assert_eq!(status("/aws_cloudtrail/_bulk", "Bearer trail").await, 200);
    let answer = post(&format!("{url}/logs/_bulk"), &[], body).await;
    assert_eq!((answer.status, &answer.body["error"]["type"]), (401, &json!("security_exception")));
    assert!(answer.headers.contains_key("www-authenticate"));
    assert_eq!(send(reqwest::Client::new().get(&url)).await.status, 401);
    assert_eq!(send(reqwest::Client::new().get(&url).bearer_auth("trail")).await.status, 200);
}

#[tokio::test]
async fn overload_and_hostile_bodies_keep_nothing() {
    let (taken, url) = open().await;
    let url = format!("{url}/logs/_bulk");
    let deep = format!("{{\"create\":{}1{}}}\n{{}}\n", "[".repeat(200), "]".repeat(200));
    for body in
        ["", "\n\n", "x\n{}\n", "{\"create\":{}}\n", "{\"take\":{}}\n{}\n", "{\"create\":{},\"index\":{}}\n{}\n", &deep]
    {
        let answer = post(&url, &[], body.to_owned()).await;
        assert_eq!((answer.status, &answer.body["status"]), (400, &400.into()), "{body}");
    }
    let bomb = post(&url, &[("content-encoding", "gzip")], gzip(&vec![b'\n'; 8 << 20])).await;
    assert_eq!(bomb.status, 413);
    taken.refuse(overloaded());
    let answer = post(&url, &[], "{\"create\":{}}\n{\"a\":1}\n").await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(answer.body["error"]["type"], "es_rejected_execution_exception");
    assert!(taken.records().is_empty() && taken.dead() == 0);
    taken.refuse(None);
    let invalid = post(&url, &[], b"{\"create\":{}}\n{\"a\":\"\xff\"}\n".to_vec()).await;
    assert_eq!((invalid.body["items"][0]["create"]["status"].as_u64(), taken.dead()), (Some(400), 1));
}
