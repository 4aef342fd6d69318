//! SQL over the lake: read-only, over one pinned version of every table, with OCSF paths written as they are.
//!
//! Accepts one `SELECT` (with CTEs, joins, subqueries, set operations), `EXPLAIN` of one, `SHOW TABLES` or
//! `DESCRIBE table`. Paths need no quotes ([`rewrite`]). There is no way to a file, to a URL, to another catalog, or to
//! any statement that changes something.
//!
//! **Bounds**: [`SqlOptions::memory_bytes`] for sorts, joins and aggregates, which spill to temporary files where they
//! can; a query that cannot goes no further than that, with an error.

mod by_dictionary;
mod count_distinct;
mod date_trunc;
mod digest_uid;
mod error;
mod findings;
mod for_hunts;
mod json_get;
mod listing;
mod originals;
mod provider;
mod regexp_replace;
pub mod rewrite;
mod scope;
pub mod slo;
mod text;

pub use error::SqlError;
pub use for_hunts::ForHunts;
pub use json_get::json_get;
pub use originals::Originals;
pub use provider::LakeTable;

use by_dictionary::GroupByDictionary;
use count_distinct::DistinctTexts;
use date_trunc::DateTrunc;
use regexp_replace::RegexpReplace;

use crate::lake::{FOOTERS_BYTES, Lake};
use crate::table::TableSnapshot;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{TableFunctionImpl, TableProvider};
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How deep expressions and subqueries may nest.
const RECURSION_MAX: usize = 100;

/// Parameters of a statement.
const PARAMETERS_MAX: usize = 1000;

/// A session's bounds.
#[derive(Clone, Debug)]
pub struct SqlOptions {
    /// For all operators of a query that hold rows.
    pub memory_bytes: usize,
    /// Threads of one query.
    pub partitions: usize,
}

impl Default for SqlOptions {
    /// 1 GiB, and as many partitions as processors.
    fn default() -> Self {
        let partitions = std::thread::available_parallelism().map_or(1, usize::from);
        Self { memory_bytes: 1 << 30, partitions }
    }
}

/// SQL over the tables as they were when the session was opened.
pub struct SqlSession {
    context: SessionContext,
    /// For queries: the same tables with texts as views. What leaves the session has texts again.
    asked: SessionContext,
    tables: BTreeMap<String, Arc<TableSnapshot>>,
    views: BTreeMap<&'static str, SchemaRef>,
    window: slo::Window,
}

impl SqlSession {
    pub(crate) async fn open(lake: &Lake, options: &SqlOptions) -> Result<Self, crate::LakeError> {
        let tables = lake.tables().await?;
        Ok(Self::over(lake, tables, options))
    }

