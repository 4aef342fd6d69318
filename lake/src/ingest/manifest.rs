//! The ingest log: a numbered, append-only sequence of commit groups, shared by all processes that ingest into a lake.
//!
//! An entry is created with put-if-absent, so numbers are given once and in order. It names everything that its commits
//! need; whoever finds an entry without its `done` mark carries it out. A table takes entry `n` as transaction `n`, so
//! carrying it out twice, or by two processes at once, changes nothing. A container is known from the moment its entry
//! exists.

use crate::error::LakeError;
use crate::format;
use crate::ingest::identity::{Digest, Fingerprint, HEAD_BYTES};
use crate::lake::Lake;
use crate::table::commit::{self, Addition};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const LOG: &str = "ingest/log";
const DONE: &str = "ingest/done";
const CHECKPOINT: &str = "ingest/checkpoint.json";
/// Tables that are committed to at once: a commit mostly waits for the disk.
const COMMITS_AT_ONCE: usize = 8;
/// Entries between two checkpoints.
const CHECKPOINT_EVERY: u64 = 64;

/// How far a container has been ingested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Stable while the container grows.
    pub(crate) id: Digest,
    /// As it was called then.
    pub(crate) name: String,
    /// Whether it is one that is always new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stream: bool,
    pub(crate) prefix: Fingerprint,
    /// As in [`crate::ingest::identity::Reached`].
    pub(crate) records: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unsettled: BTreeMap<u64, Option<Digest>>,
    /// Whether these are all records of the prefix.
    pub(crate) complete: bool,
}

