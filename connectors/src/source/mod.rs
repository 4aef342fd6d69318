//! What takes events in. One file or folder a protocol.

mod embedded;
pub mod push;
pub mod splunk_hec;
