//! Consistency files: two checkpoints and the proof that the later tree begins with the earlier one.

use super::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointReason};
use super::key::PublicKey;
use super::proof::{HASHES_MAX, hashes};
use serde::{Deserialize, Serialize};
use tlog_tiles::{Hash, check_tree};

const FORMAT: &str = "tarn.evidence.consistency/1";

/// Largest file.
const BYTES_MAX: usize = 4 * CHECKPOINT_BYTES_MAX;

/// The file, in the order of RFC 8785.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    consistency: Vec<String>,
    format: String,
    new: String,
    old: String,
}

/// Why a consistency file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyReason {
    /// Not the JSON of one, in its one spelling.
    #[error("not a consistency file: {0}")]
    Malformed(String),
    /// The earlier checkpoint does not verify.
    #[error("the earlier checkpoint: {0}")]
    Old(CheckpointReason),
    /// The later checkpoint does not verify.
    #[error("the later checkpoint: {0}")]
    New(CheckpointReason),
    /// The later tree does not begin with the earlier one, or the proof is not of these two.
    #[error("the tree of {new} leaves is not proved to begin with the tree of {old} leaves")]
    Inconsistent {
        /// Leaves of the earlier tree.
        old: u64,
        /// Leaves of the later tree.
        new: u64,
    },
}

/// The file's bytes.
pub(crate) fn encode(old: &Checkpoint, new: &Checkpoint, hashes: &[Hash]) -> Vec<u8> {
    let note = |c: &Checkpoint| String::from_utf8_lossy(c.note()).into_owned();
    let consistency = hashes.iter().map(ToString::to_string).collect();
    let wire = Wire { consistency, format: FORMAT.to_owned(), new: note(new), old: note(old) };
    // Strings cannot fail to serialise.
    serde_json::to_vec(&wire).unwrap_or_default()
}

/// Checks a consistency file with the log's public key: the earlier and the later checkpoint.
///
/// **Errors**: the first reason why it proves nothing.
pub fn verify_consistency(file: &[u8], key: &PublicKey) -> Result<(Checkpoint, Checkpoint), ConsistencyReason> {
    let malformed = |what: &str| ConsistencyReason::Malformed(what.to_owned());
    if file.len() > BYTES_MAX {
        return Err(malformed("too large"));
    }
    let wire: Wire = serde_json::from_slice(file).map_err(|e| ConsistencyReason::Malformed(e.to_string()))?;
    let again = serde_json::to_vec(&wire).map_err(|e| ConsistencyReason::Malformed(e.to_string()))?;
    if wire.format != FORMAT || wire.consistency.len() > HASHES_MAX || again != file {
        return Err(malformed("another format or spelling"));
    }
    let old = Checkpoint::verify(wire.old.as_bytes(), key).map_err(ConsistencyReason::Old)?;
    let new = Checkpoint::verify(wire.new.as_bytes(), key).map_err(ConsistencyReason::New)?;
    let proof = hashes(&wire.consistency).ok_or_else(|| malformed("a hash is 32 bytes"))?;
    match check_tree(&proof, new.size(), new.hash(), old.size(), old.hash()) {
        Ok(()) => Ok((old, new)),
        Err(_) => Err(ConsistencyReason::Inconsistent { old: old.size(), new: new.size() }),
    }
}
