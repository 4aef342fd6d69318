//! Why a ledger could not be opened, written or read.

use super::checkpoint::CheckpointReason;
use super::key::KeyError;

/// What stops a ledger. After an error the ledger on the store is whole: what was committed stays, the rest is not there.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed; what became of a write is known after the next read.
    #[error("{path}: the store failed")]
    Store {
        /// Below the ledger.
        path: String,
        /// The store's word.
        #[source]
        source: object_store::Error,
    },
    /// An object that must be there is not.
    #[error("{path} is missing from the ledger; `tarn evidence audit` reads all of it")]
    Missing {
        /// Below the ledger.
        path: String,
    },
    /// An object is not what a writer left.
    #[error("{path}: {reason}; `tarn evidence audit` reads all of it")]
    Corrupt {
        /// Below the ledger.
        path: String,
        /// What was expected.
        reason: String,
    },
    /// There is no ledger at the place.
    #[error("there is no ledger here: no record was ever logged")]
    NoLedger,
    /// The ledger was begun with another key, name or format.
    #[error("the ledger is of format {format} and key {found}, not of format {expected_format} and key {expected}")]
    OtherLedger {
        /// On the store.
        format: u32,
        /// What this program writes.
        expected_format: u32,
        /// The public key on the store.
        found: String,
        /// The public key given.
        expected: String,
    },
    /// Another process appended in between. Appending again goes on after its records.
    #[error("another writer has appended to this ledger after leaf {size}; append again")]
    OtherWriter {
        /// Leaves before the other's.
        size: u64,
    },
    /// The log on the store does not go on from where it once was: it was rolled back or written anew.
    #[error("the log of {size} leaves does not go on from the {known} that it had: it was rolled back or written anew")]
    NotExtended {
        /// Leaves that it had.
        known: u64,
        /// Leaves on the store.
        size: u64,
    },
    /// No leaf has the uid.
    #[error("no record with uid {uid:?} is in the ledger")]
    Unknown {
        /// What was asked for.
        uid: String,
    },
    /// The checkpoint does not verify.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointReason),
    /// The signing key cannot sign.
    #[error("the checkpoint could not be signed")]
    Key(#[from] KeyError),
    /// An index outside of the tree was asked for.
    #[error("the ledger holds {size} leaves; {index} is outside")]
    Outside {
        /// What was asked for.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
}
