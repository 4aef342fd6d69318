//! Errors as gRPC statuses, with the SQLSTATE in a header.

use crate::query::QueryError;
use arrow_flight::error::FlightError;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// The header that has the SQLSTATE.
pub const SQLSTATE: &str = "x-tarn-sqlstate";

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::Syntax { .. }
            | QueryError::UnknownColumn { .. }
            | QueryError::Ambiguous { .. }
            | QueryError::Invalid { .. }
            | QueryError::Data { .. }
            | QueryError::Parameter { .. }
            | QueryError::TooLong { .. } => Code::InvalidArgument,
            QueryError::ReadOnly { .. } => Code::PermissionDenied,
            QueryError::UnknownTable { .. } => Code::NotFound,
            QueryError::Memory { .. } | QueryError::Rows { .. } | QueryError::Busy { .. } => Code::ResourceExhausted,
            QueryError::Timeout { .. } => Code::DeadlineExceeded,
            QueryError::Cancelled => Code::Cancelled,
            QueryError::Unavailable { .. } => Code::Unavailable,
            QueryError::Internal { .. } => Code::Internal,
        };
        let mut headers = MetadataMap::new();
        headers.insert(SQLSTATE, MetadataValue::from_static(error.sqlstate()));
        Status::with_metadata(code, error.to_string(), headers)
    }
}

/// What cannot be put into Arrow's format, which is a fault of ours.
pub fn internal(error: impl Into<FlightError>) -> Status {
    let error: FlightError = error.into();
    Status::internal(error.to_string())
}
