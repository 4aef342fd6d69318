//! HTTP push: `POST /v1/ingest` and `POST /v1/ingest/{source}` take events in whatever form a log file has.
//!
//! A body is a container as [`tarn_ingest::container`] reads them: NDJSON, JSON, arrays, `{"Records": […]}`, lines of
//! syslog or auditd, EVTX, Parquet; compressed by `Content-Encoding`, or itself a .gz or .zst. One request is one
//! delivery: all of it is on disk when 200 is answered, and nothing otherwise. What is no record is kept as a dead
//! letter, counted in the answer, and the first few are told.

use crate::access::{Access, Credentials, Denied, Scope};
use crate::body::{self, BodyError, BodyLimits};
use crate::intake::{Delivery, Intake, Refused};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use tarn_ingest::container::{Block, Blocks, ContainerError, Limits};
use tarn_ingest::source::Sources;
use thiserror::Error;

/// Defects of a body that its answer tells.
const DEFECTS_TOLD: usize = 5;
/// A body of more is read on a thread that may block.
const INLINE_BYTES: usize = 64 << 10;
/// When the log is broken or the server goes down.
const LATER: Duration = Duration::from_secs(5);

/// What push needs.
#[derive(Clone)]
pub struct Push {
    /// Where deliveries go.
    pub intake: Intake,
    /// Who may push what.
    pub access: Access,
    /// Limits on bodies.
    pub limits: BodyLimits,
    /// The log sources that there are.
    pub sources: Arc<Sources>,
}

/// Why a request is not taken.
#[derive(Debug, Error)]
enum PushError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the body cannot be read: {0}")]
    Container(#[from] ContainerError),
    #[error("reading the body was given up")]
    GivenUp,
}

/// The routes.
pub fn router(push: Push) -> Router {
    Router::new().route("/v1/ingest", post(any)).route("/v1/ingest/{source}", post(named)).with_state(push)
}

async fn any(State(push): State<Push>, request: Request<Body>) -> Response {
    answer(push.take(None, request).await)
}

async fn named(State(push): State<Push>, Path(source): Path<String>, request: Request<Body>) -> Response {
    answer(push.take(Some(source), request).await)
}

impl Push {
    async fn take(&self, source: Option<String>, request: Request<Body>) -> Result<Value, PushError> {
        let (parts, body) = request.into_parts();
        let sender = self.sender(&parts, source.as_deref())?;
        if let Some(name) = source.as_ref().filter(|name| self.sources.named(name).is_none()) {
            return Err(Refused::UnknownSource { name: name.clone() }.into());
        }
        let bytes = body::read(&parts.headers, body, &self.limits).await?;
        let limit = self.limits.bytes_max;
        let block = if bytes.len() <= INLINE_BYTES {
            read(bytes, limit)?
        } else {
            tokio::task::spawn_blocking(move || read(bytes, limit)).await.map_err(|_| PushError::GivenUp)??
        };
        let defects: Vec<Value> = block.dead.iter().take(DEFECTS_TOLD).map(defect).collect();
        let mut told = json!({ "accepted": block.records.len(), "dead_letters": block.dead.len() });
        if !defects.is_empty() {
            told["defects"] = Value::Array(defects);
        }
        self.intake.deliver(Delivery { source, block, sender: Some(sender) }).await?;
        Ok(told)
    }

    fn sender(&self, parts: &Parts, source: Option<&str>) -> Result<Arc<str>, Denied> {
        let shown: Credentials = body::credentials(parts);
        self.access.check(&shown, Scope::Ingest(source)).map(|identity| identity.name)
    }
}

fn defect(letter: &tarn_ingest::DeadLetter) -> Value {
    json!({ "record": letter.number, "offset": letter.offset, "reason": letter.reason.to_string() })
}

/// The whole of a body as one block; a compressed one gives at most `limit` bytes.
fn read(bytes: Bytes, limit: usize) -> Result<Block, PushError> {
    // JSON that is made of lines is longer than these; one block takes all that may be taken.
    let most = limit.saturating_mul(2);
    let limits = Limits { block_bytes: most + 1, ..Limits::default() };
    let mut blocks = Blocks::open(Cursor::new(bytes), limits)?;
    let block = blocks.next_block()?.unwrap_or_default();
    let size = block.json.len() + block.text.len();
    if size > most {
        return Err(Refused::TooLarge { bytes: size, limit }.into());
    }
    Ok(block)
}

fn answer(result: Result<Value, PushError>) -> Response {
    match result {
        Ok(told) => Json(told).into_response(),
        Err(error) => {
            let (status, after) = status(&error);
            let mut response = (status, Json(json!({ "error": error.to_string() }))).into_response();
            if let Some(after) = after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
            }
            if status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

fn status(error: &PushError) -> (StatusCode, Option<Duration>) {
    match error {
        PushError::Denied(Denied::Unauthenticated) => (StatusCode::UNAUTHORIZED, None),
        PushError::Denied(Denied::Forbidden) => (StatusCode::FORBIDDEN, None),
        PushError::Body(error) => (error.status(), None),
        PushError::Container(_) => (StatusCode::BAD_REQUEST, None),
        PushError::Refused(refused) => match refused {
            Refused::Overloaded { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(*retry_after)),
            Refused::Stopping | Refused::Broken => (StatusCode::SERVICE_UNAVAILABLE, Some(LATER)),
            Refused::UnknownSource { .. } => (StatusCode::NOT_FOUND, None),
            Refused::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None),
        },
        PushError::GivenUp => (StatusCode::SERVICE_UNAVAILABLE, Some(LATER)),
    }
}
