//! Appending: batches are committed by creating one object each, and everything else is derived from them.

use super::batch::{self, BATCH_BYTES, BATCH_LEAVES_MAX, Batch, Item};
use super::checkpoint::Checkpoint;
use super::edge::{Edge, WIDTH, bundle_path};
use super::entry::Entry;
use super::error::LedgerError;
use super::index::{Key, key};
use super::key::Signer;
use super::leaf::Leaf;
use super::reader::{extends, prove_at};
use super::state::{BUNDLE_BYTES_MAX, CHECKPOINT, State, bundle_leaves, describe, read_batch};
use super::store::{Created, Object, Site};
use super::witness::Witness;
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use std::collections::HashMap;
use std::sync::Arc;
use tlog_tiles::record_hash;

/// What became of an appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is this leaf now.
    Appended(u64),
    /// It was this leaf before, with the same bytes; a document that is not given again counts as the same.
    Already(u64),
    /// Its uid is this leaf's, with other bytes. It is not logged: evidence is never changed.
    Conflict(u64),
}

impl Outcome {
    /// The leaf with the record's uid.
    pub fn index(self) -> u64 {
        match self {
            Self::Appended(index) | Self::Already(index) | Self::Conflict(index) => index,
        }
    }
}

/// A ledger opened for appending.
///
/// Memory: what [`Self::append`] is given, one batch more (16 MiB, or one entry), and the uid index (about 20 MiB, and
/// 2 bytes a leaf up to 256 MiB).
#[derive(Debug)]
pub struct Ledger {
    site: Site,
    signer: Signer,
    /// None after an error: read again before the next append.
    tail: Option<Tail>,
    /// The entry bundle that was read last, for records that come again.
    bundle: Option<(u64, Vec<Bytes>)>,
}

/// The end of the log.
#[derive(Debug)]
struct Tail {
    state: State,
    /// None while the log is empty.
    checkpoint: Option<Checkpoint>,
}

impl Ledger {
    /// Opens the ledger under a prefix of a store, or begins one. What a crash left half done is finished.
    ///
    /// **Errors**: the store's; a ledger of another key or format; a checkpoint, tile or bundle that is not as a writer
    /// left it.
    pub async fn open(store: Arc<dyn ObjectStore>, prefix: &Path, signer: Signer) -> Result<Self, LedgerError> {
        let site = Site::new(store, prefix);
        describe(&site, signer.public()).await?;
        let mut ledger = Self { site, signer, tail: None, bundle: None };
        ledger.tail = Some(ledger.recover().await?);
        Ok(ledger)
    }

