//! A table for DataFusion: a Parquet scan over the files of one pinned version of its Delta log.
//!
//! Nothing of Delta's is in the plan, so it can travel. Files are pruned by the log's statistics while planning, row
//! groups and pages by Parquet's own while reading; a column that a file lacks reads as null.

use crate::table::schema::conform;
use crate::table::stats::ColumnStats;
use crate::table::write::Layout;
use crate::table::{DataFile, EVENT_DAY, TableSnapshot};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Result, Statistics, internal_err};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{ColumnarValue, Expr, TableProviderFilterPushDown, Volatility, create_udf, ident};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::scalar::ScalarValue;
use object_store::ObjectMeta;
use std::collections::HashSet;
use std::sync::Arc;
use url::Url;

pub(super) const STORE: &str = "tarn://lake/";

/// Where a session finds the lake's store.
pub(crate) fn store_url() -> Url {
    #[allow(clippy::unwrap_used)] // A constant, and every test parses it.
    Url::parse(STORE).unwrap()
}

/// A table of the lake.
#[derive(Debug)]
pub struct LakeTable {
    table: Arc<TableSnapshot>,
    /// The table's, or with views for texts.
    schema: SchemaRef,
    /// Without what is in no file.
    file_schema: SchemaRef,
}

impl LakeTable {
    pub(crate) fn new(table: Arc<TableSnapshot>) -> Self {
        Self { schema: Arc::clone(&table.schema), file_schema: Arc::clone(&table.file_schema), table }
    }

    /// The same with texts as views, which are neither copied nor read to their ends where short ones are compared.
    pub(crate) fn with_views(table: Arc<TableSnapshot>) -> Self {
        Self { schema: with_views(&table.schema), file_schema: with_views(&table.file_schema), table }
    }

    /// The files that may hold rows for all of `filters`, by the log's statistics.
    pub fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Vec<&DataFile> {
        let predicate = self.predicate(state, filters);
        match predicate.and_then(|predicate| predicate.prune(&LogStatistics(&self.table)).ok()) {
            Some(keep) => {
                self.table.files.iter().zip(keep).filter_map(|(file, keep)| keep.then_some(&**file)).collect()
            }
            None => self.table.files.iter().map(AsRef::as_ref).collect(),
        }
    }

    /// What statistics can say of `filters`.
    pub(super) fn predicate(&self, state: &dyn Session, filters: &[Expr]) -> Option<PruningPredicate> {
        let filter = conjunction(filters.iter().cloned())?;
        let schema = DFSchema::try_from(Arc::clone(&self.schema)).ok()?;
        let filter = state.create_physical_expr(filter, &schema).ok()?;
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).try_build(filter).ok()
    }

    /// How rows have a day in files that days share.
    pub(super) fn layout(&self) -> Layout {
        Layout::of(&self.table.name, Utc::now())
    }

    pub(super) fn partitioned(&self, file: &DataFile) -> PartitionedFile {
        let partitioned = self.table.schema.fields().len() > self.table.file_schema.fields().len();
        let meta = ObjectMeta {
            location: file.path.clone(),
            last_modified: DateTime::from_timestamp_millis(file.modified_ms).unwrap_or_default(),
            size: file.size,
            e_tag: None,
            version: None,
        };
        let values = if partitioned { vec![ScalarValue::Date32(file.event_day)] } else { Vec::new() };
        let known = |field: &Arc<Field>| {
            file.stats.column(field.name()).map(|stats| column_statistics(stats, field.data_type()))
        };
        let column = |field| known(field).unwrap_or_else(ColumnStatistics::new_unknown);
        let file_columns = self.file_schema.fields().iter().map(column).collect();
        let statistics = Statistics {
            num_rows: precision(file.stats.rows),
            total_byte_size: Precision::Absent,
            column_statistics: file_columns,
        };
        PartitionedFile::new_from_meta(meta).with_partition_values(values).with_statistics(Arc::new(statistics))
    }
}

fn precision(value: Option<u64>) -> Precision<usize> {
    match value.and_then(|v| usize::try_from(v).ok()) {
        Some(value) => Precision::Exact(value),
        None => Precision::Absent,
    }
}

