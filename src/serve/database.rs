//! SQL over what is in the lake and what is on its way there: the seam between the front ends and the lake.

use super::frame::Frame;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::parser::ParserError;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tarn_connectors::query::{Answer, Database, QueryError, Session, Shape, TableInfo};
use tarn_lake::log::Log;
use tarn_lake::{Live, SqlError, SqlOptions, SqlSession};

/// How long a query waits for what was acknowledged before it to become rows.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The lake that a log streams into, as front ends ask it. A session sees all that was acknowledged before it.
pub fn database(live: Live, log: Log<Frame>, options: SqlOptions) -> Database {
    Database::new(move || {
        let (live, log, options) = (live.clone(), log.clone(), options.clone());
        Box::pin(async move { open(&live, &log, &options).await })
    })
}

/// Waits until all that was acknowledged before can be read.
///
/// **Errors**: why it cannot.
pub async fn readable(live: &Live, log: &Log<Frame>) -> Result<(), &'static str> {
    let (acknowledged, mut visible) = (log.last(), live.visible());
    match tokio::time::timeout(WAIT_MAX, visible.wait_for(|visible| *visible >= acknowledged)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err("the server is stopping"),
        Err(_) => Err("what was acknowledged is not readable yet: the lake takes no rows"),
    }
}

async fn open(live: &Live, log: &Log<Frame>, options: &SqlOptions) -> Result<Session, QueryError> {
    let unavailable = |message: &str| QueryError::Unavailable { message: message.to_owned() };
    readable(live, log).await.map_err(unavailable)?;
    let session = live.sql(options).map_err(|error| QueryError::Internal { message: error.to_string() })?;
    let table =
        |table: &tarn_lake::table::TableSnapshot| TableInfo { name: table.name.clone(), schema: table.schema.clone() };
    let view = |(name, schema): (&str, &SchemaRef)| TableInfo { name: name.to_owned(), schema: Arc::clone(schema) };
    let mut tables: Vec<TableInfo> = session.tables().map(table).chain(session.views().map(view)).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let running = Arc::new(session);
    let describing = running.clone();
    Ok(Session::new(
        tables,
        move |sql, parameters| run(running.clone(), sql, parameters),
        move |sql| describe(describing.clone(), sql),
    ))
}

fn run(
    session: Arc<SqlSession>,
    sql: String,
    parameters: Vec<ArrayRef>,
) -> BoxFuture<'static, Result<Answer, QueryError>> {
    Box::pin(async move {
        let stream = session.query_with(&sql, &parameters).await.map_err(|error| asked(&sql, error))?;
        let schema = stream.schema();
        // The session lives as long as its rows: it holds the memory that they are bounded by.
        let rows = stream.map(move |batch| {
            let _session = &session;
            batch.map_err(|error| QueryError::from(&error))
        });
        Ok(Answer { schema, rows: rows.boxed() })
    })
}

fn describe(session: Arc<SqlSession>, sql: String) -> BoxFuture<'static, Result<Shape, QueryError>> {
    Box::pin(async move {
        let (schema, parameters) = session.describe(&sql).await.map_err(|error| asked(&sql, error))?;
        Ok(Shape { schema, parameters })
    })
}

/// An error of the lake's, in the front ends' terms.
fn asked(sql: &str, error: SqlError) -> QueryError {
    let message = error.to_string();
    match error {
        SqlError::Syntax(ParserError::ParserError(_) | ParserError::TokenizerError(_)) | SqlError::Empty => {
            QueryError::syntax(sql, message.strip_prefix("sql parser error: ").unwrap_or(&message))
        }
        SqlError::NotAQuery { .. } => QueryError::ReadOnly { message },
        SqlError::UnknownTable { .. } => QueryError::UnknownTable { message },
        SqlError::UnknownColumn { .. } => QueryError::UnknownColumn { message },
        SqlError::Ambiguous { .. } => QueryError::Ambiguous { message },
        SqlError::Failed(error) => QueryError::from(&*error),
        SqlError::Arrow(_) => QueryError::Data { message },
        SqlError::Syntax(_) | SqlError::Several | SqlError::ShowTables { .. } => QueryError::Invalid { message },
    }
}
