//! Rows to Parquet: partitioned by day, sorted by time, with the statistics of the add action.
//!
//! A file is written column by column, each with all its rows: one column's encoder, dictionary and compressor are in memory
//! at a time, and in the processor's caches.

mod besides;
mod column;
mod file;
mod grams;
mod lz4;
mod members;
mod pages;

pub(crate) use besides::Besides;
pub(crate) use column::{ColumnEncoder, EncodedColumn};
pub(crate) use file::{Encoded, assemble};
pub(crate) use grams::{BLOCK_ROWS, GRAMS, Needles};
pub(crate) use members::is_of_files;
pub use members::{REST, member_column};

use crate::error::LakeError;
use crate::table::schema::{conform, merge};
use crate::table::{EVENT_DAY, OUTLIER_DAY, event_day_field};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use parquet::basic::{Compression, ZstdLevel};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rows that go to the encoder at once, at most.
pub(crate) const CHUNK_ROWS: usize = 4096;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days of one flush that get files of their own, at most, unless it is told otherwise.
pub(crate) const DAYS_MAX: usize = 1024;

/// So many days of a flush get files of their own, those with the most rows, however few these are.
const DAYS_MIN: usize = 2;

/// Rows with which a day is worth a file, which costs about a millisecond to read, whatever is in it.
pub(crate) const DAY_ROWS_MIN: usize = 1024;

/// How a table's rows are ordered and dated.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The column that gives a row its day, and its place in a file.
    pub(crate) time_column: &'static str,
    /// The last day, as days since 1970, that is not an outlier.
    pub(crate) last_day: i64,
    /// Days of one flush that get files of their own, at most; rows of all others share one, in the partition of no day.
    pub(crate) days_max: usize,
    /// Whether files stay as they are, and get the columns that hunts read. Others are merged soon.
    pub(crate) for_hunts: bool,
}

impl Layout {
    pub(crate) fn of(table: &str, now: DateTime<Utc>) -> Self {
        let last = (now + TimeDelta::days(2)).timestamp_micros().div_euclid(MICROS_PER_DAY);
        let time_column = if table == crate::dead_letter::TABLE { "ingest_time" } else { "time" };
        Self { time_column, last_day: last, days_max: DAYS_MAX, for_hunts: false }
    }

    /// What a file's columns are compressed by, most of them: what is merged soon by what is done soon.
    pub(crate) fn compression(&self) -> Compression {
        if self.for_hunts { Compression::ZSTD(ZstdLevel::default()) } else { Compression::SNAPPY }
    }

    /// The day of a time, days since 1970; 0 where that cannot be true.
    pub(crate) fn day(&self, micros: i64) -> i32 {
        let is_true = !self.is_before(micros) && !self.is_after(micros);
        if is_true { i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(0) } else { 0 }
    }

    /// The days of rows with these times; 0 of those without one.
    pub(crate) fn days(&self, times: &TimestampMicrosecondArray) -> Date32Array {
        times.iter().map(|micros| Some(micros.map_or(0, |micros| self.day(micros)))).collect()
    }

    /// Whether a time lies before all true days.
    pub(crate) fn is_before(&self, micros: i64) -> bool {
        let first = NaiveDate::from_ymd_opt(1990, 1, 1).map_or(0, Date32Type::from_naive_date);
        micros.div_euclid(MICROS_PER_DAY) < i64::from(first)
    }

    /// Whether a time lies after all true days.
    pub(crate) fn is_after(&self, micros: i64) -> bool {
        micros.div_euclid(MICROS_PER_DAY) > self.last_day
    }
}

/// `batch` with the day of each row, as its file would say it.
pub(crate) fn with_day(table: &str, batch: &RecordBatch, now: DateTime<Utc>) -> Result<RecordBatch, LakeError> {
    let layout = Layout::of(table, now);
    let days = layout.days(times(table, batch, &layout)?);
    let fields = batch.schema().fields().iter().cloned().chain([Arc::new(event_day_field())]).collect::<Vec<_>>();
    let columns = batch.columns().iter().cloned().chain([Arc::new(days) as ArrayRef]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(LakeError::arrow(table))
}

pub(crate) fn times<'a>(
    table: &str,
    batch: &'a RecordBatch,
    layout: &Layout,
) -> Result<&'a TimestampMicrosecondArray, LakeError> {
    let column = batch.column_by_name(layout.time_column);
    let column = column.filter(|c| matches!(c.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)));
    let missing = || LakeError::NoTime { table: table.to_owned(), column: layout.time_column.to_owned() };
    Ok(column.ok_or_else(missing)?.as_primitive::<TimestampMicrosecondType>())
}

/// Where a row is: its day and time, null before all others, then batch and row, which keep the order of arrival among
/// equals.
type Place = (i32, Option<i64>, u32, u32);

