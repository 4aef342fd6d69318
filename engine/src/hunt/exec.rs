//! The operator: batches of a class table in, a row for each rule that fires on one of their rows out.

use super::sought::{Sought, any_of, sought};
use super::table::{RULE, VALUES};
use crate::bind::{Bound, Engine, RuleIx};
use crate::matcher::{Hit, Matcher};
use arrow::array::{ArrayRef, RecordBatch, StringBuilder, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tarn_ingest::fields::{MemberColumns, MemberReader, Rows, TableReader};
use tarn_schema_ocsf::ClassUid;

/// All rules of an engine over the batches of one class table.
///
/// **Shape**: columns of the input by their names, [`RULE`] and [`VALUES`]; partitions and the order of rows are the
/// input's.
#[derive(Debug)]
pub struct SigmaExec {
    input: Arc<dyn ExecutionPlan>,
    lanes: Arc<Lanes>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SigmaExec {
    /// All rules over `input`, the rows of a class; `output` names the columns that are given on.
    pub fn new(input: Arc<dyn ExecutionPlan>, lanes: Arc<Lanes>, output: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(output),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { input, lanes, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for SigmaExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (class, columns) = (self.lanes.class, self.lanes.columns().all.len());
        write!(f, "SigmaExec: class={class}, rules={}, columns={columns}", self.lanes.rules())
    }
}

impl ExecutionPlan for SigmaExec {
    fn name(&self) -> &str {
        "SigmaExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("SigmaExec has one input");
        };
        Ok(Arc::new(Self::new(input, self.lanes.clone(), self.schema())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (mut held, output) = (Lanes::hold(&self.lanes), self.schema());
        let input = self.input.execute(partition, context)?;
        let found = input.map(move |batch| {
            let batch = batch?;
            let _timer = metrics.elapsed_compute().timer();
            let found = held.hunt(&output, &batch)?;
            metrics.record_output(found.num_rows());
            Ok(found)
        });
        let found = found.filter(|found| {
            let some = found.as_ref().map_or(true, |batch| batch.num_rows() > 0);
            std::future::ready(some)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), found)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Which rules look at rows, and how these are read.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// All rules, at whole rows.
    Rows,
    /// Rules without keywords, where members of `unmapped` are columns.
    Members(MemberColumns),
    /// The other ones, at whole rows.
    Keywords,
}

impl Look {
    fn is_of(self, bound: &Bound) -> bool {
        match self {
            Self::Rows => true,
            Self::Members(_) => !bound.has_keywords,
            Self::Keywords => bound.has_keywords,
        }
    }
}

/// Readers and matchers of one class's rows: as many as scans run at once, which pass them on with what they have
/// learned.
pub struct Lanes {
    engine: Arc<Engine>,
    class: ClassUid,
    look: Look,
    /// The bound rules, by number.
    bound: Vec<u32>,
    columns: OnceLock<Columns>,
    idle: Mutex<Vec<Lane>>,
}

/// What a scan reads.
#[derive(Debug)]
pub struct Columns {
    /// The columns that rules need.
    pub all: Vec<String>,
    /// Those of them that should be texts by number ([`MemberReader::texts`]).
    pub texts: Vec<String>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("class", &self.class).field("bound", &self.bound.len()).finish_non_exhaustive()
    }
}

impl Lanes {
    /// The rules of `engine` that look that way at the rows of a class.
    pub fn new(engine: Arc<Engine>, class: ClassUid, look: Look) -> Self {
        let of = engine.bound.iter().zip(engine.classes_of_bound()).enumerate();
        let of = of.filter(|(_, (bound, classes))| classes.contains(&class) && look.is_of(bound));
        let bound = of.map(|(number, _)| number as u32).collect();
        Self { engine, class, look, bound, columns: OnceLock::new(), idle: Mutex::new(Vec::new()) }
    }

    fn bound(&self) -> Vec<&Bound> {
        self.bound.iter().map(|number| &self.engine.bound[*number as usize]).collect()
    }

    /// How many rules these are.
    pub fn rules(&self) -> usize {
        self.bound().iter().map(|bound| bound.rule).collect::<BTreeSet<_>>().len()
    }

    /// What is read.
    pub fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| {
            let lane = Lane::new(self);
            let columns = lane.reader.columns();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
            columns
        })
    }

    /// What has to be in the texts of rows on which one of the rules fires.
    pub fn sought(&self) -> Option<Sought> {
        let all = &self.columns().all;
        // Originals are not among the texts that are told of.
        (!all.iter().any(|column| column == "raw_data")).then(|| sought(&self.engine, &self.bound()))
    }

    fn hold(lanes: &Arc<Self>) -> Held {
        Held { lane: lanes.idle.lock().unwrap_or_else(PoisonError::into_inner).pop(), lanes: lanes.clone() }
    }
}

/// A lane at work, given back when it is dropped.
struct Held {
    lane: Option<Lane>,
    lanes: Arc<Lanes>,
}

impl Held {
    fn hunt(&mut self, output: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        let lane = self.lane.get_or_insert_with(|| Lane::new(&self.lanes));
        lane.hunt(&self.lanes, output, batch)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What its values were is not what those of other days are; the room is for the next class.
        let lane = self.lane.take().map(|mut lane| {
            lane.reader.rest();
            lane
        });
        self.lanes.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(lane);
    }
}

/// Reads rows.
enum Reader {
    Rows(Box<TableReader>),
    Members(Box<MemberReader>),
}

impl Reader {
    fn columns(&self) -> Columns {
        let (all, texts): (Vec<&str>, Vec<&str>) = match self {
            Self::Rows(reader) => (reader.columns().collect(), Vec::new()),
            Self::Members(reader) => (reader.columns().collect(), reader.texts().collect()),
        };
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Columns { all: owned(all), texts: owned(texts) }
    }

    fn rest(&mut self) {
        match self {
            Self::Rows(reader) => reader.rest(),
            Self::Members(reader) => reader.rest(),
        }
    }

    fn read(&mut self, batch: &RecordBatch) -> &Rows {
        match self {
            Self::Rows(reader) => {
                reader.read(batch);
                reader.rows()
            }
            Self::Members(reader) => {
                reader.read(batch);
                reader.rows()
            }
        }
    }
}

struct Lane {
    reader: Reader,
    /// Made for the first batch: many lanes get none.
    matcher: Option<Matcher>,
}

impl Lane {
    fn new(lanes: &Lanes) -> Self {
        let (sources, request) = (lanes.engine.sources().clone(), lanes.engine.request_of(&lanes.bound()));
        let reader = match lanes.look {
            Look::Members(names) => Reader::Members(MemberReader::new(sources, request, lanes.class, names).into()),
            Look::Rows => Reader::Rows(TableReader::new(sources, request, lanes.class).into()),
            Look::Keywords => {
                let reader = TableReader::new(sources, request, lanes.class);
                let reader = match any_of(&lanes.engine, &lanes.bound()) {
                    Some(needles) => reader.only_with_any(&needles),
                    None => reader,
                };
                Reader::Rows(reader.into())
            }
        };
        Self { reader, matcher: None }
    }

    fn hunt(&mut self, lanes: &Lanes, output: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        let engine = &lanes.engine;
        let matcher = self.matcher.get_or_insert_with(|| Matcher::of_some(engine.clone(), &lanes.bound));
        let rows = self.reader.read(batch);
        let hits = matcher.evaluate(rows);
        if hits.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(output)));
        }
        let at = UInt32Array::from_iter_values(hits.iter().map(|hit| hit.row));
        let column = |field: &Arc<Field>| -> Result<ArrayRef> {
            Ok(match field.name().as_str() {
                RULE => Arc::new(UInt32Array::from_iter_values(hits.iter().map(|hit| hit.rule.0))),
                VALUES => Arc::new(captured(engine, rows, hits)),
                name => match batch.column_by_name(name) {
                    Some(column) => cast(&take(column, &at, None)?, field.data_type())?,
                    None => return internal_err!("no column {name}"),
                },
            })
        };
        let columns: Vec<ArrayRef> = output.fields().iter().map(column).collect::<Result<_>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(hits.len()));
        Ok(RecordBatch::try_new_with_options(output.clone(), columns, &options)?)
    }
}

/// What correlations take of each hit.
fn captured(engine: &Engine, rows: &Rows, hits: &[Hit]) -> arrow::array::StringArray {
    let mut out = StringBuilder::new();
    for Hit { row, rule } in hits {
        out.append_option(captures(engine, rows, *row as usize, *rule));
    }
    out.finish()
}

fn captures(engine: &Engine, rows: &Rows, row: usize, rule: RuleIx) -> Option<String> {
    let fields = engine.captures(rule)?;
    let value = |name: &String| {
        let field = engine.field(name)?;
        let cell = rows.cell(row, field)?;
        Some(rows.dictionary(field).json(cell.code).into_owned())
    };
    let values: Vec<String> = fields.iter().map(|name| format!("[{}]", value(name).unwrap_or_default())).collect();
    Some(format!("[{}]", values.join(",")))
}
