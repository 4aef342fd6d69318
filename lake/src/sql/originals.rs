//! The originals of a few rows, by when they arrived: only pages that have them are read.

use super::SqlSession;
use super::for_hunts::coded;
use super::for_hunts::pages::Unpack;
use super::for_hunts::unreadable;
use super::provider::{LakeTable, STORE};
use crate::table::schema::{RAW_DATA, UID};
use crate::table::{ARRIVAL, DataFile};
use ahash::AHashSet;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringViewBuilder};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::{self, BoxStream, StreamExt};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows that Parquet's reader reads at once.
const ROWS_AT_ONCE: usize = 64;
/// Bytes of texts that lie together.
const BLOCK_BYTES: usize = 128 << 10;

impl SqlSession {
    /// The originals of the rows of a table that arrived at one of these times, as they are read: batches with [`ARRIVAL`] and
    /// `raw_data`, as texts or views of texts. Of writers at the same time, more than one row may have a time: then batches
    /// have `metadata.uid`, too.
    ///
    /// **Errors**: a file that cannot be read.
    pub async fn originals(&self, table: &str, arrivals: &BTreeSet<i64>) -> Result<Originals> {
        let Some(snapshot) = self.tables.get(table) else { return Ok(stream::empty().boxed()) };
        let runtime = self.context.runtime_env();
        let store = runtime.object_store(ObjectStoreUrl::parse(STORE)?)?;
        let readers = CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache());
        let (table, metrics) = (LakeTable::new(Arc::clone(snapshot)), ExecutionPlanMetricsSet::new());
        let (mut chosen, mut found) = (Vec::new(), Vec::new());
        for file in snapshot.files.iter().filter(|file| may_have(file, arrivals)) {
            let file = table.partitioned(file);
            let open = || readers.create_reader(0, file.clone(), None, &metrics);
            chosen.extend(Chosen::of(file.object_meta.location.to_string(), open()?, open()?, arrivals).await?);
        }
        let all: AHashSet<i64> = arrivals.iter().copied().collect();
        for batch in &snapshot.fresh {
            if let Some(is_one) = batch.column_by_name(ARRIVAL).and_then(|column| is_one(column, &all)) {
                found.push(filter_record_batch(batch, &is_one)?);
            }
        }
        let columns: &[&'static str] = match all_differ(&chosen, &found) {
            true => &[RAW_DATA],
            false => &[UID, RAW_DATA],
        };
        for batch in &mut found {
            let names = [ARRIVAL].iter().chain(columns);
            let at: Vec<usize> = names.filter_map(|name| batch.schema().index_of(name).ok()).collect();
            *batch = batch.project(&at)?;
        }
        let of_files = stream::iter(chosen).map(|rows| rows.read(columns)).flatten();
        Ok(stream::iter(found).map(Ok).chain(of_files).boxed())
    }
}

/// Batches of originals, each small enough that it is still in the processor's caches when it is given out.
pub type Originals = BoxStream<'static, Result<RecordBatch>>;

/// Whether a file may have one of them, by the log's statistics.
fn may_have(file: &DataFile, arrivals: &BTreeSet<i64>) -> bool {
    let known = file.stats.column(ARRIVAL);
    let bound = |value: Option<&ScalarValue>, other| match value {
        Some(ScalarValue::Int64(Some(time))) => *time,
        _ => other,
    };
    let first = bound(known.and_then(|column| column.min.as_ref()), i64::MIN);
    let last = bound(known.and_then(|column| column.max.as_ref()), i64::MAX).max(first);
    arrivals.range(first..=last).next().is_some()
}

/// The row groups that may have one of them, and those of them that these may have.
fn groups(footer: &ArrowReaderMetadata, arrivals: &BTreeSet<i64>) -> (Vec<usize>, Times) {
    let groups = footer.metadata().row_groups();
    let bounds = || {
        let told = StatisticsConverter::try_new(ARRIVAL, footer.schema(), footer.parquet_schema()).ok()?;
        Some((told.row_group_mins(groups).ok()?, told.row_group_maxes(groups).ok()?))
    };
    let bounds = bounds();
    let bound = |array: &ArrayRef, group: usize| {
        let array = array.as_primitive_opt::<Int64Type>()?;
        array.is_valid(group).then(|| array.value(group))
    };
    let (mut kept, mut own) = (Vec::new(), Vec::new());
    for group in 0..groups.len() {
        let first = bounds.as_ref().and_then(|(mins, _)| bound(mins, group)).unwrap_or(i64::MIN);
        let last = bounds.as_ref().and_then(|(_, maxes)| bound(maxes, group)).unwrap_or(i64::MAX).max(first);
        let mut of_group = arrivals.range(first..=last).peekable();
        if of_group.peek().is_some() {
            kept.push(group);
            own.extend(of_group);
        }
    }
    own.sort_unstable();
    own.dedup();
    (kept, Times { all: own, at: 0 })
}

/// Times, ascending, that others are looked for in, which nearly ascend for the most part.
struct Times {
    all: Vec<i64>,
    /// How many lie before the one that was looked for last.
    at: usize,
}

