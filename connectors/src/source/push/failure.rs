//! Why a request is not taken, whatever its protocol, and what HTTP says then.

use crate::access::Denied;
use crate::body::BodyError;
use crate::intake::Refused;
use axum::http::StatusCode;
use std::time::Duration;
use tarn_ingest::container::ContainerError;
use thiserror::Error;

/// After a failure that an operator has to look at, or a stop.
const LATER: Duration = Duration::from_secs(5);

/// Why a request is not taken. Nothing of it was kept.
#[derive(Debug, Error)]
pub enum Failure {
    /// The sender may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Its body cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The intake did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its body cannot be read.
    #[error("the body cannot be read: {0}")]
    Container(#[from] ContainerError),
    /// The thread that read it is gone.
    #[error("reading the body was given up")]
    GivenUp,
}

impl Failure {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(Denied::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden) => StatusCode::FORBIDDEN,
            Self::Body(error) => error.status(),
            Self::Container(ContainerError::MoreThanABlock { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Container(_) => StatusCode::BAD_REQUEST,
            Self::Refused(Refused::Overloaded { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(Refused::Stopping | Refused::Broken) | Self::GivenUp => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(Refused::UnknownSource { .. }) => StatusCode::NOT_FOUND,
            Self::Refused(Refused::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// When the sender should come again; none where that is of no use.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refused::Overloaded { retry_after }) => Some(*retry_after),
            Self::Refused(Refused::Stopping | Refused::Broken) | Self::GivenUp => Some(LATER),
            _ => None,
        }
    }
}
