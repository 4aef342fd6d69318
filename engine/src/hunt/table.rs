//! A class table with a row for each rule that fires on one of its rows.

use super::exec::{Lanes, Look, SigmaExec};
use super::sought::Sought;
use crate::bind::Engine;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use std::sync::Arc;
use tarn_ingest::fields::MemberColumns;
use tarn_schema_ocsf::ClassUid;

/// The column with the number of the rule.
pub const RULE: &str = "sigma.rule";
/// The column with what correlations take of the event: a JSON array of arrays, each with the field's value or nothing.
/// Null where no correlation takes the rule.
pub const VALUES: &str = "sigma.values";

/// A part of a class table that is scanned on its own.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Files with columns for members of `unmapped`; these columns as `Dictionary(Int32, Utf8View)`.
    Members(&'a [String]),
    /// The same files, as they are, without rows that cannot be what is sought, if some is.
    Keywords(Option<&'a Sought>),
    /// All other rows.
    Others,
}

/// A class table, hunted through.
///
/// **Shape**: the table's columns, then [`RULE`] (UInt32) and [`VALUES`] (Utf8); rows in the order of the table or of its
/// parts, and of one row by rule.
#[derive(Debug)]
pub struct Hunted {
    table: Arc<dyn TableProvider>,
    /// What is scanned, and by which rules.
    parts: Vec<(Arc<dyn TableProvider>, Arc<Lanes>)>,
    schema: SchemaRef,
}

impl Hunted {
    /// All rules of `engine` over the table of a class.
    pub fn new(table: Arc<dyn TableProvider>, class: ClassUid, engine: Arc<Engine>) -> Self {
        let lanes = Lanes::new(engine, class, Look::Rows);
        Self { schema: hunted(&table), parts: vec![(Arc::clone(&table), Arc::new(lanes))], table }
    }

    /// The same, of a table whose parts `open` gives, or none where the table has no such rows: where members of `unmapped`
    /// are columns, rules look at their values, and only those with keywords at rows.
    pub fn in_parts(
        table: Arc<dyn TableProvider>,
        class: ClassUid,
        engine: Arc<Engine>,
        names: MemberColumns,
        open: impl Fn(Part<'_>) -> Option<Arc<dyn TableProvider>>,
    ) -> Self {
        let lanes = |look| Arc::new(Lanes::new(Arc::clone(&engine), class, look));
        let (members, keywords) = (lanes(Look::Members(names)), lanes(Look::Keywords));
        let mut parts: Vec<_> = open(Part::Others).map(|part| (part, lanes(Look::Rows))).into_iter().collect();
        if members.rules() > 0 {
            parts.extend(open(Part::Members(&members.columns().texts)).map(|part| (part, members)));
        }
        if keywords.rules() > 0 {
            parts.extend(open(Part::Keywords(keywords.sought().as_ref())).map(|part| (part, keywords)));
        }
        Self { schema: hunted(&table), parts, table }
    }

    /// How many columns are the table's.
    fn of_table(&self) -> usize {
        self.schema.fields().len() - 2
    }
}

fn hunted(table: &Arc<dyn TableProvider>) -> SchemaRef {
    let own = [Field::new(RULE, DataType::UInt32, false), Field::new(VALUES, DataType::Utf8, true)].map(Arc::new);
    let fields: Vec<_> = table.schema().fields().iter().cloned().chain(own).collect();
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl TableProvider for Hunted {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let own = |filter: &&Expr| filter.column_refs().iter().any(|c| c.name == RULE || c.name == VALUES);
        let of_table: Vec<&Expr> = filters.iter().copied().filter(|f| !own(f)).collect();
        let mut answers = self.table.supports_filters_pushdown(&of_table)?.into_iter();
        let answer = |filter| match own(filter) {
            true => TableProviderFilterPushDown::Unsupported,
            false => answers.next().unwrap_or(TableProviderFilterPushDown::Unsupported),
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let output = Arc::new(self.schema.project(&wanted)?);
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(self.parts.len());
        for (table, lanes) in &self.parts {
            let schema = table.schema();
            let own = wanted.iter().filter(|at| **at < self.of_table());
            let own = own.map(|at| schema.index_of(self.schema.field(*at).name())).collect::<Result<Vec<_>, _>>()?;
            let needed = lanes.columns().all.iter().filter_map(|name| Some(schema.column_with_name(name)?.0));
            let mut read: Vec<usize> = own.into_iter().chain(needed).collect();
            read.sort_unstable();
            read.dedup();
            let input = table.scan(state, Some(&read), filters, None).await?;
            if !input.is::<EmptyExec>() {
                plans.push(Arc::new(SigmaExec::new(input, Arc::clone(lanes), Arc::clone(&output))));
            }
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(output))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}
