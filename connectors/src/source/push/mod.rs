//! HTTP push: `POST /v1/ingest` and `POST /v1/ingest/{source}` take events in whatever form a log file has.
//!
//! A body is a container as [`tarn_ingest::container`] reads them: NDJSON, JSON, arrays, `{"Records": […]}`, lines of
//! syslog or auditd, EVTX, Parquet; compressed by `Content-Encoding`, or itself a .gz or .zst. One request is one
//! delivery: all of it is on disk when 200 is answered, and nothing otherwise. What is no record is kept as a dead
//! letter, counted in the answer, and the first few are told.

mod close;
mod failure;

pub use failure::Failure;

use crate::access::{Identity, Scope};
use crate::body::{self, BodyLimits};
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
use std::sync::Arc;
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::source::Sources;

/// Defects of a body that its answer tells.
const DEFECTS_TOLD: usize = 5;
/// Bytes of a defect that its answer tells.
const DEFECT_BYTES: usize = 80;
/// A body of more is read on a thread that may block.
const INLINE_BYTES: usize = 64 << 10;

/// What receivers over HTTP need.
#[derive(Clone)]
pub struct Push {
    /// Where deliveries go.
    pub intake: Intake,
    /// Who may push what.
    pub access: crate::access::Access,
    /// Limits on bodies.
    pub limits: BodyLimits,
    /// The log sources that there are.
    pub sources: Arc<Sources>,
}

/// The routes.
pub fn router(push: Push) -> Router {
    Router::new().route("/v1/ingest", post(any)).route("/v1/ingest/{source}", post(named)).with_state(push)
}

async fn any(State(push): State<Push>, request: Request<Body>) -> Response {
    push.answer(push.take(None, request).await)
}

async fn named(State(push): State<Push>, Path(source): Path<String>, request: Request<Body>) -> Response {
    push.answer(push.take(Some(source), request).await)
}

impl Push {
    /// Who sends a request, if they may send events of this source.
    ///
    /// **Errors**: [`Failure::Denied`]; [`Refused::UnknownSource`], for those only who may send it.
    pub fn admit(&self, parts: &Parts, source: Option<&str>) -> Result<Identity, Failure> {
        let sender = self.access.check(&body::credentials(parts), Scope::Ingest(source))?;
        match source.filter(|name| self.sources.named(name).is_none()) {
            Some(name) => Err(Refused::UnknownSource { name: name.to_owned() }.into()),
            None => Ok(sender),
        }
    }

    /// Reads a request's body and makes something of it, where that is much on a thread that may block.
    ///
    /// **Errors**: of the body, of `make`, and [`Failure::GivenUp`].
    pub async fn read<T: Send + 'static>(
        &self,
        parts: &Parts,
        body: Body,
        make: impl FnOnce(Bytes, BodyLimits) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let bytes = body::read(&parts.headers, body, &self.limits).await?;
        let limits = self.limits;
        if bytes.len() <= INLINE_BYTES {
            return make(bytes, limits);
        }
        tokio::task::spawn_blocking(move || make(bytes, limits)).await.map_err(|_| Failure::GivenUp)?
    }

    async fn take(&self, source: Option<String>, request: Request<Body>) -> Result<Value, Failure> {
        let (parts, body) = request.into_parts();
        let sender = self.admit(&parts, source.as_deref())?;
        let block = self.read(&parts, body, block).await?;
        let defects: Vec<Value> = block.dead.iter().take(DEFECTS_TOLD).map(defect).collect();
        let mut told = json!({ "accepted": block.records.len(), "dead_letters": block.dead.len() });
        if !defects.is_empty() {
            told["defects"] = Value::Array(defects);
        }
        self.intake.deliver(Delivery { source, block, sender: Some(sender.name), ..Delivery::default() }).await?;
        Ok(told)
    }

    fn answer(&self, result: Result<Value, Failure>) -> Response {
        let failure = match result {
            Ok(told) => return Json(told).into_response(),
            Err(failure) => failure,
        };
        let mut told = json!({ "error": failure.to_string() });
        if let Failure::Refused(Refused::UnknownSource { name }) = &failure {
            told["close"] = close::names(name, self.sources.iter().map(|source| source.name.as_str())).into();
        }
        let mut response = (failure.status(), Json(told)).into_response();
        announce(&failure, "Bearer", &mut response);
        response
    }
}

/// The headers that go with a failure: when to come again, or how to say who one is.
pub fn announce(failure: &Failure, scheme: &'static str, response: &mut Response) {
    if let Some(after) = failure.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if failure.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
}

fn defect(letter: &tarn_ingest::DeadLetter) -> Value {
    let begins = String::from_utf8_lossy(&letter.bytes[..letter.bytes.len().min(DEFECT_BYTES)]);
    json!({ "record": letter.number, "reason": letter.reason.to_string(), "begins": begins })
}

/// The whole of a body as one block.
pub(super) fn block(bytes: Bytes, limits: BodyLimits) -> Result<Block, Failure> {
    let bytes = body::expand(bytes, &limits)?;
    // JSON that is made of lines is longer than these, and so are Parquet's rows.
    let block_bytes = limits.bytes_max.saturating_mul(2);
    Ok(Blocks::whole(Vec::from(bytes), Limits { block_bytes, ..Limits::default() })?)
}