/// Bounds of the log are no values of the table: texts are cut.
fn column_statistics(column: &ColumnStats, data_type: &DataType) -> ColumnStatistics {
    let bound = |value: &Option<ScalarValue>| {
        let value = value.as_ref().and_then(|value| value.cast_to(data_type).ok());
        value.map_or(Precision::Absent, Precision::Inexact)
    };
    ColumnStatistics {
        null_count: precision(column.nulls),
        min_value: bound(&column.min),
        max_value: bound(&column.max),
        ..ColumnStatistics::new_unknown()
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = precision(self.table.rows());
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let asks_for_day = schema.index_of(EVENT_DAY).is_ok();
        let files = self.prune(state, filters).into_iter();
        let (shared, of_days): (Vec<_>, Vec<_>) = files.partition(|file| asks_for_day && file.is_shared());
        let partitioned = |files: Vec<&DataFile>| files.into_iter().map(|file| self.partitioned(file)).collect();
        let mut plans = Vec::new();
        if !of_days.is_empty() {
            plans.push(self.committed(state, partitioned(of_days), projection, limit)?);
        }
        if !shared.is_empty() {
            plans.push(self.dated(state, partitioned(shared), &schema, limit)?);
        }
        if !self.table.fresh.is_empty() {
            plans.push(self.fresh(&schema)?);
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(schema))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

impl LakeTable {
    /// Rows that are in no file yet, with the columns of `schema`.
    fn fresh(&self, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
        let conformed = |batch: &RecordBatch| {
            let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
                Some(column) if *field.data_type() == DataType::Utf8View => cast(column, &DataType::Utf8View),
                Some(column) => Ok(conform(column, field.data_type())),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            };
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = schema.fields().iter().map(column).collect::<std::result::Result<_, _>>()?;
            RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        };
        let batches: Vec<RecordBatch> =
            self.table.fresh.iter().map(conformed).collect::<std::result::Result<_, _>>()?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], Arc::clone(schema), None)?)
    }

    /// The rows of files that days share, with the columns of `schema`: each row's day is that of its time.
    fn dated(
        &self,
        state: &dyn Session,
        files: Vec<PartitionedFile>,
        schema: &Schema,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let layout = self.layout();
        let others = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != EVENT_DAY);
        let mut names: Vec<&str> = others.collect();
        if !names.contains(&layout.time_column) {
            names.push(layout.time_column);
        }
        let columns = names.iter().map(|name| self.schema.index_of(name)).collect::<std::result::Result<_, _>>()?;
        let rows = self.committed(state, files, Some(&columns), limit)?;
        let read = DFSchema::try_from(rows.schema())?;
        let day = event_day(layout);
        let column = |field: &Arc<Field>| -> Result<_> {
            let name = field.name();
            let expr = if name == EVENT_DAY { day.clone() } else { ident(name) };
            Ok((state.create_physical_expr(expr, &read)?, name.clone()))
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
    }

    /// The rows of `files`.
    fn committed(
        &self,
        state: &dyn Session,
        files: Vec<PartitionedFile>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let known: Option<Vec<usize>> =
            files.iter().map(|f| f.statistics.as_ref().and_then(|s| s.num_rows.get_value().copied())).collect();
        let mut total = Statistics::new_unknown(&self.schema);
        total.num_rows = known.map_or(Precision::Absent, |rows| Precision::Exact(rows.iter().sum()));
        let file_columns = self.file_schema.fields().len();
        let partition_columns: Vec<_> = self.schema.fields().iter().skip(file_columns).cloned().collect();
        let schema =
            TableSchema::builder(Arc::clone(&self.file_schema)).with_table_partition_cols(partition_columns).build();
        let options = state.table_options().parquet.clone();
        let runtime = state.runtime_env();
        let url = ObjectStoreUrl::parse(STORE)?;
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&url)?, footers);
        let mut source = ParquetSource::new(schema)
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let parquet = &state.config_options().execution.parquet;
        source = source
            .with_pushdown_filters(parquet.pushdown_filters)
            .with_reorder_filters(parquet.reorder_filters)
            .with_enable_page_index(parquet.enable_page_index);
        let groups = FileGroup::new(files).split_files(state.config_options().execution.target_partitions.max(1));
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(total)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The day of a row by its time.
fn event_day(layout: Layout) -> Expr {
    let time = ident(layout.time_column);
    let days = move |times: &[ColumnarValue]| {
        let times = ColumnarValue::values_to_arrays(times)?;
        let times = times.first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return internal_err!("a time is in microseconds") };
        Ok(ColumnarValue::Array(Arc::new(layout.days(times))))
    };
    let of_time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    create_udf("day_of", vec![of_time], DataType::Date32, Volatility::Immutable, Arc::new(days)).call(vec![time])
}

/// Columns of texts as views of texts; texts in lists stay as they are.
fn with_views(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new_with_metadata(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// One container per file.
struct LogStatistics<'a>(&'a TableSnapshot);

impl LogStatistics<'_> {
    fn values(&self, column: &Column, of: impl Fn(&ColumnStats) -> &Option<ScalarValue>) -> Option<ArrayRef> {
        let index = self.0.schema.index_of(column.name()).ok()?;
        let data_type = self.0.schema.field(index).data_type();
        let null = ScalarValue::try_from(data_type).ok()?;
        let now = Utc::now();
        let day = |file: &DataFile| {
            let days = self.0.days(file, now);
            let bound = |day: Option<i32>| Some(ScalarValue::Date32(day));
            let (min, max) = (bound(days.as_ref().map(|days| *days.start())), bound(days.map(|days| *days.end())));
            of(&ColumnStats { min, max, nulls: None }).clone()
        };
        let values = self.0.files.iter().map(|file| {
            let bound = match file.stats.column(column.name()) {
                Some(stats) => of(stats).clone(),
                None if column.name() == EVENT_DAY => day(file),
                None => None,
            };
            bound.unwrap_or_else(|| null.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| &stats.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| &stats.max)
    }

    fn num_containers(&self) -> usize {
        self.0.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.0.file_schema.index_of(column.name()).ok()?;
        let nulls = self.0.files.iter().map(|file| file.stats.column(column.name())?.nulls);
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.files.iter().map(|file| file.stats.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
