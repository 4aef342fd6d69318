//! HTTP: the Key Broker Service protocol of Confidential Containers, version 0.4.0, as its clients speak it.
//!
//! `POST /kbs/v0/auth` gives a challenge and a cookie, `POST /kbs/v0/attest` takes the evidence and gives a token,
//! `GET /kbs/v0/resource/{repository}/{type}/{tag}` gives a key as flattened JWE, to the cookie or to the token as a bearer.
//! Requests that arrive whole are decided and recorded even when their client has gone.

use super::decision::{Body, Outcome};
use super::session::Ticket;
use super::{Broker, decision};
use crate::keys::KeyName;
use crate::reason::{Reason, Refusal};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kbs_types::ErrorInformation;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use decision::report_data;

const COOKIE_NAME: &str = "kbs-session-id";
/// The decision's id, in every answer to an attempt: the `metadata.uid` of its record.
pub const DECISION: &str = "tarn-decision";
/// Bytes of a cookie or token that is looked at.
const TICKET_BYTES_MAX: usize = 8 << 10;
/// How long a body may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Before a reason's name in the type of an error.
const ERROR_TYPE: &str = "urn:tarn:key-release:";

/// The routes.
pub fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/kbs/v0/auth", post(auth))
        .route("/kbs/v0/attest", post(attest))
        .route("/kbs/v0/resource/{repository}/{kind}/{tag}", get(resource))
        .fallback(|| async { failure(&Refusal::new(Reason::KeyNotFound, "no such path"), None) })
        .with_state(broker)
}

async fn auth(State(broker): State<Arc<Broker>>, request: Request) -> Response {
    let body = body(&broker, request).await;
    let Ok(_turn) = broker.requests.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match broker.challenge(body) {
        Err(refusal) => failure(&refusal, None),
        Ok(opened) => {
            let cookie = format!("{COOKIE_NAME}={}; Path=/; Max-Age={}; HttpOnly", opened.session, opened.seconds);
            let mut response = answer(&opened.challenge);
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
    }
}

async fn attest(State(broker): State<Arc<Broker>>, request: Request) -> Response {
    let (ticket, source) = (cookie(request.headers()), source(&request));
    // The body first: who sends it slowly keeps nobody from a turn.
    let body = body(&broker, request).await;
    let Ok(turn) = Arc::clone(&broker.requests).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // A task of its own: a client that hangs up does not cut a decision off from its record.
    let decided = tokio::spawn(async move {
        let _turn = turn;
        broker.attest(ticket, body, source).await
    });
    reply(decided.await, |token| answer(&json!({"token": token})))
}

async fn resource(
    State(broker): State<Arc<Broker>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let ticket = bearer(request.headers()).or_else(|| cookie(request.headers()));
    let source = source(&request);
    let name = match path {
        Ok(Path((repository, kind, tag))) => KeyName::new(&repository, &kind, &tag).map_err(|error| error.to_string()),
        Err(rejected) => Err(rejected.to_string()),
    };
    let name = name.map_err(|error| Refusal::new(Reason::KeyNotFound, error));
    let Ok(turn) = Arc::clone(&broker.requests).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let decided = tokio::spawn(async move {
        let _turn = turn;
        broker.release(ticket, name, source).await
    });
    reply(decided.await, |key| answer(&key))
}

fn reply<T>(decided: Result<Outcome<T>, tokio::task::JoinError>, good: impl FnOnce(T) -> Response) -> Response {
    let Ok(Outcome { uid, result }) = decided else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = match result {
        Ok(value) => good(value),
        Err(refusal) => failure(&refusal, Some(&uid)),
    };
    if let Ok(uid) = HeaderValue::try_from(uid) {
        response.headers_mut().insert(DECISION, uid);
    }
    response
}

/// The body, within its bounds.
async fn body(broker: &Broker, request: Request) -> Body {
    let bytes_max = broker.parts.limits.body_bytes_max;
    let limit = |detail: String| Refusal::new(Reason::LimitExceeded, detail);
    match tokio::time::timeout(BODY_TIME_MAX, to_bytes(request.into_body(), bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => Err(limit(format!("the body is longer than {bytes_max} bytes, or was cut off"))),
        Err(_) => Err(limit(format!("the body took longer than {} s", BODY_TIME_MAX.as_secs()))),
    }
}

fn cookie(headers: &HeaderMap) -> Option<Ticket> {
    let values =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut ids = values.filter_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
    ids.next().filter(|id| id.len() <= TICKET_BYTES_MAX).map(|id| Ticket::Cookie(id.trim_matches('"').to_owned()))
}

fn bearer(headers: &HeaderMap) -> Option<Ticket> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    (token.len() <= TICKET_BYTES_MAX).then(|| Ticket::Token(token.to_owned()))
}

fn source(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

fn answer(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Clients try again with new evidence at 401, and at no other status.
fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::KeyNotFound => StatusCode::NOT_FOUND,
        Reason::KeyStoreFailed | Reason::LedgerFailed | Reason::PolicyError => StatusCode::SERVICE_UNAVAILABLE,
        Reason::PolicyDenied
        | Reason::SimulatedEvidence
        | Reason::EvidenceMissing
        | Reason::MeasurementMismatch
        | Reason::IdentityMismatch
        | Reason::IssuerMismatch
        | Reason::DigestMismatch
        | Reason::PlatformNotAllowed => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    }
}

/// A refusal says why by the closed list, and by which decision.
fn failure(refusal: &Refusal, uid: Option<&str>) -> Response {
    let kind = refusal.reason.caption().to_ascii_lowercase().replace(' ', "-");
    let decision = uid.map_or(String::new(), |uid| format!(" (decision {uid})"));
    let detail = format!("{}: {}{decision}", refusal.reason, detail(refusal));
    let mut response = answer(&ErrorInformation { error_type: format!("{ERROR_TYPE}{kind}"), detail });
    *response.status_mut() = status(refusal.reason);
    response
}

/// What failed inside is for the log and the record, not for the one who asks.
fn detail(refusal: &Refusal) -> &str {
    match refusal.reason {
        Reason::KeyStoreFailed | Reason::LedgerFailed | Reason::PolicyError => "see the broker's log",
        _ => &refusal.detail,
    }
}
