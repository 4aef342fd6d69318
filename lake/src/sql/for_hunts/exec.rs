//! The scan: batches of one file after the other, each column in the type that the table gives it.

use super::coded::{self, Form, Texts, coded};
use super::constant;
use super::pages::Unpack;
use super::unreadable;
use crate::sql::provider::STORE;
use crate::table::EVENT_DAY;
use crate::table::write::{BLOCK_ROWS, GRAMS, Layout, Needles};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, DictionaryArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array,
    new_null_array,
};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
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
use parquet::file::metadata::ParquetMetaData;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Which rows of a file are read: others may be left out.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// How rows have a day in files that days share.
    pub(super) layout: Layout,
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
        let constants = Arc::new(Constants::default());
        let files = stream::iter(group.files().to_vec()).then(move |file| {
            let open = || readers.create_reader(partition, file.clone(), None, &metrics);
            let (reader, other) = (open(), open());
            let (schema, rows, constants) = (Arc::clone(&schema), rows.clone(), Arc::clone(&constants));
            async move { read(reader?, other?, file, schema, batch_size, rows, &constants).await }
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
    other: Box<dyn AsyncFileReader>,
    file: PartitionedFile,
    schema: SchemaRef,
    batch_size: usize,
    rows: Rows,
    known: &Constants,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let path: Arc<str> = file.object_meta.location.to_string().into();
    let footer = reader.get_metadata(None).await.map_err(|error| unreadable(error, &path, None))?;
    // What Parquet's types say is enough: a schema of Arrow's that is stored besides takes as long to read as the footer.
    let plain =
        ArrowReaderMetadata::try_new(Arc::clone(&footer), ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
    let kept = rows.predicate.as_ref().map(|predicate| groups(&plain, predicate));
    let kept = kept.unwrap_or_else(|| (0..footer.num_row_groups()).collect());
    // Most files have none of what is sought: they are told by their grams alone.
    let (selection, other) = match &rows.needles {
        Some(needles) => match blocks(other, &path, &plain, needles, &kept).await? {
            Some(none) if !none.selects_any() => return Ok(stream::empty().boxed()),
            selection => (selection, None),
        },
        None => (None, Some(other)),
    };
    let rows_of_kept: usize = kept.iter().map(|group| footer.row_group(*group).num_rows() as usize).sum();
    let batch_size = batch_size.min(rows_of_kept.max(1));
    // Files have their columns in their own order, and not all.
    let dated = is_shared(&file);
    let asked: HashMap<&str, &DataType> = schema.fields().iter().map(|f| (f.name().as_str(), f.data_type())).collect();
    let form = |field: &Field| match field.data_type() {
        DataType::Utf8 => asked.get(field.name().as_str()).and_then(|asked| Form::of(asked)),
        _ => None,
    };
    // Views of pages are no copies of them.
    let typed = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    let of_file = Schema::new(plain.schema().fields().iter().map(typed).collect::<Vec<_>>());
    let (mut columns, mut leaves, mut constants) = (Vec::new(), Vec::new(), HashMap::new());
    for (at, field) in plain.schema().fields().iter().enumerate() {
        if let Some(asked) = asked.get(field.name().as_str())
            && form(field) != Some(Form::Bytes)
            && let Some(value) = constant::of(&footer, &kept, at, field)
        {
            constants.insert(field.name().clone(), known.repeated(field.name(), &value, asked, batch_size)?);
            continue;
        }
        // Only rows of whole row groups are read as they are coded.
        let own_form = form(field).filter(|_| rows.needles.is_none());
        match own_form.and_then(|form| Some((coded::leaf(&footer, at)?, form))) {
            Some(leaf) => leaves.push((field.name().clone(), leaf)),
            None if asked.contains_key(field.name().as_str()) || dated && field.name() == rows.layout.time_column => {
                columns.push(at)
            }
            None => {}
        }
    }
    let metadata = ArrowReaderOptions::new().with_schema(Arc::new(of_file));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(&footer), metadata)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_projection(mask)
        .with_batch_size(batch_size)
        .with_row_groups(kept.clone());
    let (names, leaves): (Vec<String>, Vec<(usize, Form)>) = leaves.into_iter().unzip();
    if let Some(selection) = selection {
        batches = batches.with_row_selection(selection);
    }
    let texts = other.map(|other| GroupTexts::new(Arc::clone(&path), other, footer, kept, leaves));
    let batches = batches.build()?;
    let conformed = Conformed::new(schema, batches.schema(), &names, constants, &file, batch_size, rows.layout)?;
    let read = stream::try_unfold((batches, texts, path), move |(mut batches, mut texts, path)| async move {
        let batch = batches.next().await.transpose().map_err(|error| unreadable(error, &path, None))?;
        let Some(batch) = batch else { return Ok(None) };
        let texts_of_batch = match &mut texts {
            Some(texts) => texts.next(batch.num_rows()).await?,
            None => Vec::new(),
        };
        Ok(Some(((batch, texts_of_batch), (batches, texts, path))))
    });
    Ok(read.and_then(move |(batch, texts)| std::future::ready(conformed.batch(&batch, &texts))).boxed())
}

/// By column, a value that all rows had, and rows of it: files of a table have the same, for the most part.
#[derive(Default)]
struct Constants(Mutex<HashMap<String, (ArrayRef, ArrayRef)>>);

impl Constants {
    /// So many rows with this value, as columns of a type have it.
    fn repeated(&self, column: &str, value: &ArrayRef, of: &DataType, rows: usize) -> Result<ArrayRef> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_known, all)) = known.get(column)
            && all.len() >= rows
            && of_known == value
        {
            return Ok(all.slice(0, rows));
        }
        let all = repeated(value, of, rows)?;
        known.insert(column.to_owned(), (Arc::clone(value), Arc::clone(&all)));
        Ok(all)
    }
}

