//! The OTLP receiver: every answer that its specification asks for, by HTTP and by tonic's client.

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::StatusCode;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_connectors::access::{Access, Grant, token_digest};
use tarn_connectors::body::BodyLimits;
use tarn_connectors::intake::{Delivery, Intake, Refused};
use tarn_connectors::listen::Listener;
use tarn_connectors::source::otlp::{OtlpState, grpc, router};
use tarn_ingest::otlp::Limits;
use tarn_ingest::source::Sources;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Request};

/// Both servers, and what their intake was given.
struct Server {
    http: SocketAddr,
    grpc: SocketAddr,
    taken: Arc<Mutex<Vec<Delivery>>>,
    refuse: Arc<Mutex<Option<Refused>>>,
    _stop: DropGuard,
}

const TOKEN: &str = "s3cret";
const OTLP_ONLY: &str = "only-otlp";
const READER: &str = "reader";

fn grants() -> Access {
    let grant = |name: &str, token: &str, ingest: &[&str]| Grant {
        name: name.into(),
        token_sha256: Some(token_digest(token)),
        ingest: ingest.iter().map(|s| (*s).to_owned()).collect(),
        ..Grant::default()
    };
    Access::new(vec![grant("all", TOKEN, &["*"]), grant("some", OTLP_ONLY, &["otlp"]), grant("none", READER, &[])])
        .unwrap()
}

async fn serve(access: Access, limits: Limits) -> Server {
    let (taken, refuse) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let (into, refusing) = (Arc::clone(&taken), Arc::clone(&refuse));
    let intake = Intake::new(move |delivery| {
        let refused = refusing.lock().unwrap().clone();
        if refused.is_none() {
            into.lock().unwrap().push(delivery);
        }
        Box::pin(async move { refused.map_or(Ok(()), Err) })
    });
    let body = BodyLimits { wire_bytes_max: 64 << 10, bytes_max: 256 << 10, timeout: Duration::from_secs(5) };
    let sources = Arc::new(Sources::builtin().unwrap());
    let state = OtlpState { intake, access, sources, body, limits };
    let stop = CancellationToken::new();
    let listen = async |app| {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, true).await.unwrap();
        let address = listener.address;
        tokio::spawn(listener.serve(app, 16, stop.clone(), Duration::from_secs(1)));
        address
    };
    let (http, grpc) = (listen(router(state.clone())).await, listen(grpc(state)).await);
    Server { http, grpc, taken, refuse, _stop: stop.drop_guard() }
}

impl Server {
    async fn open() -> Self {
        serve(Access::open(), Limits::default()).await
    }

    /// Posts a body with headers.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> reqwest::Response {
        let request = reqwest::Client::new().post(format!("http://{}{path}", self.http)).body(body.into());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    }

    async fn logs(&self) -> LogsServiceClient<Channel> {
        LogsServiceClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    /// All records so far, as JSON.
    fn records(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|d| d.block.records.iter().map(|r| d.block.json(r).to_owned())).collect()
    }
}

fn request(bodies: &[&str]) -> ExportLogsServiceRequest {
    let record = |body: &&str| LogRecord {
        body: Some(AnyValue { value: Some(Value::StringValue((*body).to_owned())) }),
        ..LogRecord::default()
    };
    of_records(bodies.iter().map(record).collect())
}

fn of_records(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const JSON_LOGS: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"json"}}]}]}]}"#;

/// `google.rpc.Status`, with its details as they are.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    details: Vec<Vec<u8>>,
}