    /// Appends records in their order, each once per uid, and publishes the checkpoint over them.
    ///
    /// On return all of them are on the store for good. `now_ms` is the time now, milliseconds since 1970 UTC.
    ///
    /// **Errors**: the store's, a key that cannot sign, [`LedgerError::OtherWriter`]. Some of the records may be
    /// committed; append all again.
    pub async fn append(&mut self, entries: &[Entry], now_ms: i64) -> Result<Vec<Outcome>, LedgerError> {
        let mut tail = self.take().await?;
        let (mut rest, mut outcomes) = (entries, Vec::with_capacity(entries.len()));
        let before = tail.state.size();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest));
            self.commit(&mut tail, batch, now_ms, &mut outcomes).await?;
            rest = after;
        }
        if tail.state.size() > before {
            self.publish(&tail).await?;
        }
        self.tail = Some(tail);
        Ok(outcomes)
    }

    /// The checkpoint over all leaves; `None` while there are none.
    ///
    /// **Errors**: the store's, when the end of the log has to be read again.
    pub async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, LedgerError> {
        let tail = self.take().await?;
        Ok(self.tail.insert(tail).checkpoint.clone())
    }

    /// Sees to it that the log goes on from a checkpoint that was kept elsewhere. A store that was rolled back looks like
    /// an earlier state, and a writer that appends to it signs a second history: a process that keeps its newest
    /// checkpoint and asks this after opening does not.
    ///
    /// **Errors**: [`LedgerError::NotExtended`]; the store's.
    pub async fn confirm(&mut self, known: &Checkpoint) -> Result<(), LedgerError> {
        let tail = self.take().await?;
        extends(&self.site, self.tail.insert(tail).checkpoint.as_ref(), known).await
    }

    /// Adds witnesses' cosignatures of the newest checkpoint to it, and publishes it with them. Keep the note that
    /// comes back for auditors: the next checkpoint has to be cosigned anew.
    ///
    /// **Errors**: a note of another checkpoint or with a false signature; the store's.
    pub async fn cosign(&mut self, note: &[u8], witnesses: &[Witness]) -> Result<Checkpoint, LedgerError> {
        let cosigned = Checkpoint::verify(note, self.signer.public())?;
        cosigned.cosignatures(witnesses)?;
        let mut tail = self.take().await?;
        let same = |c: &Checkpoint| c.size() == cosigned.size() && c.root() == cosigned.root();
        if !tail.checkpoint.as_ref().is_some_and(same) {
            let size = tail.state.size();
            self.tail = Some(tail);
            return Err(LedgerError::Outside { index: cosigned.size(), size });
        }
        self.site.write(CHECKPOINT, cosigned.note().clone()).await?;
        tail.checkpoint = Some(cosigned.clone());
        self.tail = Some(tail);
        Ok(cosigned)
    }

    /// The proof file of a record: what [`super::verify`] checks.
    ///
    /// **Errors**: [`LedgerError::Unknown`]; the store's; a tile or batch that is not as a writer left it.
    pub async fn prove(&mut self, uid: &str) -> Result<Vec<u8>, LedgerError> {
        let tail = self.take().await?;
        let tail = self.tail.insert(tail);
        let unknown = || LedgerError::Unknown { uid: uid.to_owned() };
        let index = tail.state.index.find(&self.site, &key(uid)).await?.ok_or_else(unknown)?;
        let checkpoint = tail.checkpoint.as_ref().ok_or_else(unknown)?;
        prove_at(&self.site, self.signer.public(), checkpoint, index, uid).await
    }

    async fn take(&mut self) -> Result<Tail, LedgerError> {
        match self.tail.take() {
            Some(tail) => Ok(tail),
            None => self.recover().await,
        }
    }

    /// Reads the published end of the log, and goes on with what was committed after it.
    async fn recover(&self) -> Result<Tail, LedgerError> {
        let key = self.signer.public();
        let published = match self.site.read(CHECKPOINT, super::checkpoint::CHECKPOINT_BYTES_MAX).await? {
            Some(note) => Some(Checkpoint::verify(&note, key)?),
            None => None,
        };
        let mut tail = Tail { state: State::default(), checkpoint: published };
        if let Some(checkpoint) = &tail.checkpoint {
            match State::load(&self.site, checkpoint).await {
                Ok(state) => tail.state = state,
                // What is derived and lost is made again from the batches, which takes as long as reading them.
                Err(LedgerError::Missing { .. }) => tail.checkpoint = None,
                Err(error) => return Err(error),
            }
        }
        let before = tail.state.size();
        while let Some(batch) = read_batch(&self.site, tail.state.size()).await? {
            self.replay(&mut tail, &batch).await?;
        }
        if tail.state.size() > before {
            self.publish(&tail).await?;
        }
        Ok(tail)
    }

    /// Takes a batch that is on the store into the state, and writes what follows from it.
    async fn replay(&self, tail: &mut Tail, batch: &Batch) -> Result<(), LedgerError> {
        let from = tail.state.size();
        let corrupt = |reason: String| LedgerError::Corrupt { path: batch::path(from), reason };
        let checkpoint =
            Checkpoint::verify(&batch.checkpoint, self.signer.public()).map_err(|e| corrupt(e.to_string()))?;
        let leaves: Result<Vec<_>, _> =
            batch.items.iter().map(|i| Leaf::parse(&i.leaf).map(|leaf| (leaf, i.leaf.clone()))).collect();
        let leaves = leaves.map_err(|e| corrupt(e.to_string()))?;
        let (edge, mut objects) = grown(&tail.state.edge, &leaves);
        if edge.size() != checkpoint.size() || edge.root().ok() != Some(checkpoint.hash()) {
            return Err(corrupt("its leaves do not give its checkpoint's root".to_owned()));
        }
        leaves.iter().for_each(|(leaf, bytes)| tail.state.push_leaf(leaf, bytes, &mut objects));
        tail.state.edge = edge;
        tail.checkpoint = Some(checkpoint);
        self.site.write_all(objects).await
    }

    /// Appends one batch.
    async fn commit(
        &mut self,
        tail: &mut Tail,
        entries: &[Entry],
        now_ms: i64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), LedgerError> {
        let (from, logged_at) = (tail.state.size(), now_ms.max(tail.state.logged_at));
        let (mut leaves, mut items): (Vec<(Leaf, Bytes)>, Vec<Item>) = Default::default();
        let mut new: HashMap<Key, usize> = HashMap::new();
        for entry in entries {
            let (leaf, key) = (Leaf::of(entry, from, logged_at), key(&entry.uid));
            let known = match new.get(&key) {
                Some(at) => Some((from + *at as u64, leaves[*at].0.clone())),
                None => match tail.state.index.find(&self.site, &key).await? {
                    Some(index) => Some((index, self.leaf(&tail.state, index).await?)),
                    None => None,
                },
            };
            if let Some((index, known)) = known {
                let same = known.same_evidence(&leaf) || (entry.raw.is_none() && known.record == leaf.record);
                outcomes.push(if same { Outcome::Already(index) } else { Outcome::Conflict(index) });
                continue;
            }
            new.insert(key, leaves.len());
            outcomes.push(Outcome::Appended(from + leaves.len() as u64));
            let bytes = leaf.to_bytes();
            let raw = entry.raw.clone().unwrap_or_default();
            items.push(Item { leaf: bytes.clone(), record: entry.record.clone(), raw });
            leaves.push((leaf, bytes));
        }
        if leaves.is_empty() {
            return Ok(());
        }
        let (edge, mut objects) = grown(&tail.state.edge, &leaves);
        let root = edge.root().map_err(|_| super::CheckpointReason::Malformed)?;
        let checkpoint = Checkpoint::sign(&self.signer, edge.size(), root).await?;
        let batch = Batch { checkpoint: checkpoint.note().clone(), items };
        match self.site.create(&batch::path(from), batch.encode()).await? {
            Created::Ours => {}
            Created::Others => return Err(LedgerError::OtherWriter { size: from }),
        }
        leaves.iter().for_each(|(leaf, bytes)| tail.state.push_leaf(leaf, bytes, &mut objects));
        tail.state.edge = edge;
        tail.checkpoint = Some(checkpoint);
        self.site.write_all(objects).await
    }

    /// A leaf that is there, for a record that comes again.
    async fn leaf(&mut self, state: &State, index: u64) -> Result<Leaf, LedgerError> {
        let number = index / WIDTH;
        let path = bundle_path(number, WIDTH);
        let corrupt = |reason: String| LedgerError::Corrupt { path: path.clone(), reason };
        let split = |bundle: &Bytes| bundle_leaves(bundle).map_err(|e| corrupt(e.to_owned()));
        let open;
        let leaves = if number == state.size() / WIDTH {
            open = split(&state.open_bundle())?;
            &open
        } else {
            if self.bundle.as_ref().is_none_or(|(read, _)| *read != number) {
                self.bundle = Some((number, split(&self.site.need(&path, BUNDLE_BYTES_MAX).await?)?));
            }
            self.bundle.as_ref().map(|(_, leaves)| leaves).ok_or_else(|| corrupt("not read".to_owned()))?
        };
        let leaf = leaves.get((index % WIDTH) as usize).ok_or_else(|| corrupt(format!("it has no leaf {index}")))?;
        Leaf::parse(leaf).map_err(|e| corrupt(e.to_string()))
    }

    /// Writes what a reader of the newest checkpoint needs, then the checkpoint.
    async fn publish(&self, tail: &Tail) -> Result<(), LedgerError> {
        self.site.write_all(tail.state.partial()).await?;
        match &tail.checkpoint {
            Some(checkpoint) => self.site.write(CHECKPOINT, checkpoint.note().clone()).await,
            None => Ok(()),
        }
    }
}

/// How many entries the next batch takes.
fn batch_length(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        let begun = bytes;
        bytes += entry.bytes();
        begun < BATCH_BYTES
    };
    entries.iter().take(BATCH_LEAVES_MAX).take_while(fits).count()
}

/// The edge with leaves more, and the tiles that they fill.
fn grown(edge: &Edge, leaves: &[(Leaf, Bytes)]) -> (Edge, Vec<Object>) {
    let (mut edge, mut full) = (edge.clone(), Vec::new());
    leaves.iter().for_each(|(_, bytes)| edge.push(record_hash(bytes), &mut full));
    (edge, full.into_iter().map(Object::from).collect())
}
