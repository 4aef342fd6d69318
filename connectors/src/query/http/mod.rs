//! SQL over HTTP: `POST /v1/sql`, `DELETE /v1/sql/{id}`, `GET /v1/tables`.
//!
//! Rows are sent as they come; a reader that stops reading stops the query, one that goes away cancels it. What goes
//! wrong after the first row is seen as well: an ndjson answer ends with `{"error": …}`, any other is broken off.

mod answer;
mod format;
mod problem;
mod request;
mod tables;

use super::{Queries, QueryId};
use crate::access::{Identity, Scope};
use crate::body::{self, BodyLimits};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use axum::routing::{delete, get, post};
use problem::Problem;
use std::time::Duration;

/// The header that names an answer's query.
pub const QUERY_ID: HeaderName = HeaderName::from_static("x-tarn-query-id");

/// A body has the statement and a little around it; with every character escaped it is six times as long.
const BODY_FACTOR: usize = 6;
const BODY_EXTRA: usize = 4 << 10;

/// The HTTP API over these queries.
pub fn router(queries: Queries) -> Router {
    Router::new()
        .route("/v1/sql", post(ask))
        .route("/v1/sql/{id}", delete(cancel))
        .route("/v1/tables", get(list))
        .with_state(queries)
}

fn admit(queries: &Queries, parts: &Parts) -> Result<Identity, Problem> {
    Ok(queries.access().check(&body::credentials(parts), Scope::Query)?)
}

async fn ask(State(queries): State<Queries>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let asker = admit(&queries, &parts)?;
    let bytes_max = queries.limits().sql_bytes_max.saturating_mul(BODY_FACTOR).saturating_add(BODY_EXTRA);
    let limits = BodyLimits { wire_bytes_max: bytes_max, bytes_max, timeout: Duration::from_secs(30) };
    let body = body::read(&parts.headers, body, &limits).await?;
    let request::Parsed { ask, format, nested } = request::parse(&parts.headers, &body)?;
    let running = queries.start(&asker, ask).await?;
    answer::respond(running, format, nested).await
}

async fn cancel(
    State(queries): State<Queries>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, _) = request.into_parts();
    let asker = admit(&queries, &parts)?;
    let found = id.parse::<QueryId>().is_ok_and(|id| queries.cancel(id, &asker));
    if found { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NoSuchQuery { id }) }
}

async fn list(State(queries): State<Queries>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    admit(&queries, &parts)?;
    let session = queries.open().await?;
    Ok(tables::respond(session.tables()))
}