    pub(crate) fn over(lake: &Lake, tables: Vec<Arc<TableSnapshot>>, options: &SqlOptions) -> Self {
        let mut config = SessionConfig::new()
            .with_information_schema(false)
            .with_default_catalog_and_schema("tarn", "public")
            .with_target_partitions(options.partitions.max(1))
            .with_parquet_pruning(true);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = true;
        parquet.reorder_filters = true;
        parquet.enable_page_index = true;
        parquet.schema_force_view_types = false;
        let footers = CacheManagerConfig::default()
            .with_file_metadata_cache(Some(lake.footers()))
            .with_metadata_cache_limit(FOOTERS_BYTES);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)))
            .with_cache_manager(footers);
        let runtime = runtime.build_arc().unwrap_or_default();
        runtime.register_object_store(&provider::store_url(), Arc::clone(lake.store()));
        let tables: BTreeMap<_, _> = tables.into_iter().map(|t| (t.name.clone(), t)).collect();
        let open = |of: fn(Arc<TableSnapshot>) -> LakeTable| {
            let mut rules = Optimizer::new().rules;
            rules.insert(0, Arc::new(DistinctTexts::new()));
            let state = SessionStateBuilder::new().with_config(config.clone()).with_runtime_env(Arc::clone(&runtime));
            let state = state.with_default_features().with_optimizer_rules(rules);
            let state = state.with_physical_optimizer_rule(Arc::new(GroupByDictionary));
            let context = SessionContext::new_with_state(state.build());
            context.register_udf(ScalarUDF::from(json_get()));
            context.register_udf(ScalarUDF::from(DateTrunc::new()));
            context.register_udf(ScalarUDF::from(RegexpReplace::new()));
            context.register_udf(digest_uid::digest_uid());
            for function in slo::functions() {
                context.register_udf(function);
            }
            let mut view = None;
            for (name, table) in &tables {
                let provider: Arc<dyn TableProvider> = Arc::new(of(Arc::clone(table)));
                if name == findings::TABLE {
                    // A view that cannot be planned is as one that is not there: its table can be asked all the same.
                    view = findings::view(table, Arc::clone(&provider)).ok().flatten();
                }
                // A name of a table has no dots, and the catalog is this session's own.
                let _ = context.register_table(TableReference::bare(name.as_str()), provider);
            }
            let views = view.iter().map(|view| (findings::VIEW, view.schema())).collect();
            if let Some(view) = view {
                let _ = context.register_table(findings::VIEW, view);
            }
            (context, views)
        };
        let ((context, views), (asked, _)) = (open(LakeTable::new), open(LakeTable::with_views));
        Self { context, asked, tables, views, window: slo::Window::default() }
    }

    /// The same session, with views of service levels ([`slo`]) that are about a window of time.
    pub fn within(self, window: slo::Window) -> Self {
        Self { window, ..self }
    }

    /// Makes a table function known to queries.
    pub fn register_udtf(&self, name: &str, function: Arc<dyn TableFunctionImpl>) {
        for context in [&self.context, &self.asked] {
            context.register_udtf(name, Arc::clone(&function));
        }
    }

    /// The views over tables, with their columns: `findings`, once there is a finding.
    pub fn views(&self) -> impl Iterator<Item = (&str, &SchemaRef)> {
        self.views.iter().map(|(name, schema)| (*name, schema))
    }

    /// The names of all that can be asked.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str).chain(self.views.keys().copied())
    }

    fn schema(&self, name: &str) -> Option<&SchemaRef> {
        self.tables.get(name).map(|table| &table.schema).or_else(|| self.views.get(name))
    }

    /// The tables.
    pub fn tables(&self) -> impl Iterator<Item = &TableSnapshot> {
        self.tables.values().map(Arc::as_ref)
    }

    /// A table for hunts, as two that have all its rows, none where it has no such rows: files made for hunts, with these columns as views (also
    /// [`crate::table::member_column`]s, which no other table has), and the rest.
    pub fn for_hunts(&self, table: &str, texts: &[String]) -> Option<(Option<ForHunts>, Option<LakeTable>)> {
        self.tables.get(table).map(|table| ForHunts::split(table, texts))
    }

    /// The DataFusion session, for plans that are not made of SQL.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The optimised plan of a query.
    ///
    /// **Errors**: as [`Self::query`]; `SHOW` and `DESCRIBE` have no plan.
    pub async fn plan(&self, sql: &str) -> Result<LogicalPlan, SqlError> {
        let plan = self.logical(&self.context, parse(sql)?).await?;
        self.context.state().optimize(&plan).map_err(|e| self.explain_error(e))
    }

    /// Runs one statement.
    ///
    /// **Shape**: the stream's schema is the query's; columns keep their names, and JSON columns their mark.
    /// **Errors**: not one statement; not a query; unknown or ambiguous names; then whatever happens while rows stream.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream, SqlError> {
        match parse(sql)? {
            show @ Statement::ShowTables { .. } => listing::show_tables(self, &show),
            Statement::ExplainTable { table_name, .. } => match scope::last_part(&table_name) {
                Some(view) if slo::is_view(&view) => {
                    let plan = self.logical(&self.context, parse(&format!("SELECT * FROM {view}"))?).await?;
                    listing::describe(plan.schema().inner())
                }
                _ => listing::describe(self.described(&table_name)?),
            },
            statement => {
                let plan = self.logical(&self.asked, statement).await?;
                self.run(plan).await.map_err(|e| self.explain_error(e))
            }
        }
    }

    /// The same, with values for `$1`, `$2`, …: each an array of one element.
    ///
    /// **Errors**: as [`Self::query`]; a parameter too few.
    pub async fn query_with(&self, sql: &str, values: &[ArrayRef]) -> Result<SendableRecordBatchStream, SqlError> {
        if values.is_empty() {
            return self.query(sql).await;
        }
        let failed = |e| self.explain_error(e);
        let values: Vec<ScalarValue> =
            values.iter().map(|v| ScalarValue::try_from_array(v, 0)).collect::<Result<_, _>>().map_err(failed)?;
        let plan = self.logical(&self.asked, parse(sql)?).await?.with_param_values(values).map_err(failed)?;
        self.run(plan).await.map_err(failed)
    }

    async fn run(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream, DataFusionError> {
        Ok(text::without_views(self.asked.execute_logical_plan(plan).await?.execute_stream().await?))
    }

    /// What a statement would give: its columns, and the types of `$1`, `$2`, …, none where nothing says it.
    ///
    /// **Errors**: as [`Self::query`].
    pub async fn describe(&self, sql: &str) -> Result<(SchemaRef, Vec<Option<DataType>>), SqlError> {
        let statement = parse(sql)?;
        if matches!(statement, Statement::ShowTables { .. } | Statement::ExplainTable { .. }) {
            return Ok((self.query(sql).await?.schema(), Vec::new()));
        }
        let plan = self.logical(&self.context, statement).await?;
        let mut types = plan.get_parameter_types().map_err(|e| self.explain_error(e))?;
        infer(&plan, &mut types).map_err(|e| self.explain_error(e))?;
        let number = |name: &String| name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        let count = types.keys().filter_map(number).max().unwrap_or(0).min(PARAMETERS_MAX);
        let parameters = (1..=count).map(|n| types.get(&format!("${n}")).cloned().flatten()).collect();
        Ok((Arc::clone(plan.schema().inner()), parameters))
    }

    async fn logical(&self, context: &SessionContext, mut statement: Statement) -> Result<LogicalPlan, SqlError> {
        let query = match &mut statement {
            Statement::Query(query) => query,
            Statement::Explain { statement: inner, .. } => match inner.as_mut() {
                Statement::Query(query) => query,
                other => return Err(SqlError::not_a_query(other)),
            },
            other => return Err(SqlError::not_a_query(other)),
        };
        slo::expand(query, &self.tables, self.window)?;
        rewrite::rewrite(query, &|table: &str| self.schema(table).map(Arc::clone))?;
        let statement = PlannerStatement::Statement(Box::new(statement));
        let plan = context.state().statement_to_plan(statement).await.map_err(|e| self.explain_error(e))?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|e| self.explain_error(e))?;
        Ok(plan)
    }

    fn described(&self, name: &ObjectName) -> Result<&SchemaRef, SqlError> {
        let wanted = scope::last_part(name).unwrap_or_default();
        self.schema(&wanted).ok_or_else(|| SqlError::unknown_table(&wanted, self.names()))
    }

    fn explain_error(&self, error: DataFusionError) -> SqlError {
        SqlError::from_datafusion(error, self.names())
    }
}

