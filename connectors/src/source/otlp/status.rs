//! `google.rpc.Status` and what stands in it: the body of refusals over HTTP, the details of those over gRPC.
//!
//! **Source**: google/rpc/status.proto, google/rpc/error_details.proto.

use super::failure::Failure;
use prost::Message;
use std::time::Duration;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What is wrong, for people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// More, for programs.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// The type's name.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Status {
    /// What a client is told of a failure.
    pub fn of(failure: &Failure) -> Self {
        let details = failure.retry_after().map(retry_info).into_iter().collect();
        Self { code: failure.code() as i32, message: failure.to_string(), details }
    }
}

fn retry_info(after: Duration) -> Any {
    let delay = Delay {
        seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        nanos: after.subsec_nanos().cast_signed(),
    };
    Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo { retry_delay: Some(delay) }.encode_to_vec(),
    }
}
