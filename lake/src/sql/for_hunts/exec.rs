//! The scan: batches of one file after the other, each column in the type that the table gives it.

use crate::sql::provider::STORE;
use crate::table::write::{BLOCK_ROWS, GRAMS, Needles};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::scalar::ScalarValue;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::metadata::RowGroupMetaData;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Which rows of a file are read: others may be left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// Those of row groups for which it may hold, by their statistics.
    pub(super) predicate: Option<Arc<PruningPredicate>>,
    /// Those of blocks in which these may be.
    pub(super) needles: Option<Arc<Needles>>,
}

/// Reads files that are for hunts.
#[derive(Debug)]
pub(super) struct HuntScanExec {
    groups: Vec<FileGroup>,
    schema: SchemaRef,
    rows: Rows,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl HuntScanExec {
    /// The columns of `schema`, a partition for each group of files.
    pub(super) fn new(groups: Vec<FileGroup>, schema: SchemaRef, rows: Rows) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { groups, schema, rows, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for HuntScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: usize = self.groups.iter().map(FileGroup::len).sum();
        write!(f, "HuntScanExec: files={files}, columns={}", self.schema.fields().len())
    }
}

impl ExecutionPlan for HuntScanExec {
    fn name(&self) -> &str {
        "HuntScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("HuntScanExec has no input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let runtime = context.runtime_env();
        let store = runtime.object_store(ObjectStoreUrl::parse(STORE)?)?;
        let readers = CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache());
        let (metrics, schema, rows) = (self.metrics.clone(), Arc::clone(&self.schema), self.rows.clone());
        let batch_size = context.session_config().batch_size();
        let Some(group) = self.groups.get(partition) else { return internal_err!("no partition {partition}") };
        let files = stream::iter(group.files().to_vec()).then(move |file| {
            let open = || readers.create_reader(partition, file.clone(), None, &metrics);
            // Bits are read before the rows that they tell of.
            let (reader, bits) = (open(), rows.needles.is_some().then(open));
            let (schema, rows) = (Arc::clone(&schema), rows.clone());
            async move {
                let reader: Box<dyn AsyncFileReader> = reader?;
                let bits: Option<Box<dyn AsyncFileReader>> = match bits {
                    Some(bits) => Some(bits?),
                    None => None,
                };
                read(reader, bits, file, schema, batch_size, rows).await
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), files.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The batches of one file.
async fn read(
    mut reader: Box<dyn AsyncFileReader>,
    bits: Option<Box<dyn AsyncFileReader>>,
    file: PartitionedFile,
    schema: SchemaRef,
    batch_size: usize,
    rows: Rows,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let footer = reader.get_metadata(None).await?;
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&footer), ArrowReaderOptions::new())?;
    let mut selections = Vec::new();
    if let Some(predicate) = &rows.predicate {
        selections.push(groups(&plain, predicate));
    }
    if let (Some(bits), Some(needles)) = (bits, &rows.needles) {
        selections.extend(blocks(bits, &plain, needles).await?);
    }
    // Files have their columns in their own order, and not all.
    let asked: HashMap<&str, &DataType> = schema.fields().iter().map(|f| (f.name().as_str(), f.data_type())).collect();
    let typed = |field: &Arc<Field>| match asked.get(field.name().as_str()) {
        Some(DataType::Utf8View) if *field.data_type() == DataType::Utf8 => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        }
        _ => Arc::clone(field),
    };
    let of_file = Arc::new(Schema::new(plain.schema().fields().iter().map(typed).collect::<Vec<_>>()));
    let found = of_file.fields().iter().enumerate().filter(|(_, field)| asked.contains_key(field.name().as_str()));
    let columns: Vec<usize> = found.map(|(at, _)| at).collect();
    let footer = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(of_file))?;
    let mask = ProjectionMask::roots(footer.parquet_schema(), columns);
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, footer)
        .with_projection(mask)
        .with_batch_size(batch_size);
    if let Some(selection) = selections.into_iter().reduce(|all, more| all.intersection(&more)) {
        batches = batches.with_row_selection(selection);
    }
    let batches = batches.build()?;
    let conformed = Conformed::new(schema, batches.schema(), &file, batch_size)?;
    Ok(batches.map(move |batch| conformed.batch(&batch?)).boxed())
}

