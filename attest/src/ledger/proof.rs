//! Proof files: a record, its raw document, its leaf, the way to the root, and the checkpoint, in one JSON file.
//!
//! [`verify`] does no IO and believes nothing but the public key. The file has one spelling (RFC 8785), so any change of
//! any byte is refused.

use super::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointReason};
use super::entry::{RAW_BYTES_MAX, RECORD_BYTES_MAX};
use super::key::PublicKey;
use super::leaf::{Leaf, LeafError};
use super::witness::{Cosignature, WitnessPolicy};
use base64::prelude::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tlog_tiles::{HASH_SIZE, Hash, check_record, record_hash};

const FORMAT: &str = "tarn.evidence.proof/1";

/// Largest proof file.
pub const PROOF_BYTES_MAX: usize = 256 << 20;

/// Longest way to a root: a level of the tree each.
pub(crate) const HASHES_MAX: usize = 64;

/// The file, in the order of RFC 8785.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    checkpoint: std::borrow::Cow<'a, str>,
    format: std::borrow::Cow<'a, str>,
    inclusion: Vec<String>,
    index: u64,
    leaf: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    record: std::borrow::Cow<'a, str>,
}

/// What a proof file is made of.
pub(crate) struct ProofFile<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) inclusion: &'a [Hash],
    pub(crate) index: u64,
    pub(crate) leaf: &'a [u8],
    pub(crate) raw: Option<Bytes>,
    pub(crate) record: Bytes,
}

impl ProofFile<'_> {
    /// **Errors**: parts that are no UTF-8, which a writer never leaves.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let wire = Wire {
            checkpoint: text(self.checkpoint.note())?.into(),
            format: FORMAT.into(),
            inclusion: self.inclusion.iter().map(ToString::to_string).collect(),
            index: self.index,
            leaf: text(self.leaf)?.into(),
            raw: self.raw.as_ref().map(|raw| BASE64_STANDARD.encode(raw)),
            record: text(&self.record)?.into(),
        };
        serde_json::to_vec(&wire).map_err(|e| e.to_string())
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| e.to_string())
}

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Larger than any proof.
    #[error("{0} bytes are no proof file: at most {PROOF_BYTES_MAX} can be")]
    TooLarge(usize),
    /// Not the JSON of a proof.
    #[error("not a proof file: {0}")]
    Malformed(String),
    /// Another format.
    #[error("the format is {0:?}, expected {FORMAT:?}")]
    UnknownFormat(String),
    /// The JSON of a proof in another spelling.
    #[error("the file is not as it was written: it has another spelling than RFC 8785's")]
    NotCanonical,
    /// The leaf is none.
    #[error("leaf: {0}")]
    Leaf(#[from] LeafError),
    /// The record is not the one that was logged.
    #[error("the record is not the one in the leaf: its digest or size differs")]
    RecordChanged,
    /// The raw document is not the one that was logged.
    #[error("the raw document is not the one in the leaf: its digest or size differs")]
    RawChanged,
    /// The leaf has no raw document and the file does, or the other way round.
    #[error("the leaf and the file do not agree on whether there is a raw document")]
    RawPresence,
    /// The checkpoint does not verify.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointReason),
    /// The leaf is outside of the checkpoint's tree.
    #[error("leaf {index} is outside of a tree of {size} leaves")]
    Outside {
        /// In the file.
        index: u64,
        /// In the checkpoint.
        size: u64,
    },
    /// The hashes do not lead from the leaf to the root.
    #[error("the leaf is not in the checkpoint's tree: the inclusion proof does not lead to its root")]
    NotIncluded,
    /// Fewer cosignatures than the policy wants.
    #[error("{have} of the witnesses have signed the checkpoint, {need} are needed")]
    TooFewWitnesses {
        /// Verified.
        have: usize,
        /// By the policy.
        need: usize,
    },
}

impl Reason {
    /// A name for it that does not change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::UnknownFormat(_) => "unknown_format",
            Self::NotCanonical => "not_canonical",
            Self::Leaf(_) => "leaf",
            Self::RecordChanged => "record_changed",
            Self::RawChanged => "raw_changed",
            Self::RawPresence => "raw_presence",
            Self::Checkpoint(_) => "checkpoint",
            Self::Outside { .. } => "outside",
            Self::NotIncluded => "not_included",
            Self::TooFewWitnesses { .. } => "too_few_witnesses",
        }
    }
}

