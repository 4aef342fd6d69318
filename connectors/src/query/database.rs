//! The seam to whatever answers SQL: a database that opens sessions, each pinned to one moment.
//!
//! Closures, not a trait: there is one database in a process, and these crates do not know it.

use super::QueryError;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::Arc;

type Open = dyn Fn() -> BoxFuture<'static, Result<Session, QueryError>> + Send + Sync;
type Run = dyn Fn(String, Vec<ArrayRef>) -> BoxFuture<'static, Result<Answer, QueryError>> + Send + Sync;
type Describe = dyn Fn(String) -> BoxFuture<'static, Result<Shape, QueryError>> + Send + Sync;

/// What answers SQL. Cheap to clone.
#[derive(Clone)]
pub struct Database(Arc<Open>);

impl Database {
    /// `open` makes a session that sees everything acknowledged before the call.
    pub fn new(open: impl Fn() -> BoxFuture<'static, Result<Session, QueryError>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// A session over the tables as they are now. **Errors**: those of the database, mostly [`QueryError::Unavailable`].
    pub async fn open(&self) -> Result<Session, QueryError> {
        (self.0)().await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

/// A table that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name, without a schema.
    pub name: String,
    /// Its columns; their names may have dots.
    pub schema: SchemaRef,
}

/// SQL over the tables as they were at one moment. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    tables: Arc<[TableInfo]>,
    run: Arc<Run>,
    describe: Arc<Describe>,
}

impl Session {
    /// `run` runs one read-only statement with the values of its parameters, each an array of one element;
    /// `describe` says what it would answer, without reading rows.
    pub fn new(
        tables: Vec<TableInfo>,
        run: impl Fn(String, Vec<ArrayRef>) -> BoxFuture<'static, Result<Answer, QueryError>> + Send + Sync + 'static,
        describe: impl Fn(String) -> BoxFuture<'static, Result<Shape, QueryError>> + Send + Sync + 'static,
    ) -> Self {
        Self { tables: tables.into(), run: Arc::new(run), describe: Arc::new(describe) }
    }

    /// The tables, in the order of their names.
    pub fn tables(&self) -> &Arc<[TableInfo]> {
        &self.tables
    }

    /// Runs one statement; `parameters` are the values of `$1`, `$2`, …, each an array of one element.
    ///
    /// **Errors**: what is wrong with the statement; what goes wrong later is in the stream.
    pub async fn run(&self, sql: String, parameters: Vec<ArrayRef>) -> Result<Answer, QueryError> {
        (self.run)(sql, parameters).await
    }

    /// What the statement would answer, and which parameters it takes. **Errors**: what is wrong with the statement.
    pub async fn describe(&self, sql: String) -> Result<Shape, QueryError> {
        (self.describe)(sql).await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("tables", &self.tables.len()).finish_non_exhaustive()
    }
}

/// A statement's rows. Dropping it stops the work.
pub struct Answer {
    /// The columns; two may have the same name.
    pub schema: SchemaRef,
    /// Batches of that schema.
    pub rows: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What a statement would answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The columns.
    pub schema: SchemaRef,
    /// The type of `$1`, `$2`, …; `None` where nothing in the statement says it.
    pub parameters: Vec<Option<DataType>>,
}
