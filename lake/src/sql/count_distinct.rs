//! `count(DISTINCT text) … GROUP BY`, without a string in any group's set.
//!
//! DataFusion (55.2) keeps a set of strings for each group, or groups by group and string first, which looks up both for
//! every row. Here a text becomes a number once, in a table of the distinct texts that mostly fits a cache, and the pairs of
//! group and number are one set of integers. [`DistinctTexts`] puts the function into plans; who asks sees `count` only.

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, Aggregate, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, ExprSchemable, GroupsAccumulator,
    LogicalPlan, Projection, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr_common::binary_map::{ArrowBytesMap, OutputType};
use datafusion::physical_expr_common::binary_view_map::ArrowBytesViewMap;
use datafusion::scalar::ScalarValue;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Replaces `count(DISTINCT text)` of grouped aggregates.
#[derive(Debug)]
pub(super) struct DistinctTexts {
    function: Arc<AggregateUDF>,
}

impl DistinctTexts {
    pub(super) fn new() -> Self {
        let function = CountDistinct {
            signature: Signature::uniform(1, vec![DataType::Utf8, DataType::Utf8View], Volatility::Immutable),
        };
        Self { function: Arc::new(AggregateUDF::from(function)) }
    }

    /// The expression with the function of here, where it is one for it.
    fn replaced(&self, expr: &Expr, input: &LogicalPlan) -> Option<Expr> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
        let AggregateFunctionParams { args, distinct: true, filter, order_by, null_treatment: None } = params else {
            return None;
        };
        let [text] = args.as_slice() else { return None };
        let fits = func.name() == "count" && order_by.is_empty() && is_text(&text.get_type(input.schema()).ok()?);
        let function = self.function.clone();
        fits.then(|| {
            Expr::AggregateFunction(AggregateFunction::new_udf(
                function,
                args.clone(),
                false,
                filter.clone(),
                Vec::new(),
                None,
            ))
        })
    }
}

impl OptimizerRule for DistinctTexts {
    fn name(&self) -> &str {
        "distinct_texts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(Transformed::no(plan)) };
        let is_set = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
        let replaced: Vec<Option<Expr>> =
            aggregate.aggr_expr.iter().map(|expr| self.replaced(expr, &aggregate.input)).collect();
        if aggregate.group_expr.is_empty() || is_set || replaced.iter().all(Option::is_none) {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let aggregates = replaced.into_iter().zip(&aggregate.aggr_expr).map(|(new, old)| new.unwrap_or(old.clone()));
        let counted =
            Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), aggregates.collect())?;
        // Under the names that others know them by.
        let names = counted.schema.iter().zip(aggregate.schema.iter());
        let expressions = names.map(|((qualifier, field), (old_qualifier, old_field))| {
            let column = Expr::from((qualifier, field));
            match (qualifier, field.name()) == (old_qualifier, old_field.name()) {
                true => column,
                false => column.alias_qualified(old_qualifier.cloned(), old_field.name()),
            }
        });
        let expressions = expressions.collect();
        let projected = Projection::try_new(expressions, Arc::new(LogicalPlan::Aggregate(counted)))?;
        Ok(Transformed::yes(LogicalPlan::Projection(projected)))
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountDistinct {
    signature: Signature,
}

/// The elements of the state: each group's texts.
fn element() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Utf8, true))
}

