//! Queries as they run: their limits, their names, and how they end.
//!
//! A task of its own, on threads of their own, pulls a query's rows into a short channel. The time limit holds when the
//! reader has stopped reading: the work and its memory are given back then, and the reader finds the error when it comes
//! back. It holds for the reader, too, while the work computes and does not look at the time.

use super::workers::Workers;
use super::{Answer, Database, QueryError, QueryLimits, Session};
use crate::access::{Access, Identity};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use uuid::Uuid;

/// Batches between the work and its reader.
const BATCHES_AHEAD: usize = 2;

/// The name of a running query. It cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(Uuid);

impl QueryId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for QueryId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A question.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// One statement.
    pub sql: String,
    /// Values of `$1`, `$2`, …, each an array of one element.
    pub parameters: Vec<ArrayRef>,
    /// The asker's own limit of rows, where it is less than the server's: what is beyond is cut off quietly.
    pub rows_max: Option<u64>,
    /// The asker's own limit of time, where it is less than the server's.
    pub time_max: Option<Duration>,
    /// The session to ask; else a new one, which sees everything acknowledged until now.
    pub session: Option<Session>,
    /// The query's name, where it has one already.
    pub id: Option<QueryId>,
}

struct Entry {
    owner: Arc<str>,
    cancel: CancellationToken,
}

struct Shared {
    database: Database,
    access: Access,
    limits: QueryLimits,
    room: Arc<Semaphore>,
    running: Mutex<HashMap<QueryId, Entry>>,
    workers: Workers,
}

/// All queries of a server, over whatever protocol they come. Cheap to clone.
#[derive(Clone)]
pub struct Queries(Arc<Shared>);

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Queries {
    /// Queries to `database`, by whom `access` allows it. **Errors**: the system's, when it gives no threads.
    pub fn new(database: Database, access: Access, limits: QueryLimits) -> std::io::Result<Self> {
        let room = Arc::new(Semaphore::new(limits.concurrent_max.min(Semaphore::MAX_PERMITS)));
        let workers = Workers::new()?;
        Ok(Self(Arc::new(Shared { database, access, limits, room, running: Mutex::default(), workers })))
    }

    /// Who may ask.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// The limits.
    pub fn limits(&self) -> &QueryLimits {
        &self.0.limits
    }

    /// How many queries run now.
    pub fn running(&self) -> usize {
        self.entries().len()
    }

    /// A session that sees everything acknowledged until now. **Errors**: the database's; or it takes too long.
    pub async fn open(&self) -> Result<Session, QueryError> {
        let limit = self.0.limits.timeout();
        tokio::time::timeout(limit, self.0.database.open()).await.map_err(|_| QueryError::Timeout { limit })?
    }

    /// Starts a query.
    ///
    /// **Errors**: [`QueryError::Busy`] when there is no room within the waiting time; what is wrong with the statement;
    /// later errors come with the rows. **Bounds**: [`QueryLimits`].
    pub async fn start(&self, asker: &Identity, ask: Ask) -> Result<Running, QueryError> {
        let limits = &self.0.limits;
        self.check_length(&ask.sql)?;
        let begun = Instant::now();
        let time_max = ask.time_max.unwrap_or(Duration::MAX).min(limits.timeout());
        let permit = self.permit(time_max).await?;
        let cancel = CancellationToken::new();
        let entry = self.enter(ask.id.unwrap_or_else(QueryId::random), asker, &cancel)?;
        let id = entry.id;
        let stop = Stop { cancel: cancel.clone(), at: begun + time_max, limit: time_max };
        let database = self.0.database.clone();
        let span = tracing::info_span!(target: "trace", "query", %id, asker = %asker.name);
        let plan = async move {
            let session = match ask.session {
                Some(session) => session,
                None => database.open().await?,
            };
            session.run(ask.sql, ask.parameters).await
        };
        let plan = self.0.workers.spawn(plan.instrument(span.clone()));
        let planned = stop.or(plan).await?;
        let Answer { schema, rows } = planned.unwrap_or_else(|e| Err(died(&e)))?;
        let (into, batches) = mpsc::channel(BATCHES_AHEAD);
        let rows_max = ask.rows_max.unwrap_or(u64::MAX).min(limits.rows_max);
        let pump =
            Pump { stop: stop.clone(), into, rows_max, asker: Arc::clone(&asker.name), begun, entry, _permit: permit };
        let work = self.0.workers.spawn(pump.run(rows).instrument(span));
        Ok(Running {
            id,
            schema,
            rows_max,
            wished: ask.rows_max.is_some_and(|wish| wish <= limits.rows_max),
            batches,
            stop,
            end: None,
            work: Some(work),
            _cancel: cancel.drop_guard(),
        })
    }

    /// Stops a query of this identity. `false` when it has no such query.
    pub fn cancel(&self, id: QueryId, asker: &Identity) -> bool {
        let entries = self.entries();
        let found = entries.get(&id).filter(|entry| entry.owner == asker.name);
        found.inspect(|entry| entry.cancel.cancel()).is_some()
    }

    /// **Errors**: [`QueryError::TooLong`].
    pub fn check_length(&self, sql: &str) -> Result<(), QueryError> {
        let (bytes, limit) = (sql.len(), self.0.limits.sql_bytes_max);
        if bytes > limit { Err(QueryError::TooLong { bytes, limit }) } else { Ok(()) }
    }

    async fn permit(&self, time_max: Duration) -> Result<OwnedSemaphorePermit, QueryError> {
        let wait = Duration::from_millis(self.0.limits.wait_ms).min(time_max);
        let room = Arc::clone(&self.0.room).acquire_owned();
        match tokio::time::timeout(wait, room).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Busy { limit: self.0.limits.concurrent_max }),
        }
    }

    /// **Errors**: [`QueryError::Busy`] where the asker has as many as it may.
    fn enter(&self, id: QueryId, asker: &Identity, cancel: &CancellationToken) -> Result<Entered, QueryError> {
        let entry = Entry { owner: Arc::clone(&asker.name), cancel: cancel.clone() };
        let mut entries = self.entries();
        if let Some(limit) = self.0.access.grant(&asker.name).and_then(|grant| grant.queries_max)
            && entries.values().filter(|entry| entry.owner == asker.name).count() >= limit
        {
            return Err(QueryError::Busy { limit });
        }
        entries.insert(id, entry);
        Ok(Entered { id, queries: self.clone() })
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<QueryId, Entry>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query that can be found by its name for as long as this lives.
struct Entered {
    id: QueryId,
    queries: Queries,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.queries.entries().remove(&self.id);
    }
}

