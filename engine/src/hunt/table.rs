//! A class table with a row for each rule that fires on one of its rows.

use super::exec::{Lanes, SigmaExec};
use crate::bind::Engine;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;
use tarn_schema_ocsf::ClassUid;

/// The column with the number of the rule.
pub const RULE: &str = "sigma.rule";
/// The column with what correlations take of the event: a JSON array of arrays, each with the field's value or nothing.
/// Null where no correlation takes the rule.
pub const VALUES: &str = "sigma.values";

/// A class table, hunted through.
///
/// **Shape**: the table's columns, then [`RULE`] (UInt32) and [`VALUES`] (Utf8); rows in the table's order, and of one
/// row by rule.
#[derive(Debug)]
pub struct Hunted {
    table: Arc<dyn TableProvider>,
    lanes: Arc<Lanes>,
    schema: SchemaRef,
}

impl Hunted {
    /// All rules of `engine` over the table of a class.
    pub fn new(table: Arc<dyn TableProvider>, class: ClassUid, engine: Arc<Engine>) -> Self {
        let own = [Field::new(RULE, DataType::UInt32, false), Field::new(VALUES, DataType::Utf8, true)].map(Arc::new);
        let fields: Vec<_> = table.schema().fields().iter().cloned().chain(own).collect();
        Self { table, lanes: Arc::new(Lanes::new(engine, class)), schema: Arc::new(Schema::new(fields)) }
    }

    /// How many columns are the table's.
    fn of_table(&self) -> usize {
        self.schema.fields().len() - 2
    }
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
        let schema = self.table.schema();
        let needed = self.lanes.columns.iter().filter_map(|name| schema.index_of(name).ok());
        let mut read: Vec<usize> = wanted.iter().copied().filter(|at| *at < self.of_table()).chain(needed).collect();
        read.sort_unstable();
        read.dedup();
        let input = self.table.scan(state, Some(&read), filters, None).await?;
        let output = Arc::new(self.schema.project(&wanted)?);
        Ok(Arc::new(SigmaExec::new(input, self.lanes.clone(), output)))
    }
}
