//! Records of those who decide before they answer: a leaf of the lake's evidence ledger first, a row of its tables soon after.
//!
//! Rows are made of what the ledger has, so none is lost with the process: [`Rows::follow`] goes on where the lake's ingest log
//! says that rows end, and commits rows and the new end together. A ledger of another key is another, and begins at its
//! first leaf; one that has become smaller is an error. Rows are put into the tables, or handed to a daemon over the lake, whose
//! rules see them then. **Bounds**: [`WAITING_MAX`] records wait for the ledger;
//! rows are made of [`FOLLOWED_MAX`] at a time.

use crate::daemon::Daemon;
use crate::loading::Loader;
use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::Utc;
use futures::StreamExt;
use object_store::path::Path;
use reqwest::Url;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, LedgerError, Log, Logged, Outcome, Signer, records_after};
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::Sources;
use tarn_lake::{IngestOptions, Lake, LakeError, SqlError, SqlOptions, SqlSession};
use tarn_schema_ocsf::{ClassUid, Schema};
use tokio::sync::{Notify, mpsc, oneshot};

/// Records that wait for the ledger, and the most that are appended at once.
const WAITING_MAX: usize = 256;
/// How often other writers of the ledger may be first, one after the other.
const TRIES_MAX: usize = 16;
/// How long rows gather before they are committed.
const GATHER: Duration = Duration::from_secs(1);
/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(5);
/// How the lake's ingest log calls the ledger, with its key behind it.
const FOLLOWED: &str = "evidence/ledger";
/// What to do about a ledger that is not the one that rows were made of.
const OTHER_LEDGER: &str = "no rows are made of the evidence ledger: put its newest state there again, or begin another \
                            with a new key";
/// Records after which rows are committed; those of one batch of the ledger are committed together.
const FOLLOWED_MAX: usize = 4_096;
/// The same in their bytes.
const FOLLOWED_BYTES_MAX: usize = 32 << 20;
/// Uids that are asked for at once.
const ASKED_MAX: usize = 1_000;

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<(), String>>,
}

/// Takes records into the lake's ledger, and from there into its tables.
pub struct Recorder {
    rows: Rows,
    queue: mpsc::Sender<Waiting>,
}

impl Recorder {
    /// Opens the lake's ledger, or begins it. Rows that an earlier process left out are made now.
    ///
    /// **Errors**: as [`Ledger::open`].
    pub async fn open(rows: Rows, signer: Signer) -> anyhow::Result<Self> {
        let ledger = Ledger::open(rows.lake.store().clone(), &Path::from(LAKE_PREFIX), signer).await?;
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let appended = Arc::new(Notify::new());
        appended.notify_one();
        tokio::spawn(append(ledger, waiting, appended.clone()));
        tokio::spawn(keep_following(rows.clone(), appended));
        Ok(Self { rows, queue })
    }

    /// Records; when this returns, the record is a leaf under a signed checkpoint. Records that come together are appended
    /// together.
    ///
    /// **Errors**: the ledger's, in words; another record with this uid.
    pub async fn record(&self, entry: Entry) -> Result<(), String> {
        let (answer, result) = oneshot::channel();
        self.queue.send(Waiting { entry, answer }).await.map_err(|e| e.to_string())?;
        result.await.map_err(|e| e.to_string())?
    }

    /// Makes the rows that are not there yet. What it cannot make, the next [`Self::open`] does.
    ///
    /// **Errors**: the store's, the lake's.
    pub async fn finish(&self) -> anyhow::Result<()> {
        self.rows.follow().await.context("rows of the evidence ledger are missing; the next start makes them")
    }
}