/// A task that ended without its result.
fn died(error: &tokio::task::JoinError) -> QueryError {
    QueryError::Internal { message: error.to_string() }
}

/// What ends a query from outside.
#[derive(Clone)]
struct Stop {
    cancel: CancellationToken,
    at: Instant,
    limit: Duration,
}

impl Stop {
    /// The future's result, unless something stops it. **Errors**: `Cancelled`, `Timeout`.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, QueryError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(QueryError::Cancelled),
            () = tokio::time::sleep_until(self.at) => Err(QueryError::Timeout { limit: self.limit }),
            done = work => Ok(done),
        }
    }
}

/// Whether everything was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Truncated,
}

struct Pump {
    stop: Stop,
    into: mpsc::Sender<RecordBatch>,
    rows_max: u64,
    asker: Arc<str>,
    begun: Instant,
    entry: Entered,
    _permit: OwnedSemaphorePermit,
}

impl Pump {
    async fn run(
        self,
        mut rows: futures::stream::BoxStream<'static, Result<RecordBatch, QueryError>>,
    ) -> Result<End, QueryError> {
        let mut sent = 0;
        let end = self.pull(&mut rows, &mut sent).await;
        let (id, asker, took_ms) = (self.entry.id, &self.asker, self.begun.elapsed().as_millis() as u64);
        match &end {
            Ok(end) => tracing::info!(%id, %asker, rows = sent, took_ms, truncated = *end == End::Truncated, "query"),
            Err(error) => tracing::info!(%id, %asker, rows = sent, took_ms, %error, "query"),
        }
        end
    }

    async fn pull(
        &self,
        rows: &mut futures::stream::BoxStream<'static, Result<RecordBatch, QueryError>>,
        sent: &mut u64,
    ) -> Result<End, QueryError> {
        while let Some(batch) = self.stop.or(rows.next()).await? {
            let mut batch = batch?;
            let left = self.rows_max - *sent;
            let more = batch.num_rows() as u64 > left;
            if more {
                batch = batch.slice(0, left as usize);
            }
            *sent += batch.num_rows() as u64;
            if batch.num_rows() > 0 && self.stop.or(self.into.send(batch)).await?.is_err() {
                return Err(QueryError::Cancelled);
            }
            if more {
                return Ok(End::Truncated);
            }
        }
        Ok(End::Complete)
    }
}

/// A query's rows as they come. Dropping it cancels the query.
pub struct Running {
    /// Its name.
    pub id: QueryId,
    /// Its columns.
    pub schema: SchemaRef,
    /// How many rows come at most.
    pub rows_max: u64,
    wished: bool,
    batches: mpsc::Receiver<RecordBatch>,
    stop: Stop,
    end: Option<Result<End, QueryError>>,
    work: Option<AbortOnDropHandle<Result<End, QueryError>>>,
    _cancel: DropGuard,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("id", &self.id).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Running {
    /// The next batch, which has rows; `None` at the end. Nothing is lost when the future is dropped.
    ///
    /// **Errors**: why the query ended early; the same again if asked again.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        if let Some(work) = &mut self.work {
            // What has come is given, also behind the time limit; so is the work's own end, where it knows it.
            let next = match self.batches.try_recv() {
                Ok(batch) => return Ok(Some(batch)),
                Err(_) => self.stop.or(self.batches.recv()).await,
            };
            let end = match next {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) => work.await.unwrap_or_else(|e| Err(died(&e))),
                Err(error) => Err(error),
            };
            self.work = None;
            self.end = Some(end);
        }
        match &self.end {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    /// As [`Self::next`], for readers who cannot say that rows are missing: an answer cut off by the server's limit is an
    /// error; by the asker's own limit, it is not.
    ///
    /// **Errors**: [`QueryError::Rows`] too.
    pub async fn next_or_rows(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        match self.next().await? {
            None if self.is_truncated() && !self.wished => Err(QueryError::Rows { limit: self.rows_max }),
            next => Ok(next),
        }
    }

    /// Whether there were more rows than [`Self::rows_max`]; known at the end.
    pub fn is_truncated(&self) -> bool {
        self.end == Some(Ok(End::Truncated))
    }
}
