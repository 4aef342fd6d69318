//! Elasticsearch's `_bulk`, and what Filebeat, Vector, Fluent Bit, Logstash and the OpenTelemetry Collector ask around it.
//!
//! A document that carries a record of a known log source (a line or JSON in `message` or `log`) goes on as that record,
//! with the document as its original; others go on as they are. An index in the address that has the name of a log
//! source names the source. Items are answered one by one, and 200 means that those with 201 are on disk; overload is
//! 429 for the whole request, none of which is kept then. **Not here**: searching, ids that replace documents, ingest
//! pipelines. Source: Elasticsearch 8, "Bulk API" and "Response Filtering".

mod answer;
mod bulk;
mod cluster;

pub use answer::Filter;
pub use bulk::{BulkError, Item, ItemError, Target, Verb, read};

use super::push::{Failure, Push, announce};
use crate::access::Denied;
use crate::intake::Delivery;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;

/// What the address may ask for.
#[derive(Deserialize)]
struct Address {
    filter_path: Option<String>,
}

/// Why a request is not taken.
#[derive(Debug, Error)]
enum Refusal {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Bulk(#[from] BulkError),
}

/// The routes. They take names at the root (`/{index}/_bulk`): for a listener of their own.
pub fn router(push: Push) -> Router {
    let bulk = || post(to_any).put(to_any);
    let indexed = || post(to_index).put(to_index);
    let mut router = Router::new()
        .route("/", get(cluster::info))
        .route("/_license", get(cluster::license))
        .route("/_xpack", get(cluster::features))
        .route("/_xpack/license", get(cluster::license))
        .route("/_cluster/health", get(cluster::health))
        .route("/_cluster/health/{index}", get(cluster::health))
        .route("/{index}", any(cluster::setting));
    for kind in ["_ilm/policy", "_index_template", "_component_template", "_template", "_data_stream", "_alias"] {
        router = router.route(&format!("/{kind}/{{name}}"), any(cluster::setting));
    }
    router = router.route("/_ingest/pipeline/{name}", any(cluster::setting));
    let asked = middleware::from_fn_with_state(push.clone(), admitted);
    router
        .route_layer(asked)
        .route("/_bulk", bulk())
        .route("/_bulk/", bulk())
        .route("/{index}/_bulk", indexed())
        .route("/{index}/_bulk/", indexed())
        .layer(middleware::map_response(product))
        .with_state(push)
}

/// Clients refuse a server that does not say this.
async fn product(mut response: Response) -> Response {
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

/// Whoever may send something may ask what this is.
async fn admitted(State(push): State<Push>, request: Request<Body>, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match push.admit(&parts, None) {
        Err(failure @ Failure::Denied(Denied::Unauthenticated)) => Refusal::from(failure).into_response(),
        _ => next.run(Request::from_parts(parts, body)).await,
    }
}

async fn to_any(State(push): State<Push>, Query(address): Query<Address>, request: Request<Body>) -> Response {
    take(&push, None, address, request).await.unwrap_or_else(Refusal::into_response)
}

async fn to_index(
    State(push): State<Push>,
    Path(index): Path<String>,
    Query(address): Query<Address>,
    request: Request<Body>,
) -> Response {
    take(&push, Some(index), address, request).await.unwrap_or_else(Refusal::into_response)
}

async fn take(
    push: &Push,
    index: Option<String>,
    address: Address,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let source = index.clone().filter(|index| push.sources.named(index).is_some());
    let sender = push.admit(&parts, source.as_deref())?.name;
    let sources = Arc::clone(&push.sources);
    let read = push.read(&parts, body, move |body, _| Ok(read(&body, index.as_deref(), &sources)));
    let (items, block) = read.await??;
    push.intake
        .deliver(Delivery { source, block, sender: Some(sender), ..Delivery::default() })
        .await
        .map_err(Failure::from)?;
    let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let filter = Filter::parse(address.filter_path.as_deref());
    Ok(Json(answer::answer(&items, took_ms, &filter)).into_response())
}

impl Refusal {
    fn kind(&self, status: StatusCode) -> &'static str {
        match (self, status) {
            (Self::Bulk(BulkError::Action { .. } | BulkError::Many { .. }), _) => "illegal_argument_exception",
            (Self::Bulk(_), _) => "action_request_validation_exception",
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => "security_exception",
            (_, StatusCode::TOO_MANY_REQUESTS) => "es_rejected_execution_exception",
            (_, StatusCode::SERVICE_UNAVAILABLE) => "cluster_block_exception",
            (_, StatusCode::PAYLOAD_TOO_LARGE) => "content_too_long_exception",
            _ => "parse_exception",
        }
    }

    fn into_response(self) -> Response {
        let status = match &self {
            Self::Failure(failure) => failure.status(),
            Self::Bulk(BulkError::Many { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Bulk(_) => StatusCode::BAD_REQUEST,
        };
        let cause = json!({ "type": self.kind(status), "reason": self.to_string() });
        let told = json!({
            "error": { "root_cause": [cause], "type": cause["type"], "reason": cause["reason"] },
            "status": status.as_u16(),
        });
        let mut response = (status, Json(told)).into_response();
        if let Self::Failure(failure) = &self {
            announce(failure, "Basic realm=\"tarn\", ApiKey", &mut response);
        }
        response
    }
}