#[tokio::test]
async fn http_takes_both_encodings_compressed_or_not() {
    let server = Server::open().await;
    let bytes = request(&["plain"]).encode_to_vec();
    let response = server.post("/v1/logs", &[PROTOBUF], bytes.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    let answer = ExportLogsServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.partial_success, None);
    for (encoding, packed) in [("gzip", gzip(&bytes)), ("zstd", zstd::encode_all(&bytes[..], 1).unwrap())] {
        let response = server.post("/v1/logs", &[PROTOBUF, ("content-encoding", encoding)], packed).await;
        assert_eq!(response.status(), StatusCode::OK, "{encoding}");
    }
    let response = server.post("/v1/logs", &[JSON], JSON_LOGS).await;
    assert_eq!(
        (response.status(), response.headers()["content-type"].to_str().unwrap()),
        (StatusCode::OK, "application/json")
    );
    assert_eq!(response.text().await.unwrap(), "{}");
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET","kind":2}]}]}]}"#;
    assert_eq!(server.post("/v1/traces", &[JSON], span).await.status(), StatusCode::OK);
    let point =
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":7}]}}]}]}]}"#;
    assert_eq!(server.post("/v1/metrics", &[JSON], point).await.status(), StatusCode::OK);
    let mut metrics = MetricsServiceClient::connect(format!("http://{}", server.grpc)).await.unwrap();
    let empty = metrics.export(ExportMetricsServiceRequest::default()).await.unwrap();
    assert_eq!(empty.into_inner().partial_success, None);
    // A request without records succeeds, and nothing is delivered.
    for (header, body) in [(PROTOBUF, ""), (JSON, "{}")] {
        assert_eq!(server.post("/v1/logs", &[header], body).await.status(), StatusCode::OK);
    }
    let record = |body: &str| format!(r#"{{"otlpSignal":"log","resource":{{}},"scope":{{}},"body":"{body}"}}"#);
    let span = r#"{"otlpSignal":"span","resource":{},"scope":{},"name":"GET","kind":2}"#.to_owned();
    let point = r#"{"otlpSignal":"metric","resource":{},"scope":{},"name":"m","type":"gauge","asInt":7}"#.to_owned();
    assert_eq!(server.records(), [record("plain"), record("plain"), record("plain"), record("json"), span, point]);
}

#[tokio::test]
async fn http_refuses_for_good_what_can_never_be_taken() {
    let server = Server::open().await;
    let status = async |path, headers: &[_], body: Vec<u8>| server.post(path, headers, body).await.status();
    let text = ("content-type", "text/plain");
    assert_eq!(status("/v1/logs", &[text], vec![]).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(status("/v1/logs", &[], vec![]).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let brotli = ("content-encoding", "br");
    assert_eq!(status("/v1/logs", &[PROTOBUF, brotli], vec![1]).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(status("/v1/logs", &[PROTOBUF], vec![0; 65 << 10]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = [PROTOBUF, ("content-encoding", "gzip")];
    assert_eq!(status("/v1/logs", &bomb, gzip(&[0; 512 << 10])).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status("/v1/logs", &bomb, b"no gzip".to_vec()).await, StatusCode::BAD_REQUEST);
    // Metrics are not taken yet, and say so.
    assert_eq!(status("/v1/profiles", &[PROTOBUF], vec![]).await, StatusCode::NOT_FOUND);
    let get = reqwest::get(format!("http://{}/v1/logs", server.http)).await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);

    let response = server.post("/v1/logs", &[PROTOBUF], "hello").await;
    assert_eq!((response.status(), response.headers().get("retry-after")), (StatusCode::BAD_REQUEST, None));
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    let told = RpcStatus::decode(response.bytes().await.unwrap()).unwrap();
    assert_eq!((told.code, told.details.len()), (Code::InvalidArgument as i32, 0));
    let response = server.post("/v1/logs", &[JSON], r#"{"resourceLogs":7}"#).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let expected = r#"{"code":3,"message":"ExportLogsServiceRequest.resourceLogs: expected an array"}"#;
    assert_eq!(response.text().await.unwrap(), expected);
    assert!(server.records().is_empty());
}

#[tokio::test]
async fn http_says_when_to_come_again() {
    let server = Server::open().await;
    let bytes = request(&["x"]).encode_to_vec();
    let overloaded = Refused::Overloaded { retry_after: Duration::from_millis(2_500) };
    for (refused, status, after) in [
        (overloaded, StatusCode::TOO_MANY_REQUESTS, Some("3")),
        (Refused::Stopping, StatusCode::SERVICE_UNAVAILABLE, Some("5")),
        (Refused::Broken, StatusCode::SERVICE_UNAVAILABLE, Some("5")),
        (Refused::TooLarge { bytes: 2, limit: 1 }, StatusCode::PAYLOAD_TOO_LARGE, None),
    ] {
        *server.refuse.lock().unwrap() = Some(refused);
        let response = server.post("/v1/logs", &[PROTOBUF], bytes.clone()).await;
        let told = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!((response.status(), told.as_deref()), (status, after));
        let details = RpcStatus::decode(response.bytes().await.unwrap()).unwrap().details;
        assert_eq!(details.len(), usize::from(after.is_some()));
    }
    assert!(server.records().is_empty());
}

#[tokio::test]
async fn senders_are_asked_who_they_are() {
    let server = serve(grants(), Limits::default()).await;
    let trail = r#"{"eventSource":"iam.amazonaws.com","eventName":"CreateUser"}"#;
    let bytes = request(&[trail]).encode_to_vec();
    let http = async |token: &str| {
        let authorization = format!("Bearer {token}");
        server.post("/v1/logs", &[PROTOBUF, ("authorization", &authorization)], bytes.clone()).await.status()
    };
    assert_eq!(server.post("/v1/logs", &[PROTOBUF], bytes.clone()).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(http("wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(http(READER).await, StatusCode::FORBIDDEN);
    let mut client = server.logs().await;
    let mut call = async |token: Option<&str>| {
        let mut call = Request::new(request(&[trail]));
        if let Some(token) = token {
            call.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        client.export(call).await.err().map(|status| status.code())
    };
    assert_eq!(call(None).await, Some(Code::Unauthenticated));
    assert_eq!(call(Some(READER)).await, Some(Code::PermissionDenied));
    assert!(server.records().is_empty());

    // Who may send any source has events recognised; who may send OTLP alone has them kept in their log records.
    assert_eq!((http(TOKEN).await, http(OTLP_ONLY).await), (StatusCode::OK, StatusCode::OK));
    assert_eq!((call(Some(TOKEN)).await, call(Some(OTLP_ONLY)).await), (None, None));
    let records = server.records();
    assert_eq!((records[0].as_str(), records[2].as_str()), (trail, trail));
    assert!(records[1].starts_with(r#"{"otlpSignal":"log""#) && records[1] == records[3]);
    let taken = server.taken.lock().unwrap();
    let told: Vec<_> = taken.iter().map(|d| (d.sender.as_deref(), d.source.as_deref())).collect();
    assert_eq!(told[..2], [(Some("all"), None), (Some("some"), Some("otlp"))]);
    assert!(taken[0].block.original(&taken[0].block.records[0]).contains(r#""body":"{\"eventSource\""#));
}

#[tokio::test]
async fn dead_letters_are_a_partial_success() {
    let server = serve(Access::open(), Limits { attributes_max: 1, ..Limits::default() }).await;
    let many = LogRecord { attributes: vec![KeyValue::default(); 2], ..LogRecord::default() };
    let request = of_records(vec![many, LogRecord::default()]);
    let response = server.post("/v1/logs", &[PROTOBUF], request.encode_to_vec()).await;
    let answer = ExportLogsServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let answers = [answer, server.logs().await.export(request).await.unwrap().into_inner()];
    for answer in answers {
        let partial = answer.partial_success.unwrap();
        let message = "kept as dead letters: OTLP: 2 attributes, the limit is 1";
        assert_eq!((partial.rejected_log_records, partial.error_message.as_str()), (1, message));
    }
    let taken = server.taken.lock().unwrap();
    assert!(taken.iter().all(|d| (d.block.records.len(), d.block.dead.len()) == (1, 1)));
}

#[tokio::test]
async fn grpc_takes_logs_and_traces() {
    let server = Server::open().await;
    let client = server.logs().await;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = encoding.into_iter().fold(client.clone(), LogsServiceClient::send_compressed);
        let answer = client.export(request(&["grpc"])).await.unwrap().into_inner();
        assert_eq!(answer.partial_success, None);
    }
    let span = Span { name: "GET".into(), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let mut traces = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.unwrap();
    traces.export(ExportTraceServiceRequest { resource_spans }).await.unwrap();
    traces.export(ExportTraceServiceRequest::default()).await.unwrap();
    let records = server.records();
    assert_eq!(records.len(), 4);
    assert!(records[..3].iter().all(|r| r.ends_with(r#""body":"grpc"}"#)) && records[3].ends_with(r#""name":"GET"}"#));
}

#[tokio::test]
async fn grpc_refuses_as_http_does() {
    let server = Server::open().await;
    let mut client = server.logs().await;
    let long = "x".repeat(300 << 10);
    let mut packed = client.clone().send_compressed(CompressionEncoding::Gzip);
    for (client, limit) in [(&mut client, "as sent"), (&mut packed, "once decompressed")] {
        let status = client.export(request(&[&long])).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(limit) && status.details().is_empty(), "{status}");
    }

    let overloaded = Refused::Overloaded { retry_after: Duration::from_millis(2_500) };
    for (refused, seconds, nanos) in [(overloaded, 2, 500_000_000), (Refused::Stopping, 5, 0), (Refused::Broken, 5, 0)]
    {
        *server.refuse.lock().unwrap() = Some(refused);
        let status = client.export(request(&["x"])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let told = RpcStatus::decode(status.details()).unwrap();
        assert_eq!(told.code, Code::Unavailable as i32);
        // Any { type_url, value: RetryInfo { retry_delay: Duration { seconds, nanos } } }
        let any = String::from_utf8_lossy(&told.details[0]).into_owned();
        assert!(any.contains("type.googleapis.com/google.rpc.RetryInfo"));
        let mut delay = vec![0x08, seconds];
        if nanos > 0 {
            delay.push(0x10);
            prost::encoding::encode_varint(nanos, &mut delay);
        }
        assert!(told.details[0].ends_with(&delay));
    }
    *server.refuse.lock().unwrap() = Some(Refused::TooLarge { bytes: 2, limit: 1 });
    assert_eq!(client.export(request(&["x"])).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(server.records().is_empty());
}

/// The frames that no client makes.
#[tokio::test]
async fn grpc_frames_are_checked() {
    let server = Server::open().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/opentelemetry.proto.collector.logs.v1.LogsService/Export", server.grpc);
    let call = async |encoding: &str, body: &[u8]| {
        let call = client.post(&url).header("content-type", "application/grpc").header("grpc-encoding", encoding);
        let response = call.body(body.to_vec()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap().parse::<i32>().unwrap());
        code.map(Code::from_i32)
    };
    assert_eq!(call("identity", &[0, 0, 0, 0, 0]).await, None);
    assert_eq!(call("identity", &[]).await, Some(Code::InvalidArgument));
    assert_eq!(call("identity", &[0, 0, 0, 0, 9, 1]).await, Some(Code::Unavailable));
    assert_eq!(call("identity", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await, Some(Code::InvalidArgument));
    assert_eq!(call("identity", &[1, 0, 0, 0, 0]).await, Some(Code::InvalidArgument));
    assert_eq!(call("gzip", &[2, 0, 0, 0, 0]).await, Some(Code::InvalidArgument));
    assert_eq!(call("snappy", &[1, 0, 0, 0, 1, 0]).await, Some(Code::Unimplemented));
    let plain = client.post(&url).header("content-type", "application/json").send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// OpenTelemetry's own SDK for Python: `TARN_OTLP_PYTHON` names an interpreter that has it.
#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_exports() {
    let Ok(python) = std::env::var("TARN_OTLP_PYTHON") else {
        eprintln!("skipped: TARN_OTLP_PYTHON is not set");
        return;
    };
    let server = serve(grants(), Limits::default()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients/otlp.py");
    let mut command = tokio::process::Command::new(python);
    command.args([script, "127.0.0.1", &server.http.port().to_string(), &server.grpc.port().to_string(), TOKEN]);
    assert!(command.status().await.unwrap().success());
    let records = server.records();
    let of = |part: &str| records.iter().filter(|r| r.contains(part)).count();
    // Each of the three ways: plain over gRPC, gzip over gRPC, HTTP.
    assert_eq!((of("hello from the SDK"), of("\"name\":\"GET /cart\"")), (3, 3), "{records:#?}");
    assert_eq!(records.iter().filter(|r| r.starts_with("{\"eventSource\"")).count(), 3, "{records:#?}");
    assert_eq!((of("\"name\":\"orders\""), of("\"name\":\"wait\"")), (3, 3), "{records:#?}");
}
