//! What an audit says: the first divergence, and what it cannot exclude.

use crate::ledger::checkpoint::CheckpointReason;
use crate::ledger::leaf::LeafError;

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Leaves read and found right, from the first on.
    pub leaves: u64,
    /// Root over these leaves.
    pub root: [u8; 32],
    /// The first thing that is not as the log's own writer left it; `None` for a whole log.
    pub divergence: Option<Divergence>,
    /// What the audit cannot exclude with what it was given.
    pub caveats: Vec<Caveat>,
}

/// How a log is not what it should be. Indexes count leaves from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// An object that the log must have is not there.
    #[error("{path} is missing")]
    ObjectMissing {
        /// Below the ledger.
        path: String,
    },
    /// An object has other bytes than follow from the log.
    #[error("{path} was changed: {reason}")]
    ObjectChanged {
        /// Below the ledger.
        path: String,
        /// What was expected.
        reason: String,
    },
    /// A checkpoint on the store does not verify.
    #[error("the checkpoint in {path} does not hold: {reason}")]
    Checkpoint {
        /// Below the ledger.
        path: String,
        /// Why.
        reason: CheckpointReason,
    },
    /// Leaves that a checkpoint promises are not there.
    #[error("leaves from {from} on are missing: the checkpoint promises {promised}")]
    Removed {
        /// The first that is not there.
        from: u64,
        /// Leaves by the published checkpoint.
        promised: u64,
    },
    /// Leaves were changed, removed, added or reordered: they do not give the root that was signed over them.
    #[error("{}", match first {
        Some(first) => format!("leaf {first} was changed, removed or reordered: leaves {from} to {until} do not give their signed root"),
        None => format!("leaves {from} to {until} do not give the root that was signed over them"),
    })]
    Leaves {
        /// First leaf of the batch.
        from: u64,
        /// First leaf after it.
        until: u64,
        /// The first that differs from the entry bundles, where one does.
        first: Option<u64>,
    },
    /// A leaf that is none.
    #[error("leaf {index} was changed: {reason}")]
    Leaf {
        /// Of the leaf.
        index: u64,
        /// Why.
        reason: LeafError,
    },
    /// A leaf that says that it was stored elsewhere.
    #[error("leaf {index} was moved: it was logged after leaf {logged_after}, it stands after leaf {stands_after}")]
    Moved {
        /// Of the leaf.
        index: u64,
        /// Leaves before its batch, by the leaf.
        logged_after: u64,
        /// Leaves before its batch, by its place.
        stands_after: u64,
    },
    /// The record's bytes are not those of the leaf.
    #[error("the record of leaf {index}, uid {uid:?}, was changed")]
    Record {
        /// Of the leaf.
        index: u64,
        /// Of the record.
        uid: String,
    },
    /// The raw document's bytes are not those of the leaf.
    #[error("the raw document of leaf {index}, uid {uid:?}, was changed")]
    Raw {
        /// Of the leaf.
        index: u64,
        /// Of the record.
        uid: String,
    },
    /// Two leaves have one uid.
    #[error("uid {uid:?} is leaf {first} and leaf {index}: the writer logs each once")]
    Twice {
        /// Of the later leaf.
        index: u64,
        /// Of the earlier leaf.
        first: u64,
        /// Of both.
        uid: String,
    },
    /// A leaf is earlier than the one before it.
    #[error("leaf {index} is back-dated: it was logged at {logged_at}, the leaf before at {before} (ms since 1970)")]
    TimeWentBack {
        /// Of the leaf.
        index: u64,
        /// By the leaf, ms.
        logged_at: i64,
        /// By the leaf before, ms.
        before: i64,
    },
    /// A leaf claims a time at which a witness saw the log without it.
    #[error(
        "leaf {index} is back-dated: it says {logged_at}, but a witness saw the log without it at {seen_at} (ms since 1970)"
    )]
    BackDated {
        /// Of the leaf.
        index: u64,
        /// By the leaf, ms.
        logged_at: i64,
        /// By a witness, ms.
        seen_at: i64,
    },
    /// A leaf claims a time after a witness saw it.
    #[error("leaf {index} is post-dated: it says {logged_at}, but a witness saw it at {seen_at} (ms since 1970)")]
    PostDated {
        /// Of the leaf.
        index: u64,
        /// By the leaf, ms.
        logged_at: i64,
        /// By a witness, ms.
        seen_at: i64,
    },
    /// A checkpoint that was given is of a larger log.
    #[error("the log was rolled back: it has {size} leaves, a checkpoint that was given is signed over {known}")]
    RolledBack {
        /// Leaves on the store.
        size: u64,
        /// Leaves of the checkpoint.
        known: u64,
    },
    /// The key signed two roots for one size.
    #[error(
        "there are two histories: a checkpoint over the first {size} leaves is signed with root {signed}, these leaves give {found}"
    )]
    TwoHistories {
        /// Leaves of the checkpoint.
        size: u64,
        /// In the checkpoint, hex.
        signed: String,
        /// Over the leaves on the store, hex.
        found: String,
    },
    /// No checkpoint has the cosignatures that the policy wants.
    #[error("no checkpoint is signed by {need} of the witnesses; the best has {best}")]
    NotWitnessed {
        /// By the policy.
        need: usize,
        /// Most on any checkpoint.
        best: usize,
    },
}

