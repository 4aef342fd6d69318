//! Tables: what one holds at a version of its Delta log, how rows become files, and how files are committed.

pub(crate) mod commit;
pub(crate) mod schema;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod write;

pub use write::{REST, member_column};

use crate::error::LakeError;
use crate::table::state::TableState;
use crate::table::stats::FileStats;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake_core::kernel::{Metadata, Protocol};
use object_store::path::Path;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The partition column: the UTC day of the row's `time`, or [`OUTLIER_DAY`] where that cannot be true. Files of that partition
/// may have rows of true days, which read as of these days here, and as of [`OUTLIER_DAY`] in other engines.
pub const EVENT_DAY: &str = "event_day";

/// The partition of rows whose time cannot be true (before 1990, or later than two days from now), of rows without a
/// time, and of days that have few rows in a write, or are too many for files of their own ([`crate::IngestOptions::days_max`]).
/// They keep their `time`. No true time is of this day, as it lies before 1990 itself.
pub const OUTLIER_DAY: &str = "1970-01-01";

/// The column that says in which order records came in: a number of [`crate::Clock`], Int64. It is no part of the record;
/// rows that earlier releases wrote have none, nor have dead letters.
pub const ARRIVAL: &str = "arrival";

/// Part of the name of a file that the daemon committed, and that is merged soon.
pub(crate) const COMMITTED: &str = ".snappy";

/// Part of the name of a file that has, besides the table's columns, those that only hunts read ([`write::Besides`]).
pub(crate) const FOR_HUNTS: &str = ".hunt.zstd";

/// The property by which files have columns under other names than the table.
const COLUMN_MAPPING: &str = "delta.columnMapping.mode";

/// A data file of a table.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// From the lake's root.
    pub path: Path,
    /// The same from the table's root, as the table's log has it.
    pub(crate) logged: Box<str>,
    /// In bytes.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Its partition: days since 1970; `None` in a table that another tool made without our partition column.
    pub event_day: Option<i32>,
    /// What the log says of its values.
    pub stats: FileStats,
}

impl DataFile {
    /// Whether it has, besides the table's columns, those that hunts read.
    pub fn is_for_hunts(&self) -> bool {
        self.is_named(FOR_HUNTS)
    }

    /// Whether it is as the daemon committed it.
    pub(crate) fn is_as_committed(&self) -> bool {
        self.is_named(COMMITTED)
    }

    fn is_named(&self, part: &str) -> bool {
        self.path.filename().is_some_and(|name| name.contains(part))
    }

    /// Whether its rows are of no day, or of days that share it.
    pub(crate) fn is_shared(&self) -> bool {
        self.event_day == Some(0)
    }
}

/// What a table holds at one version of its log.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// The table's name: its class's, or `dead_letters`.
    pub name: String,
    /// The Delta version.
    pub version: u64,
    /// All columns, [`ARRIVAL`] and [`EVENT_DAY`] last; columns of fresh rows that no file has come between these two.
    pub schema: SchemaRef,
    /// The columns that files hold: all but [`EVENT_DAY`].
    pub file_schema: SchemaRef,
    /// The files, by day and then by time. Versions of a table share those that are in both.
    pub files: Vec<Arc<DataFile>>,
    /// Rows that are in no file yet, with the columns that they have.
    pub(crate) fresh: Vec<RecordBatch>,
}

impl TableSnapshot {
    /// What the log says.
    pub(crate) fn of(state: &TableState) -> Result<Self, LakeError> {
        known_features(&state.table, &state.protocol, &state.metadata)?;
        let file_schema = Arc::clone(&state.file_schema);
        let partition = state.schema.fields().iter().filter(|field| field.name() == EVENT_DAY).cloned();
        let columns: Vec<_> = file_schema.fields().iter().cloned().chain(partition).collect();
        let mut files = state.files.clone();
        let key = |f: &DataFile| (f.event_day, f.stats.earliest());
        files.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path)));
        let (name, schema) = (state.table.clone(), Arc::new(Schema::new(columns)));
        Ok(Self { name, version: state.version, schema, file_schema, files, fresh: Vec::new() })
    }

    /// A table of no files, for rows that are its first.
    pub(crate) fn empty(name: &str) -> Self {
        let schema = Arc::new(Schema::new(vec![event_day_field()]));
        let file_schema = Arc::new(Schema::empty());
        Self { name: name.to_owned(), version: 0, schema, file_schema, files: Vec::new(), fresh: Vec::new() }
    }

    /// The table with rows that are in no file yet. `now` tells which of them lie in the future.
    ///
    /// **Errors**: a column of another type than the table's; no time.
    pub(crate) fn with_fresh(&self, batches: Vec<RecordBatch>, now: DateTime<Utc>) -> Result<Self, LakeError> {
        let mut merged = self.file_schema.as_ref().clone();
        for batch in &batches {
            merged = schema::merge(&merged, batch.schema().as_ref())?;
        }
        let fresh = batches.iter().map(|batch| write::with_day(&self.name, batch, now)).collect::<Result<_, _>>()?;
        let day: Vec<_> = self.schema.fields().iter().filter(|f| f.name() == EVENT_DAY).cloned().collect();
        let all = Schema::new([merged.fields().to_vec(), day].concat());
        Ok(Self { schema: Arc::new(all), file_schema: Arc::new(merged), fresh, ..self.clone() })
    }

    /// Rows, as far as the log says.
    pub fn rows(&self) -> Option<u64> {
        let fresh: usize = self.fresh.iter().map(RecordBatch::num_rows).sum();
        self.files.iter().map(|f| f.stats.rows).sum::<Option<u64>>().map(|rows| rows + fresh as u64)
    }

    /// The first and the last [`EVENT_DAY`] that rows of a file may have, days since 1970, 0 for rows of no day; none where the
    /// table has no such column. `now` tells which times lie in the future.
    pub fn days(&self, file: &DataFile, now: DateTime<Utc>) -> Option<RangeInclusive<i32>> {
        let day = file.event_day?;
        if !file.is_shared() {
            return Some(day..=day);
        }
        let layout = write::Layout::of(&self.name, now);
        let (first, last) = file.stats.times(layout.time_column);
        let last = last.filter(|last| !layout.is_after(*last));
        let nulls = file.stats.column(layout.time_column).and_then(|time| time.nulls);
        let all_have = last.is_some() && nulls == Some(0);
        let first = first.filter(|_| all_have).map_or(0, |first| layout.day(first));
        let latest = || i32::try_from(layout.last_day).unwrap_or(i32::MAX);
        Some(first..=last.map_or_else(latest, |last| layout.day(last)).max(first))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }
}

/// **Errors**: [`LakeError::Feature`] when reading the table takes any.
pub(crate) fn known_features(table: &str, protocol: &Protocol, metadata: &Metadata) -> Result<(), LakeError> {
    let unread = |feature: String| Err(LakeError::Feature { table: table.to_owned(), feature });
    if let Some(feature) = protocol.reader_features().and_then(|features| features.first()) {
        return unread(feature.to_string());
    }
    // Reader version 2 has no list of features; this is the only one that it may have.
    if metadata.configuration().get(COLUMN_MAPPING).is_some_and(|mode| mode != "none") {
        return unread("columnMapping".to_owned());
    }
    Ok(())
}

/// The partition column's field.
pub(crate) fn event_day_field() -> Field {
    Field::new(EVENT_DAY, DataType::Date32, true)
}
