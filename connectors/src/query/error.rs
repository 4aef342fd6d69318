//! Why a statement has no answer, in terms that every protocol can say.

use axum::http::StatusCode;
use datafusion::error::DataFusionError;
use std::time::Duration;
use thiserror::Error;

/// A place in a statement: the number of a character, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(pub u32);

impl Position {
    /// Of line and column, both from 1; `None` beyond the end.
    pub fn of(sql: &str, line: usize, column: usize) -> Option<Self> {
        let before: usize = sql.split_inclusive('\n').take(line.checked_sub(1)?).map(|l| l.chars().count()).sum();
        let at = before + column;
        (column > 0 && at <= sql.chars().count() + 1).then(|| u32::try_from(at).ok().map(Self))?
    }
}

/// Why a statement has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// Not SQL.
    #[error("{message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        position: Option<Position>,
    },
    /// SQL that does not only read.
    #[error("{message}")]
    ReadOnly {
        /// Which statement.
        message: String,
    },
    /// No such table.
    #[error("{message}")]
    UnknownTable {
        /// Which, and what is like it.
        message: String,
    },
    /// No such column.
    #[error("{message}")]
    UnknownColumn {
        /// Which, and what is like it.
        message: String,
    },
    /// A column that several tables have.
    #[error("{message}")]
    Ambiguous {
        /// Which, and where.
        message: String,
    },
    /// A statement that cannot be planned: wrong types, unknown functions, what is not supported.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// A value on which the statement fails: division by zero, a text that is no number.
    #[error("{message}")]
    Data {
        /// What is wrong.
        message: String,
    },
    /// A parameter whose value or number does not fit.
    #[error("{message}")]
    Parameter {
        /// What is wrong.
        message: String,
    },
    /// A longer text than is taken.
    #[error("the statement has {bytes} bytes, {limit} are taken at most")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More memory than a query may use.
    #[error("the query needs more memory than it may use ({message})")]
    Memory {
        /// Who needed how much.
        message: String,
    },
    /// More time than a query may take.
    #[error("the query took longer than {} s", limit.as_secs_f64())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// More rows than a query may answer.
    #[error("the answer has more than {limit} rows; add a LIMIT or narrow the question")]
    Rows {
        /// The limit.
        limit: u64,
    },
    /// As many queries as may run do.
    #[error("{limit} queries are running, which is as many as may; try again")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// Somebody cancelled it.
    #[error("the query was cancelled")]
    Cancelled,
    /// The database cannot be asked now; later it may.
    #[error("the database cannot be asked now: {message}")]
    Unavailable {
        /// Why.
        message: String,
    },
    /// A fault of ours.
    #[error("internal error: {message}")]
    Internal {
        /// What happened.
        message: String,
    },
}

impl QueryError {
    /// A syntax error whose place is read from the tail ` at Line: 1, Column: 5` that SQL parsers put on a message.
    pub fn syntax(sql: &str, message: &str) -> Self {
        let place = message.rsplit_once(" at Line: ").and_then(|(words, tail)| {
            let (line, column) = tail.split_once(", Column: ")?;
            let column = column.split(|c: char| !c.is_ascii_digit()).next()?;
            Some((words, Position::of(sql, line.parse().ok()?, column.parse().ok()?)))
        });
        match place {
            Some((words, position)) => Self::Syntax { message: words.to_owned(), position },
            None => Self::Syntax { message: message.to_owned(), position: None },
        }
    }

    /// Five characters of the SQL standard or of PostgreSQL, appendix A.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "42601",
            Self::ReadOnly { .. } => "25006",
            Self::UnknownTable { .. } => "42P01",
            Self::UnknownColumn { .. } => "42703",
            Self::Ambiguous { .. } => "42702",
            Self::Invalid { .. } => "42000",
            Self::Data { .. } => "22000",
            Self::Parameter { .. } => "22023",
            Self::TooLong { .. } | Self::Rows { .. } => "54000",
            Self::Memory { .. } => "53200",
            Self::Timeout { .. } | Self::Cancelled => "57014",
            Self::Busy { .. } => "53300",
            Self::Unavailable { .. } => "57P03",
            Self::Internal { .. } => "XX000",
        }
    }

    /// Where in the statement.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Syntax { position, .. } => *position,
            _ => None,
        }
    }

    /// The status of an HTTP answer that is only this error.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ReadOnly { .. } => StatusCode::FORBIDDEN,
            Self::UnknownTable { .. } => StatusCode::NOT_FOUND,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Cancelled => StatusCode::CONFLICT,
            Self::Memory { .. } | Self::Rows { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Syntax { .. }
            | Self::UnknownColumn { .. }
            | Self::Ambiguous { .. }
            | Self::Invalid { .. }
            | Self::Data { .. }
            | Self::Parameter { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<&DataFusionError> for QueryError {
    fn from(error: &DataFusionError) -> Self {
        let root = error.find_root();
        let message = root.to_string();
        match root {
            DataFusionError::ResourcesExhausted(_) => Self::Memory { message },
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Self::Data { message },
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => Self::Unavailable { message },
            DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => Self::Internal { message },
            _ => Self::Invalid { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsers_place_becomes_a_position() {
        let sql = "SELECT 1,\n  FROM é WHER";
        let found = QueryError::syntax(sql, "sql parser error: Expected: end, found: WHER at Line: 2, Column: 10");
        assert_eq!(found.to_string(), "sql parser error: Expected: end, found: WHER");
        assert_eq!(found.position(), Some(Position(20)));
        assert_eq!(sql.chars().nth(19), Some('W'));
        let beyond = QueryError::syntax(sql, "x at Line: 9, Column: 99");
        assert_eq!(beyond, QueryError::Syntax { message: "x".into(), position: None });
        assert_eq!(QueryError::syntax(sql, "no place").position(), None);
    }
}
