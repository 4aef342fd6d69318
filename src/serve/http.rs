//! What the daemon answers over HTTP besides receivers: SQL, findings, health and metrics.

use super::frame::Frame;
use super::intake::Room;
use super::metrics::{Gauges, Metrics, render};
use axum::extract;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Body};
use std::sync::{Arc, Mutex, PoisonError};
use tarn_connectors::access::{Access, Denied, Scope};
use tarn_connectors::body::credentials;
use tarn_connectors::findings::{self, Findings};
use tarn_connectors::query::{self, Queries};
use tarn_connectors::sink::Outbox;
use tarn_engine::Engine;
use tarn_lake::Live;
use tarn_lake::log::Log;

/// Detection that is further behind is not ready.
const LAG_SECONDS_MAX: f64 = 60.0;

/// What the routes need.
#[derive(Clone)]
pub struct State {
    pub access: Access,
    pub queries: Queries,
    pub findings: Findings,
    pub metrics: Arc<Metrics>,
    pub log: Log<Frame>,
    pub live: Live,
    pub room: Room,
    pub engine: Arc<Mutex<Arc<Engine>>>,
    pub outbox: Option<Arc<Outbox>>,
}

/// What is answered over HTTP besides receivers.
pub fn router(state: State) -> Router {
    let sql = query::http::router(state.queries.clone());
    let findings = findings::router(state.findings.clone());
    let own = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state);
    own.merge(sql).merge(findings)
}

/// Whether the daemon takes events and keeps up.
async fn ready(extract::State(state): extract::State<State>) -> Response {
    let lag = state.metrics.lag_seconds(state.log.last());
    if state.metrics.is_broken() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the durable log cannot be written\n").into_response();
    }
    if state.outbox.as_ref().is_some_and(|outbox| outbox.is_failing()) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the outbox cannot be written: alerts wait\n").into_response();
    }
    if lag > LAG_SECONDS_MAX {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("detection is {lag:.0} s behind\n")).into_response();
    }
    "ready\n".into_response()
}

async fn metrics(extract::State(state): extract::State<State>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(denied) = state.access.check(&credentials(&parts), Scope::Admin) {
        let status = match denied {
            Denied::Unauthenticated => StatusCode::UNAUTHORIZED,
            Denied::Forbidden => StatusCode::FORBIDDEN,
        };
        return (status, format!("{denied}\n")).into_response();
    }
    let outbox = state.outbox.clone();
    let read = move || outbox.map(|outbox| (outbox.failures(), outbox.status().ok()));
    let outbox = tokio::task::spawn_blocking(read).await;
    let (fresh_rows, fresh_bytes) = state.live.fresh();
    let gauges = Gauges {
        log_last: state.log.last(),
        log_bytes: state.log.bytes(),
        visible: *state.live.visible().borrow(),
        committed: *state.live.committed().borrow(),
        fresh_rows,
        fresh_bytes,
        frames_bytes: state.room.taken(),
        rules: state.engine.lock().unwrap_or_else(PoisonError::into_inner).len(),
        queries: state.queries.running(),
        outbox: outbox.unwrap_or_default(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; version=0.0.4"));
    (headers, render(&state.metrics, &gauges)).into_response()
}
