//! Why a request is not taken, and what clients have to make of it: OTLP's lists of retryable answers.

use crate::access::Denied;
use crate::body::BodyError;
use crate::intake::Refused;
use axum::http::StatusCode;
use std::time::Duration;
use tarn_ingest::otlp::OtlpError;
use thiserror::Error;
use tonic::Code;

/// How long a client waits where nothing else is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A request that is not taken. Nothing of it was kept.
#[derive(Debug, Error)]
pub enum Failure {
    /// Its sender may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Its bytes cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is no such message, or more than is taken at once.
    #[error(transparent)]
    Message(#[from] OtlpError),
    /// The intake did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The decoder's thread ended; the process is stopping, or has a defect.
    #[error("the request could not be decoded now")]
    Decoder,
    /// No gRPC framing of one message.
    #[error("gRPC: {0}")]
    Frame(&'static str),
}

impl Failure {
    /// When to come again; none where that would be in vain.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refused::Overloaded { retry_after }) => Some((*retry_after).max(Duration::from_secs(1))),
            Self::Refused(refused) if refused.is_retryable() => Some(RETRY_AFTER),
            Self::Body(BodyError::Slow { .. } | BodyError::Interrupted { .. }) | Self::Decoder => Some(RETRY_AFTER),
            _ => None,
        }
    }

    /// The answer over HTTP.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(Denied::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden) => StatusCode::FORBIDDEN,
            Self::Refused(Refused::Overloaded { .. }) => StatusCode::TOO_MANY_REQUESTS,
            _ if self.retry_after().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(error) => error.status(),
            Self::Refused(Refused::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Message(error) if error.is_too_large() => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer over gRPC. What is too large is `INVALID_ARGUMENT`, as `RESOURCE_EXHAUSTED` and `OUT_OF_RANGE` make
    /// clients come again.
    pub fn code(&self) -> Code {
        match self {
            Self::Denied(Denied::Unauthenticated) => Code::Unauthenticated,
            Self::Denied(Denied::Forbidden) => Code::PermissionDenied,
            Self::Body(BodyError::Encoding { .. }) => Code::Unimplemented,
            _ if self.retry_after().is_some() => Code::Unavailable,
            _ => Code::InvalidArgument,
        }
    }
}
