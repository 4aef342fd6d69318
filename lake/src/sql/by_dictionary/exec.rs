//! The operator: a scan and the partial aggregate above it, in one.

use super::groups::Groups;
use crate::table::schema::conform;
use arrow::array::{ArrayRef, NullArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::Encoding;
use parquet::file::metadata::RowGroupMetaData;
use std::collections::VecDeque;
use std::sync::Arc;

/// Groups the rows of files by texts.
#[derive(Debug)]
pub(super) struct GroupByDictionaryExec {
    store: ObjectStoreUrl,
    files: Vec<FileGroup>,
    /// The columns that are read.
    input: SchemaRef,
    /// Those of them that group.
    by: Vec<usize>,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    /// The texts of groups, and the states of aggregates.
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GroupByDictionaryExec {
    /// In place of `aggregate` over these columns of files, grouped by some of them; a partition for each group of files.
    pub(super) fn new(
        store: ObjectStoreUrl,
        files: Vec<FileGroup>,
        input: SchemaRef,
        by: Vec<usize>,
        aggregate: &AggregateExec,
    ) -> Self {
        let schema = aggregate.schema();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(files.len()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let aggregates = aggregate.aggr_expr().to_vec();
        let metrics = ExecutionPlanMetricsSet::new();
        Self { store, files, input, by, aggregates, schema, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for GroupByDictionaryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: usize = self.files.iter().map(FileGroup::len).sum();
        let by: Vec<&str> = self.by.iter().map(|at| self.input.field(*at).name().as_str()).collect();
        write!(f, "GroupByDictionaryExec: files={files}, by=[{}]", by.join(", "))
    }
}

impl ExecutionPlan for GroupByDictionaryExec {
    fn name(&self) -> &str {
        "GroupByDictionaryExec"
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
            false => internal_err!("GroupByDictionaryExec has no input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let runtime = context.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let readers = CachedParquetFileReaderFactory::new(runtime.object_store(&self.store)?, footers);
        let Some(group) = self.files.get(partition) else { return internal_err!("no partition {partition}") };
        let open = |file: PartitionedFile| -> Result<Box<dyn AsyncFileReader>> {
            Ok(readers.create_reader(partition, file, None, &self.metrics)?)
        };
        let files = group.files().iter().cloned().map(open).collect::<Result<_>>()?;
        let batch_size = context.session_config().batch_size();
        let run = Run {
            files,
            open: None,
            columns: Columns { schema: Arc::clone(&self.input), by: self.by.clone(), batch_size },
            groups: Groups::new(self.by.len()),
            aggregates: self.aggregates.clone(),
            states: states(&self.aggregates)?,
            schema: Arc::clone(&self.schema),
            memory: MemoryConsumer::new("GroupByDictionary").register(context.memory_pool()),
            ready: VecDeque::new(),
        };
        let batches = stream::try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn states(aggregates: &[Arc<AggregateFunctionExpr>]) -> Result<Vec<Box<dyn GroupsAccumulator>>> {
    aggregates.iter().map(|of| of.create_groups_accumulator()).collect()
}

/// What is read of a file.
struct Columns {
    schema: SchemaRef,
    by: Vec<usize>,
    batch_size: usize,
}

/// A file that is being read, and where each of [`Columns`] is in its batches.
struct Open {
    batches: ParquetRecordBatchStream<Box<dyn AsyncFileReader>>,
    at: Vec<Option<usize>>,
}

impl Columns {
    async fn open(&self, mut reader: Box<dyn AsyncFileReader>) -> Result<Open> {
        let footer = reader.get_metadata(None).await?;
        let plain = ArrowReaderMetadata::try_new(Arc::clone(&footer), ArrowReaderOptions::new())?;
        // Whether all rows of a column have numbers of a dictionary.
        let numbered = |name: &str| {
            let columns = plain.parquet_schema();
            let of_column = |leaf: &usize| columns.get_column_root(*leaf).name() == name;
            let in_group = |group: &RowGroupMetaData, leaf: usize| {
                let pages = group.column(leaf).page_encoding_stats_mask();
                pages.is_some_and(|pages| pages.is_only(Encoding::RLE_DICTIONARY))
            };
            let mut leaves = (0..columns.num_columns()).filter(of_column);
            leaves.all(|leaf| footer.row_groups().iter().all(|group| in_group(group, leaf)))
        };
        let asked = |name: &str| self.schema.fields().iter().position(|field| field.name() == name);
        let typed = |field: &FieldRef| {
            let is_text = *field.data_type() == DataType::Utf8;
            let data_type = match asked(field.name()).filter(|_| is_text) {
                Some(at) if self.by.contains(&at) && numbered(field.name()) => {
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
                }
                Some(at) => self.schema.field(at).data_type().clone(),
                None => return Arc::clone(field),
            };
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        };
        let of_file = Arc::new(Schema::new(plain.schema().fields().iter().map(typed).collect::<Vec<_>>()));
        let found = of_file.fields().iter().enumerate().filter(|(_, field)| asked(field.name()).is_some());
        let found: Vec<usize> = found.map(|(at, _)| at).collect();
        let footer = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(of_file))?;
        let mask = ProjectionMask::roots(footer.parquet_schema(), found);
        let batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, footer)
            .with_projection(mask)
            .with_batch_size(self.batch_size)
            .build()?;
        let at = self.schema.fields().iter().map(|field| batches.schema().index_of(field.name()).ok()).collect();
        Ok(Open { batches, at })
    }

    /// The columns of a batch, those that group apart.
    fn split(&self, batch: &RecordBatch, at: &[Option<usize>]) -> Result<(Vec<ArrayRef>, RecordBatch)> {
        let rows = batch.num_rows();
        let nothing = || Arc::new(NullArray::new(rows)) as ArrayRef;
        let text = |of: &usize| match at.get(*of).copied().flatten() {
            Some(at) if matches!(batch.column(at).data_type(), DataType::Dictionary(key, value) if is_numbered(key, value)) => {
                Ok(Arc::clone(batch.column(at)))
            }
            Some(at) => typed(batch.column(at), &DataType::Utf8View),
            None => Ok(nothing()),
        };
        let texts = self.by.iter().map(text).collect::<Result<_>>()?;
        let columns = self.schema.fields().iter().zip(at).enumerate();
        let columns = columns.map(|(n, (field, at))| {
            Ok(match at {
                // No aggregate is of them.
                _ if self.by.contains(&n) => (Arc::new(Field::new(field.name(), DataType::Null, true)), nothing()),
                Some(at) => (Arc::clone(field), typed(batch.column(*at), field.data_type())?),
                None => (Arc::clone(field), new_null_array(field.data_type(), rows)),
            })
        });
        let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) =
            columns.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok((texts, RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?))
    }
}

/// Whether a dictionary is as [`Columns::open`] asks for it.
fn is_numbered(key: &DataType, value: &DataType) -> bool {
    (key, value) == (&DataType::Int32, &DataType::Utf8)
}

/// The values as another type: other writers of the table may have their own for the same.
fn typed(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let array = conform(array, data_type);
    Ok(if array.data_type() == data_type { array } else { cast(&array, data_type)? })
}

/// One partition.
struct Run {
    files: VecDeque<Box<dyn AsyncFileReader>>,
    open: Option<Open>,
    columns: Columns,
    groups: Groups,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    states: Vec<Box<dyn GroupsAccumulator>>,
    schema: SchemaRef,
    memory: MemoryReservation,
    ready: VecDeque<RecordBatch>,
}

impl Run {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(open) = &mut self.open else {
                match self.files.pop_front() {
                    Some(reader) => self.open = Some(self.columns.open(reader).await?),
                    None if self.groups.len() > 0 => self.emit()?,
                    None => return Ok(None),
                }
                continue;
            };
            match open.batches.next().await.transpose()? {
                Some(batch) => {
                    let (texts, values) = self.columns.split(&batch, &open.at)?;
                    self.add(&texts, &values)?;
                    // Other queries go on meanwhile.
                    tokio::task::consume_budget().await;
                }
                None => self.open = None,
            }
        }
    }

    fn add(&mut self, texts: &[ArrayRef], values: &RecordBatch) -> Result<()> {
        let of_rows = self.groups.add(texts)?.to_vec();
        for (aggregate, state) in self.aggregates.iter().zip(&mut self.states) {
            let arguments = aggregate.expressions().into_iter();
            let arguments = arguments.map(|of| of.evaluate(values)?.into_array(values.num_rows()));
            state.update_batch(&arguments.collect::<Result<Vec<_>>>()?, &of_rows, None, self.groups.len())?;
        }
        let size = self.groups.size() + self.states.iter().map(|state| state.size()).sum::<usize>();
        // What is above puts together what comes in several parts.
        if self.memory.try_resize(size).is_err() { self.emit() } else { Ok(()) }
    }

    /// Gives away what there is, and begins anew.
    fn emit(&mut self) -> Result<()> {
        let mut columns = self.groups.texts()?;
        for state in &mut self.states {
            columns.extend(state.state(EmitTo::All)?);
        }
        let all = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let starts = (0..all.num_rows()).step_by(self.columns.batch_size.max(1));
        self.ready.extend(starts.map(|at| all.slice(at, self.columns.batch_size.min(all.num_rows() - at))));
        self.groups = Groups::new(self.columns.by.len());
        self.states = states(&self.aggregates)?;
        self.memory.free();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{AsArray, Int32Array, LargeStringArray};
    use arrow::datatypes::Int64Type;

    #[test]
    fn types_of_other_writers_are_those_of_the_table() {
        let of = |name: &str, data_type| Field::new(name, data_type, true);
        let schema =
            Schema::new(vec![of("user", DataType::Utf8View), of("n", DataType::Int64), of("gone", DataType::Utf8View)]);
        let columns = Columns { schema: Arc::new(schema), by: vec![0, 2], batch_size: 8 };
        let of_file = Schema::new(vec![of("n", DataType::Int32), of("user", DataType::LargeUtf8)]);
        let users = LargeStringArray::from(vec![Some("alice"), None, Some("alice")]);
        let arrays: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1, 2, 3])), Arc::new(users)];
        let batch = RecordBatch::try_new(Arc::new(of_file), arrays).unwrap();
        let (texts, values) = columns.split(&batch, &[Some(1), Some(0), None]).unwrap();
        assert_eq!(Groups::new(2).add(&texts).unwrap(), [0, 1, 0]);
        assert_eq!(values.column(1).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    }
}
