//! `metadata.uid` of records: the vendor's id where that is unique, else a digest of where the record stood and what it
//! was.
//!
//! The digest stays the same when the container grows or is renamed, and differs for equal records at different places.

use crate::container::{Block, RecordSpan};
use sha2::{Digest, Sha256};

/// Identifies a container: the digest of its first record, so that it stays while the container grows.
pub type Origin = [u8; 32];

/// The origin of a container whose first record is this one.
pub(crate) fn origin(first: &str) -> Origin {
    Sha256::digest(first).into()
}

/// The uid of a record that brings none: of its container, its number in it, and its bytes.
pub fn record_uid(block: &Block, record: &RecordSpan) -> String {
    let digest = Sha256::new()
        .chain_update(block.origin)
        .chain_update(record.number.to_be_bytes())
        .chain_update(block.original(record))
        .finalize();
    hex::encode(&digest[..16])
}

/// The vendor's id as a uid, where it says anything.
pub(crate) fn vendor_uid(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    let text = crate::json::text(raw);
    (!text.is_empty() && text != "null").then_some(text)
}
