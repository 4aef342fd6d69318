//! Unions that are read one input after the other, as many at a time as there are threads: what one took makes room for the
//! next. A union by itself reads all at a time.

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{TryStreamExt, stream};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The plan, with unions that read `at_once` partitions of their inputs at a time. It is executed once.
pub fn in_turn(plan: Arc<dyn ExecutionPlan>, at_once: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let one = |node: Arc<dyn ExecutionPlan>| match node.is::<UnionExec>() {
        true => Ok(Transformed::yes(of_union(&node, at_once)?)),
        false => Ok(Transformed::no(node)),
    };
    plan.transform_up(one).data()
}

fn of_union(union: &Arc<dyn ExecutionPlan>, at_once: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = |input: &Arc<dyn ExecutionPlan>| {
        let input = Arc::clone(input);
        (0..input.output_partitioning().partition_count()).map(move |partition| (Arc::clone(&input), partition))
    };
    let next: VecDeque<Input> = union.children().into_iter().flat_map(partitions).collect();
    let streams = at_once.clamp(1, next.len().max(1));
    let turns: Arc<dyn PartitionStream> = Arc::new(Turns { schema: union.schema(), next: Arc::new(Mutex::new(next)) });
    let exec = StreamingTableExec::try_new(union.schema(), vec![turns; streams], None, [], false, None)?;
    Ok(Arc::new(exec))
}

/// A plan, and the number of one of its partitions.
type Input = (Arc<dyn ExecutionPlan>, usize);

/// Rows of partitions of inputs: the next one that no other stream has begun, and so on.
#[derive(Debug)]
struct Turns {
    schema: SchemaRef,
    next: Arc<Mutex<VecDeque<Input>>>,
}

impl PartitionStream for Turns {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let next = Arc::clone(&self.next);
        let turns = std::iter::from_fn(move || next.lock().unwrap_or_else(PoisonError::into_inner).pop_front());
        let rows = turns.map(move |(input, partition)| input.execute(partition, Arc::clone(&context)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(rows).try_flatten()))
    }
}
