//! PostgreSQL's system catalogs over the lake's tables: what `\d`, DBeaver and Grafana ask before they ask for rows.
//!
//! A DataFusion session of its own, which has the tables' columns and none of their rows, so that questions about the
//! schema never reach the lake. `pg_catalog` and the rewriting of clients' questions are `datafusion-pg-catalog`'s.

use super::information_schema;
use super::settings;
use crate::query::{Answer, QueryError, Session, Shape, TableInfo};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{ColumnarValue, LogicalPlan, Volatility};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext, create_udf};
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The database, and the schema of the lake's tables.
pub const DATABASE: &str = "tarn";
pub const SCHEMA: &str = "public";
/// Memory of all questions about the schema together.
const MEMORY_BYTES: usize = 64 << 20;

/// The system catalogs. They are made at the first question, and a table keeps its oid for as long as this lives.
#[derive(Default)]
pub struct Catalog(Mutex<Option<Arc<Made>>>);

struct Made {
    context: SessionContext,
    parser: PostgresCompatibilityParser,
    tables: Arc<MemorySchemaProvider>,
    information_schema: Arc<MemorySchemaProvider>,
    known: Mutex<BTreeMap<String, SchemaRef>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Catalog")
    }
}

impl Catalog {
    /// A session over the catalogs of these tables. **Errors**: the catalogs cannot be made.
    pub fn session(&self, tables: &Arc<[TableInfo]>) -> Result<Session, QueryError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = match made.as_ref() {
            Some(catalog) => Arc::clone(catalog),
            None => Arc::clone(made.insert(Arc::new(make().map_err(|error| QueryError::from(&error))?))),
        };
        drop(made);
        catalog.follow(tables).map_err(|error| QueryError::from(&error))?;
        let describing = Arc::clone(&catalog);
        Ok(Session::new(
            tables.to_vec(),
            move |sql, parameters| {
                let catalog = Arc::clone(&catalog);
                Box::pin(async move { catalog.run(&sql, &parameters).await })
            },
            move |sql| {
                let catalog = Arc::clone(&describing);
                Box::pin(async move { catalog.describe(&sql).await })
            },
        ))
    }
}

fn make() -> Result<Made, DataFusionError> {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(DATABASE, SCHEMA)
        .with_create_default_catalog_and_schema(true)
        .with_target_partitions(1);
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
    let state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    let context = SessionContext::new_with_state(state);
    datafusion_pg_catalog::setup_pg_catalog(&context, DATABASE, EmptyContextProvider).map_err(|error| *error)?;
    let (tables, information_schema) = (Arc::<MemorySchemaProvider>::default(), Arc::<MemorySchemaProvider>::default());
    let database = context.catalog(DATABASE);
    let database = database.ok_or_else(|| DataFusionError::Internal("the default catalog is missing".into()))?;
    database.register_schema(SCHEMA, tables.clone())?;
    database.register_schema("information_schema", information_schema.clone())?;
    functions(&context);
    let known = Mutex::default();
    Ok(Made { context, parser: PostgresCompatibilityParser::new(), tables, information_schema, known })
}

/// Functions that clients ask for and the catalogs lack.
fn functions(context: &SessionContext) {
    let text = || DataType::Utf8;
    let version = format!("PostgreSQL {} (Tarn {})", settings::SERVER_VERSION, env!("CARGO_PKG_VERSION"));
    let constant = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(version.clone()))));
    context.register_udf(create_udf("version", vec![], text(), Volatility::Stable, Arc::new(constant)));
    let setting = |arguments: &[ColumnarValue]| {
        let names = ColumnarValue::values_to_arrays(arguments)?;
        let names = names.first().map(|names| names.as_string::<i32>().clone()).unwrap_or_else(empty);
        let values: StringArray = names.iter().map(|name| settings::default(&name?.to_ascii_lowercase())).collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    };
    let current = create_udf("current_setting", vec![text()], text(), Volatility::Stable, Arc::new(setting));
    context.register_udf(current);
    // What is set for one connection is set by SET; here the wish is only repeated.
    let wish = |arguments: &[ColumnarValue]| {
        let arguments = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(arguments.get(1).map_or_else(|| Arc::new(empty()) as ArrayRef, Arc::clone)))
    };
    let types = vec![text(), text(), DataType::Boolean];
    context.register_udf(create_udf("set_config", types, text(), Volatility::Volatile, Arc::new(wish)));
    let number = || DataType::Int32;
    let descriptions = [
        ("obj_description", vec![number(), text()]),
        ("shobj_description", vec![number(), text()]),
        ("col_description", vec![number(), number()]),
    ];
    for (name, types) in descriptions {
        let none = |arguments: &[ColumnarValue]| {
            let rows = ColumnarValue::values_to_arrays(arguments)?.first().map_or(1, |array| array.len());
            Ok(ColumnarValue::Array(Arc::new(StringArray::new_null(rows))))
        };
        context.register_udf(create_udf(name, types, text(), Volatility::Stable, Arc::new(none)));
    }
    for name in ["pg_function_is_visible", "pg_type_is_visible", "pg_operator_is_visible", "pg_collation_is_visible"] {
        let yes = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
        context.register_udf(create_udf(name, vec![number()], DataType::Boolean, Volatility::Stable, Arc::new(yes)));
    }
    // Types of extensions, of which there are none.
    let unknown = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Int32(None)));
    context.register_udf(create_udf("to_regtype", vec![text()], number(), Volatility::Stable, Arc::new(unknown)));
    // What a table takes is not known here.
    let unknown = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
    let types = vec![DataType::Int64];
    context.register_udf(create_udf("pg_size_pretty", types, text(), Volatility::Stable, Arc::new(unknown)));
    let unknown = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Int64(None)));
    let size = create_udf("pg_table_size", vec![number()], DataType::Int64, Volatility::Stable, Arc::new(unknown));
    context.register_udf(size);
}