/// A record that is in the log: made by [`verify`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    index: u64,
    leaf: Leaf,
    record: Bytes,
    raw: Option<Bytes>,
    checkpoint: Checkpoint,
    cosignatures: Vec<Cosignature>,
}

impl Proven {
    /// The number of the leaf.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The leaf: identity, time and digests.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The record's RFC 8785 bytes.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// The document that the record was made from.
    pub fn raw(&self) -> Option<&Bytes> {
        self.raw.as_ref()
    }

    /// The checkpoint that has the leaf in its tree.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Who else signed the checkpoint, of the witnesses asked for.
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

/// Checks a proof file with the log's public key.
///
/// **Errors**: the first reason why it proves nothing.
pub fn verify(file: &[u8], key: &PublicKey) -> Result<Proven, Reason> {
    verify_witnessed(file, key, &WitnessPolicy::default())
}

/// Checks a proof file with the log's public key and a policy on witnesses.
///
/// **Errors**: the first reason why it proves nothing.
pub fn verify_witnessed(file: &[u8], key: &PublicKey, policy: &WitnessPolicy) -> Result<Proven, Reason> {
    if file.len() > PROOF_BYTES_MAX {
        return Err(Reason::TooLarge(file.len()));
    }
    let wire: Wire = serde_json::from_slice(file).map_err(|e| Reason::Malformed(e.to_string()))?;
    if wire.format != FORMAT {
        return Err(Reason::UnknownFormat(wire.format.chars().take(80).collect()));
    }
    let within = wire.checkpoint.len() <= CHECKPOINT_BYTES_MAX
        && wire.inclusion.len() <= HASHES_MAX
        && wire.record.len() <= RECORD_BYTES_MAX
        && wire.raw.as_ref().is_none_or(|raw| raw.len() <= RAW_BYTES_MAX.div_ceil(3) * 4);
    if !within {
        return Err(Reason::Malformed("a part is larger than it can be".to_owned()));
    }
    if serde_json::to_vec(&wire).map_err(|e| Reason::Malformed(e.to_string()))? != file {
        return Err(Reason::NotCanonical);
    }
    let leaf = Leaf::parse(wire.leaf.as_bytes())?;
    if !leaf.record.is(wire.record.as_bytes()) {
        return Err(Reason::RecordChanged);
    }
    let raw = match (&leaf.raw, &wire.raw) {
        (None, None) => None,
        (Some(blob), Some(raw)) => {
            let raw = BASE64_STANDARD.decode(raw).map_err(|e| Reason::Malformed(e.to_string()))?;
            Some(Bytes::from(if blob.is(&raw) { raw } else { return Err(Reason::RawChanged) }))
        }
        _ => return Err(Reason::RawPresence),
    };
    let checkpoint = Checkpoint::verify(wire.checkpoint.as_bytes(), key)?;
    let (index, size) = (wire.index, checkpoint.size());
    if index >= size {
        return Err(Reason::Outside { index, size });
    }
    let inclusion = hashes(&wire.inclusion).ok_or_else(|| Reason::Malformed("a hash is 32 bytes".to_owned()))?;
    check_record(&inclusion, size, checkpoint.hash(), index, record_hash(wire.leaf.as_bytes()))
        .map_err(|_| Reason::NotIncluded)?;
    let (cosignatures, _) = checkpoint.cosignatures(policy.witnesses())?;
    let have = WitnessPolicy::count(&cosignatures);
    if have < policy.need() {
        return Err(Reason::TooFewWitnesses { have, need: policy.need() });
    }
    let record = Bytes::copy_from_slice(wire.record.as_bytes());
    Ok(Proven { index, leaf, record, raw, checkpoint, cosignatures })
}

/// Hashes from their base64; `None` when one is not 32 bytes.
pub(crate) fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    let hash = |text: &String| <[u8; HASH_SIZE]>::try_from(BASE64_STANDARD.decode(text).ok()?).ok().map(Hash);
    texts.iter().map(hash).collect()
}
