//! What could not become a record: its bytes, where it stood and why. Nothing is lost.

use thiserror::Error;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// JSON that is broken at an offset from the letter's start.
    #[error("broken JSON at byte {at}: expected {expected}")]
    BrokenJson {
        /// Offset in the letter's bytes.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// A JSON value that is no object.
    #[error("a JSON value that is no object")]
    NotAnObject,
    /// The input ended inside a record.
    #[error("the input ends inside a record")]
    Truncated,
    /// Longer than the limit; the letter holds the first bytes only.
    #[error("a record of {bytes} bytes, the limit is {limit}: its first bytes are kept")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// Bytes that are no UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A line of no known format.
    #[error("a line that is neither JSON nor of a known log format")]
    UnknownLine,
    /// An EVTX chunk or record that does not parse.
    #[error("EVTX: {0}")]
    Evtx(String),
    /// Compressed bytes that do not decompress further.
    #[error("cannot decompress further: {0}")]
    Compression(String),
    /// A record that a decoder refused.
    #[error("{0}")]
    Decoder(String),
}

/// One stretch of input that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number among the records of its container, from 1.
    pub number: u64,
    /// Its offset in the (decompressed) container, where that is known.
    pub offset: Option<u64>,
    /// Its bytes; for a record over the limit the first of them.
    pub bytes: Vec<u8>,
    /// Why it is none.
    pub reason: Reason,
}
