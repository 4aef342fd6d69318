//! The originals of a few rows, by when they arrived: only pages that have them are read.

use super::SqlSession;
use super::provider::{LakeTable, STORE};
use crate::table::{ARRIVAL, DataFile};
use ahash::AHashSet;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What names a row, and what it was made of.
const COLUMNS: [&str; 2] = ["metadata.uid", "raw_data"];

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 64;

impl SqlSession {
    /// The rows of a table that arrived at one of these times: batches with `metadata.uid` and `raw_data`, where a file has
    /// them, as texts or views of texts. Of writers at the same time, more than one row may have a time.
    ///
    /// **Errors**: a file that cannot be read.
    pub async fn originals(&self, table: &str, arrivals: &BTreeSet<i64>) -> Result<Vec<RecordBatch>> {
        let Some(snapshot) = self.tables.get(table) else { return Ok(Vec::new()) };
        let runtime = self.context.runtime_env();
        let store = runtime.object_store(ObjectStoreUrl::parse(STORE)?)?;
        let readers = CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache());
        let (table, metrics) = (LakeTable::new(Arc::clone(snapshot)), ExecutionPlanMetricsSet::new());
        let mut found = Vec::new();
        for file in snapshot.files.iter().filter(|file| may_have(file, arrivals)) {
            let open = || readers.create_reader(0, table.partitioned(file), None, &metrics);
            found.extend(read(open()?, open()?, arrivals).await?);
        }
        let all: AHashSet<i64> = arrivals.iter().copied().collect();
        for batch in &snapshot.fresh {
            if let Some(is_one) = batch.column_by_name(ARRIVAL).and_then(|column| is_one(column, &all)) {
                found.push(filter_record_batch(batch, &is_one)?);
            }
        }
        Ok(found)
    }
}

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
fn groups(footer: &ArrowReaderMetadata, arrivals: &BTreeSet<i64>) -> (Vec<usize>, AHashSet<i64>) {
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
    let (mut kept, mut own) = (Vec::new(), AHashSet::new());
    for group in 0..groups.len() {
        let first = bounds.as_ref().and_then(|(mins, _)| bound(mins, group)).unwrap_or(i64::MIN);
        let last = bounds.as_ref().and_then(|(_, maxes)| bound(maxes, group)).unwrap_or(i64::MAX).max(first);
        let mut of_group = arrivals.range(first..=last).peekable();
        if of_group.peek().is_some() {
            kept.push(group);
            own.extend(of_group);
        }
    }
    (kept, own)
}

/// Which rows arrived at one of these times.
fn is_one(column: &dyn arrow::array::Array, arrivals: &AHashSet<i64>) -> Option<BooleanArray> {
    let column = column.as_primitive_opt::<Int64Type>()?;
    Some(column.iter().map(|time| Some(time.is_some_and(|time| arrivals.contains(&time)))).collect())
}

/// The rows of a file; it is opened twice.
async fn read(
    mut times: Box<dyn AsyncFileReader>,
    rows: Box<dyn AsyncFileReader>,
    arrivals: &BTreeSet<i64>,
) -> Result<Vec<RecordBatch>> {
    let footer = ArrowReaderMetadata::try_new(times.get_metadata(None).await?, ArrowReaderOptions::new())?;
    let (groups, arrivals) = groups(&footer, arrivals);
    let columns = |names: &[&str]| {
        let at = names.iter().filter_map(|name| footer.schema().index_of(name).ok());
        ProjectionMask::roots(footer.parquet_schema(), at.collect::<Vec<_>>())
    };
    let times = ParquetRecordBatchStreamBuilder::new_with_metadata(times, footer.clone());
    let mut times = times.with_projection(columns(&[ARRIVAL])).with_row_groups(groups.clone()).build()?;
    let mut chosen = Vec::new();
    while let Some(batch) = times.next().await.transpose()? {
        let Some(is_one) = batch.column_by_name(ARRIVAL).and_then(|column| is_one(column, &arrivals)) else {
            return Ok(Vec::new());
        };
        chosen.push(is_one);
    }
    let selection = RowSelection::from_filters(&chosen);
    if !selection.selects_any() {
        return Ok(Vec::new());
    }
    // A view holds its page, so not many at a time.
    let views = ArrowReaderMetadata::try_new(footer.metadata().clone(), as_views(footer.schema()))?;
    let rows = ParquetRecordBatchStreamBuilder::new_with_metadata(rows, views).with_row_groups(groups);
    let rows = rows.with_batch_size(ROWS_AT_ONCE);
    let rows = rows.with_projection(columns(&COLUMNS)).with_row_selection(selection).build()?;
    rows.map(|batch| Ok(compact(&batch?)?)).try_collect().await
}

/// Options to read [`COLUMNS`] as views.
fn as_views(schema: &Schema) -> ArrowReaderOptions {
    let view = |field: &FieldRef| match COLUMNS.contains(&field.name().as_str()) {
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
