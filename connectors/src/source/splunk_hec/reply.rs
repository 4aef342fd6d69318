//! What the collector answers: Splunk's codes, their texts and statuses.
//!
//! Source: Splunk Enterprise, "Troubleshoot HTTP Event Collector", possible error codes.

use crate::access::Denied;
use crate::intake::Refused;
use crate::source::push::{Failure, announce};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

/// An answer of the collector's.
#[derive(Debug, Error)]
pub enum Reply {
    /// 0: all of it was taken.
    #[error("Success")]
    Success,
    /// 2.
    #[error("Token is required")]
    TokenRequired,
    /// 3: an authorization that is no token.
    #[error("Invalid authorization")]
    InvalidAuthorization,
    /// 4.
    #[error("Invalid token")]
    InvalidToken,
    /// 5.
    #[error("No data")]
    NoData,
    /// 6: from this event on, counted from 0, the body is no event's JSON.
    #[error("Invalid data format")]
    InvalidFormat {
        /// The event's number.
        event: usize,
    },
    /// 12.
    #[error("Event field is required")]
    EventRequired {
        /// The event's number, from 0.
        event: usize,
    },
    /// 13.
    #[error("Event field cannot be blank")]
    EventBlank {
        /// The event's number, from 0.
        event: usize,
    },
    /// 14.
    #[error("ACK is disabled")]
    AckDisabled,
    /// 16: tokens in addresses end up in logs.
    #[error("Query string authorization is not enabled")]
    QueryToken,
    /// 17.
    #[error("HEC is healthy")]
    Healthy,
    /// What all receivers may fail with.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Reply {
    fn code(&self) -> (StatusCode, u8) {
        match self {
            Self::Success => (StatusCode::OK, 0),
            Self::TokenRequired => (StatusCode::UNAUTHORIZED, 2),
            Self::InvalidAuthorization => (StatusCode::UNAUTHORIZED, 3),
            Self::InvalidToken | Self::Failed(Failure::Denied(Denied::Unauthenticated)) => (StatusCode::FORBIDDEN, 4),
            Self::NoData => (StatusCode::BAD_REQUEST, 5),
            Self::InvalidFormat { .. } => (StatusCode::BAD_REQUEST, 6),
            Self::EventRequired { .. } => (StatusCode::BAD_REQUEST, 12),
            Self::EventBlank { .. } => (StatusCode::BAD_REQUEST, 13),
            Self::AckDisabled => (StatusCode::BAD_REQUEST, 14),
            Self::QueryToken => (StatusCode::BAD_REQUEST, 16),
            Self::Healthy => (StatusCode::OK, 17),
            Self::Failed(Failure::Denied(Denied::Forbidden)) => (StatusCode::FORBIDDEN, 4),
            // The collector knows no 429: busy is 503 with code 9.
            Self::Failed(Failure::Refused(Refused::Overloaded { .. })) => (StatusCode::SERVICE_UNAVAILABLE, 9),
            Self::Failed(failure) if failure.status().is_server_error() => (failure.status(), 9),
            Self::Failed(failure) => (failure.status(), 6),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let (status, code) = self.code();
        let text = if code == 9 { "Server is busy".to_owned() } else { self.to_string() };
        let mut told = json!({ "text": text, "code": code });
        if let Self::InvalidFormat { event } | Self::EventRequired { event } | Self::EventBlank { event } = self {
            told["invalid-event-number"] = event.into();
        }
        let mut response = (status, Json(told)).into_response();
        match &self {
            Self::Failed(failure) => announce(failure, "Splunk", &mut response),
            Self::TokenRequired | Self::InvalidAuthorization => {
                announce(&Denied::Unauthenticated.into(), "Splunk", &mut response);
            }
            _ => {}
        }
        response
    }
}
