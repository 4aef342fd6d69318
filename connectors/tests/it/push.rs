//! HTTP push: what it takes, what it answers, and that a request is taken whole or not at all.

use crate::receiving::{Taken, grants, gzip, overloaded, post, push, serve};
use serde_json::json;
use tarn_connectors::access::Access;
use tarn_connectors::intake::Refused;
use tarn_connectors::source::push::router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn open() -> (Taken, String) {
    let taken = Taken::default();
    let url = serve(router(push(&taken, Access::open()))).await;
    (taken, format!("{url}/v1/ingest"))
}

#[tokio::test]
async fn every_form_is_one_delivery() {
    let line = "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick";
    let zstd = zstd::encode_all(&b"{\"a\":1}"[..], 1).unwrap();
    let long = "{\"a\":1}\n".repeat(20_000).into_bytes();
    let bodies: [(Vec<u8>, &str, usize); 9] = [
        (b"{\"a\":1}\n{\"a\":2}".to_vec(), "", 2),
        (b"[{\"a\":1},{\"a\":2},{\"a\":3}]".to_vec(), "", 3),
        (b"{\"Records\":[{\"a\":1},{\"a\":2}]}".to_vec(), "", 2),
        (format!("{line}\n{line}\n").into_bytes(), "", 2),
        (gzip(b"{\"a\":1}"), "gzip", 1),
        (zstd.clone(), "zstd", 1),
        (gzip(&zstd), "", 1),
        (long, "", 20_000),
        (Vec::new(), "", 0),
    ];
    for (body, encoding, records) in bodies {
        let (taken, url) = open().await;
        let headers = [("content-encoding", encoding)];
        let headers = if encoding.is_empty() { &headers[..0] } else { &headers };
        let answer = post(&url, headers, body.clone()).await;
        assert_eq!((answer.status, answer.body), (200, json!({ "accepted": records, "dead_letters": 0 })), "{body:?}");
        assert_eq!((taken.records().len(), taken.deliveries.lock().unwrap().len()), (records, 1));
        assert_eq!(taken.deliveries.lock().unwrap()[0].sender.as_deref(), Some("anonymous"));
    }
}

#[tokio::test]
async fn defects_are_kept_and_told() {
    let (taken, url) = open().await;
    let mut body = b"{\"a\":1}\n{broken\n{\"a\":2}\n{\"a\":\"\xff\"}\n17\n".to_vec();
    body.extend(format!("{}1{}\n", "{\"a\":".repeat(200), "}".repeat(200)).bytes());
    let answer = post(&url, &[], body).await;
    assert_eq!((answer.status, &answer.body["accepted"], &answer.body["dead_letters"]), (200, &2.into(), &4.into()));
    let told = answer.body["defects"].as_array().unwrap();
    assert_eq!((told[0]["record"].as_u64(), told[0]["begins"].as_str()), (Some(2), Some("{broken")));
    assert!(told[0]["reason"].as_str().unwrap().contains("broken JSON"), "{told:?}");
    assert_eq!((taken.records().len(), taken.dead()), (2, 4));
}

#[tokio::test]
async fn sources_are_named_in_the_path() {
    let (taken, url) = open().await;
    assert_eq!(post(&format!("{url}/aws_cloudtrail"), &[], "{}").await.status, 200);
    assert_eq!(taken.deliveries.lock().unwrap()[0].source.as_deref(), Some("aws_cloudtrail"));
    let answer = post(&format!("{url}/cloudtrail"), &[], "{}").await;
    assert_eq!((answer.status, &answer.body["close"]), (404, &json!(["aws_cloudtrail"])));
    assert!(answer.body["error"].as_str().unwrap().contains("cloudtrail"));
}

#[tokio::test]
async fn senders_are_asked_who_they_are() {
    let taken = Taken::default();
    let url = serve(router(push(&taken, grants()))).await;
    let status = async |path: &str, token: &str| {
        post(&format!("{url}{path}"), &[("authorization", &format!("Bearer {token}"))], "{}").await.status
    };
    assert_eq!(status("/v1/ingest", "all").await, 200);
    assert_eq!(status("/v1/ingest", "trail").await, 403);
    assert_eq!(status("/v1/ingest/aws_cloudtrail", "trail").await, 200);
    assert_eq!(status("/v1/ingest/windows", "trail").await, 403);
    assert_eq!(status("/v1/ingest/no_such", "trail").await, 403);
    assert_eq!(status("/v1/ingest/no_such", "all").await, 404);
    let answer = post(&format!("{url}/v1/ingest"), &[], "{}").await;
    assert_eq!((answer.status, answer.headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    assert_eq!(taken.records().len(), 2);
}

#[tokio::test]
async fn a_refusal_says_when_to_come_again() {
    let (taken, url) = open().await;
    for (refused, status, after) in [
        (overloaded(), 429, Some("7")),
        (Refused::Stopping, 503, Some("5")),
        (Refused::Broken, 503, Some("5")),
        (Refused::TooLarge { bytes: 2, limit: 1 }, 413, None),
    ] {
        taken.refuse(refused);
        let answer = post(&url, &[], "{}").await;
        let told = answer.headers.get("retry-after").map(|v| v.to_str().unwrap());
        assert_eq!((answer.status, told), (status, after));
        assert!(answer.body["error"].is_string());
    }
    assert!(taken.records().is_empty());
}

#[tokio::test]
async fn hostile_bodies_are_refused() {
    let (taken, url) = open().await;
    let zeros = vec![b' '; 8 << 20];
    let bodies: [(Vec<u8>, &str, u16); 7] = [
        (vec![b' '; (1 << 20) + 1], "identity", 413),
        (gzip(&zeros), "gzip", 413),
        (gzip(&zeros), "identity", 413),
        (gzip(&gzip(&zeros)), "gzip", 413),
        (b"{}".to_vec(), "br", 415),
        (b"{}".to_vec(), "gzip", 400),
        (b"PAR1 and no more PAR1".to_vec(), "identity", 400),
    ];
    for (body, encoding, status) in bodies {
        let answer = post(&url, &[("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, status, "{encoding} {}", answer.body);
        assert!(answer.body["error"].is_string());
    }
    let many = post(&url, &[("content-encoding", "gzip")], gzip("{}".repeat(2 << 20).as_bytes())).await;
    assert_eq!(many.status, 413, "{}", many.body);
    assert!(taken.records().is_empty() && taken.dead() == 0);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let (taken, url) = open().await;
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /v1/ingest HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{\"a\":").await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!(taken.records().is_empty());
}
