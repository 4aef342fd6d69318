//! Unions that are read one input after the other, as many at a time as there are threads: what one took makes room for the
//! next. A union by itself reads all at a time.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{TryStreamExt, stream};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The plan, with unions that read `at_once` partitions of their inputs at a time.
pub fn in_turn(plan: Arc<dyn ExecutionPlan>, at_once: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let one = |node: Arc<dyn ExecutionPlan>| match node.is::<UnionExec>() {
        true => {
            let inputs = node.children().into_iter().cloned().collect();
            Ok(Transformed::yes(Arc::new(InTurnExec::new(inputs, at_once)) as Arc<dyn ExecutionPlan>))
        }
        false => Ok(Transformed::no(node)),
    };
    plan.transform_up(one).data()
}

/// The rows of some plans of one schema: each partition reads the next partition of an input that no other has begun. It is
/// executed once.
#[derive(Debug)]
struct InTurnExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    /// Numbers of inputs and of their partitions.
    next: Arc<Mutex<VecDeque<(usize, usize)>>>,
    properties: Arc<PlanProperties>,
}

impl InTurnExec {
    /// `inputs` are some.
    fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, at_once: usize) -> Self {
        let of_input = |(at, input): (usize, &Arc<dyn ExecutionPlan>)| {
            (0..input.output_partitioning().partition_count()).map(move |partition| (at, partition))
        };
        let next: VecDeque<_> = inputs.iter().enumerate().flat_map(of_input).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(inputs[0].schema()),
            Partitioning::UnknownPartitioning(at_once.clamp(1, next.len().max(1))),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { inputs, next: Arc::new(Mutex::new(next)), properties: Arc::new(properties) }
    }
}

impl DisplayAs for InTurnExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InTurnExec: at_once={}", self.properties.partitioning.partition_count())
    }
}

impl ExecutionPlan for InTurnExec {
    fn name(&self) -> &str {
        "InTurnExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
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
            true => internal_err!("InTurnExec has inputs"),
            false => Ok(Arc::new(Self::new(children, self.properties.partitioning.partition_count()))),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (inputs, next) = (self.inputs.clone(), Arc::clone(&self.next));
        let turns = std::iter::from_fn(move || next.lock().unwrap_or_else(PoisonError::into_inner).pop_front());
        let rows = turns.map(move |(at, partition)| inputs[at].execute(partition, Arc::clone(&context)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::iter(rows).try_flatten())))
    }
}
