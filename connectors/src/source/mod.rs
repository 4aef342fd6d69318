//! What takes events in. One file or folder a protocol.

pub mod otlp;
pub mod push;
