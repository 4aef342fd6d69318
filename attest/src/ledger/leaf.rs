//! A leaf of the log: who, when, and the digests of what. Small and canonical, so that entry bundles stay small.

use super::entry::{Entry, RAW_BYTES_MAX, RECORD_BYTES_MAX, UID_BYTES_MAX};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The version in every leaf.
const VERSION: u32 = 1;

/// Longest leaf: C2SP tlog-tiles gives it 16 bits of length.
pub(crate) const LEAF_BYTES_MAX: usize = u16::MAX as usize;

/// Digest and size of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// SHA-256.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
}

impl Blob {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256::digest(bytes).into(), size: bytes.len() as u64 }
    }

    /// Whether these are the bytes.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.size == bytes.len() as u64 && self.sha256 == <[u8; 32]>::from(Sha256::digest(bytes))
    }
}

/// What a leaf's bytes say: an RFC 8785 object with exactly these members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
// In the order of RFC 8785, so that plain serialisation is the canonical one: no member is a float.
pub struct Leaf {
    /// Leaves before the batch that the record's bytes are stored in.
    pub batch: u64,
    /// When the writer logged it, milliseconds since 1970 UTC; never earlier than the leaf before.
    pub logged_at: i64,
    /// The document that the record was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Blob>,
    /// The record's RFC 8785 bytes.
    pub record: Blob,
    /// The record's identity, `metadata.uid`.
    pub uid: String,
    /// The leaf's version.
    v: u32,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// No JSON of a leaf.
    #[error("not a leaf of this format: {0}")]
    Malformed(String),
    /// JSON of a leaf in another spelling.
    #[error("the leaf is not in its RFC 8785 form")]
    NotCanonical,
}

impl Leaf {
    pub(crate) fn of(entry: &Entry, batch: u64, logged_at: i64) -> Self {
        let raw = entry.raw.as_deref().map(Blob::of);
        Self { batch, logged_at, raw, record: Blob::of(&entry.record), uid: entry.uid.clone(), v: VERSION }
    }

    /// The leaf's bytes, whose hash is in the tree.
    pub(crate) fn to_bytes(&self) -> Bytes {
        // Integers, strings and hex cannot fail to serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a leaf.
    ///
    /// **Errors**: anything but the one spelling of a leaf within its bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let malformed = |what: &str| LeafError::Malformed(what.to_owned());
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(malformed("too long"));
        }
        let leaf: Self = serde_json::from_slice(bytes).map_err(|e| LeafError::Malformed(e.to_string()))?;
        if leaf.v != VERSION {
            return Err(LeafError::Malformed(format!("version {}, expected {VERSION}", leaf.v)));
        }
        if leaf.uid.is_empty() || leaf.uid.len() > UID_BYTES_MAX {
            return Err(malformed("the uid's length"));
        }
        if leaf.record.size > RECORD_BYTES_MAX as u64 || leaf.raw.is_some_and(|r| r.size > RAW_BYTES_MAX as u64) {
            return Err(malformed("a size out of bounds"));
        }
        if leaf.to_bytes() == bytes { Ok(leaf) } else { Err(LeafError::NotCanonical) }
    }

    /// Whether another leaf is of the same evidence, wherever and whenever logged.
    pub(crate) fn same_evidence(&self, other: &Self) -> bool {
        self.uid == other.uid && self.record == other.record && self.raw == other.raw
    }
}

fn to_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = [0; 64];
    hex::encode_to_slice(bytes, &mut text).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.as_bytes(), &mut bytes)
        .map_err(|_| serde::de::Error::custom("a SHA-256 digest is 64 hex digits"))?;
    Ok(bytes)
}