impl AggregateUDFImpl for CountDistinct {
    fn name(&self) -> &str {
        "count_distinct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[texts]", args.name);
        Ok(vec![Arc::new(Field::new(name, DataType::List(element()), true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Whole(Groups::default())))
    }
}

/// Bytes of an array of texts: half of what Arrow's can have, as it ends the process where it has more.
const BYTES_MAX: usize = 1 << 30;

/// No text has this number.
const NONE: u32 = u32::MAX;

/// Numbers by text, of the one type of array that an accumulator is given.
enum Known {
    Nothing,
    Texts(ArrowBytesMap<i32, u32>),
    Views(ArrowBytesViewMap<u32>),
}

/// The texts of all groups.
struct Groups {
    known: Known,
    /// Texts by number.
    texts: StringBuilder,
    /// Group and number, in a half each.
    pairs: HashSet<u64, ahash::RandomState>,
    /// Texts of each group.
    counts: Vec<i64>,
    /// Of the batch at hand.
    numbers: Vec<u32>,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            known: Known::Nothing,
            texts: StringBuilder::new(),
            pairs: HashSet::default(),
            counts: Vec::new(),
            numbers: Vec::new(),
        }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("groups", &self.counts.len()).finish_non_exhaustive()
    }
}

impl Groups {
    /// Numbers the texts of a batch, into `self.numbers`.
    fn number(&mut self, texts: &ArrayRef) -> Result<()> {
        let (known, all, numbers) = (&mut self.known, &mut self.texts, &mut self.numbers);
        numbers.clear();
        let mut is_full = false;
        let new = |text: Option<&[u8]>| match text {
            None => NONE,
            Some(text) => {
                let number = u32::try_from(all.len()).unwrap_or(NONE);
                if number == NONE || all.values_slice().len() + text.len() > BYTES_MAX {
                    is_full = true;
                    return NONE;
                }
                // The texts of a column of texts.
                all.append_value(std::str::from_utf8(text).unwrap_or_default());
                number
            }
        };
        if let Known::Nothing = known {
            *known = match texts.data_type() {
                DataType::Utf8View => Known::Views(ArrowBytesViewMap::new(OutputType::Utf8View)),
                _ => Known::Texts(ArrowBytesMap::new(OutputType::Utf8)),
            };
        }
        match known {
            Known::Texts(known) if *texts.data_type() == DataType::Utf8 => {
                known.insert_if_new(texts, new, |number| numbers.push(number));
            }
            Known::Views(known) if *texts.data_type() == DataType::Utf8View => {
                known.insert_if_new(texts, new, |number| numbers.push(number));
            }
            _ => return exec_err!("count_distinct was given {} among others", texts.data_type()),
        }
        if is_full { exec_err!("count(DISTINCT …) over more than 1 GiB of different texts") } else { Ok(()) }
    }

    fn add(&mut self, group: usize, number: u32) {
        if number != NONE && self.pairs.insert((group as u64) << 32 | u64::from(number)) {
            self.counts[group] += 1;
        }
    }

    fn groups(&mut self, groups: usize) -> Result<()> {
        if u32::try_from(groups).is_err() {
            return exec_err!("more than four billion groups");
        }
        self.counts.resize(groups.max(self.counts.len()), 0);
        Ok(())
    }

