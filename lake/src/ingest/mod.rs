//! Ingesting: rows in, files out, and each container's content exactly once.
//!
//! ```text
//! begin ─► Fresh | Resume | Skip      by the content's prefixes
//! append, append, dead_letters …      buffered to a bound, then written as files: nobody sees them yet
//! progress or finish                  how far each container got
//! commit                              ingest log entry ─► Delta commit per table ─► done mark
//! ```
//!
//! **Bounds**: [`IngestOptions::buffer_bytes`] of rows are buffered, the same again may be being encoded, and what four tables
//! were encoded to may be under way to the store.
//! **After a crash** before the log entry exists, its rows were never there, and its files are litter that nothing refers
//! to. After it, the next [`crate::Lake::ingest`] commits it first.

pub mod identity;
pub(crate) mod manifest;

use crate::arrival::Clock;
use crate::dead_letter;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::EVENT_DAY;
use crate::table::commit::{Addition, NewFile, to_delta};
use crate::table::schema::merge;
use crate::table::write::{DAYS_MAX, Encoded, Layout, encode};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use identity::{Digest, Fingerprint, HEAD_BYTES, Hasher, Reached};
use manifest::{Index, Known, Manifest};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Files that are written at once: a sync of one waits for the disk, and takes others along.
pub(crate) const PUTS_AT_ONCE: usize = 16;

/// Tables whose files are under way at once.
const FLUSHES_AT_ONCE: usize = 4;

/// Of these, tables that are being encoded: while a commit is under way, nothing else may be left to do.
const ENCODINGS_AT_ONCE: usize = 2;

/// How an ingest buffers and commits.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Bytes of Arrow memory that are buffered before the largest tables are written out.
    pub buffer_bytes: usize,
    /// Rows after which [`Ingest::is_full`].
    pub commit_rows: u64,
    /// Files after which [`Ingest::is_full`].
    pub commit_files: usize,
    /// Days of one flush that get files of their own, at most: the two with the most rows, and others that have a thousand. All
    /// others share a file, in the partition [`crate::table::OUTLIER_DAY`].
    pub days_max: usize,
    /// Whether files get the columns that make hunts quick: members of `unmapped` on their own. Compaction adds them, too.
    pub for_hunts: bool,
    /// Decides which times lie in the future.
    pub now: DateTime<Utc>,
}

impl Default for IngestOptions {
    /// 128 MiB, four million rows, 4,096 files, 1,024 days, the system's clock.
    fn default() -> Self {
        Self {
            buffer_bytes: 128 << 20,
            commit_rows: 4_000_000,
            commit_files: 4096,
            days_max: DAYS_MAX,
            for_hunts: true,
            now: Utc::now(),
        }
    }
}

/// A container that is being ingested. Its id is the same in every run, and while the container grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its identity in the ingest log. No record's uid is made of it.
    pub id: Digest,
    /// As the caller calls it.
    pub name: String,
    stream: bool,
}

/// What to do with a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All of its content is in the lake.
    Skip,
    /// Its first records are in the lake: read it from the start, and leave them out.
    Resume {
        /// The container.
        container: Container,
        /// What to leave out.
        reached: Reached,
    },
    /// Nothing of it is in the lake.
    Fresh(Container),
}

