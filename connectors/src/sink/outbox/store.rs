//! The tables of the outbox's file, and transactions on them. A transaction that fails changes nothing.
//!
//! **When the disk fails** in a write, `redb` does nothing more with the file until it is opened anew. So that is what the
//! next use does, for as long as it takes. What was committed before is there then.
//!
//! | table | holds |
//! | --- | --- |
//! | `meta` | format, the last sequence taken, the next id, how much there is |
//! | `alerts`, `refs` | alerts and findings by id; how many letters, groups and throttles need each |
//! | `letters` | messages, waiting and dead |
//! | `due`, `oldest`, `dead`, `shelf` | letters by sink and time to try, by sink and age, the dead, by what goes first |
//! | `groups`, `throttles`, `timers` | what gathers, what is held back, and when something is to be done about it |
//! | `incidents`, `open` | messages that receivers keep as open, by letter; by sink and finding, of which it is |
//! | `counts` | by sink and name, since the file began |

use super::OutboxError;
use crate::sink::alert::Alert;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// Bumped with every change of tables or rows that an older version would misread.
const FORMAT: u64 = 2;
/// What has only fewer tables and rows.
const FORMAT_MIN: u64 = 1;
/// Pages that are kept in memory.
const CACHE_BYTES: usize = 16 << 20;
/// A larger finding is not kept beside its alert.
const FINDING_BYTES_MAX: usize = 256 << 10;

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const ALERTS: TableDefinition<u64, (&[u8], &str)> = TableDefinition::new("alerts");
pub(super) const REFS: TableDefinition<u64, (u32, u64)> = TableDefinition::new("refs");
pub(super) const LETTERS: TableDefinition<u64, &[u8]> = TableDefinition::new("letters");
pub(super) const DUE: TableDefinition<(&str, i64, u64), ()> = TableDefinition::new("due");
pub(super) const OLDEST: TableDefinition<(&str, u64), i64> = TableDefinition::new("oldest");
pub(super) const DEAD: TableDefinition<u64, &str> = TableDefinition::new("dead");
pub(super) const SHELF: TableDefinition<(u8, u64), ()> = TableDefinition::new("shelf");
pub(super) const GROUPS: TableDefinition<&str, &[u8]> = TableDefinition::new("groups");
pub(super) const THROTTLES: TableDefinition<&str, &[u8]> = TableDefinition::new("throttles");
pub(super) const TIMERS: TableDefinition<(i64, &str), ()> = TableDefinition::new("timers");
pub(super) const INCIDENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("incidents");
pub(super) const OPEN: TableDefinition<(&str, &str), u64> = TableDefinition::new("open");
pub(super) const COUNTS: TableDefinition<(&str, &str), u64> = TableDefinition::new("counts");

/// The file. Its lock is shared by transactions, and exclusive where the file is opened anew.
pub(super) struct Store {
    path: PathBuf,
    /// None from a failure of the disk to the next use.
    database: RwLock<Option<Database>>,
    failing: AtomicBool,
    failures: AtomicU64,
    /// Transactions that changed something, since it was opened.
    changes: AtomicU64,
}

/// All tables, in a write transaction.
pub(super) struct Tables<'t> {
    pub meta: Table<'t, &'static str, u64>,
    pub alerts: Table<'t, u64, (&'static [u8], &'static str)>,
    pub refs: Table<'t, u64, (u32, u64)>,
    pub letters: Table<'t, u64, &'static [u8]>,
    pub due: Table<'t, (&'static str, i64, u64), ()>,
    pub oldest: Table<'t, (&'static str, u64), i64>,
    pub dead: Table<'t, u64, &'static str>,
    pub shelf: Table<'t, (u8, u64), ()>,
    pub groups: Table<'t, &'static str, &'static [u8]>,
    pub throttles: Table<'t, &'static str, &'static [u8]>,
    pub timers: Table<'t, (i64, &'static str), ()>,
    pub incidents: Table<'t, u64, &'static [u8]>,
    pub open: Table<'t, (&'static str, &'static str), u64>,
    pub counts: Table<'t, (&'static str, &'static str), u64>,
}