/// The rows of the row groups for which the predicate may hold; all where that cannot be said.
fn groups(footer: &ArrowReaderMetadata, predicate: &PruningPredicate) -> RowSelection {
    let kept = predicate.prune(&GroupStatistics(footer)).unwrap_or_default();
    let groups = footer.metadata().row_groups().iter().enumerate();
    let group = |(at, group): (usize, &RowGroupMetaData)| match kept.get(at) {
        Some(false) => RowSelector::skip(group.num_rows() as usize),
        _ => RowSelector::select(group.num_rows() as usize),
    };
    groups.map(group).collect::<Vec<_>>().into()
}

/// The rows of a file's blocks in which one of the texts may be; none where the file does not tell.
async fn blocks(
    reader: Box<dyn AsyncFileReader>,
    footer: &ArrowReaderMetadata,
    needles: &Needles,
) -> Result<Option<RowSelection>> {
    let Ok(column) = footer.schema().index_of(GRAMS) else { return Ok(None) };
    let rows = footer.metadata().file_metadata().num_rows() as usize;
    let mask = ProjectionMask::roots(footer.parquet_schema(), [column]);
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, footer.clone());
    let mut batches = builder.with_projection(mask).with_batch_size(64 * BLOCK_ROWS).build()?;
    let (mut selectors, mut at) = (Vec::new(), 0);
    while let Some(batch) = batches.next().await.transpose()? {
        let Some(blocks) = batch.column(0).as_binary_opt::<i32>() else { return Ok(None) };
        for block in blocks.iter().flatten() {
            let length = BLOCK_ROWS.min(rows.saturating_sub(at));
            at += length;
            selectors.push(match needles.may_be_in(block) {
                true => RowSelector::select(length),
                false => RowSelector::skip(length),
            });
        }
    }
    Ok((at == rows).then(|| selectors.into()))
}

/// What a footer says of its row groups' values.
struct GroupStatistics<'a>(&'a ArrowReaderMetadata);

impl GroupStatistics<'_> {
    fn of(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        StatisticsConverter::try_new(column.name(), self.0.schema(), self.0.parquet_schema()).ok()
    }
}

impl PruningStatistics for GroupStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_mins(self.0.metadata().row_groups()).ok()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_maxes(self.0.metadata().row_groups()).ok()
    }

    fn num_containers(&self) -> usize {
        self.0.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.of(column)?.row_group_null_counts(self.0.metadata().row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.0.metadata().row_groups().iter().map(|group| group.num_rows() as u64);
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Where each of the table's columns is in the batches of a file.
struct Conformed {
    schema: SchemaRef,
    columns: Vec<Of>,
}

/// Where a column is.
enum Of {
    /// In batches, at this place.
    Batch(usize),
    /// In all rows of the file the same one: this, of as many rows as a batch has at most.
    File(ArrayRef),
}

impl Conformed {
    /// `of_file` are the columns of batches of up to `batch_size` rows.
    fn new(schema: SchemaRef, of_file: &Schema, file: &PartitionedFile, batch_size: usize) -> Result<Self> {
        let mut nulls: HashMap<DataType, ArrayRef> = HashMap::new();
        let column = |field| -> Result<Of> {
            let field: &Arc<Field> = field;
            if let Ok(at) = of_file.index_of(field.name()) {
                return Ok(Of::Batch(at));
            }
            Ok(Of::File(match file.partition_values.first().filter(|_| field.name() == crate::table::EVENT_DAY) {
                Some(day) => day.to_array_of_size(batch_size)?,
                None => {
                    let of_type = nulls.entry(field.data_type().clone());
                    Arc::clone(of_type.or_insert_with(|| new_null_array(field.data_type(), batch_size)))
                }
            }))
        };
        let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
        Ok(Self { columns, schema })
    }

    /// A batch with the table's columns.
    fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let column = |(of, field): (&Of, &Arc<Field>)| match of {
            Of::Batch(at) => crate::table::schema::conform(batch.column(*at), field.data_type()),
            Of::File(column) => column.slice(0, rows),
        };
        let columns = self.columns.iter().zip(self.schema.fields()).map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
