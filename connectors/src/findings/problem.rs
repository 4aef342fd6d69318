//! Errors as HTTP answers: `{"error": …, "field": …}`.

use crate::access::Denied;
use crate::body::BodyError;
use crate::intake::Refused;
use crate::query::QueryError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

/// Why a request has no answer. Nothing was changed.
#[derive(Debug, Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The log does not take the change.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A body that is no change.
    #[error("the body is no change: {reason}")]
    Malformed { reason: String },
    /// A value that a field does not take.
    #[error("{field}: {reason}; expected {expected}")]
    Field { field: String, reason: String, expected: String },
    /// No finding has this uid.
    #[error("no finding {uid:?}")]
    NoSuchFinding { uid: String },
}

impl Problem {
    pub(super) fn field(field: &str, reason: &str, expected: &str) -> Self {
        Self::Field { field: field.to_owned(), reason: reason.to_owned(), expected: expected.to_owned() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Denied(Denied::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden) => StatusCode::FORBIDDEN,
            Self::Body(error) => error.status(),
            Self::Query(error) => error.status(),
            Self::Refused(Refused::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(Refused::Overloaded { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Malformed { .. } | Self::Field { .. } => StatusCode::BAD_REQUEST,
            Self::NoSuchFinding { .. } => StatusCode::NOT_FOUND,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = match &self {
            Self::Field { field, .. } => json!({ "error": self.to_string(), "field": field }),
            _ => json!({ "error": self.to_string() }),
        };
        let mut response = (self.status(), Json(body)).into_response();
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
