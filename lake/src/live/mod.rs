//! A lake that rows stream into: what was handed over is visible to SQL at once, and committed in groups.
//!
//! ```text
//! push(rows of the log up to N) ─► fresh, in memory ─► committer ─► Delta, position N ─► no longer fresh
//! ```
//!
//! Every read sees the fresh rows and the committed files of one moment: a row is in either, never in both.
//! **Exactly once**: a commit group carries the position in the durable log that its rows reach. After a crash,
//! [`Live::open`] says where the log has to be read on from.
//! **Bounds**: [`LiveOptions::commit_bytes`] of fresh rows make a commit, and as many may come while it is made; then
//! [`Live::push_blocking`] waits. While the store fails, rows stay in memory, and nothing more is taken.

mod committer;
mod fresh;

pub use committer::Committer;

use crate::arrival::Clock;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::sql::{SqlOptions, SqlSession};
use crate::table::TableSnapshot;
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Room for fresh rows is given out in pieces of this many bytes.
const PIECE: usize = 1024;

/// How rows become files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// The longest that a row waits for its commit.
    pub commit_every: Duration,
    /// Bytes of Arrow memory after which a commit does not wait any longer.
    pub commit_bytes: usize,
    /// How often tables are looked at for what other writers committed.
    pub refresh_every: Duration,
}

impl Default for LiveOptions {
    /// 10 s, 256 MiB, 30 s.
    fn default() -> Self {
        Self { commit_every: Duration::from_secs(10), commit_bytes: 256 << 20, refresh_every: Duration::from_secs(30) }
    }
}

/// Rows of the log up to a sequence that were not handed over before.
#[derive(Debug)]
pub struct Chunk {
    /// The last sequence whose rows these are.
    pub through: u64,
    /// Rows by table; a table may come more than once.
    pub rows: Vec<(String, RecordBatch)>,
}

/// A chunk that was taken on.
#[derive(Debug)]
struct Pushed {
    chunk: Chunk,
    /// Of Arrow memory.
    bytes: usize,
    /// Given back when no more of it is in memory; a position alone takes none.
    _room: Option<OwnedSemaphorePermit>,
}

/// What a reader may see: one moment of it.
#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, Arc<TableSnapshot>>,
    /// In order of their sequences; none of them is in `tables`.
    fresh: Vec<Arc<Pushed>>,
}

#[derive(Debug)]
struct Shared {
    lake: Lake,
    clock: Arc<Clock>,
    state: Mutex<State>,
    /// The sequence up to which rows are visible.
    visible: watch::Sender<u64>,
    /// The sequence up to which rows are committed.
    committed: watch::Sender<u64>,
}

/// A lake that rows stream into. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    shared: Arc<Shared>,
    /// Bounded by the room.
    chunks: mpsc::UnboundedSender<Arc<Pushed>>,
    room: Arc<Semaphore>,
    /// Pieces of all the room.
    pieces: u32,
}

impl Live {
    /// Opens a lake for the durable log `log`, and finishes what an earlier process had begun to commit. The log's
    /// position is [`Live::committed`]: what comes after it has to be pushed again.
    ///
    /// **Errors**: the lake's.
    pub async fn open(lake: &Lake, log: &str, options: LiveOptions) -> Result<(Self, Committer), LakeError> {
        let ingest = lake.ingest(committer::ingest_options(&options)).await?;
        let position = ingest.reached(log);
        let tables = lake.tables().await?.into_iter().map(|t| (t.name.clone(), t)).collect();
        let shared = Arc::new(Shared {
            lake: lake.clone(),
            clock: ingest.clock(),
            state: Mutex::new(State { tables, fresh: Vec::new() }),
            visible: watch::Sender::new(position),
            committed: watch::Sender::new(position),
        });
        let (chunks, waiting) = mpsc::unbounded_channel();
        let pieces = u32::try_from(2 * options.commit_bytes / PIECE).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new((pieces as usize).min(Semaphore::MAX_PERMITS)));
        let committer = Committer::new(shared.clone(), log, options, ingest, room.clone(), waiting);
        Ok((Self { shared, chunks, room, pieces }, committer))
    }

    /// Makes rows visible and gives them to the committer; waits while that is behind. Sequences increase.
    ///
    /// **Errors**: [`LakeError::Stopped`] when the committer is gone.
    pub fn push_blocking(&self, chunk: Chunk) -> Result<(), LakeError> {
        let through = chunk.through;
        let bytes: usize = chunk.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
        let pieces = u32::try_from(bytes / PIECE).unwrap_or(u32::MAX).clamp(1, self.pieces);
        let room = || futures::executor::block_on(self.room.clone().acquire_many_owned(pieces));
        let room = (!chunk.rows.is_empty()).then(room).transpose().map_err(|_| LakeError::Stopped)?;
        let pushed = Arc::new(Pushed { chunk, bytes, _room: room });
        if !pushed.chunk.rows.is_empty() {
            self.shared.state().fresh.push(pushed.clone());
        }
        self.chunks.send(pushed).map_err(|_| LakeError::Stopped)?;
        self.shared.visible.send_replace(through);
        Ok(())
    }

    /// What gives records their arrival.
    pub fn clock(&self) -> Arc<Clock> {
        self.shared.clock.clone()
    }

    /// The sequence up to which rows are visible.
    pub fn visible(&self) -> watch::Receiver<u64> {
        self.shared.visible.subscribe()
    }

    /// The sequence up to which rows are committed.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.shared.committed.subscribe()
    }

    /// Rows in memory and not yet committed, and their bytes.
    pub fn fresh(&self) -> (usize, usize) {
        let state = self.shared.state();
        let rows = state.fresh.iter().flat_map(|pushed| &pushed.chunk.rows).map(|(_, batch)| batch.num_rows()).sum();
        (rows, state.fresh.iter().map(|pushed| pushed.bytes).sum())
    }

    /// All tables of this moment, with their fresh rows.
    ///
    /// **Errors**: [`LakeError::ColumnType`] when fresh rows do not go with their table.
    pub fn tables(&self) -> Result<Vec<Arc<TableSnapshot>>, LakeError> {
        let (tables, chunks) = {
            let state = self.shared.state();
            (state.tables.clone(), state.fresh.clone())
        };
        fresh::tables(tables, &chunks)
    }

    /// A read-only SQL session over this moment.
    ///
    /// **Errors**: as [`Live::tables`].
    pub fn sql(&self, options: &SqlOptions) -> Result<SqlSession, LakeError> {
        Ok(SqlSession::over(&self.shared.lake, self.tables()?, options))
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
