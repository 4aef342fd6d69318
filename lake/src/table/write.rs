//! Rows to Parquet: partitioned by day, sorted by time, with the statistics of the add action.

use crate::error::LakeError;
use crate::table::schema::{conform, has_statistics, is_bulk, merge};
use crate::table::stats::Gathered;
use crate::table::{ARRIVAL, EVENT_DAY, OUTLIER_DAY, event_day_field};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Date32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that go to the encoder at once.
pub(crate) const CHUNK_ROWS: usize = 4096;
/// Rows of a row group: small enough that its statistics prune.
const ROW_GROUP_ROWS: usize = 65_536;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Distinct days of one flush, unless it is told otherwise.
pub(crate) const DAYS_MAX: usize = 1024;

/// How a table's rows are ordered and dated.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The column that gives a row its day, and its place in a file.
    pub(crate) time_column: &'static str,
    /// The last day, as days since 1970, that is not an outlier.
    pub(crate) last_day: i64,
    /// Distinct days of one flush; rows of further days go to the outlier partition.
    pub(crate) days_max: usize,
}

impl Layout {
    pub(crate) fn of(table: &str, now: DateTime<Utc>) -> Self {
        let last = (now + TimeDelta::days(2)).timestamp_micros().div_euclid(MICROS_PER_DAY);
        let time_column = if table == crate::dead_letter::TABLE { "ingest_time" } else { "time" };
        Self { time_column, last_day: last, days_max: DAYS_MAX }
    }