/// What the planner does not say: parameters of `LIMIT` and `OFFSET` are integers, and those of a cast are what they are
/// cast to.
fn infer(plan: &LogicalPlan, types: &mut HashMap<String, Option<DataType>>) -> Result<(), DataFusionError> {
    let mut is = |expression: &Expr, of: &DataType| {
        if let Expr::Placeholder(placeholder) = expression {
            types.entry(placeholder.id.clone()).or_default().get_or_insert_with(|| of.clone());
        }
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for expression in [&limit.skip, &limit.fetch].into_iter().flatten() {
                is(expression, &DataType::Int64);
            }
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(cast) = part {
                    is(&cast.expr, cast.field.data_type());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn parse(sql: &str) -> Result<Statement, SqlError> {
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| SqlError::Syntax(e.into()))?;
    // `user.name` and `group.uid` are paths, whatever `user` and `group` mean elsewhere.
    for at in 1..tokens.len() {
        let (before, after) = tokens.split_at_mut(at);
        if let (Some(TokenWithSpan { token: Token::Word(word), .. }), Some(Token::Period)) =
            (before.last_mut(), after.first().map(|t| &t.token))
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
    let parser = Parser::new(&dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let mut statements = { parser }.parse_statements().map_err(SqlError::Syntax)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(SqlError::Empty),
        (Some(_), false) => Err(SqlError::Several),
    }
}