/// Encodes the rows of `batches`, which may differ in columns, as one file per day. Columns without a value are left
/// out. Returns the schema of what was written.
pub(crate) fn encode(
    table: &str,
    batches: &[RecordBatch],
    layout: &Layout,
) -> Result<(SchemaRef, Vec<Encoded>), LakeError> {
    let schema = populated(batches, layout.time_column)?;
    let mut places = places(table, batches, layout)?;
    share(&mut places, layout.days_max);
    places.sort_unstable();
    let picks: Vec<(usize, usize)> = places.iter().map(|p| (p.2 as usize, p.3 as usize)).collect();
    let (mut days, mut from) = (Vec::new(), 0);
    for rows in places.chunk_by(|a, b| a.0 == b.0) {
        days.push((rows.first().map_or(0, |place| place.0), &picks[from..from + rows.len()]));
        from += rows.len();
    }
    let mut columns: Vec<Vec<EncodedColumn>> = days.iter().map(|_| Vec::new()).collect();
    let besides = days.iter().map(|(_, picks)| Besides::new(table, picks.len(), layout));
    let mut besides: Vec<Besides<'_>> = besides.collect::<Result<_, _>>()?;
    for field in schema.fields() {
        let encoder = ColumnEncoder::new(table, field, layout)?;
        let arrays: Vec<ArrayRef> = batches.iter().map(|batch| conformed(batch, field)).collect();
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        for (((_, picks), columns), besides) in days.iter().zip(&mut columns).zip(&mut besides) {
            let chunks = picks.chunks(column::rows_at_once(field));
            let chunks = chunks.map(|picks| interleave(&arrays, picks).map_err(LakeError::arrow(table)));
            columns.extend(encoder.encode(picks.len(), besides.of(field, chunks))?);
        }
    }
    for (columns, besides) in columns.iter_mut().zip(besides) {
        columns.extend(besides.finish()?);
    }
    let files = days.iter().zip(columns);
    let files = files.map(|((day, picks), columns)| assemble(table, columns, picks.len(), *day, layout));
    Ok((schema, files.collect::<Result<_, _>>()?))
}

fn places(table: &str, batches: &[RecordBatch], layout: &Layout) -> Result<Vec<Place>, LakeError> {
    let mut places = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (b, batch) in batches.iter().enumerate() {
        let time = times(table, batch, layout)?;
        for row in 0..batch.num_rows() {
            let micros = time.is_valid(row).then(|| time.value(row));
            places.push((micros.map_or(0, |micros| layout.day(micros)), micros, b as u32, row as u32));
        }
    }
    Ok(places)
}

/// Moves the rows of days that are not worth a file, or too many, to the partition of no day, where they share one.
fn share(places: &mut [Place], days_max: usize) {
    let mut rows_of: HashMap<i32, usize> = HashMap::new();
    for place in places.iter() {
        *rows_of.entry(place.0).or_default() += 1;
    }
    let has_shared = rows_of.remove(&0).is_some();
    let mut days: Vec<(usize, i32)> = rows_of.into_iter().map(|(day, rows)| (rows, day)).collect();
    days.sort_unstable_by(|a, b| b.cmp(a));
    let is_worth = |(at, (rows, _)): &(usize, &(usize, i32))| *at < DAYS_MIN || *rows >= DAY_ROWS_MIN;
    let mut own = days.iter().enumerate().take(days_max).take_while(is_worth).count();
    // One day alone has nothing to share a file with.
    if own + 1 == days.len() && own < days_max && !has_shared {
        own += 1;
    }
    let others: HashSet<i32> = days.split_off(own).into_iter().map(|(_, day)| day).collect();
    for place in places.iter_mut().filter(|place| others.contains(&place.0)) {
        place.0 = 0;
    }
}

/// The union of the batches' columns that hold a value, and the time.
fn populated(batches: &[RecordBatch], time_column: &str) -> Result<SchemaRef, LakeError> {
    let mut union = Schema::empty();
    for batch in batches {
        let schema = batch.schema();
        let fields = schema.fields().iter().zip(batch.columns());
        let held = fields.filter(|(f, c)| c.null_count() < batch.num_rows() || f.name() == time_column);
        let held: Vec<_> = held.map(|(f, _)| Arc::clone(f)).filter(|f| f.name() != EVENT_DAY).collect();
        union = merge(&union, &Schema::new(held))?;
    }
    Ok(Arc::new(union))
}

/// A batch's column of this field, null where it has none.
pub(crate) fn conformed(batch: &RecordBatch, field: &Field) -> ArrayRef {
    match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() != &DataType::Null => conform(column, field.data_type()),
        _ => new_null_array(field.data_type(), batch.num_rows()),
    }
}