async fn append(mut ledger: Ledger, mut queue: mpsc::Receiver<Waiting>, appended: Arc<Notify>) {
    let mut waiting = Vec::with_capacity(WAITING_MAX);
    while queue.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let (entries, answers): (Vec<_>, Vec<_>) = waiting.drain(..).map(|one| (one.entry, one.answer)).unzip();
        let outcomes = append_all(&mut ledger, &entries).await;
        let failed = outcomes.as_ref().err().map(LedgerError::to_string);
        let outcomes = outcomes.unwrap_or_default();
        for (number, answer) in answers.into_iter().enumerate() {
            let result = match (outcomes.get(number), &failed) {
                (Some(Outcome::Appended(_) | Outcome::Already(_)), _) => Ok(()),
                (Some(Outcome::Conflict(leaf)), _) => Err(format!("leaf {leaf} has this uid")),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => Err("the ledger did not say what became of it".to_owned()),
            };
            // Nobody waits when the process is ending.
            let _ = answer.send(result);
        }
        appended.notify_one();
    }
}

/// Appends records to a ledger that others may append to as well, again where it can be that it helps: a record that is
/// there already is not appended twice.
///
/// **Errors**: the ledger's.
pub async fn append_all(ledger: &mut Ledger, entries: &[Entry]) -> Result<Vec<Outcome>, LedgerError> {
    let mut tried = 0;
    loop {
        let error = match ledger.append(entries, Utc::now().timestamp_millis()).await {
            Err(error) => error,
            appended => return appended,
        };
        tried += 1;
        let tries = if matches!(error, LedgerError::OtherWriter { .. }) { TRIES_MAX } else { 2 };
        if tried >= tries {
            return Err(error);
        }
    }
}

async fn keep_following(rows: Rows, appended: Arc<Notify>) {
    let mut said = String::new();
    loop {
        appended.notified().await;
        tokio::time::sleep(GATHER).await;
        while let Err(error) = rows.follow().await {
            let words = format!("{error:#}");
            if words != said {
                eprintln!("rows of the evidence ledger wait: {words}");
                said = words;
            }
            tokio::time::sleep(RETRY).await;
        }
        said.clear();
    }
}

/// Makes rows of records. Cheap to clone.
#[derive(Clone)]
pub struct Rows {
    lake: Lake,
    sources: Arc<Sources>,
    daemon: Option<Daemon>,
}

impl Rows {
    /// In the lake's tables; with `to`, by the daemon there, which has to be one over this lake.
    ///
    /// **Errors**: [`crate::command::Usage`] for an address that is none.
    pub fn new(lake: &Lake, to: Option<&Url>) -> anyhow::Result<Self> {
        let daemon = to.map(|url| Daemon::new(url, "--to")).transpose()?;
        Ok(Self { lake: lake.clone(), sources: Arc::new(Sources::builtin()?), daemon })
    }

    /// Makes rows of records that have none, a line each; `name` is what they are called in the lake.
    ///
    /// **Errors**: the lake's, the daemon's.
    pub async fn add(&self, name: &str, lines: Vec<u8>) -> anyhow::Result<()> {
        if let Some(daemon) = &self.daemon {
            return daemon.keep(&lines).await;
        }
        if !lines.is_empty() {
            let mut loader = self.loader().await?;
            loader.load_bytes(name, lines).await?;
            loader.finish().await?;
        }
        Ok(())
    }

