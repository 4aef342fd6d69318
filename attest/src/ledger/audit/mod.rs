//! The audit: the whole log is read, and everything that follows from it is held against what is on the store.
//!
//! Memory stays flat: one batch at a time, the tree's edge, and the uid index as a writer has it.

mod report;
mod times;

pub use report::{Caveat, Divergence, Report};

use super::batch::{self, Batch};
use super::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use super::edge::{WIDTH, bundle_path};
use super::error::LedgerError;
use super::index::key;
use super::key::PublicKey;
use super::leaf::Leaf;
use super::state::{BUNDLE_BYTES_MAX, CHECKPOINT, DESCRIPTION, Description, State, bundle_leaves, read_batch};
use super::store::{AT_ONCE, Object, Site};
use super::witness::WitnessPolicy;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use std::sync::Arc;
use times::Times;
use tlog_tiles::{EMPTY_HASH, Hash, record_hash};

/// What an audit is held against.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions<'a> {
    /// The log's public key.
    pub key: &'a PublicKey,
    /// Checkpoints of this log from elsewhere: kept from earlier, or as witnesses and other readers have them.
    pub known: &'a [Checkpoint],
    /// Whose cosignatures are looked for, on the published checkpoint and on these; one must have as many as needed.
    pub witnesses: &'a WitnessPolicy,
    /// How much later than its tree a witness may have signed, ms.
    pub slack_ms: i64,
}

/// Reads the whole ledger under a prefix of a store.
///
/// **Errors**: the store's, and [`LedgerError::NoLedger`]; whatever is wrong with the log is in the report.
pub async fn audit(
    store: Arc<dyn ObjectStore>,
    prefix: &Path,
    options: &AuditOptions<'_>,
) -> Result<Report, LedgerError> {
    let site = Site::new(store, prefix);
    let mut walk = Walk { site, options, state: State::default(), caveats: Vec::new(), size: 0, root: EMPTY_HASH };
    let divergence = match walk.run().await {
        Ok(()) => None,
        Err(Stop::Divergence(divergence)) => Some(*divergence),
        Err(Stop::Failed(error)) => return Err(*error),
    };
    Ok(Report { leaves: walk.size, root: walk.root.0, divergence, caveats: walk.caveats })
}

/// Why the walk ended early.
enum Stop {
    Divergence(Box<Divergence>),
    Failed(Box<LedgerError>),
}

impl From<Divergence> for Stop {
    fn from(divergence: Divergence) -> Self {
        Self::Divergence(Box::new(divergence))
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Missing { path } => Divergence::ObjectMissing { path }.into(),
            LedgerError::Corrupt { path, reason } => Divergence::ObjectChanged { path, reason }.into(),
            other => Self::Failed(Box::new(other)),
        }
    }
}

/// A tree that was signed somewhere, to be met on the way.
struct Promise {
    size: u64,
    root: Hash,
}

struct Walk<'a> {
    site: Site,
    options: &'a AuditOptions<'a>,
    state: State,
    caveats: Vec<Caveat>,
    /// Leaves of batches that were found right, and the root over them.
    size: u64,
    root: Hash,
}