impl Divergence {
    /// A name for it that does not change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ObjectMissing { .. } => "object_missing",
            Self::ObjectChanged { .. } => "object_changed",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Removed { .. } => "removed",
            Self::Leaves { .. } => "leaves_changed",
            Self::Leaf { .. } => "leaf_changed",
            Self::Moved { .. } => "moved",
            Self::Record { .. } => "record_changed",
            Self::Raw { .. } => "raw_changed",
            Self::Twice { .. } => "logged_twice",
            Self::TimeWentBack { .. } => "time_went_back",
            Self::BackDated { .. } => "back_dated",
            Self::PostDated { .. } => "post_dated",
            Self::RolledBack { .. } => "rolled_back",
            Self::TwoHistories { .. } => "two_histories",
            Self::NotWitnessed { .. } => "not_witnessed",
        }
    }
}

/// What cannot be excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Caveat {
    /// Nothing from outside says how long the log was.
    #[error(
        "no earlier checkpoint was given: that the log was rolled back to an older state, or that others were shown \
         another history, cannot be excluded"
    )]
    NoKnownCheckpoint,
    /// What came after the newest given checkpoint may have been cut off.
    #[error(
        "the newest checkpoint that was given is over {known} leaves: that leaves logged after it were removed again, \
         or that others were shown others, cannot be excluded"
    )]
    AfterKnown {
        /// Its leaves.
        known: u64,
    },
    /// No witness.
    #[error(
        "no witness's cosignature was checked: whoever has the signing key could have written the whole log anew, and \
         times are what the writer said"
    )]
    NoWitness,
    /// Leaves after the newest cosigned checkpoint.
    #[error(
        "the newest cosigned checkpoint is over {witnessed} of {size} leaves: those after it could still be written \
         anew by whoever has the signing key, and their times are what the writer said"
    )]
    AfterWitness {
        /// Leaves that a witness saw.
        witnessed: u64,
        /// Leaves of the log.
        size: u64,
    },
    /// Committed batches that the published checkpoint does not cover.
    #[error(
        "{committed} leaves are committed and {published} published: a writer stopped in between, or `checkpoint` was \
         replaced by an older one; opening the ledger for appending publishes the rest"
    )]
    Unpublished {
        /// Leaves of the published checkpoint.
        published: u64,
        /// Leaves of the batches.
        committed: u64,
    },
    /// Signatures on the published checkpoint that no given key checks.
    #[error("{0} signatures on the checkpoint are by keys that were not given")]
    UnknownSignatures(usize),
}

impl Caveat {
    /// A name for it that does not change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoKnownCheckpoint => "no_known_checkpoint",
            Self::AfterKnown { .. } => "after_known_checkpoint",
            Self::NoWitness => "no_witness",
            Self::AfterWitness { .. } => "after_witness",
            Self::Unpublished { .. } => "unpublished",
            Self::UnknownSignatures(_) => "unknown_signatures",
        }
    }
}