    /// The day of a time, days since 1970; 0 where that cannot be true.
    pub(crate) fn day(&self, micros: i64) -> i32 {
        let is_true = !self.is_before(micros) && !self.is_after(micros);
        if is_true { i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(0) } else { 0 }
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
    let time = times(table, batch, &layout)?;
    let days = (0..batch.num_rows()).map(|row| if time.is_valid(row) { layout.day(time.value(row)) } else { 0 });
    let days: Date32Array = days.map(Some).collect();
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

/// One file, encoded.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Its partition's value.
    pub(crate) day: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
    /// JSON of the add action.
    pub(crate) stats: String,
}

/// In a short file a column of fewer bytes is not compressed: setting up its compressor takes longer than all else that
/// is done with it, and saves next to nothing.
const COMPRESSED_BYTES_MIN: usize = 8 << 10;

fn is_large(column: &arrow::array::ArrayRef) -> bool {
    column.to_data().get_slice_memory_size().is_ok_and(|bytes| bytes >= COMPRESSED_BYTES_MIN)
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
    bound_days(&mut places, layout.days_max);
    places.sort_unstable();
    let conformed: Vec<RecordBatch> =
        batches.iter().map(|b| conform_batch(table, b, &schema)).collect::<Result<_, _>>()?;
    let conformed: Vec<&RecordBatch> = conformed.iter().collect();
    let mut files = Vec::new();
    for rows in places.chunk_by(|a, b| a.0 == b.0) {
        files.push(encode_file(table, &conformed, rows, &schema, layout)?);
    }
    Ok((schema, files))
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

/// Moves the rows of the days with the fewest rows to the outlier partition when there are too many days.
fn bound_days(places: &mut [Place], days_max: usize) {
    let mut rows_of: HashMap<i32, usize> = HashMap::new();
    for place in places.iter() {
        *rows_of.entry(place.0).or_default() += 1;
    }
    if rows_of.len() <= days_max {
        return;
    }
    let mut days: Vec<(usize, i32)> = rows_of.into_iter().map(|(day, rows)| (rows, day)).collect();
    days.sort_unstable_by(|a, b| b.cmp(a));
    let kept: std::collections::HashSet<i32> = days.iter().take(days_max).map(|(_, day)| *day).collect();
    for place in places {
        if !kept.contains(&place.0) {
            place.0 = 0;
        }
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

pub(crate) fn conform_batch(table: &str, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == &DataType::Null => new_null_array(field.data_type(), batch.num_rows()),
        Some(column) => conform(column, field.data_type()),
        None => new_null_array(field.data_type(), batch.num_rows()),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).map_err(LakeError::arrow(table))
}

fn encode_file(
    table: &str,
    batches: &[&RecordBatch],
    rows: &[Place],
    schema: &SchemaRef,
    layout: &Layout,
) -> Result<Encoded, LakeError> {
    let gather = |chunk: &[Place]| {
        let indices: Vec<(usize, usize)> = chunk.iter().map(|p| (p.2 as usize, p.3 as usize)).collect();
        interleave_record_batch(batches, &indices).map_err(LakeError::arrow(table))
    };
    // A short file leaves out what is null in all its rows: each column has a compressor, which costs more than the rows.
    let (schema, mut whole) = match rows.len() <= CHUNK_ROWS {
        true => {
            let held = held(&gather(rows)?, layout.time_column).map_err(LakeError::arrow(table))?;
            (held.schema(), Some(held))
        }
        false => (Arc::clone(schema), None),
    };
    let mut file = FileEncoder::new(table, &schema, layout, whole.as_ref())?;
    for chunk in rows.chunks(CHUNK_ROWS) {
        let sorted = match whole.take() {
            Some(whole) => whole,
            None => gather(chunk)?,
        };
        file.write(&sorted)?;
    }
    file.finish(rows.first().map_or(0, |place| place.0))
}

/// A file whose rows come in order.
pub(crate) struct FileEncoder {
    table: String,
    writer: ArrowWriter<Vec<u8>>,
    gathered: Gathered,
    rows: u64,
}

impl FileEncoder {
    /// Of these columns; `whole` has all rows, where they are few.
    pub(crate) fn new(
        table: &str,
        schema: &SchemaRef,
        layout: &Layout,
        whole: Option<&RecordBatch>,
    ) -> Result<Self, LakeError> {
        let parquet = LakeError::parquet(table);
        let properties = properties(schema, layout, whole).map_err(&parquet)?;
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)).map_err(&parquet)?;
        Ok(Self { table: table.to_owned(), writer, gathered: Gathered::new(schema), rows: 0 })
    }

    /// Adds rows of the file's columns, which come after all before them.
    pub(crate) fn write(&mut self, sorted: &RecordBatch) -> Result<(), LakeError> {
        self.gathered.add(sorted.columns(), sorted.num_rows());
        self.rows += sorted.num_rows() as u64;
        self.writer.write(sorted).map_err(LakeError::parquet(&self.table))
    }

    /// The file, of the partition `day`, days since 1970.
    pub(crate) fn finish(self, day: i32) -> Result<Encoded, LakeError> {
        let bytes = self.writer.into_inner().map_err(LakeError::parquet(&self.table))?;
        let day = Date32Type::to_naive_date_opt(day).map_or_else(|| OUTLIER_DAY.to_owned(), |day| day.to_string());
        Ok(Encoded { day, bytes, rows: self.rows, stats: self.gathered.to_json() })
    }
}

/// The columns with a value, and the time.
pub(crate) fn held(batch: &RecordBatch, time_column: &str) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let fields = schema.fields().iter().enumerate();
    let held = fields.filter(|(i, f)| batch.column(*i).null_count() < batch.num_rows() || f.name() == time_column);
    batch.project(&held.map(|(i, _)| i).collect::<Vec<_>>())
}

fn properties(
    schema: &Schema,
    layout: &Layout,
    whole: Option<&RecordBatch>,
) -> Result<WriterProperties, parquet::errors::ParquetError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let mut properties = WriterProperties::builder()
        .set_compression(if whole.is_some() { Compression::UNCOMPRESSED } else { zstd })
        .set_created_by(concat!("tarn ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_page_size_limit(256 * 1024);
    for field in schema.fields() {
        // One part, whatever dots the name has.
        let column = ColumnPath::new(vec![field.name().clone()]);
        if is_bulk(field) {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        // Distinct, and mostly one more than the row before: differences take bits.
        if field.name() == ARRIVAL {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if whole.and_then(|rows| rows.column_by_name(field.name())).is_some_and(is_large) {
            properties = properties.set_column_compression(column.clone(), zstd);
        }
        if has_statistics(field.name()) {
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::Page);
        } else if is_bulk(field) {
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
    }
    if let Ok(index) = schema.index_of(layout.time_column)
        && schema.fields()[..index].iter().all(|f| !f.data_type().is_nested())
    {
        let order = SortingColumn { column_idx: index as i32, descending: false, nulls_first: true };
        properties = properties.set_sorting_columns(Some(vec![order]));
    }
    Ok(properties.build())
}