impl Known {
    /// Whether two processes that did not see each other may both have read a record of one content.
    fn may_share(&self, other: &Self) -> bool {
        if self.id == other.id {
            return true;
        }
        if self.stream || other.stream {
            return false;
        }
        let (a, b) = (&self.prefix, &other.prefix);
        match (a.start, b.start) {
            (Some(start), Some(other_start)) => {
                let apart = a.head.zip(b.head).is_some_and(|(head, other_head)| head != other_head);
                start == other_start && !apart
            }
            // As in `begin`: what is shorter is the same content under the same name only.
            _ => self.name == other.name || a == b,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    /// Of the one call that made it: a store may repeat a put whose answer was lost.
    pub(crate) token: String,
    pub(crate) additions: Vec<Addition>,
    pub(crate) containers: Vec<Known>,
    /// The greatest arrival that its writer had given; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) arrival: i64,
    /// Of durable logs: the sequence up to which their rows are in this entry or one before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) positions: BTreeMap<String, u64>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[derive(Default, Serialize, Deserialize)]
struct Checkpoint {
    through: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    arrival: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    positions: BTreeMap<String, u64>,
    containers: Vec<Known>,
}

/// All known containers, found by prefix.
#[derive(Debug, Default)]
pub(crate) struct Index {
    all: Vec<Known>,
    by_id: HashMap<Digest, Vec<usize>>,
    by_head: HashMap<Digest, Vec<usize>>,
    /// Prefixes shorter than a head, by length.
    short: BTreeMap<u64, HashMap<Digest, usize>>,
}

impl Index {
    pub(crate) fn insert(&mut self, known: Known) {
        let at = self.all.len();
        let same = self.by_id.entry(known.id).or_default();
        if same.iter().any(|i| self.all[*i] == known) {
            return;
        }
        same.push(at);
        if known.prefix.length < HEAD_BYTES as u64 {
            let by_digest = self.short.entry(known.prefix.length).or_default();
            if known.complete || !by_digest.contains_key(&known.prefix.digest) {
                by_digest.insert(known.prefix.digest, at);
            }
        } else if let Some(head) = known.prefix.head {
            self.by_head.entry(head).or_default().push(at);
        }
        self.all.push(known);
    }

    /// The longest known prefix, shorter than a head, of a container that starts with `head`.
    pub(crate) fn short_prefix(&self, head: &[u8]) -> Option<&Known> {
        let lengths = self.short.range(..=head.len() as u64).rev();
        let mut found = lengths.filter_map(|(length, by_digest)| {
            let at = by_digest.get(&Digest::of(head.get(..*length as usize)?))?;
            Some(&self.all[*at])
        });
        found.find(|known| known.prefix.length > 0 || head.is_empty())
    }

    /// Known prefixes of at least a head's length, of containers with this head.
    pub(crate) fn long_prefixes(&self, head: &Digest) -> impl Iterator<Item = &Known> {
        self.by_head.get(head).into_iter().flatten().map(|at| &self.all[*at])
    }

    pub(crate) fn contains(&self, id: &Digest) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether this is all that is known of its container.
    pub(crate) fn is_latest(&self, known: &Known) -> bool {
        let of_container = self.by_id.get(&known.id).into_iter().flatten();
        of_container.map(|at| self.all[*at].prefix.length).all(|length| length <= known.prefix.length)
    }
}

/// The log as far as this process has seen it.
#[derive(Debug)]
pub(crate) struct Manifest {
    lake: Lake,
    pub(crate) index: Index,
    /// The last entry seen; all up to it are carried out.
    last: u64,
    /// The greatest arrival of the entries up to it; 0 for none.
    pub(crate) arrival: i64,
    /// How far each durable log is in the lake.
    pub(crate) positions: BTreeMap<String, u64>,
    checkpoint: u64,
}

/// What a process has to know of another's entry.
struct Seen {
    sequence: u64,
    token: String,
    containers: Vec<Known>,
    /// The logs whose rows are in it.
    logs: Vec<String>,
}

fn entry_path(sequence: u64) -> Path {
    Path::from(format!("{LOG}/{sequence:020}.json"))
}

fn done_path(sequence: u64) -> Path {
    Path::from(format!("{DONE}/{sequence:020}"))
}

async fn read_json<T: DeserializeOwned>(store: &dyn ObjectStore, path: &Path) -> Result<Option<T>, LakeError> {
    let bytes = match store.get(path).await {
        Ok(found) => found.bytes().await.map_err(LakeError::store(path))?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(LakeError::Store { path: path.to_string(), source }),
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| LakeError::Damaged { path: path.to_string(), source })
}

impl Manifest {
    /// Reads the log and carries out what is not done.
    pub(crate) async fn load(lake: &Lake) -> Result<Self, LakeError> {
        let checkpoint: Checkpoint =
            read_json(lake.store().as_ref(), &Path::from(CHECKPOINT)).await?.unwrap_or_default();
        let Checkpoint { through, arrival, positions, containers } = checkpoint;
        let mut index = Index::default();
        containers.into_iter().for_each(|known| index.insert(known));
        let mut manifest = Self { lake: lake.clone(), index, last: through, arrival, positions, checkpoint: through };
        manifest.refresh().await?;
        Ok(manifest)
    }

    /// Sees the entries that are new, and carries out what is not done.
    async fn refresh(&mut self) -> Result<Vec<Seen>, LakeError> {
        let mut news = Vec::new();
        let Some(newest) = self.listed(LOG).await?.last().copied() else { return Ok(news) };
        let done = self.listed(DONE).await?;
        // A listing may leave out a name that was created meanwhile, and have one that came after it.
        for sequence in self.last + 1..=newest {
            let path = entry_path(sequence);
            let entry: Option<Entry> = read_json(self.lake.store().as_ref(), &path).await?;
            let Some(entry) = entry else { continue };
            if !done.contains(&sequence) {
                self.carry_out(&entry).await?;
            }
            self.seen(&entry);
            let logs = entry.positions.into_keys().collect();
            news.push(Seen { sequence, token: entry.token, containers: entry.containers, logs });
        }
        Ok(news)
    }

    /// Numbers above the last that was seen.
    async fn listed(&self, folder: &str) -> Result<BTreeSet<u64>, LakeError> {
        let store = self.lake.store();
        let (prefix, from) = (Path::from(folder), Path::from(format!("{folder}/{:020}z", self.last)));
        let listed: Vec<_> = match store.list_with_offset(Some(&prefix), &from).try_collect().await {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            other => other.map_err(LakeError::store(folder))?,
        };
        let number = |path: &Path| path.filename().and_then(|n| n.get(..20)).and_then(|n| n.parse().ok());
        Ok(listed.iter().filter_map(|meta| number(&meta.location)).filter(|n| *n > self.last).collect())
    }

    fn seen(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.sequence);
        self.arrival = self.arrival.max(entry.arrival);
        entry.containers.iter().for_each(|known| self.index.insert(known.clone()));
        for (log, sequence) in &entry.positions {
            let known = self.positions.entry(log.clone()).or_default();
            *known = (*known).max(*sequence);
        }
    }

    async fn carry_out(&self, entry: &Entry) -> Result<(), LakeError> {
        let number = i64::try_from(entry.sequence).unwrap_or(i64::MAX);
        // Boxed, as the compiler does not see of borrowing ones that any thread may run them.
        let commits = entry.additions.iter().map(|addition| commit::commit(&self.lake, addition, number).boxed());
        let commits: Vec<BoxFuture<'_, Result<(), LakeError>>> = commits.collect();
        stream::iter(commits).buffer_unordered(COMMITS_AT_ONCE).try_collect::<()>().await?;
        let path = done_path(entry.sequence);
        self.lake.store().put(&path, Vec::new().into()).await.map_err(LakeError::store(&path))?;
        Ok(())
    }

    /// Adds an entry and carries it out; its files are written, and `arrival` is the greatest of their rows. Returns its
    /// number.
    ///
    /// **Errors**: [`LakeError::IngestedElsewhere`] when an entry of another process came first and may hold content of
    /// one of `containers`, or rows of one of the logs of `positions`; nothing is added then. After any other error the
    /// entry may exist: [`Self::load`] finishes it.
    pub(crate) async fn append(
        &mut self,
        additions: Vec<Addition>,
        containers: Vec<Known>,
        positions: BTreeMap<String, u64>,
        arrival: i64,
    ) -> Result<u64, LakeError> {
        if !positions.is_empty() {
            format::raise(&self.lake).await?;
        }
        let token = uuid::Uuid::new_v4().to_string();
        let mut entry = Entry { sequence: self.last + 1, token, additions, containers, arrival, positions };
        loop {
            let path = entry_path(entry.sequence);
            let text =
                serde_json::to_vec(&entry).map_err(|source| LakeError::Damaged { path: path.to_string(), source })?;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.lake.store().put_opts(&path, text.into(), options).await {
                Ok(_) => break,
                Err(object_store::Error::AlreadyExists { .. }) => {
                    let news = self.refresh().await?;
                    if let Some(ours) = news.iter().find(|seen| seen.token == entry.token) {
                        return Ok(ours.sequence);
                    }
                    let others: Vec<&Known> = news.iter().flat_map(|seen| &seen.containers).collect();
                    let shared = |known: &&Known| others.iter().any(|other| other.may_share(known));
                    if let Some(known) = entry.containers.iter().find(shared) {
                        return Err(LakeError::IngestedElsewhere { name: known.name.clone() });
                    }
                    let mut logs = news.iter().flat_map(|seen| &seen.logs);
                    if let Some(log) = logs.find(|log| entry.positions.contains_key(*log)) {
                        return Err(LakeError::IngestedElsewhere { name: log.clone() });
                    }
                    entry.sequence = self.last + 1;
                }
                Err(source) => return Err(LakeError::Store { path: path.to_string(), source }),
            }
        }
        let sequence = entry.sequence;
        self.carry_out(&entry).await?;
        self.seen(&entry);
        if sequence >= self.checkpoint + CHECKPOINT_EVERY {
            self.write_checkpoint().await?;
        }
        Ok(sequence)
    }

    /// Entries stay, as another process may be about to create one of their numbers; they only need not be read again.
    async fn write_checkpoint(&mut self) -> Result<(), LakeError> {
        let checkpoint = Checkpoint {
            through: self.last,
            arrival: self.arrival,
            positions: self.positions.clone(),
            containers: self.index.all.clone(),
        };
        let text = serde_json::to_vec(&checkpoint)
            .map_err(|source| LakeError::Damaged { path: CHECKPOINT.to_owned(), source })?;
        let put = self.lake.store().put(&Path::from(CHECKPOINT), text.into()).await;
        put.map_err(LakeError::store(CHECKPOINT))?;
        self.checkpoint = self.last;
        Ok(())
    }
}