    /// Makes rows of the records of the lake's ledger that have none. Those that came into a table another way have theirs.
    ///
    /// **Errors**: the store's, the lake's, the daemon's; a ledger that is not the one that rows were made of. What is
    /// committed stays, and the next call goes on behind it.
    pub async fn follow(&self) -> anyhow::Result<()> {
        let log = match Log::open_as_described(self.lake.store().clone(), &Path::from(LAKE_PREFIX)).await {
            Err(LedgerError::NoLedger) => return Ok(()),
            log => log?,
        };
        let followed = format!("{FOLLOWED}/{}", log.key());
        loop {
            let mut loader = self.loader().await?;
            let from = loader.reached(&followed);
            let records = read(&self.lake, from).await?;
            if records.is_empty() {
                return Ok(());
            }
            let lines = without_rows(&self.lake, &records).await?;
            match &self.daemon {
                Some(daemon) => daemon.keep(&lines).await?,
                None => loader.load_bytes("the evidence ledger", lines).await?,
            }
            // Behind the rows: what is committed before all of them are loaded does not include it.
            loader.reach(&followed, from + records.len() as u64);
            match loader.finish().await {
                Ok(_) => {}
                // Another process follows as well, and was first.
                Err(error) if matches!(error.downcast_ref(), Some(LakeError::IngestedElsewhere { .. })) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What loads OCSF records into the lake.
    async fn loader(&self) -> anyhow::Result<Loader> {
        let source = self.sources.named("ocsf").map(|source| source.id);
        let options = MapOptions { ingest_time: Utc::now().timestamp_micros(), zone: chrono_tz::UTC, coverage: false };
        Loader::new(self.lake.ingest(IngestOptions::default()).await?, self.sources.clone(), source, options)
    }
}

/// The records of the lake's ledger after `from` leaves, some batches at once.
async fn read(lake: &Lake, from: u64) -> anyhow::Result<Vec<Logged>> {
    let (mut records, mut bytes) = (Vec::new(), 0);
    while records.len() < FOLLOWED_MAX && bytes < FOLLOWED_BYTES_MAX {
        let next = from + records.len() as u64;
        let after = records_after(lake.store(), &Path::from(LAKE_PREFIX), next).await;
        let after = match after {
            Err(error @ LedgerError::NotExtended { .. }) => return Err(error).context(OTHER_LEDGER),
            after => after?,
        };
        let Some(batch) = after else { break };
        bytes += batch.iter().map(|logged| logged.record.len()).sum::<usize>();
        // Rows are made of records alone.
        records.extend(batch.into_iter().map(|logged| Logged { raw: None, ..logged }));
    }
    Ok(records)
}

#[derive(Deserialize)]
struct Class {
    class_uid: u32,
}

/// The records that are in no table, a line each.
async fn without_rows(lake: &Lake, records: &[Logged]) -> anyhow::Result<Vec<u8>> {
    let mut tables: BTreeMap<String, Vec<&Logged>> = BTreeMap::new();
    for logged in records {
        // What is of no class is a dead letter, which the loader makes of it.
        let class = serde_json::from_slice::<Class>(&logged.record).ok();
        let table = class.and_then(|of| Schema::v1_8().class(ClassUid(of.class_uid))).map(|class| class.table());
        tables.entry(table.unwrap_or_default()).or_default().push(logged);
    }
    let (session, mut lines) = (lake.sql(&SqlOptions::default()).await?, Vec::new());
    for (table, records) in tables {
        let uids: Vec<&str> = records.iter().map(|logged| logged.uid.as_str()).collect();
        let known = times(&session, &table, "metadata.uid", &uids).await?;
        for logged in records.iter().filter(|logged| !known.contains_key(&logged.uid)) {
            lines.extend_from_slice(&logged.record);
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// Which of some values a table has in a column, and a time of each in milliseconds. A table that is not there has none.
///
/// **Errors**: the lake's.
pub async fn times(
    session: &SqlSession,
    table: &str,
    column: &str,
    values: &[&str],
) -> anyhow::Result<HashMap<String, i64>> {
    let mut known = HashMap::new();
    if !session.tables().any(|there| there.name == table) {
        return Ok(known);
    }
    for some in values.chunks(ASKED_MAX) {
        let list = (1..=some.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {column}, min(time) FROM {table} WHERE {column} IN ({list}) GROUP BY 1");
        let values: Vec<ArrayRef> =
            some.iter().map(|value| Arc::new(StringArray::from(vec![*value])) as ArrayRef).collect();
        let mut stream = session.query_with(&sql, &values).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| SqlError::Failed(Box::new(e)))?;
            let found = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
            let times = arrow::compute::cast(batch.column(1), &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            let times = arrow::compute::cast(&times, &DataType::Int64)?;
            let rows = found.as_string::<i32>().iter().zip(times.as_primitive::<Int64Type>());
            known.extend(rows.filter_map(|(value, time)| Some((value?.to_owned(), time?))));
        }
    }
    Ok(known)
}