/// What a commit added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitSummary {
    /// Its number in the ingest log; `None` when there was nothing to commit.
    pub sequence: Option<u64>,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Files.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Buffer {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// A table's files of this group: written, or being written.
#[derive(Debug, Default)]
struct Group {
    schema: Option<Schema>,
    files: Vec<NewFile>,
}

type Written = Result<(String, Schema, Vec<NewFile>), LakeError>;

/// Ingest into a lake: one group of rows and containers at a time. One per thread of control.
#[derive(Debug)]
pub struct Ingest {
    lake: Lake,
    options: IngestOptions,
    manifest: Manifest,
    clock: Arc<Clock>,
    /// Column types of the tables as they are, so that a wrong batch is refused before anything is logged.
    tables: HashMap<String, Schema>,
    buffers: BTreeMap<String, Buffer>,
    buffered: usize,
    rows: BTreeMap<String, u64>,
    groups: BTreeMap<String, Group>,
    /// Oldest first.
    flushes: VecDeque<JoinHandle<Written>>,
    /// Whose rows are encoded: few at a time, so that memory is bounded.
    encoding: Arc<Semaphore>,
    containers: BTreeMap<Digest, Known>,
    begun: BTreeSet<Digest>,
    positions: BTreeMap<String, u64>,
    /// Finished and not yet committed: the same content later in this run is skipped.
    finished: Index,
}

impl Ingest {
    pub(crate) async fn start(lake: Lake, options: IngestOptions) -> Result<Self, LakeError> {
        let manifest = Manifest::load(&lake).await?;
        let clock = Arc::new(Clock::after(manifest.arrival));
        Ok(Self {
            lake,
            options,
            manifest,
            clock,
            tables: HashMap::new(),
            buffers: BTreeMap::new(),
            buffered: 0,
            rows: BTreeMap::new(),
            groups: BTreeMap::new(),
            flushes: VecDeque::new(),
            encoding: Arc::new(Semaphore::new(ENCODINGS_AT_ONCE)),
            containers: BTreeMap::new(),
            begun: BTreeSet::new(),
            positions: BTreeMap::new(),
            finished: Index::default(),
        })
    }

    /// What gives records their arrival, for [`crate::with_arrival`]: greater than all that the lake knows of.
    pub fn clock(&self) -> Arc<Clock> {
        self.clock.clone()
    }

    /// Goes on with the clock of an earlier [`Ingest`] of this writer.
    pub(crate) fn set_clock(&mut self, clock: Arc<Clock>) {
        clock.pass(self.clock.last());
        self.clock = clock;
    }

    /// Whether the content behind `input` is in the lake. Leaves `input` at its start.
    ///
    /// Reads the first 64 KiB; when they are known, as far as the longest known prefix.
    pub fn begin(&mut self, name: &str, input: &mut (impl Read + Seek)) -> Result<Decision, LakeError> {
        let unreadable = |source| LakeError::Input { name: name.to_owned(), source };
        let length = input.seek(SeekFrom::End(0)).map_err(unreadable)?;
        input.rewind().map_err(unreadable)?;
        let mut head = Vec::new();
        input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
        let known = self.known_prefix(&head, length, input).map_err(unreadable)?;
        input.rewind().map_err(unreadable)?;
        let Some(known) = known else { return Ok(Decision::Fresh(self.fresh(name, &head))) };
        if known.complete && known.prefix.length == length {
            return Ok(Decision::Skip);
        }
        if known.name != name && known.prefix.start.is_none() {
            return Ok(Decision::Fresh(self.fresh(name, &head)));
        }
        // Two files may both go on from one known beginning: only the first of them is that container.
        let latest = self.manifest.index.is_latest(&known) && self.finished.is_latest(&known);
        let container = if latest && self.begun.insert(known.id) {
            Container { id: known.id, name: name.to_owned(), stream: false }
        } else {
            self.fresh(name, &head)
        };
        Ok(Decision::Resume { container, reached: Reached { records: known.records, unsettled: known.unsettled } })
    }

    /// A container that cannot be read twice, such as standard input: `head` are its first bytes, at most 64 KiB.
    ///
    /// It is always new, so its id has chance in it: another process may have the same name and bytes.
    pub fn begin_stream(&mut self, name: &str, head: &[u8]) -> Container {
        let (chance, _) = uuid::Uuid::new_v4().as_u64_pair();
        let id = self.fresh_id(name, head.get(..HEAD_BYTES).unwrap_or(head), chance);
        Container { id, name: name.to_owned(), stream: true }
    }

    fn fresh(&mut self, name: &str, head: &[u8]) -> Container {
        Container { id: self.fresh_id(name, head, 0), name: name.to_owned(), stream: false }
    }

    /// Made of the name and the first bytes; a number, from `number`, keeps two contents apart that share both.
    fn fresh_id(&mut self, name: &str, head: &[u8], mut number: u64) -> Digest {
        loop {
            let mut hasher = Hasher::default();
            hasher.update(name.as_bytes());
            hasher.update(&number.to_le_bytes());
            hasher.update(Digest::of(head).as_bytes());
            let id = hasher.fingerprint().digest;
            if !self.manifest.index.contains(&id) && !self.finished.contains(&id) && self.begun.insert(id) {
                return id;
            }
            number = number.wrapping_add(1);
        }
    }

    /// The longest known prefix; reads on after `head` as far as there are candidates.
    fn known_prefix(&self, head: &[u8], length: u64, rest: &mut impl Read) -> std::io::Result<Option<Known>> {
        let indices = [&self.manifest.index, &self.finished];
        let short = indices.iter().filter_map(|i| i.short_prefix(head)).max_by_key(|k| (k.prefix.length, k.complete));
        let mut best = short.cloned();
        if head.len() < HEAD_BYTES {
            return Ok(best);
        }
        let digest = Digest::of(head);
        let found = indices.iter().flat_map(|i| i.long_prefixes(&digest));
        let mut candidates: Vec<&Known> = found.filter(|k| k.prefix.length <= length).collect();
        candidates.sort_by_key(|k| (k.prefix.length, k.complete));
        let mut hasher = Hasher::default();
        hasher.update(head);
        let mut at = head.len() as u64;
        let mut buffer = vec![0; 1 << 18];
        for known in candidates {
            while at < known.prefix.length {
                let want = usize::try_from(known.prefix.length - at).unwrap_or(usize::MAX).min(buffer.len());
                let read = rest.read(&mut buffer[..want])?;
                if read == 0 {
                    return Ok(best);
                }
                hasher.update(&buffer[..read]);
                at += read as u64;
            }
            if hasher.fingerprint() == known.prefix {
                best = Some(known.clone());
            }
        }
        Ok(best)
    }

    /// Adds rows to a table. Columns may differ from batch to batch; new ones are added to the table.
    ///
    /// **Errors**: a bad table name, no `time`, a column of another type than the table's: nothing was added then. Or
    /// writing the buffered rows failed: the group is lost and `self` is of no more use.
    pub async fn append(&mut self, table: &str, batch: RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check(table, &batch).await?;
        let bytes = batch.get_array_memory_size();
        *self.rows.entry(table.to_owned()).or_default() += batch.num_rows() as u64;
        let buffer = self.buffers.entry(table.to_owned()).or_default();
        buffer.bytes += bytes;
        buffer.batches.push(batch);
        self.buffered += bytes;
        while self.buffered > self.options.buffer_bytes {
            self.write_largest().await?;
        }
        Ok(())
    }

    /// Adds rows of [`dead_letter::schema`].
    pub async fn dead_letters(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        self.append(dead_letter::TABLE, batch).await
    }

    async fn check(&mut self, table: &str, batch: &RecordBatch) -> Result<(), LakeError> {
        if !self.tables.contains_key(table) {
            let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if table.is_empty() || !table.bytes().all(valid) {
                return Err(LakeError::TableName { name: table.to_owned() });
            }
            let found = self.lake.table(table).await?;
            let schema = found.map_or_else(Schema::empty, |t| t.file_schema.as_ref().clone());
            self.tables.insert(table.to_owned(), schema);
        }
        let time = Layout::of(table, self.options.now).time_column;
        if batch.column_by_name(time).is_none() {
            return Err(LakeError::NoTime { table: table.to_owned(), column: time.to_owned() });
        }
        let schema = batch.schema();
        let held = (0..batch.num_columns()).filter(|c| batch.column(*c).null_count() < batch.num_rows());
        let fields: Vec<_> = held.map(|c| Arc::clone(&schema.fields()[c])).filter(|f| f.name() != EVENT_DAY).collect();
        if let Some(known) = self.tables.get_mut(table) {
            let merged = merge(known, &Schema::new(fields))?;
            *known = merged;
        }
        Ok(())
    }

    /// Whether the group has reached the size at which it should be committed.
    pub fn is_full(&self) -> bool {
        let files: usize = self.groups.values().map(|g| g.files.len()).sum();
        self.rows.values().sum::<u64>() >= self.options.commit_rows || files >= self.options.commit_files
    }

    /// Says which of the container's records are appended, and that they lie within `prefix`. What is committed next
    /// includes it. Call it before each commit for every container that is half read.
    pub fn progress(&mut self, container: &Container, reached: Reached, prefix: Fingerprint) {
        self.record(container, reached, prefix, false);
    }

    /// Says that all of the container is appended.
    pub fn finish(&mut self, container: &Container, reached: Reached, prefix: Fingerprint) {
        self.record(container, reached, prefix, true);
    }

    /// Up to which sequence a durable log's rows are in the lake; 0 for none.
    pub fn reached(&self, log: &str) -> u64 {
        self.manifest.positions.get(log).copied().unwrap_or(0)
    }

    /// Says that all rows of a durable log up to `sequence` are appended. What is committed next includes it.
    pub fn reach(&mut self, log: &str, sequence: u64) {
        self.positions.insert(log.to_owned(), sequence);
    }

    /// Says what time it is, which decides which events lie in the future.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.options.now = now;
    }

    fn record(&mut self, container: &Container, reached: Reached, prefix: Fingerprint, complete: bool) {
        let (id, name, stream) = (container.id, container.name.clone(), container.stream);
        let known =
            Known { id, name, stream, prefix, records: reached.records, unsettled: reached.unsettled, complete };
        if complete {
            self.finished.insert(known.clone());
            self.begun.remove(&container.id);
        }
        self.containers.insert(container.id, known);
    }

    /// Commits what was appended since the last commit. **Errors**: see [`crate::ingest`]; `self` is of no more use.
    pub async fn commit(&mut self) -> Result<CommitSummary, LakeError> {
        while self.buffered > 0 {
            self.write_largest().await?;
        }
        while !self.flushes.is_empty() {
            self.await_flush().await?;
        }
        self.finished = Index::default();
        let containers: Vec<Known> = std::mem::take(&mut self.containers).into_values().collect();
        let mut summary = CommitSummary { rows: std::mem::take(&mut self.rows), ..CommitSummary::default() };
        let mut additions = Vec::new();
        for (table, group) in std::mem::take(&mut self.groups) {
            let Some(schema) = group.schema else { continue };
            summary.files += group.files.len();
            summary.bytes += group.files.iter().map(|f| f.size).sum::<u64>();
            additions.push(Addition { schema: to_delta(&table, &schema)?, table, files: group.files });
        }
        let positions = std::mem::take(&mut self.positions);
        if !additions.is_empty() || !containers.is_empty() || !positions.is_empty() {
            summary.sequence = Some(self.manifest.append(additions, containers, positions, self.clock.last()).await?);
            self.clock.pass(self.manifest.arrival);
        }
        Ok(summary)
    }

    async fn write_largest(&mut self) -> Result<(), LakeError> {
        let largest = self.buffers.iter().max_by_key(|(_, b)| b.bytes).map(|(table, _)| table.clone());
        let Some((table, buffer)) = largest.and_then(|table| self.buffers.remove_entry(&table)) else {
            self.buffered = 0;
            return Ok(());
        };
        self.buffered -= buffer.bytes;
        if self.flushes.len() == FLUSHES_AT_ONCE {
            self.await_flush().await?;
        }
        let turn = self.encoding.clone().acquire_owned().await.map_err(|_| LakeError::Stopped)?;
        let IngestOptions { days_max, for_hunts, now, .. } = self.options;
        let layout = Layout { days_max, for_hunts, ..Layout::of(&table, now) };
        let lake = self.lake.clone();
        self.flushes.push_back(tokio::spawn(async move {
            let name = table.clone();
            let work = move || {
                let _turn = turn;
                encode(&name, &buffer.batches, &layout)
            };
            let (schema, files) = tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Stopped)??;
            let puts = files.into_iter().map(|file| put(lake.clone(), table.clone(), file));
            let written = stream::iter(puts).buffered(PUTS_AT_ONCE).try_collect().await?;
            Ok((table, schema.as_ref().clone(), written))
        }));
        Ok(())
    }

    async fn await_flush(&mut self) -> Result<(), LakeError> {
        let Some(flush) = self.flushes.pop_front() else { return Ok(()) };
        let (table, schema, files) = flush.await.map_err(|_| LakeError::Stopped)??;
        let group = self.groups.entry(table).or_default();
        group.schema = Some(match group.schema.take() {
            Some(before) => merge(&before, &schema)?,
            None => schema,
        });
        group.files.extend(files);
        Ok(())
    }
}

/// Writes a file, which nothing refers to yet.
pub(crate) async fn put(lake: Lake, table: String, file: Encoded) -> Result<NewFile, LakeError> {
    let path = format!("{EVENT_DAY}={}/part-{}{}.parquet", file.day, uuid::Uuid::new_v4(), file.kind);
    let size = file.bytes.content_length() as u64;
    let target = Path::from(format!("tables/{table}/{path}"));
    lake.store().put(&target, file.bytes).await.map_err(LakeError::store(&target))?;
    let modified_ms = Utc::now().timestamp_millis();
    Ok(NewFile { path, event_day: file.day, size, rows: file.rows, modified_ms, stats: file.stats })
}