fn empty() -> StringArray {
    StringArray::new_null(1)
}

impl Made {
    /// Has the columns of these tables from now on.
    fn follow(&self, tables: &[TableInfo]) -> Result<(), DataFusionError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeMap<String, SchemaRef> =
            tables.iter().map(|table| (table.name.clone(), Arc::clone(&table.schema))).collect();
        if *known == wanted {
            return Ok(());
        }
        for gone in known.keys().filter(|name| !wanted.contains_key(*name)) {
            self.tables.deregister_table(gone)?;
        }
        for (name, schema) in wanted.iter().filter(|(name, schema)| known.get(*name) != Some(*schema)) {
            self.tables.deregister_table(name)?;
            self.tables.register_table(name.clone(), Arc::new(EmptyTable::new(columns(schema))))?;
        }
        for (name, table) in information_schema::tables(&wanted)? {
            self.information_schema.deregister_table(name)?;
            self.information_schema.register_table(name.to_owned(), table)?;
        }
        *known = wanted;
        Ok(())
    }

    async fn plan(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        let syntax = |error: ParserError| QueryError::syntax(sql, &error.to_string());
        let mut statements = self.parser.parse(&without_arrays(sql).map_err(syntax)?).map_err(syntax)?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (Some(statement @ (Statement::Query(_) | Statement::Explain { .. })), true) => statement,
            (Some(other), true) => {
                let message = format!("the catalogs can only be read: {other}");
                return Err(QueryError::ReadOnly { message });
            }
            _ => return Err(QueryError::Invalid { message: "expected one statement".into() }),
        };
        let statement = PlannerStatement::Statement(Box::new(statement));
        let failed = |error: DataFusionError| QueryError::from(&error);
        let plan = self.context.state().statement_to_plan(statement).await.map_err(failed)?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(failed)?;
        Ok(plan)
    }

    async fn run(&self, sql: &str, parameters: &[ArrayRef]) -> Result<Answer, QueryError> {
        let failed = |error: DataFusionError| QueryError::from(&error);
        let mut plan = self.plan(sql).await?;
        if !parameters.is_empty() {
            let values = parameters.iter().map(|value| ScalarValue::try_from_array(value, 0));
            let values: Vec<ScalarValue> = values.collect::<Result<_, _>>().map_err(failed)?;
            plan = plan.with_param_values(values).map_err(failed)?;
        }
        let frame = self.context.execute_logical_plan(plan).await.map_err(failed)?;
        let rows: SendableRecordBatchStream = frame.execute_stream().await.map_err(failed)?;
        let schema = rows.schema();
        Ok(Answer { schema, rows: rows.map(|batch| batch.map_err(|error| QueryError::from(&error))).boxed() })
    }

    async fn describe(&self, sql: &str) -> Result<Shape, QueryError> {
        let plan = self.plan(sql).await?;
        let types = plan.get_parameter_types().map_err(|error| QueryError::from(&error))?;
        let number = |name: &String| name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        let count = types.keys().filter_map(number).max().unwrap_or(0).min(types.len());
        let parameters = (1..=count).map(|n| types.get(&format!("${n}")).cloned().flatten()).collect();
        Ok(Shape { schema: Arc::clone(plan.schema().inner()), parameters })
    }
}

/// The text with `NULL` for each `ARRAY(SELECT …)`, which DataFusion lacks: the members of roles and policies, of which there
/// are none.
fn without_arrays(sql: &str) -> Result<String, ParserError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize()?;
    let mut out = String::with_capacity(sql.len());
    // Parentheses that are open inside of one.
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        let mut next = tokens[at..].iter().filter(|token| !matches!(token, Token::Whitespace(_))).skip(1);
        let word = |token: Option<&Token>, keyword| matches!(token, Some(Token::Word(word)) if word.keyword == keyword);
        if depth > 0 {
            depth += usize::from(*token == Token::LParen);
            depth -= usize::from(*token == Token::RParen);
            // The parenthesis that opens it counts once.
            if depth == 1 && *token == Token::RParen {
                depth = 0;
            }
        } else if word(Some(token), Keyword::ARRAY)
            && next.next() == Some(&Token::LParen)
            && word(next.next(), Keyword::SELECT)
        {
            out.push_str("NULL");
            depth = 1;
        } else {
            out.push_str(&token.to_string());
        }
    }
    Ok(out)
}

/// Columns as clients see them: what is nested comes as JSON text.
fn columns(schema: &Schema) -> SchemaRef {
    let column = |field: &Arc<Field>| match super::rows::is_json(field.data_type()) {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(column).collect::<Vec<_>>()))
}
