//! OTLP/gRPC: the unary calls `Export` of `LogsService`, `TraceService` and `MetricsService`.
//!
//! The framing is done here and not by tonic's server, which has one limit for a message before and after decompression,
//! no time limit on it, decodes it before anything is counted, and answers too long ones with `OUT_OF_RANGE`, which makes
//! OTLP clients send them again for ever. **Source**: grpc/doc/PROTOCOL-HTTP2.md, grpc/doc/compression.md.

use super::failure::Failure;
use super::http::success;
use super::status::Status;
use super::{OtlpState, Partial, Signal};
use crate::body;
use crate::body::{BodyError, BodyLimits};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tarn_ingest::otlp::Encoding;

const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// A byte that says whether the message is compressed, and four of its length.
const PREFIX_BYTES: usize = 5;

/// The services; any other call is `UNIMPLEMENTED`.
pub fn grpc(state: OtlpState) -> Router {
    let take = |signal| post(move |State(state): State<OtlpState>, request: Request| export(state, signal, request));
    let unknown = || async { tonic::Status::unimplemented("no such service").into_http::<Body>() };
    Router::new()
        .route(LOGS, take(Signal::Logs))
        .route(TRACES, take(Signal::Traces))
        .route(METRICS, take(Signal::Metrics))
        .fallback(unknown)
        .with_state(state)
}

async fn export(state: OtlpState, signal: Signal, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !matches!(content_type, Some(b"application/grpc" | b"application/grpc+proto")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let taken: Result<Partial, Failure> = async {
        let sender = state.sender(&parts)?;
        let bytes = message(&parts.headers, body, &state.body).await?;
        state.export(signal, Encoding::Protobuf, bytes, sender).await
    }
    .await;
    let mut response = match taken {
        Ok(partial) => reply(&success(signal, Encoding::Protobuf, &partial)),
        Err(failure) => refusal(&failure),
    };
    let known = HeaderValue::from_static("identity,gzip,zstd,deflate");
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, known);
    response
}

/// The one message of a request, decompressed.
async fn message(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Bytes, Failure> {
    let framed = BodyLimits { wire_bytes_max: limits.wire_bytes_max.saturating_add(PREFIX_BYTES), ..*limits };
    // A call's headers say nothing of its body as such.
    let whole = body::read(&HeaderMap::new(), body, &framed).await?;
    let Some((&[compressed, a, b, c, d], rest)) = whole.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Failure::Frame("a call without a message"));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if rest.len() < length {
        let reason = "inside a message".to_owned();
        return Err(BodyError::Interrupted { reason }.into());
    }
    if rest.len() > length {
        return Err(Failure::Frame("more than one message in a unary call"));
    }
    let message = whole.slice(PREFIX_BYTES..);
    match (compressed, headers.get(GRPC_ENCODING)) {
        (0, _) if message.len() > limits.bytes_max => {
            Err(BodyError::TooLarge { limit: limits.bytes_max, decompressed: true }.into())
        }
        (0, _) => Ok(message),
        (1, Some(encoding)) if encoding != "identity" => {
            let encoded = HeaderMap::from_iter([(header::CONTENT_ENCODING, encoding.clone())]);
            Ok(body::read(&encoded, Body::from(message), limits).await?)
        }
        (1, _) => Err(Failure::Frame("a compressed message without grpc-encoding")),
        _ => Err(Failure::Frame("a flag that is neither 0 nor 1")),
    }
}

fn reply(message: &[u8]) -> Response {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(body)).into_response()
}

fn refusal(failure: &Failure) -> Response {
    let status = Status::of(failure);
    let details = if status.details.is_empty() { Bytes::new() } else { status.encode_to_vec().into() };
    tonic::Status::with_details(failure.code(), status.message, details).into_http()
}