/// Makes such rows.
fn repeated(value: &ArrayRef, of: &DataType, rows: usize) -> Result<ArrayRef> {
    // Texts as views first: they are repeated without their bytes.
    let value = match value.data_type() {
        DataType::Utf8 => cast(value, &DataType::Utf8View)?,
        _ => crate::table::schema::conform(value, of),
    };
    if *of == coded() {
        return Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(vec![0; rows].into(), value)?));
    }
    if value.data_type().is_string() {
        return Ok(take(&value, &UInt32Array::from(vec![0; rows]), None)?);
    }
    // Twice as many each time: one by one, lists take long.
    let mut all = value;
    while all.len() < rows {
        let more = all.slice(0, all.len().min(rows - all.len()));
        all = concat(&[&all, &more])?;
    }
    Ok(all)
}

/// The row groups for which the predicate may hold; all where that cannot be said.
fn groups(footer: &ArrowReaderMetadata, predicate: &PruningPredicate) -> Vec<usize> {
    let kept = predicate.prune(&GroupStatistics(footer)).unwrap_or_default();
    (0..footer.metadata().num_row_groups()).filter(|at| kept.get(*at) != Some(&false)).collect()
}

/// Of these row groups, the rows of blocks in which one of the texts may be; none where the file does not tell.
async fn blocks(
    mut reader: Box<dyn AsyncFileReader>,
    path: &str,
    footer: &ArrowReaderMetadata,
    needles: &Needles,
    groups: &[usize],
) -> Result<Option<RowSelection>> {
    let column = footer.schema().fields().find(GRAMS).and_then(|(at, _)| coded::leaf(footer.metadata(), at));
    let Some(column) = column else { return Ok(None) };
    let groups: Vec<_> = groups.iter().map(|group| footer.metadata().row_group(*group)).collect();
    let ranges = groups.iter().map(|group| coded::range(group.column(column))).collect::<Result<_, _>>()?;
    let (mut selectors, mut unpack) = (Vec::new(), Unpack::default());
    for (group, bytes) in groups.iter().zip(reader.get_byte_ranges(ranges).await?) {
        let mut left = group.num_rows() as usize;
        let blocks = Texts::new(group.column(column), bytes, left, Form::Bytes);
        let blocks = blocks.and_then(|mut blocks| blocks.next(left, &mut unpack));
        let blocks = blocks.map_err(|error| unreadable(error, path, Some((footer.metadata(), column))))?;
        for block in blocks.as_binary_view().iter().flatten() {
            let length = BLOCK_ROWS.min(left);
            left -= length;
            selectors.push(match needles.may_be_in(block) {
                true => RowSelector::select(length),
                false => RowSelector::skip(length),
            });
        }
        if left > 0 {
            return Ok(None);
        }
    }
    Ok(Some(selectors.into()))
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

/// Texts of a file that are read as they are coded, row group by row group.
struct GroupTexts {
    /// The file's path, for errors.
    path: Arc<str>,
    reader: Box<dyn AsyncFileReader>,
    footer: Arc<ParquetMetaData>,
    /// Row groups that are still to come.
    groups: std::vec::IntoIter<usize>,
    leaves: Vec<(usize, Form)>,
    /// Of the row group at hand.
    open: Vec<Texts>,
    unpack: Unpack,
    rows: usize,
}

impl GroupTexts {
    fn new(
        path: Arc<str>,
        reader: Box<dyn AsyncFileReader>,
        footer: Arc<ParquetMetaData>,
        groups: Vec<usize>,
        leaves: Vec<(usize, Form)>,
    ) -> Self {
        Self {
            path,
            reader,
            footer,
            groups: groups.into_iter(),
            leaves,
            open: Vec::new(),
            unpack: Unpack::default(),
            rows: 0,
        }
    }

    /// The next rows, which are all of one row group.
    async fn next(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        if self.rows == 0
            && let Some(group) = self.groups.next()
        {
            let group = self.footer.row_group(group);
            self.rows = group.num_rows() as usize;
            let columns = || self.leaves.iter().map(|(leaf, form)| (group.column(*leaf), *form));
            let ranges = columns().map(|(column, _)| coded::range(column)).collect::<Result<_, _>>()?;
            let chunks = self.reader.get_byte_ranges(ranges).await?;
            let open = columns().zip(chunks);
            let open = open.map(|((column, form), bytes)| Texts::new(column, bytes, self.rows, form));
            self.open = open.collect::<Result<_, _>>()?;
        }
        self.rows = self.rows.saturating_sub(rows);
        let texts = self.open.iter_mut().zip(&self.leaves).map(|(texts, (leaf, _))| {
            let rows = texts.next(rows, &mut self.unpack);
            rows.map_err(|error| unreadable(error, &self.path, Some((&self.footer, *leaf))))
        });
        texts.collect()
    }
}

/// Whether the rows of a file are of days that share it.
fn is_shared(file: &PartitionedFile) -> bool {
    file.partition_values.first() == Some(&ScalarValue::Date32(Some(0)))
}

/// Where each of the table's columns is in the batches of a file.
struct Conformed {
    schema: SchemaRef,
    columns: Vec<Of>,
    layout: Layout,
}

/// Where a column is.
enum Of {
    /// In batches, at this place.
    Batch(usize),
    /// Among the texts that are coded, at this place.
    Texts(usize),
    /// In all rows of the file the same one: this, of as many rows as a batch has at most.
    File(ArrayRef),
    /// The day of the time, which is in batches, at this place.
    Day(usize),
}

impl Conformed {
    /// `of_file` are the columns of batches of up to `batch_size` rows, `texts` those that are coded, `constants` those with one
    /// value.
    fn new(
        schema: SchemaRef,
        of_file: &Schema,
        texts: &[String],
        mut constants: HashMap<String, ArrayRef>,
        file: &PartitionedFile,
        batch_size: usize,
        layout: Layout,
    ) -> Result<Self> {
        let mut nulls: HashMap<DataType, ArrayRef> = HashMap::new();
        // Not `Schema::index_of`: what it says of a column that is not there, it takes long to write.
        let in_file = |name: &str| of_file.fields().iter().position(|field| field.name() == name);
        let column = |field| -> Result<Of> {
            let field: &Arc<Field> = field;
            if let Some(constant) = constants.remove(field.name()) {
                return Ok(Of::File(constant));
            }
            if let Some(at) = in_file(field.name()) {
                return Ok(Of::Batch(at));
            }
            if let Some(at) = texts.iter().position(|name| name == field.name()) {
                return Ok(Of::Texts(at));
            }
            let is_day = field.name() == EVENT_DAY;
            if let Some(at) = in_file(layout.time_column).filter(|_| is_day && is_shared(file)) {
                return Ok(Of::Day(at));
            }
            Ok(Of::File(match file.partition_values.first().filter(|_| is_day) {
                Some(day) => day.to_array_of_size(batch_size)?,
                None => {
                    let of_type = nulls.entry(field.data_type().clone());
                    Arc::clone(of_type.or_insert_with(|| new_null_array(field.data_type(), batch_size)))
                }
            }))
        };
        let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
        Ok(Self { columns, schema, layout })
    }

    /// A batch with the table's columns.
    fn batch(&self, batch: &RecordBatch, texts: &[ArrayRef]) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let column = |(of, field): (&Of, &Arc<Field>)| match of {
            Of::Batch(at) => match batch.column(*at).as_string_view_opt().zip(Form::of(field.data_type())) {
                Some((texts, form)) => Ok(form.with(texts.clone())?),
                None => Ok(crate::table::schema::conform(batch.column(*at), field.data_type())),
            },
            Of::Texts(at) => Ok(Arc::clone(&texts[*at])),
            Of::File(column) => Ok(column.slice(0, rows)),
            Of::Day(at) => match batch.column(*at).as_primitive_opt() {
                Some(times) => Ok(Arc::new(self.layout.days(times)) as ArrayRef),
                None => internal_err!("a time is in microseconds"),
            },
        };
        let columns = self.columns.iter().zip(self.schema.fields()).map(column).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
