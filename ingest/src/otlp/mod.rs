//! OTLP messages become records: logs and spans as JSON texts for the mapping `sources/otlp`, data points of metrics as JSON
//! texts for [`metric::table`].
//!
//! **In**: the bytes of one `Export…ServiceRequest`, protobuf or JSON, decompressed. **Out**: a [`Block`]. A log record
//! whose body or attributes are an event of a known source is that event, with the whole log record as its original; any
//! other record is one JSON object that holds all of it (docs/receivers.md, "OTLP"). **Fails**: as a whole, for what is no
//! such message and for what exceeds [`Limits`]. **Not here**: HTTP, gRPC, compression, and the signal of profiles.
//! **Source**: OTLP 1.7, opentelemetry-proto 1.7.

mod event;
mod json;
mod log;
pub mod metric;
mod object;
mod records;
mod schema;
mod span;
mod value;
mod windows;
mod wire;

#[cfg(test)]
mod tests;

use crate::container::Block;
use crate::source::Sources;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::borrow::Cow;
use thiserror::Error;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`, and gRPC.
    Protobuf,
    /// `application/json`.
    Json,
}

/// Limits on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages in it at any depth: values, attributes, records.
    pub messages_max: usize,
    /// Records in it.
    pub records_max: usize,
    /// Attributes of a record; one with more is a dead letter.
    pub attributes_max: usize,
    /// Longest record, as JSON with its resource and scope; a longer one is a dead letter.
    pub record_bytes_max: usize,
    /// How many bytes of such a record are kept.
    pub dead_letter_bytes_max: usize,
    /// All records as JSON: each repeats its resource and scope.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// 4 million messages, 250,000 records, 1,024 attributes, 32 MiB a record, 1 MiB a dead letter, 256 MiB in all.
    fn default() -> Self {
        Self {
            messages_max: 4_000_000,
            records_max: 250_000,
            attributes_max: 1_024,
            record_bytes_max: 32 << 20,
            dead_letter_bytes_max: 1 << 20,
            bytes_max: 256 << 20,
        }
    }
}

/// A request that can never be taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OtlpError {
    /// No JSON.
    #[error("broken JSON at byte {at}: expected {expected}")]
    Json {
        /// Offset in the request.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// JSON that is not this message's.
    #[error("{message}.{field}: expected {expected}")]
    Field {
        /// The message.
        message: &'static str,
        /// Its field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// No protobuf, or not this message's.
    #[error("{message}: {reason}")]
    Protobuf {
        /// The message.
        message: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Values in values, deeper than is read.
    #[error("messages nest deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More values than are taken at once.
    #[error("more than {limit} values, attributes and records")]
    TooManyValues {
        /// The limit.
        limit: usize,
    },
    /// More records than are taken at once.
    #[error("more than {limit} records")]
    TooManyRecords {
        /// The limit.
        limit: usize,
    },
    /// Records that are too long together.
    #[error("the records take more than {limit} bytes, with resource and scope for each")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl OtlpError {
    /// Whether the request would be taken in smaller pieces.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooManyValues { .. } | Self::TooManyRecords { .. } | Self::TooLarge { .. })
    }
}

/// Records of an `ExportLogsServiceRequest`, numbered from 1. Without `sources` none is taken for another source's event.
///
/// **Errors**: [`OtlpError`].
pub fn logs(bytes: &[u8], encoding: Encoding, sources: Option<&Sources>, limits: &Limits) -> Result<Block, OtlpError> {
    let request: ExportLogsServiceRequest = message(bytes, encoding, &schema::LOGS, limits)?;
    log::block(request, sources, limits)
}

/// Records of an `ExportTraceServiceRequest`, one a span, numbered from 1.
///
/// **Errors**: [`OtlpError`].
pub fn spans(bytes: &[u8], encoding: Encoding, limits: &Limits) -> Result<Block, OtlpError> {
    let request: ExportTraceServiceRequest = message(bytes, encoding, &schema::TRACES, limits)?;
    span::block(request, limits)
}

/// Records of an `ExportMetricsServiceRequest`, one a data point, numbered from 1.
///
/// **Errors**: [`OtlpError`].
pub fn metrics(bytes: &[u8], encoding: Encoding, limits: &Limits) -> Result<Block, OtlpError> {
    let request: ExportMetricsServiceRequest = message(bytes, encoding, &schema::METRICS, limits)?;
    metric::block(request, limits)
}

fn message<M: Message + Default>(
    bytes: &[u8],
    encoding: Encoding,
    schema: &'static schema::Message,
    limits: &Limits,
) -> Result<M, OtlpError> {
    let bytes = match encoding {
        Encoding::Protobuf => Cow::Borrowed(bytes),
        Encoding::Json => Cow::Owned(json::to_protobuf(bytes, schema)?),
    };
    wire::check(&bytes, schema, limits)?;
    let broken = |error: prost::DecodeError| OtlpError::Protobuf { message: schema.name, reason: error.to_string() };
    M::decode(bytes.as_ref()).map_err(broken)
}
