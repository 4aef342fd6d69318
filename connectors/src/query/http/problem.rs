//! Errors as HTTP answers: `{"error": {"code": …, "message": …, "position": …}}`, the code being an SQLSTATE.

use super::super::QueryError;
use crate::access::Denied;
use crate::body::BodyError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use thiserror::Error;

/// Why a request has no answer.
#[derive(Debug, Error)]
pub(super) enum Problem {
    /// The question's.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The credentials'.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The body's.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A body that is no question.
    #[error("the body is no question: {reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// A body of another type than can be read.
    #[error("content type {name:?} is not understood; application/json and text/plain are")]
    ContentType {
        /// As it was sent.
        name: String,
    },
    /// None of the formats that the client takes.
    #[error(
        "none of {wanted:?} can be sent; application/json, application/x-ndjson, text/csv and application/vnd.apache.arrow.stream can"
    )]
    NotAcceptable {
        /// As it was sent.
        wanted: String,
    },
    /// Nothing to cancel.
    #[error("no query {id:?} is running")]
    NoSuchQuery {
        /// As it was sent.
        id: String,
    },
}

/// An error as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    error: Detail,
}

#[derive(Debug, Serialize)]
struct Detail {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
}

impl From<&QueryError> for Sent {
    fn from(error: &QueryError) -> Self {
        let position = error.position().map(|p| p.0);
        Self { error: Detail { code: error.sqlstate(), message: error.to_string(), position } }
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Query(error) => error.status(),
            Self::Denied(Denied::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden) => StatusCode::FORBIDDEN,
            Self::Body(error) => error.status(),
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::NoSuchQuery { .. } => StatusCode::NOT_FOUND,
        }
    }

    fn sent(&self) -> Sent {
        let code = match self {
            Self::Query(error) => return Sent::from(error),
            Self::Denied(Denied::Unauthenticated) => "28000",
            Self::Denied(Denied::Forbidden) => "42501",
            Self::NoSuchQuery { .. } => "02000",
            Self::Body(_) | Self::Malformed { .. } | Self::ContentType { .. } | Self::NotAcceptable { .. } => "08P01",
        };
        Sent { error: Detail { code, message: self.to_string(), position: None } }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.sent())).into_response();
        let headers = response.headers_mut();
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
