//! What is logged: a record in its RFC 8785 bytes, its identity, and the document that it was made from.

use bytes::Bytes;
use serde_json::{Number, Value};

/// Longest `metadata.uid`, bytes.
pub const UID_BYTES_MAX: usize = 1024;
/// Largest record, bytes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Largest raw document, bytes.
pub const RAW_BYTES_MAX: usize = 64 << 20;

/// Deepest nesting of a record.
const DEPTH_MAX: usize = 120;
/// Largest magnitude up to which every integer is a double (RFC 7493, section 2.2).
pub const INTEGER_MAX: u64 = 1 << 53;

/// A record to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) uid: String,
    pub(crate) record: Bytes,
    pub(crate) raw: Option<Bytes>,
}

/// Why a record cannot be logged.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// No identity, or one that is too long.
    #[error("a uid has 1 to {UID_BYTES_MAX} bytes, this one has {0}")]
    Uid(usize),
    /// Larger than a ledger takes.
    #[error("the {what} has {bytes} bytes, at most {max} are taken")]
    TooLarge {
        /// The record or the raw document.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not JSON.
    #[error("the record is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// Deeper than a ledger takes.
    #[error("the record is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// RFC 8785 knows doubles only: this integer would be rounded, and another number would have the same digest.
    #[error("the integer {0} is no double: write it as a string")]
    Inexact(Number),
    /// JSON, but not in the form of RFC 8785.
    #[error("the record is not in its RFC 8785 form")]
    NotCanonical,
}

impl Entry {
    /// A record, brought into its RFC 8785 form.
    ///
    /// **Errors**: uid or sizes out of bounds, a number that the form cannot hold.
    pub fn new(uid: &str, record: &Value, raw: Option<Bytes>) -> Result<Self, EntryError> {
        exact(record, 0)?;
        let record = serde_json_canonicalizer::to_vec(record).map_err(EntryError::NotJson)?;
        Self::checked(uid, record.into(), raw)
    }

    /// A record that is in its RFC 8785 form already.
    ///
    /// **Errors**: as [`Self::new`], and [`EntryError::NotCanonical`].
    pub fn from_canonical(uid: &str, record: Bytes, raw: Option<Bytes>) -> Result<Self, EntryError> {
        let entry = Self::checked(uid, record, raw)?;
        let value: Value = serde_json::from_slice(&entry.record).map_err(EntryError::NotJson)?;
        exact(&value, 0)?;
        let canonical = serde_json_canonicalizer::to_vec(&value).map_err(EntryError::NotJson)?;
        if canonical == entry.record { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    fn checked(uid: &str, record: Bytes, raw: Option<Bytes>) -> Result<Self, EntryError> {
        if uid.is_empty() || uid.len() > UID_BYTES_MAX {
            return Err(EntryError::Uid(uid.len()));
        }
        let bounded =
            |what, bytes, max| if bytes > max { Err(EntryError::TooLarge { what, bytes, max }) } else { Ok(()) };
        bounded("record", record.len(), RECORD_BYTES_MAX)?;
        bounded("raw document", raw.as_ref().map_or(0, Bytes::len), RAW_BYTES_MAX)?;
        Ok(Self { uid: uid.to_owned(), record, raw })
    }

    /// The record's identity.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The record's RFC 8785 bytes.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// The document that the record was made from.
    pub fn raw(&self) -> Option<&Bytes> {
        self.raw.as_ref()
    }

    /// Bytes of record and document.
    pub(crate) fn bytes(&self) -> usize {
        self.record.len() + self.raw.as_ref().map_or(0, Bytes::len)
    }
}

fn exact(value: &Value, depth: usize) -> Result<(), EntryError> {
    match value {
        _ if depth > DEPTH_MAX => Err(EntryError::TooDeep),
        Value::Number(n) => {
            let magnitude = n.as_u64().or_else(|| n.as_i64().map(i64::unsigned_abs));
            if magnitude.is_some_and(|m| m > INTEGER_MAX) { Err(EntryError::Inexact(n.clone())) } else { Ok(()) }
        }
        Value::Array(items) => items.iter().try_for_each(|item| exact(item, depth + 1)),
        Value::Object(members) => members.values().try_for_each(|member| exact(member, depth + 1)),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}