impl Store {
    /// Opens or makes the file.
    ///
    /// **Errors**: another version's format, or the database's.
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        let database = RwLock::new(Some(database(path)?));
        let (failing, failures) = (AtomicBool::new(false), AtomicU64::new(0));
        let store = Self { path: path.to_owned(), database, failing, failures, changes: AtomicU64::new(0) };
        let found = store.write(|tables| {
            let found = tables.meta("format")?;
            if found == 0 || (FORMAT_MIN..FORMAT).contains(&found) {
                tables.set_meta("format", FORMAT)?;
            }
            tables.meta("format")
        })?;
        if found == FORMAT { Ok(store) } else { Err(OutboxError::Format { found, known: FORMAT }) }
    }

    /// Changes tables; durable when it returns.
    ///
    /// **Errors**: the change's own, and nothing was changed; the commit's, of which the next use knows whether it was made.
    pub fn write<R>(&self, change: impl FnOnce(&mut Tables<'_>) -> Result<R, redb::Error>) -> Result<R, redb::Error> {
        let result = self.using(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            let result = change(&mut Tables {
                meta: transaction.open_table(META)?,
                alerts: transaction.open_table(ALERTS)?,
                refs: transaction.open_table(REFS)?,
                letters: transaction.open_table(LETTERS)?,
                due: transaction.open_table(DUE)?,
                oldest: transaction.open_table(OLDEST)?,
                dead: transaction.open_table(DEAD)?,
                shelf: transaction.open_table(SHELF)?,
                groups: transaction.open_table(GROUPS)?,
                throttles: transaction.open_table(THROTTLES)?,
                timers: transaction.open_table(TIMERS)?,
                incidents: transaction.open_table(INCIDENTS)?,
                open: transaction.open_table(OPEN)?,
                counts: transaction.open_table(COUNTS)?,
            })?;
            transaction.commit()?;
            Ok(result)
        })?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(file = %self.path.display(), "the outbox can be written again");
        }
        Ok(result)
    }

    /// Reads one state of all tables.
    ///
    /// **Errors**: the reading's own, or the database's.
    pub fn read<R>(&self, read: impl FnOnce(&ReadTransaction) -> Result<R, redb::Error>) -> Result<R, redb::Error> {
        self.using(|database| read(&database.begin_read()?))
    }

    /// Whether the last thing that is known of the file is that it could not be read or written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// How many transactions changed something, since it was opened.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How often it could not.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn using<R>(&self, work: impl FnOnce(&Database) -> Result<R, redb::Error>) -> Result<R, redb::Error> {
        let result = self.opened().and_then(|()| {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            // None where another use has found the disk failing since.
            database.as_ref().map_or(Err(redb::Error::PreviousIo), work)
        });
        if let Err(error) = &result {
            self.failed(error);
        }
        result
    }

    /// Sees to it that the file is open.
    fn opened(&self) -> Result<(), redb::Error> {
        if self.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut place = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Some(database(&self.path)?);
        }
        Ok(())
    }

    fn failed(&self, error: &redb::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, file = %self.path.display(), "the outbox fails: alerts wait, and it is tried again");
        }
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn database(path: &Path) -> Result<Database, redb::Error> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create(path)?)
}

/// A row as bytes.
pub(super) fn encoded(row: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(row).map_err(|error| redb::Error::Corrupted(format!("a row cannot be written: {error}")))
}

/// A row of bytes.
pub(super) fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(format!("a row cannot be read: {error}")))
}

impl Tables<'_> {
    pub fn meta(&self, name: &str) -> Result<u64, redb::Error> {
        Ok(self.meta.get(name)?.map_or(0, |value| value.value()))
    }

    pub fn set_meta(&mut self, name: &str, value: u64) -> Result<(), redb::Error> {
        self.meta.insert(name, value)?;
        Ok(())
    }

    pub fn next_id(&mut self) -> Result<u64, redb::Error> {
        let id = self.meta("next")? + 1;
        self.set_meta("next", id)?;
        Ok(id)
    }

    /// Adds to a count; `sink` is empty for those of the whole outbox.
    pub fn count(&mut self, sink: &str, name: &str, more: u64) -> Result<(), redb::Error> {
        let known = self.counts.get((sink, name))?.map_or(0, |value| value.value());
        self.counts.insert((sink, name), known + more)?;
        Ok(())
    }

    /// Keeps an alert that one place needs.
    pub fn keep(&mut self, alert: &Alert, finding: &str) -> Result<u64, redb::Error> {
        let id = self.next_id()?;
        let row = encoded(alert)?;
        let finding = if finding.len() > FINDING_BYTES_MAX { "null" } else { finding };
        let bytes = (row.len() + finding.len()) as u64;
        self.alerts.insert(id, (row.as_slice(), finding))?;
        self.refs.insert(id, (1, bytes))?;
        self.set_meta("entries", self.meta("entries")? + 1)?;
        self.set_meta("bytes", self.meta("bytes")? + bytes)?;
        Ok(id)
    }

    /// One more place needs an alert.
    pub fn hold(&mut self, id: u64) -> Result<(), redb::Error> {
        let known = self.refs.get(id)?.map(|row| row.value());
        if let Some((refs, bytes)) = known {
            self.refs.insert(id, (refs + 1, bytes))?;
        }
        Ok(())
    }

    /// One place less needs it; the last takes it away.
    pub fn release(&mut self, id: u64) -> Result<(), redb::Error> {
        let known = self.refs.get(id)?.map(|row| row.value());
        match known {
            Some((refs, bytes)) if refs > 1 => drop(self.refs.insert(id, (refs - 1, bytes))?),
            Some((_, bytes)) => {
                self.refs.remove(id)?;
                self.alerts.remove(id)?;
                self.set_meta("entries", self.meta("entries")?.saturating_sub(1))?;
                self.set_meta("bytes", self.meta("bytes")?.saturating_sub(bytes))?;
            }
            None => {}
        }
        Ok(())
    }

    /// Bytes of an alert and its finding.
    pub fn bytes_of(&self, id: u64) -> Result<u64, redb::Error> {
        Ok(self.refs.get(id)?.map_or(0, |row| row.value().1))
    }
}
