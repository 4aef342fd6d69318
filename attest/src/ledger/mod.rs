//! The evidence ledger: every evidence record is a leaf of an append-only Merkle log that anyone can check.
//!
//! The log has the form of C2SP *tlog-tiles* (tiles of 256 hashes, entry bundles, a `checkpoint`), its checkpoints are
//! signed notes (C2SP *signed-note*, *tlog-checkpoint*) with Ed25519, witnesses countersign them (C2SP
//! *tlog-cosignature*, `cosignature/v1`), and hashing is that of RFC 6962, section 2.1.
//!
//! A [`Ledger`] appends. What it commits is one new object, `batch/<size before>`: the signed checkpoint, the new
//! leaves, and the bytes that they stand for. Creating that object is the compare-and-swap that keeps two writers from
//! forking the log, on any store; tiles, entry bundles, the uid index and `checkpoint` follow from the batches, are
//! written after them, and are written again after a crash. Nothing is ever deleted, and no object but `checkpoint` is
//! ever replaced by other bytes.
//!
//! A [`Log`] reads: [`Log::prove`] gives one file that holds record, raw document, proof and checkpoint, and [`verify`]
//! checks it with the public key alone, without IO. [`audit`] reads the whole log and names the first divergence.
//! `docs/evidence.md` has the formats byte by byte.
//!
//! No cryptography here is ours: `tlog_tiles` hashes and proves, `signed_note` reads and writes notes, `ed25519-dalek`
//! signs, `serde_json_canonicalizer` is RFC 8785.

mod audit;
mod batch;
mod checkpoint;
mod consistency;
mod edge;
mod entry;
mod error;
mod follow;
mod index;
mod key;
mod kms;
mod leaf;
mod proof;
mod reader;
mod state;
mod store;
mod witness;
mod writer;

pub use audit::{AuditOptions, Caveat, Divergence, Report, audit};
pub use checkpoint::{Checkpoint, CheckpointReason};
pub use consistency::{ConsistencyReason, verify_consistency};
pub use entry::{Entry, EntryError, INTEGER_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX, UID_BYTES_MAX};
pub use error::LedgerError;
pub use follow::{Logged, records_after};
pub use key::{KeyError, KeyService, PublicKey, Signer};
pub use kms::KmsKey;
pub use leaf::{Blob, Leaf, LeafError};
pub use proof::{PROOF_BYTES_MAX, Proven, Reason, verify, verify_witnessed};
pub use reader::Log;
pub use witness::{Cosignature, PolicyError, Witness, WitnessPolicy};
pub use writer::{Ledger, Outcome};

/// The format of what a ledger keeps on its store.
pub const FORMAT: u32 = 1;

/// Where a lake's ledger is, below the lake.
pub const LAKE_PREFIX: &str = "_evidence/ledger";
