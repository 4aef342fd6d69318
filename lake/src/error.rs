//! What can go wrong with a lake; SQL has its own errors in [`crate::sql`].

use deltalake_core::DeltaTableError;
use thiserror::Error;

/// A failed operation on a lake. Unless a variant says otherwise the lake's tables are as they were.
#[derive(Debug, Error)]
pub enum LakeError {
    /// Not a path and not a URL that a store of this build opens.
    #[error("{location} is no lake location: {reason}")]
    Location {
        /// As given.
        location: String,
        /// Why.
        reason: String,
    },
    /// Nothing is there.
    #[error("there is no lake at {location}: the folder does not exist")]
    Missing {
        /// The lake.
        location: String,
    },
    /// Something is there that is not a lake.
    #[error("{location} is not a lake: it has no tarn.json")]
    NotALake {
        /// The lake.
        location: String,
    },
    /// Written by a later release.
    #[error("the lake at {location} has format {found}; this release reads up to {supported}: use a newer tarn")]
    NewerFormat {
        /// The lake.
        location: String,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// `tarn.json` or a manifest file cannot be understood.
    #[error("{path} is damaged")]
    Damaged {
        /// The file, from the lake's root.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The place takes no writes.
    #[error("cannot write to the lake at {location}")]
    Unwritable {
        /// The lake.
        location: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Reading or writing an object failed.
    #[error("the lake's store failed on {path}")]
    Store {
        /// The object, from the lake's root.
        path: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A table's log could not be read or written.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A table uses a Delta feature that this reader lacks.
    #[error("table {table} uses {feature}, which tarn does not read")]
    Feature {
        /// The table.
        table: String,
        /// Its name in the Delta protocol.
        feature: String,
    },
    /// Other writers kept winning.
    #[error("table {table}: no commit in {attempts} attempts, others keep writing")]
    Contended {
        /// The table.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A column has another type than its table's.
    #[error("column {column} is {found} where its table has {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// The table's type.
        expected: String,
        /// The batch's type.
        found: String,
    },
    /// A batch without the column that its table is ordered by, or with a wrong one.
    #[error("table {table}: a batch needs column {column} of type timestamp")]
    NoTime {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// No table can have this name.
    #[error("{name:?} is no table name: lower-case letters, digits and _ only")]
    TableName {
        /// As given.
        name: String,
    },
    /// Arrow refused.
    #[error("table {table}")]
    Arrow {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Parquet refused.
    #[error("table {table}")]
    Parquet {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Reading the input to identify it failed.
    #[error("cannot read {name}")]
    Input {
        /// The container.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process ingested the same content at the same time. Nothing of this group is committed: begin it again.
    #[error("another writer has just ingested {name}: nothing of this group was added")]
    IngestedElsewhere {
        /// The container.
        name: String,
    },
    /// A file whose rows are not in the order of their time, though it says so.
    #[error("table {table}: a file is not in the order of its time")]
    Unsorted {
        /// The table.
        table: String,
    },
    /// A background task ended without an answer.
    #[error("a writer task of the lake stopped")]
    Stopped,
}

impl LakeError {
    pub(crate) fn delta(table: &str) -> impl Fn(DeltaTableError) -> Self + '_ {
        move |source| Self::Delta { table: table.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn store(path: impl ToString) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { path: path.to_string(), source }
    }

    pub(crate) fn arrow(table: &str) -> impl Fn(arrow::error::ArrowError) -> Self + '_ {
        move |source| Self::Arrow { table: table.to_owned(), source }
    }

    pub(crate) fn parquet(table: &str) -> impl Fn(parquet::errors::ParquetError) -> Self + '_ {
        move |source| Self::Parquet { table: table.to_owned(), source }
    }
}