impl Times {
    /// So many are gone by one by one.
    const NEAR: usize = 4;

    fn has(&mut self, time: i64) -> bool {
        let is_before = |known: &i64| *known < time;
        if self.at > 0 && self.all[self.at - 1] >= time {
            self.at = self.all.partition_point(is_before);
        }
        let near = self.all[self.at..].iter().take(Self::NEAR).take_while(|known| is_before(known)).count();
        self.at += near;
        if near == Self::NEAR {
            self.at += self.all[self.at..].partition_point(is_before);
        }
        self.all.get(self.at) == Some(&time)
    }
}

/// Which rows arrived at one of these times.
fn is_one(column: &dyn arrow::array::Array, arrivals: &AHashSet<i64>) -> Option<BooleanArray> {
    let column = column.as_primitive_opt::<Int64Type>()?;
    Some(column.iter().map(|time| Some(time.is_some_and(|time| arrivals.contains(&time)))).collect())
}

/// Rows of a file.
struct Chosen {
    /// The file's path, for errors.
    path: String,
    reader: Box<dyn AsyncFileReader>,
    footer: ArrowReaderMetadata,
    groups: Vec<usize>,
    /// Their places in all of these groups, ascending.
    rows: Vec<usize>,
    /// When they arrived.
    arrivals: Int64Array,
}

impl Chosen {
    /// Those of a file that arrived at one of these times; it is opened twice. None where there are none.
    async fn of(
        path: String,
        mut times: Box<dyn AsyncFileReader>,
        reader: Box<dyn AsyncFileReader>,
        arrivals: &BTreeSet<i64>,
    ) -> Result<Option<Self>> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let footer = times.get_metadata(None).await.map_err(|error| unreadable(error, &path, None))?;
        let footer = ArrowReaderMetadata::try_new(footer, options)?;
        let (groups, mut wanted) = groups(&footer, arrivals);
        let times = ParquetRecordBatchStreamBuilder::new_with_metadata(times, footer.clone());
        let times = times.with_projection(mask(&footer, &[ARRIVAL])).with_row_groups(groups.clone());
        let mut times = times.build()?;
        let (mut rows, mut found, mut first) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = times.next().await.transpose()? {
            let Some(column) = batch.column_by_name(ARRIVAL).and_then(|c| c.as_primitive_opt::<Int64Type>()) else {
                return Ok(None);
            };
            for (row, time) in column.iter().enumerate() {
                if let Some(time) = time.filter(|time| wanted.has(*time)) {
                    rows.push(first + row);
                    found.push(time);
                }
            }
            first += batch.num_rows();
        }
        Ok((!rows.is_empty()).then(|| Self { path, reader, footer, groups, rows, arrivals: found.into() }))
    }

    fn unreadable(&self, error: ParquetError, leaf: usize) -> DataFusionError {
        unreadable(error, &self.path, Some((self.footer.metadata(), leaf)))
    }

    /// These columns of them, behind [`ARRIVAL`]; nothing where the file has no originals.
    fn read(self, columns: &'static [&'static str]) -> Originals {
        let at = |name: &str| self.footer.schema().index_of(name).ok();
        let leaf = |name: &str| coded::leaf(self.footer.metadata(), at(name)?);
        let is_with_uids = columns.contains(&UID);
        match (at(RAW_DATA), leaf(RAW_DATA), leaf(UID).filter(|_| is_with_uids)) {
            (None, ..) => stream::empty().boxed(),
            (_, Some(originals), uids) if uids.is_some() == is_with_uids => {
                let unpack = Unpack::of_short_lived();
                let picked = Picked { rows: self, originals, uids, unpack, next: 0, first: 0, at: 0, group: None };
                let next = async |mut picked: Picked| Ok(picked.next().await?.map(|batch| (batch, picked)));
                stream::try_unfold(picked, next).boxed()
            }
            _ => self.selected(columns).unwrap_or_else(|error| stream::iter([Err(error)]).boxed()),
        }
    }

    /// The same by Parquet's own reader.
    fn selected(self, columns: &[&str]) -> Result<Originals> {
        // A view holds its page, so not many at a time.
        let views = ArrowReaderMetadata::try_new(self.footer.metadata().clone(), as_views(self.footer.schema()))?;
        let rows = self.groups.iter().map(|group| views.metadata().row_group(*group).num_rows() as usize).sum();
        let chosen = self.rows.iter().map(|row| *row..row + 1);
        let chosen = RowSelection::from_consecutive_ranges(chosen, rows);
        let rows = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader, views).with_row_groups(self.groups);
        let rows = rows.with_batch_size(ROWS_AT_ONCE).with_row_selection(chosen);
        let rows = rows.with_projection(mask(&self.footer, columns)).build()?;
        let (arrivals, mut at) = (self.arrivals, 0);
        let with_times = move |batch: parquet::errors::Result<RecordBatch>| {
            let batch = compact(&batch?)?;
            let times: ArrayRef = Arc::new(arrivals.slice(at, batch.num_rows()));
            at += batch.num_rows();
            let schema = batch.schema();
            let named = schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns().iter().cloned());
            Ok(RecordBatch::try_from_iter([(ARRIVAL, times)].into_iter().chain(named))?)
        };
        Ok(rows.map(with_times).boxed())
    }
}