    /// Takes the first groups out; gives their counts and their pairs.
    fn emit(&mut self, emit_to: EmitTo) -> (Vec<i64>, HashSet<u64, ahash::RandomState>) {
        let counts = emit_to.take_needed(&mut self.counts);
        let first = (counts.len() as u64) << 32;
        let mut gone = std::mem::take(&mut self.pairs);
        if matches!(emit_to, EmitTo::First(_)) {
            self.pairs = gone.iter().filter(|pair| **pair >= first).map(|pair| pair - first).collect();
            gone.retain(|pair| *pair < first);
        }
        (counts, gone)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let [texts] = values else { return exec_err!("count_distinct takes one argument") };
        self.groups(total_num_groups)?;
        self.number(texts)?;
        let numbers = std::mem::take(&mut self.numbers);
        for (row, (group, number)) in group_indices.iter().zip(&numbers).enumerate() {
            if opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.add(*group, *number);
            }
        }
        self.numbers = numbers;
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.emit(emit_to).0)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (counts, pairs) = self.emit(emit_to);
        let texts = self.texts.finish_cloned();
        let bytes: usize = pairs.iter().map(|pair| texts.value_length(*pair as u32 as usize) as usize).sum();
        if bytes > BYTES_MAX || pairs.len() > BYTES_MAX {
            return exec_err!("count(DISTINCT …) has more than 1 GiB of texts, each counted in each of its groups");
        }
        let offsets = OffsetBuffer::from_lengths(counts.iter().map(|count| *count as usize));
        // Each pair at its group's next place.
        let mut next: Vec<usize> = offsets.iter().map(|offset| *offset as usize).collect();
        let mut numbers = vec![0_u32; pairs.len()];
        for pair in &pairs {
            let place = &mut next[(pair >> 32) as usize];
            numbers[*place] = *pair as u32;
            *place += 1;
        }
        let texts = take(&texts, &UInt32Array::from(numbers), None)?;
        Ok(vec![Arc::new(ListArray::try_new(element(), offsets, texts, None)?)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        let [lists] = values else { return exec_err!("count_distinct has one state") };
        let lists = lists.as_list::<i32>();
        self.groups(total_num_groups)?;
        self.number(lists.values())?;
        let numbers = std::mem::take(&mut self.numbers);
        for (row, (group, ends)) in group_indices.iter().zip(lists.value_offsets().windows(2)).enumerate() {
            if lists.is_valid(row) {
                for number in numbers.get(ends[0] as usize..ends[1] as usize).unwrap_or_default() {
                    self.add(*group, *number);
                }
            }
        }
        self.numbers = numbers;
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let [texts] = values else { return exec_err!("count_distinct takes one argument") };
        let texts = cast(texts, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let counted = |row: usize| {
            texts.is_valid(row) && opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
        };
        let lengths = (0..texts.len()).map(|row| usize::from(counted(row)));
        let kept: StringArray =
            (0..texts.len()).filter(|row| counted(*row)).map(|row| Some(texts.value(row))).collect();
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(vec![Arc::new(ListArray::try_new(element(), offsets, Arc::new(kept), None)?)])
    }

    fn size(&self) -> usize {
        let texts = self.texts.values_slice().len() + 4 * self.texts.len();
        let known = match &self.known {
            Known::Nothing => 0,
            Known::Texts(known) => known.size(),
            Known::Views(known) => known.size(),
        };
        // A pair, and the byte that the table has for it.
        known + texts + 9 * self.pairs.capacity() + 8 * self.counts.capacity() + 4 * self.numbers.capacity()
    }
}

/// All rows as one group.
#[derive(Debug)]
struct Whole(Groups);

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.groups(1)?;
        ScalarValue::try_from_array(&GroupsAccumulator::evaluate(&mut self.0, EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.groups(1)?;
        let state = GroupsAccumulator::state(&mut self.0, EmitTo::All)?;
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |states| states.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::Schema;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::{SessionConfig, SessionContext};

    const QUESTIONS: [&str; 8] = [
        "SELECT k, count(DISTINCT t) FROM x GROUP BY k ORDER BY k",
        "SELECT k, count(*), count(DISTINCT t) AS n, min(v), count(t) FROM x GROUP BY k ORDER BY n DESC, k",
        "SELECT k, count(DISTINCT t) FILTER (WHERE v > 50), count(DISTINCT t) FROM x GROUP BY k ORDER BY k",
        "SELECT k, count(DISTINCT t), count(DISTINCT v) FROM x GROUP BY k ORDER BY k",
        "SELECT k FROM x GROUP BY k HAVING count(DISTINCT t) > 3 ORDER BY k",
        "SELECT count(DISTINCT t), count(*) FROM x WHERE v < 10",
        "SELECT k % 3, sum(n) FROM (SELECT k, count(DISTINCT upper(t)) AS n FROM x GROUP BY k) y GROUP BY 1 ORDER BY 1",
        "SELECT k, count(DISTINCT t) FROM x GROUP BY ROLLUP (k) ORDER BY k NULLS LAST",
    ];

    /// Batches in partitions, with nulls, repeats, and texts that are long.
    fn table(seed: usize, text: &DataType) -> MemTable {
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("t", text.clone(), true),
            Field::new("v", DataType::Int64, true),
        ]));
        let mut n = seed;
        let mut next = |below: usize| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (n >> 33) % below
        };
        let mut batch = || {
            let rows = 1 + next(90);
            let keys: Int64Array = (0..rows).map(|_| Some(next(40)).filter(|k| *k > 0).map(|k| k as i64)).collect();
            let texts: StringArray = (0..rows)
                .map(|_| Some(next(30)).filter(|t| *t > 1).map(|t| "long ".repeat(t % 4) + &t.to_string()))
                .collect();
            let values: Int64Array = (0..rows).map(|_| Some(next(100) as i64)).collect();
            RecordBatch::try_new(schema.clone(), vec![Arc::new(keys), cast(&texts, text).unwrap(), Arc::new(values)])
                .unwrap()
        };
        let partitions = (0..3).map(|_| (0..7).map(|_| batch()).collect()).collect();
        MemTable::try_new(schema.clone(), partitions).unwrap()
    }

    fn context(seed: usize, text: &DataType, with_rule: bool, skips: bool) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(3).with_batch_size(32);
        if skips {
            let execution = &mut config.options_mut().execution;
            execution.skip_partial_aggregation_probe_rows_threshold = 8;
            execution.skip_partial_aggregation_probe_ratio_threshold = 0.1;
        }
        let mut rules = Optimizer::new().rules;
        if with_rule {
            rules.insert(0, Arc::new(DistinctTexts::new()));
        }
        let state = SessionStateBuilder::new().with_config(config).with_default_features().with_optimizer_rules(rules);
        let context = SessionContext::new_with_state(state.build());
        context.register_table("x", Arc::new(table(seed, text))).unwrap();
        context
    }

    async fn answer(context: &SessionContext, sql: &str) -> String {
        pretty_format_batches(&context.sql(sql).await.unwrap().collect().await.unwrap()).unwrap().to_string()
    }

    #[tokio::test]
    async fn answers_are_those_of_datafusion() {
        for seed in 0..20 {
            for (skips, text) in [(false, DataType::Utf8), (true, DataType::Utf8), (seed % 2 == 0, DataType::Utf8View)]
            {
                let (ours, theirs) = (context(seed, &text, true, skips), context(seed, &text, false, skips));
                for sql in QUESTIONS {
                    assert_eq!(answer(&ours, sql).await, answer(&theirs, sql).await, "{sql}, seed {seed}, {skips}");
                }
            }
        }
        let plan = answer(&context(0, &DataType::Utf8View, true, false), &format!("EXPLAIN {}", QUESTIONS[1])).await;
        assert!(plan.contains("count_distinct(x.t)"), "{plan}");
    }

    #[test]
    fn groups_may_go_before_all_rows_came() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("a")]));
        let mut groups = Groups::default();
        groups.update_batch(std::slice::from_ref(&texts), &[0, 0, 1, 2, 2], None, 3).unwrap();
        let first = GroupsAccumulator::evaluate(&mut groups, EmitTo::First(2)).unwrap();
        assert_eq!(first.as_ref(), &Int64Array::from(vec![2, 0]));
        // What was group 2 is 0 now.
        groups.update_batch(&[texts], &[0, 0, 0, 1, 1], None, 2).unwrap();
        let state = GroupsAccumulator::state(&mut groups, EmitTo::First(1)).unwrap();
        let mut other = Groups::default();
        other.merge_batch(&state, &[0], 1).unwrap();
        let counted = |groups: &mut Groups| GroupsAccumulator::evaluate(groups, EmitTo::All).unwrap();
        assert_eq!(counted(&mut other).as_ref(), &Int64Array::from(vec![2]));
        assert_eq!(counted(&mut groups).as_ref(), &Int64Array::from(vec![1]));
    }
}
