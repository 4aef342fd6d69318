//! OTLP/HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`, in protobuf or JSON; answers are in the request's encoding.

use super::failure::Failure;
use super::status::Status;
use super::{OtlpState, Partial, Signal};
use crate::body;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde_json::json;
use tarn_ingest::otlp::Encoding;

/// The routes.
pub fn router(state: OtlpState) -> Router {
    let take = |signal| post(move |State(state): State<OtlpState>, request: Request| export(state, signal, request));
    Router::new()
        .route("/v1/logs", take(Signal::Logs))
        .route("/v1/traces", take(Signal::Traces))
        .route("/v1/metrics", take(Signal::Metrics))
        .with_state(state)
}

async fn export(state: OtlpState, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(encoding) = encoding(&parts.headers) else {
        let expected = "expected Content-Type application/x-protobuf or application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, expected).into_response();
    };
    let taken: Result<Partial, Failure> = async {
        let sender = state.sender(&parts)?;
        let bytes = body::read(&parts.headers, body, &state.body).await?;
        state.export(signal, encoding, bytes, sender).await
    }
    .await;
    match taken {
        Ok(partial) => answer(StatusCode::OK, encoding, success(signal, encoding, &partial)),
        Err(failure) => refusal(encoding, &failure),
    }
}

/// By the content type; parameters (`; charset=utf-8`) do not matter.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let name = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let name = name.split(';').next()?.trim();
    if name.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if name.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// `Export…ServiceResponse`.
pub(super) fn success(signal: Signal, encoding: Encoding, partial: &Partial) -> Vec<u8> {
    let (rejected, error_message) = (partial.rejected, partial.message.clone());
    let some = rejected > 0;
    match (encoding, signal) {
        (Encoding::Json, _) if !some => b"{}".to_vec(),
        (Encoding::Json, _) => {
            let field = match signal {
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
            };
            // 64-bit integers are strings in protobuf's JSON.
            json!({ "partialSuccess": { field: rejected.to_string(), "errorMessage": error_message } })
                .to_string()
                .into_bytes()
        }
        (Encoding::Protobuf, Signal::Logs) => {
            let partial_success = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message };
            ExportLogsServiceResponse { partial_success: some.then_some(partial_success) }.encode_to_vec()
        }
        (Encoding::Protobuf, Signal::Traces) => {
            let partial_success = ExportTracePartialSuccess { rejected_spans: rejected, error_message };
            ExportTraceServiceResponse { partial_success: some.then_some(partial_success) }.encode_to_vec()
        }
        (Encoding::Protobuf, Signal::Metrics) => {
            let partial_success = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message };
            ExportMetricsServiceResponse { partial_success: some.then_some(partial_success) }.encode_to_vec()
        }
    }
}

fn refusal(encoding: Encoding, failure: &Failure) -> Response {
    let status = Status::of(failure);
    let body = match encoding {
        Encoding::Protobuf => status.encode_to_vec(),
        Encoding::Json => json!({ "code": status.code, "message": status.message }).to_string().into_bytes(),
    };
    let mut response = answer(failure.status(), encoding, body);
    if let Some(after) = failure.retry_after() {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let name = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    (status, [(header::CONTENT_TYPE, name)], Body::from(body)).into_response()
}