/// Rows of a file whose columns can be read page by page.
struct Picked {
    rows: Chosen,
    /// The columns' leaves.
    originals: usize,
    uids: Option<usize>,
    unpack: Unpack,
    /// How many row groups were opened, and the row behind them.
    next: usize,
    first: usize,
    /// How many rows were given out.
    at: usize,
    group: Option<GroupAtHand>,
}

/// Rows of a row group.
struct GroupAtHand {
    originals: coded::Picker,
    /// The uids of all rows, where they are asked for.
    uids: Option<ArrayRef>,
    /// Places of all rows, and how many were given out.
    places: Vec<usize>,
    at: usize,
}

impl Picked {
    /// The next few rows.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(group) = self.group.as_mut().filter(|group| group.at < group.places.len()) {
                let mut texts = builder();
                let rows = group.originals.pick(&group.places[group.at..], BLOCK_BYTES, &mut self.unpack, &mut texts);
                let rows = rows.map_err(|error| self.rows.unreadable(error, self.originals))?;
                let arrivals: ArrayRef = Arc::new(self.rows.arrivals.slice(self.at, rows));
                let uids = group.uids.as_ref().map(|uids| (UID, uids.slice(group.at, rows)));
                let originals: ArrayRef = Arc::new(texts.finish());
                (group.at, self.at) = (group.at + rows, self.at + rows);
                let columns = [(ARRIVAL, arrivals)].into_iter().chain(uids).chain([(RAW_DATA, originals)]);
                return Ok(Some(RecordBatch::try_from_iter(columns)?));
            }
            let Some(group) = self.rows.groups.get(self.next).copied() else { return Ok(None) };
            self.next += 1;
            self.group = self.open(group).await?;
        }
    }

    /// The next row group; none where it has none of the rows.
    async fn open(&mut self, group: usize) -> Result<Option<GroupAtHand>> {
        let group = self.rows.footer.metadata().row_group(group);
        let rows = group.num_rows() as usize;
        let own = self.rows.rows[self.at..].iter().take_while(|row| **row < self.first + rows);
        let places: Vec<usize> = own.map(|row| row - self.first).collect();
        self.first += rows;
        if places.is_empty() {
            return Ok(None);
        }
        let chunk = async |reader: &mut dyn AsyncFileReader, leaf| {
            let column = group.column(leaf);
            // Of a single range, the reader of local files clears the memory that it reads into.
            let bytes = reader.get_byte_ranges(vec![coded::range(column)?]).await?.pop().unwrap_or_default();
            coded::Picker::new(column, bytes, rows)
        };
        let uids = match self.uids {
            Some(leaf) => {
                let mut texts = builder();
                let mut picker = chunk(&mut *self.rows.reader, leaf).await?;
                let picked = picker.pick(&places, usize::MAX, &mut self.unpack, &mut texts);
                picked.map_err(|error| self.rows.unreadable(error, leaf))?;
                Some(Arc::new(texts.finish()) as ArrayRef)
            }
            None => None,
        };
        let originals = chunk(&mut *self.rows.reader, self.originals).await?;
        Ok(Some(GroupAtHand { originals, uids, places, at: 0 }))
    }
}

fn builder() -> StringViewBuilder {
    StringViewBuilder::new().with_fixed_block_size(BLOCK_BYTES as u32)
}

/// Whether no two rows arrived at the same time.
fn all_differ(chosen: &[Chosen], fresh: &[RecordBatch]) -> bool {
    let of_fresh = fresh.iter().filter_map(|batch| batch.column_by_name(ARRIVAL)?.as_primitive_opt::<Int64Type>());
    let mut seen = AHashSet::new();
    chosen.iter().map(|rows| &rows.arrivals).chain(of_fresh).flatten().all(|time| seen.insert(time))
}

/// The columns of these names, where the file has them.
fn mask(footer: &ArrowReaderMetadata, names: &[&str]) -> ProjectionMask {
    let at = names.iter().filter_map(|name| footer.schema().index_of(name).ok());
    ProjectionMask::roots(footer.parquet_schema(), at.collect::<Vec<_>>())
}

/// Options to read texts that are asked for as views.
fn as_views(schema: &Schema) -> ArrowReaderOptions {
    let view = |field: &FieldRef| match [UID, RAW_DATA].contains(&field.name().as_str()) {
        true => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        false => Arc::clone(field),
    };
    ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>())))
}

/// The same views, of texts that lie by themselves.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |column: &ArrayRef| match column.as_string_view_opt() {
        Some(views) => Arc::new(views.gc()),
        None => Arc::clone(column),
    };
    RecordBatch::try_new(batch.schema(), batch.columns().iter().map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_found_in_any_order(all in prop::collection::btree_set(-20_i64..60, 0..40), asked in prop::collection::vec(-25_i64..65, 0..80)) {
            let mut times = Times { all: all.iter().copied().collect(), at: 0 };
            for time in asked {
                prop_assert_eq!(times.has(time), all.contains(&time));
            }
        }
    }
}
