//! The operator: batches of a class table in, a row for each rule that fires on one of their rows out.

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
use std::sync::{Arc, Mutex, PoisonError};
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
        let Lanes { class, rules, columns, .. } = &*self.lanes;
        write!(f, "SigmaExec: class={class}, rules={rules}, columns={}", columns.len())
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
            Self::Members(_) => !bound.has_keywords(),
            Self::Keywords => bound.has_keywords(),
        }
    }
}

/// Readers and matchers of one class's rows: as many as scans run at once, which pass them on with what they have
/// learned.
pub struct Lanes {
    engine: Arc<Engine>,
    class: ClassUid,
    look: Look,
    rules: usize,
    /// The columns that rules need.
    pub columns: Vec<String>,
    /// Those of them that should be dictionaries.
    pub dictionaries: Vec<String>,
    /// Of which one is in some value of each row that rules with keywords match; none where that cannot be said.
    pub needles: Option<Vec<String>>,
    idle: Mutex<Vec<Lane>>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("class", &self.class).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Lanes {
    /// The rules of `engine` that look that way at the rows of a class.
    pub fn new(engine: Arc<Engine>, class: ClassUid, look: Look) -> Self {
        let lane = Lane::new(&engine, class, look);
        let (columns, dictionaries) = lane.reader.columns();
        let of_class = engine.bound.iter().zip(engine.classes_of_bound()).filter(|(_, of)| of.contains(&class));
        let bound: Vec<&Bound> = of_class.map(|(bound, _)| bound).filter(|bound| look.is_of(bound)).collect();
        let rules = bound.iter().map(|bound| bound.rule).collect::<BTreeSet<_>>().len();
        // Originals are not among the values that are told of.
        let is_told = bound.iter().all(|bound| bound.needs_keyword()) && !columns.iter().any(|c| c == "raw_data");
        let needles = engine.request_of(|bound| look.is_of(bound)).needles().filter(|_| is_told);
        Self { engine, class, look, rules, columns, dictionaries, needles, idle: Mutex::new(vec![lane]) }
    }

    /// How many rules these are.
    pub fn rules(&self) -> usize {
        self.rules
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
        let Lanes { engine, class, look, .. } = &*self.lanes;
        let lane = self.lane.get_or_insert_with(|| Lane::new(engine, *class, *look));
        lane.hunt(engine, output, batch)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lanes.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.lane.take());
    }
}

/// Reads rows.
enum Reader {
    Rows(TableReader),
    Members(Box<MemberReader>),
}

impl Reader {
    /// The columns, and those that should be dictionaries.
    fn columns(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::Rows(reader) => (reader.columns().map(str::to_owned).collect(), Vec::new()),
            Self::Members(reader) => {
                (reader.columns().map(str::to_owned).collect(), reader.dictionaries().map(str::to_owned).collect())
            }
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
    matcher: Matcher,
}

impl Lane {
    fn new(engine: &Arc<Engine>, class: ClassUid, look: Look) -> Self {
        let (sources, request) = (engine.sources().clone(), engine.request_of(|bound| look.is_of(bound)));
        Self {
            reader: match look {
                Look::Members(names) => Reader::Members(MemberReader::new(sources, request, class, names).into()),
                Look::Rows | Look::Keywords => Reader::Rows(TableReader::new(sources, request, class)),
            },
            matcher: Matcher::of_some(engine.clone(), class, |bound| look.is_of(bound)),
        }
    }

    fn hunt(&mut self, engine: &Engine, output: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = self.reader.read(batch);
        let hits = self.matcher.evaluate(rows);
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
        let cell = rows.cells(row).iter().find(|c| c.field == field)?;
        Some(rows.dictionary(field).json(cell.code).into_owned())
    };
    let values: Vec<String> = fields.iter().map(|name| format!("[{}]", value(name).unwrap_or_default())).collect();
    Some(format!("[{}]", values.join(",")))
}
