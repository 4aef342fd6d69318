//! The connectors at their seams: real clients against servers on port 0, and intakes that collect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod elasticsearch;
mod findings;
mod hostile;
mod otlp;
mod push;
mod receiving;
mod sink;
mod splunk_hec;
mod syslog;
mod tail;