impl Walk<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let description = self.site.read(DESCRIPTION, 64 << 10).await?;
        let published = self.site.read(CHECKPOINT, CHECKPOINT_BYTES_MAX).await?;
        if description.is_none() && published.is_none() && !self.site.exists(&batch::path(0)).await? {
            return Err(LedgerError::NoLedger.into());
        }
        match description {
            None => return Err(Divergence::ObjectMissing { path: DESCRIPTION.to_owned() }.into()),
            Some(there) if there != Description::bytes(self.options.key) => {
                let reason = "it is not of this format and key".to_owned();
                return Err(Divergence::ObjectChanged { path: DESCRIPTION.to_owned(), reason }.into());
            }
            Some(_) => {}
        }
        let published = match published {
            Some(note) => Some(self.signed(CHECKPOINT, &note)?),
            None => None,
        };
        let times = self.witnessed(published.as_ref())?;
        let mut promises: Vec<Promise> = self.options.known.iter().chain(&published).map(Promise::of).collect();
        promises.sort_by_key(|promise| promise.size);
        let covered = published.as_ref().map_or(0, Checkpoint::size);
        let mut promises = promises.into_iter().peekable();
        while let Some(batch) = read_batch(&self.site, self.size).await? {
            self.batch(&batch, covered, &times, &mut promises).await?;
        }
        self.end(covered, published.is_some(), promises.last())
    }

    fn signed(&self, path: &str, note: &[u8]) -> Result<Checkpoint, Divergence> {
        Checkpoint::verify(note, self.options.key)
            .map_err(|reason| Divergence::Checkpoint { path: path.to_owned(), reason })
    }

    /// What witnesses say of the published and the given checkpoints.
    fn witnessed(&mut self, published: Option<&Checkpoint>) -> Result<Times, Divergence> {
        let policy = self.options.witnesses;
        let (mut seen, mut best, mut newest) = (Vec::new(), 0, None);
        for (checkpoint, ours) in self.options.known.iter().map(|c| (c, false)).chain(published.map(|c| (c, true))) {
            let (signed, unknown) = checkpoint.cosignatures(policy.witnesses()).map_err(|reason| {
                let path =
                    if ours { CHECKPOINT.to_owned() } else { format!("the given one of {} leaves", checkpoint.size()) };
                Divergence::Checkpoint { path, reason }
            })?;
            if ours && unknown > 0 {
                self.caveats.push(Caveat::UnknownSignatures(unknown));
            }
            let have = WitnessPolicy::count(&signed);
            best = best.max(have);
            if have > 0 && have >= policy.need() {
                newest = newest.max(Some(checkpoint.size()));
            }
            seen.extend(signed.iter().map(|signature| (checkpoint.size(), signature.time_s)));
        }
        if best < policy.need() {
            return Err(Divergence::NotWitnessed { need: policy.need(), best });
        }
        let size = published.map_or(0, Checkpoint::size);
        match newest {
            None => self.caveats.push(Caveat::NoWitness),
            Some(witnessed) if witnessed < size => self.caveats.push(Caveat::AfterWitness { witnessed, size }),
            Some(_) => {}
        }
        match self.options.known.iter().map(Checkpoint::size).max() {
            // Cosignatures on the published one help nothing here: it may be an older one, cosigned at its time.
            None => self.caveats.push(Caveat::NoKnownCheckpoint),
            Some(known) if known < size => self.caveats.push(Caveat::AfterKnown { known }),
            Some(_) => {}
        }
        Ok(Times::new(seen))
    }

    async fn batch(
        &mut self,
        batch: &Batch,
        covered: u64,
        times: &Times,
        promises: &mut std::iter::Peekable<impl Iterator<Item = Promise>>,
    ) -> Result<(), Stop> {
        let from = self.size;
        let path = batch::path(from);
        let checkpoint = self.signed(&path, &batch.checkpoint)?;
        let (mut tiles, mut objects) = (Vec::new(), Vec::new());
        // Of the given checkpoints: told after the batch, whose own root comes first.
        let mut other_history = None;
        for (at, item) in batch.items.iter().enumerate() {
            let index = from + at as u64;
            let leaf = self.leaf(index, from, batch, at).await?;
            times.check(index, leaf.logged_at, self.options.slack_ms)?;
            self.state.edge.push(record_hash(&item.leaf), &mut tiles);
            self.state.push_leaf(&leaf, &item.leaf, &mut objects);
            while let Some(promise) = promises.next_if(|promise| promise.size <= index + 1) {
                let found = self.state.edge.root().unwrap_or_default();
                if promise.root != found && promise.size == index + 1 {
                    other_history.get_or_insert(Divergence::TwoHistories {
                        size: promise.size,
                        signed: hex::encode(promise.root.0),
                        found: hex::encode(found.0),
                    });
                }
            }
        }
        let until = self.state.size();
        if checkpoint.size() != until || self.state.edge.root().ok() != Some(checkpoint.hash()) {
            let first = self.first_difference(from, batch).await?;
            return Err(Divergence::Leaves { from, until, first }.into());
        }
        if let Some(divergence) = other_history {
            return Err(divergence.into());
        }
        objects.extend(tiles.into_iter().map(Object::from));
        self.compare(objects, until <= covered).await?;
        self.compare(self.state.partial(), until == covered).await?;
        (self.size, self.root) = (until, checkpoint.hash());
        Ok(())
    }

    /// Checks one leaf by itself, its bytes, and its uid against all before.
    async fn leaf(&self, index: u64, from: u64, batch: &Batch, at: usize) -> Result<Leaf, Stop> {
        let item = &batch.items[at];
        let leaf = Leaf::parse(&item.leaf).map_err(|reason| Divergence::Leaf { index, reason })?;
        if leaf.batch != from {
            return Err(Divergence::Moved { index, logged_after: leaf.batch, stands_after: from }.into());
        }
        if !leaf.record.is(&item.record) {
            return Err(Divergence::Record { index, uid: leaf.uid }.into());
        }
        if leaf.raw.map_or(!item.raw.is_empty(), |raw| !raw.is(&item.raw)) {
            return Err(Divergence::Raw { index, uid: leaf.uid }.into());
        }
        let before = self.state.logged_at;
        if index > 0 && leaf.logged_at < before {
            return Err(Divergence::TimeWentBack { index, logged_at: leaf.logged_at, before }.into());
        }
        match self.state.index.find(&self.site, &key(&leaf.uid)).await? {
            Some(first) => Err(Divergence::Twice { index, first, uid: leaf.uid }.into()),
            None => Ok(leaf),
        }
    }

    /// The first leaf of a batch that the entry bundles have otherwise.
    async fn first_difference(&self, from: u64, batch: &Batch) -> Result<Option<u64>, Stop> {
        let until = from + batch.items.len() as u64;
        for number in from / WIDTH..until.div_ceil(WIDTH) {
            let Some(bundle) = self.site.read(&bundle_path(number, WIDTH), BUNDLE_BYTES_MAX).await? else { break };
            let leaves = bundle_leaves(&bundle).unwrap_or_default();
            for (index, leaf) in (number * WIDTH..).zip(&leaves).filter(|(index, _)| (from..until).contains(index)) {
                if batch.items[(index - from) as usize].leaf != *leaf {
                    return Ok(Some(index));
                }
            }
        }
        Ok(None)
    }

    /// Holds derived objects against the store's.
    async fn compare(&self, objects: Vec<Object>, must_be: bool) -> Result<(), Stop> {
        let site = &self.site;
        let reads: Vec<_> = objects
            .into_iter()
            .map(|object| async move { Ok((site.read(&object.path, object.bytes.len()).await?, object)) })
            .collect();
        let mut reads = stream::iter(reads).buffered(AT_ONCE);
        while let Some((there, Object { path, bytes })) =
            reads.try_next().await.map_err(|e: LedgerError| Stop::from(e))?
        {
            match there {
                Some(there) if there == bytes => {}
                Some(_) => {
                    let reason = "it is not what follows from the leaves".to_owned();
                    return Err(Divergence::ObjectChanged { path, reason }.into());
                }
                None if must_be => return Err(Divergence::ObjectMissing { path }.into()),
                None => {}
            }
        }
        Ok(())
    }

    /// Holds the log's end against what was signed.
    fn end(&mut self, covered: u64, published: bool, furthest: Option<Promise>) -> Result<(), Stop> {
        let size = self.size;
        if covered > size {
            return Err(Divergence::Removed { from: size, promised: covered }.into());
        }
        if let Some(promise) = furthest.filter(|promise| promise.size > size) {
            return Err(Divergence::RolledBack { size, known: promise.size }.into());
        }
        if size > 0 && !published {
            return Err(Divergence::ObjectMissing { path: CHECKPOINT.to_owned() }.into());
        }
        if covered < size {
            self.caveats.push(Caveat::Unpublished { published: covered, committed: size });
        }
        Ok(())
    }
}

impl Promise {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self { size: checkpoint.size(), root: checkpoint.hash() }
    }
}
