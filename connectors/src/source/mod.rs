//! What takes events in. One file or folder a protocol.

pub mod elasticsearch;
mod embedded;
pub mod otlp;
pub mod push;
pub mod splunk_hec;
pub mod syslog;
pub mod tail;
