//! HTTP, as the API server speaks it to webhooks: `POST /validate?timeout=10s` with an AdmissionReview, and health.
//!
//! `GET /healthz` says that the process answers, `GET /readyz` that it takes questions, and `GET /metrics` how many there
//! were. What is no AdmissionReview has no answer but an error; the webhook's `failurePolicy` says what comes of it.

use super::review::ReviewError;
use super::service::{Admission, Times};
use crate::json::JsonError;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout_at;

/// The routes. Who asks is known where requests have a [`ConnectInfo`].
pub fn router(admission: Arc<Admission>) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admission)
}

async fn ready(State(admission): State<Arc<Admission>>) -> Response {
    if admission.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(admission): State<Arc<Admission>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], admission.counts.render()).into_response()
}

async fn validate(State(admission): State<Arc<Admission>>, request: Request) -> Response {
    let refused = |status: StatusCode, why: String| {
        admission.counts.invalid();
        tracing::warn!(%status, error = why, "no answer");
        (status, format!("{why}\n")).into_response()
    };
    let waits = match timeout(request.uri().query().unwrap_or_default()) {
        Ok(waits) => waits.unwrap_or(admission.limits.timeout),
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    let times = Times::of(waits);
    let source = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    // A turn first: bodies are held only of those who have one.
    let Ok(Ok(turn)) = timeout_at(times.known_by, Arc::clone(&admission.requests).acquire_owned()).await else {
        let most = admission.limits.requests_max;
        return refused(StatusCode::SERVICE_UNAVAILABLE, format!("{most} questions are being answered"));
    };
    let bytes_max = admission.limits.body_bytes_max;
    let body = match timeout_at(times.known_by, to_bytes(request.into_body(), bytes_max)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let why = format!("the body is longer than {bytes_max} bytes, or was cut off");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()),
    };
    // A task of its own: an API server that hangs up does not cut a decision off from its record.
    let asked = Arc::clone(&admission);
    let answered = tokio::spawn(async move {
        let _turn = turn;
        asked.review(&body, times, source).await
    });
    match answered.await {
        Ok(Ok(answer)) => ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
        Ok(Err(error)) => refused(status(&error), error.to_string()),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn status(error: &ReviewError) -> StatusCode {
    match error {
        ReviewError::Json(JsonError::TooLarge { .. } | JsonError::TooMany { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// How long the API server waits, as it writes durations: `10s`, also `500ms` and `1m30s`.
///
/// **Errors**: what is none.
fn timeout(query: &str) -> Result<Option<Duration>, String> {
    let Some(text) = query.split('&').find_map(|pair| pair.strip_prefix("timeout=")) else { return Ok(None) };
    let wrong =
        || format!("timeout: expected a duration such as 10s, got {:?}", text.chars().take(40).collect::<String>());
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u32 = rest[..digits].parse().map_err(|_| wrong())?;
        let after = &rest[digits..];
        let units = [("ms", Duration::from_millis(1)), ("s", Duration::from_secs(1)), ("m", Duration::from_secs(60))];
        let (unit, of) = units.into_iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(wrong)?;
        total = of.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &after[unit.len()..];
    }
    if total.is_zero() { Err(wrong()) } else { Ok(Some(total)) }
}
