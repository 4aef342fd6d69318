//! The one writer of a lake's tables in a process: takes chunks, commits them in groups, and tries again for as long as
//! the store fails.

use super::{Chunk, LiveOptions, Pushed, Shared};
use crate::error::LakeError;
use crate::ingest::{Ingest, IngestOptions};
use crate::table::TableSnapshot;
use chrono::Utc;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Days of a commit that have files of their own: a stream is mostly of one or two. Where old events come in, a commit of
/// seconds would make a file for each of hundreds of days.
const DAYS_MAX: usize = 2;

/// How the group under way is buffered: it becomes files as late as possible, as few as possible.
pub(super) fn ingest_options(options: &LiveOptions) -> IngestOptions {
    IngestOptions {
        buffer_bytes: options.commit_bytes,
        days_max: DAYS_MAX,
        for_hunts: false,
        ..IngestOptions::default()
    }
}

/// Commits what is pushed. Runs until all [`super::Live`]s are gone, and commits the rest then.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    log: String,
    options: LiveOptions,
    ingest: Ingest,
    /// Closed when there will be no more commits.
    room: Arc<Semaphore>,
    waiting: mpsc::UnboundedReceiver<Arc<Pushed>>,
    /// Appended and not committed.
    group: Vec<Arc<Pushed>>,
    bytes: usize,
    /// When the group has to be committed.
    due: Option<Instant>,
    refreshed: Instant,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        log: &str,
        options: LiveOptions,
        ingest: Ingest,
        room: Arc<Semaphore>,
        waiting: mpsc::UnboundedReceiver<Arc<Pushed>>,
    ) -> Self {
        let (group, refreshed) = (Vec::new(), Instant::now());
        Self { shared, log: log.to_owned(), options, ingest, room, waiting, group, bytes: 0, due: None, refreshed }
    }

    /// Commits until the last [`super::Live`] is dropped. `report` is told of each failure of the store; it is tried
    /// again until it works, and nothing is lost meanwhile.
    pub async fn run(mut self, report: impl Fn(&LakeError) + Send) {
        loop {
            let stale = self.refreshed + self.options.refresh_every;
            let pushed = tokio::select! {
                pushed = self.waiting.recv() => pushed,
                () = sleep_until(self.due.map_or(stale, |due| due.min(stale))) => {
                    let now = Instant::now();
                    if self.due.is_some_and(|due| due <= now) {
                        self.commit(&report).await;
                    }
                    if stale <= now {
                        self.refresh(&report).await;
                    }
                    continue;
                }
            };
            let Some(pushed) = pushed else { break };
            self.take(pushed, &report).await;
            if self.bytes >= self.options.commit_bytes || self.ingest.is_full() {
                self.commit(&report).await;
            }
        }
        if !self.group.is_empty() {
            self.commit(&report).await;
        }
    }

    async fn take(&mut self, pushed: Arc<Pushed>, report: &impl Fn(&LakeError)) {
        self.bytes += pushed.bytes;
        // A position alone can wait: the log is read again from there, and gives no rows. There may be many, of which the
        // last says all.
        if !pushed.chunk.rows.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + self.options.commit_every);
        } else if let Some(last) = self.group.last_mut().filter(|last| last.chunk.rows.is_empty()) {
            *last = pushed;
            return;
        }
        self.group.push(pushed.clone());
        if let Err(error) = append(&mut self.ingest, &pushed.chunk).await {
            report(&error);
            self.begin_again(report).await;
        }
    }

    async fn commit(&mut self, report: &impl Fn(&LakeError)) {
        while let Some(through) = self.group.last().map(|pushed| pushed.chunk.through) {
            self.ingest.reach(&self.log, through);
            let span = tracing::info_span!(target: "trace", "commit", through);
            match self.ingest.commit().instrument(span).await {
                Ok(_) => self.committed(through, report).await,
                Err(error) => {
                    report(&error);
                    self.begin_again(report).await;
                }
            }
        }
        self.due = None;
    }

    /// After a failure an [`Ingest`] is of no more use: a new one says how far the log is in the lake, and takes the
    /// rest of the group.
    async fn begin_again(&mut self, report: &impl Fn(&LakeError)) {
        let mut pause = PAUSE_FIRST;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            match self.shared.lake.ingest(ingest_options(&self.options)).await {
                Ok(mut ingest) => {
                    ingest.set_clock(self.ingest.clock());
                    self.ingest = ingest;
                }
                Err(error) => {
                    report(&error);
                    continue;
                }
            }
            let reached = self.ingest.reached(&self.log);
            if reached > *self.shared.committed.borrow() {
                self.committed(reached, report).await;
            }
            let mut appended = Ok(());
            for pushed in &self.group {
                appended = append(&mut self.ingest, &pushed.chunk).await;
                if appended.is_err() {
                    break;
                }
            }
            match appended {
                Ok(()) => return,
                Err(error) => report(&error),
            }
        }
    }

    /// Rows up to `through` are in Delta: readers see them there, and no longer here.
    async fn committed(&mut self, through: u64, report: &impl Fn(&LakeError)) {
        let done = self.group.partition_point(|pushed| pushed.chunk.through <= through);
        let done: Vec<Arc<Pushed>> = self.group.drain(..done).collect();
        let names: BTreeSet<&str> =
            done.iter().flat_map(|pushed| &pushed.chunk.rows).map(|(table, _)| table.as_str()).collect();
        let tables = self.load(names.into_iter(), report).await;
        {
            let mut state = self.shared.state();
            state.tables.extend(tables.into_iter().map(|table| (table.name.clone(), table)));
            state.fresh.retain(|pushed| pushed.chunk.through > through);
        }
        self.bytes = self.group.iter().map(|pushed| pushed.bytes).sum();
        self.shared.committed.send_replace(through);
    }

    /// The tables as they are now. Until they can be read, readers go on with the rows in memory.
    async fn load(&self, names: impl Iterator<Item = &str>, report: &impl Fn(&LakeError)) -> Vec<Arc<TableSnapshot>> {
        let mut tables = Vec::new();
        for name in names {
            let mut pause = PAUSE_FIRST;
            loop {
                match self.shared.lake.table(name).await {
                    Ok(table) => {
                        tables.extend(table);
                        break;
                    }
                    Err(error) => report(&error),
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        tables
    }

    /// Sees what other writers committed.
    async fn refresh(&mut self, report: &impl Fn(&LakeError)) {
        match self.shared.lake.tables().await {
            Ok(tables) => {
                let mut state = self.shared.state();
                state.tables = tables.into_iter().map(|table| (table.name.clone(), table)).collect();
            }
            Err(error) => report(&error),
        }
        self.refreshed = Instant::now();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.room.close();
    }
}

async fn append(ingest: &mut Ingest, chunk: &Chunk) -> Result<(), LakeError> {
    ingest.set_now(Utc::now());
    for (table, batch) in &chunk.rows {
        ingest.append(table, batch.clone()).await?;
    }
    Ok(())
}
