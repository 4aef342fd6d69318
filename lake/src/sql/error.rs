//! What is wrong with a query, in its author's terms.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::parser::ParserError;
use std::fmt;
use thiserror::Error;

/// A query that does not run.
#[derive(Debug, Error)]
pub enum SqlError {
    /// Not SQL.
    #[error("{0}")]
    Syntax(ParserError),
    /// Nothing to run.
    #[error("no statement")]
    Empty,
    /// More than one.
    #[error("one statement at a time")]
    Several,
    /// Something that is not reading.
    #[error("{statement} is not allowed: this session only reads (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE)")]
    NotAQuery {
        /// Its first words.
        statement: String,
    },
    /// `SHOW TABLES` with more than a pattern.
    #[error("{statement} is not understood: SHOW TABLES takes LIKE 'pattern' or ILIKE 'pattern' and nothing else")]
    ShowTables {
        /// As it was understood.
        statement: String,
    },
    /// No table has that name.
    #[error("no table {name}{near}")]
    UnknownTable {
        /// As written.
        name: String,
        /// Names like it.
        near: Near,
    },
    /// No column of the tables in question has that name.
    #[error("no column {name}{near}")]
    UnknownColumn {
        /// As written.
        name: String,
        /// Names like it.
        near: Near,
    },
    /// Several tables have a column of that name.
    #[error("column {name} is ambiguous: {} have it", .tables.join(" and "))]
    Ambiguous {
        /// As written.
        name: String,
        /// The tables' names or aliases.
        tables: Vec<String>,
    },
    /// Planning or running failed.
    #[error("{0}")]
    Failed(Box<DataFusionError>),
    /// Arrow refused.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Names close to a wrong one; prints as the tail of a sentence.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Near(pub Vec<String>);

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_last() {
            None => Ok(()),
            Some((last, [])) => write!(f, "; did you mean {last}?"),
            Some((last, rest)) => write!(f, "; did you mean {} or {last}?", rest.join(", ")),
        }
    }
}

impl Near {
    /// Up to three of `names`, nearest first.
    pub(crate) fn to<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let wanted = wanted.to_lowercase();
        let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
        let allowed = 2 + wanted.len() / 4;
        let mut found: Vec<(usize, &str)> = names
            .into_iter()
            .filter_map(|name| {
                let apart = distance(&wanted, name);
                if apart <= allowed {
                    return Some((apart, name));
                }
                // The same leaf elsewhere: `user.name` for `actor.user.name`.
                let leaf = name.ends_with(&format!(".{wanted}")) || last(name) == last(&wanted);
                leaf.then_some((allowed + 1 + apart, name))
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        Self(found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect())
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

impl SqlError {
    pub(crate) fn not_a_query(statement: &Statement) -> Self {
        let text = statement.to_string();
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Self::NotAQuery { statement: words.join(" ") }
    }

    pub(crate) fn unknown_table<'a>(name: &str, tables: impl Iterator<Item = &'a str>) -> Self {
        Self::UnknownTable { name: name.to_owned(), near: Near::to(name, tables) }
    }

    pub(crate) fn from_datafusion<'a>(error: DataFusionError, tables: impl Iterator<Item = &'a str>) -> Self {
        if let DataFusionError::SchemaError(schema, _) = error.find_root()
            && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
        {
            let near = Near::to(&field.name, valid_fields.iter().map(|f| f.name.as_str()));
            return Self::UnknownColumn { name: field.name.clone(), near };
        }
        if let DataFusionError::Plan(text) = error.find_root()
            && let Some(rest) = text.strip_prefix("table '")
            && let Some((name, _)) = rest.split_once("' not found")
        {
            return Self::unknown_table(name.rsplit('.').next().unwrap_or(name), tables);
        }
        Self::Failed(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = ["api.operation", "actor.user.name", "time", "src_endpoint.ip"];
        let near = |wanted: &str| Near::to(wanted, names).0;
        assert_eq!(near("api.opration"), ["api.operation"]);
        assert_eq!(near("user.name"), ["actor.user.name"]);
        assert_eq!(near("tme"), ["time"]);
        assert!(near("something.else").is_empty());
    }
}
