//! What a client's text asks for: a query, or a change of the session.
//!
//! Only tokens are looked at. A query's text goes to the database as it is, which has the one parser that counts; there
//! a statement that is neither a query nor known here is refused.

use crate::query::{Position, QueryError};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

/// Who answers a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The lake's tables.
    Data,
    /// PostgreSQL's system catalogs.
    Catalog,
    /// No table at all: the catalog, whose functions clients ask for, or else the lake.
    Nothing,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Rows.
    Query {
        sql: String,
        about: About,
    },
    /// Begins a transaction, which sees one moment.
    Begin,
    Commit,
    Rollback,
    /// A setting, or with no value its default again.
    Set {
        name: String,
        value: Option<String>,
    },
    Show {
        name: String,
    },
    /// Forgets a prepared statement, or all.
    Deallocate {
        name: Option<String>,
    },
    /// Forgets everything.
    Discard,
    /// Nothing to do for a server that only reads: its command tag.
    Nothing {
        tag: &'static str,
    },
}

/// The statements of a text; none where it is empty.
///
/// **Errors**: a text that has no end, as a quote that is not closed.
pub fn statements(sql: &str) -> Result<Vec<Statement>, QueryError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|error| {
        let position = Position::of(sql, error.location.line as usize, error.location.column as usize);
        QueryError::Syntax { message: error.message, position }
    })?;
    let mut starts = LineStarts::new(sql);
    let mut all = Vec::new();
    for piece in tokens.split(|token| token.token == Token::SemiColon) {
        let piece: Vec<&TokenWithSpan> =
            piece.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).collect();
        if let (Some(first), Some(last)) = (piece.first(), piece.last()) {
            let (from, to) = (starts.offset(first.span.start), starts.offset(last.span.end));
            let tokens: Vec<&Token> = piece.iter().map(|token| &token.token).collect();
            all.push(statement(sql.get(from..to.max(from)).unwrap_or_default(), &tokens));
        }
    }
    Ok(all)
}

/// Byte offsets of a text's lines.
struct LineStarts<'a> {
    sql: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineStarts<'a> {
    fn new(sql: &'a str) -> Self {
        let starts = std::iter::once(0).chain(sql.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { sql, starts }
    }

    fn offset(&mut self, at: Location) -> usize {
        let line = (at.line as usize).saturating_sub(1);
        let Some(start) = self.starts.get(line) else { return self.sql.len() };
        let column = (at.column as usize).saturating_sub(1);
        self.sql[*start..].char_indices().nth(column).map_or(self.sql.len(), |(offset, _)| start + offset)
    }
}

fn statement(sql: &str, tokens: &[&Token]) -> Statement {
    let word = |at: usize| tokens.get(at).and_then(|token| plain(token)).unwrap_or_default();
    match (word(0).as_str(), word(1).as_str()) {
        ("begin" | "start", _) => Statement::Begin,
        ("commit" | "end", _) => Statement::Commit,
        ("rollback" | "abort", second) if second != "to" => Statement::Rollback,
        ("savepoint", _) => Statement::Nothing { tag: "SAVEPOINT" },
        ("release", _) => Statement::Nothing { tag: "RELEASE" },
        ("rollback", _) => Statement::Nothing { tag: "ROLLBACK" },
        ("listen", _) => Statement::Nothing { tag: "LISTEN" },
        ("unlisten", _) => Statement::Nothing { tag: "UNLISTEN" },
        ("close", _) => Statement::Nothing { tag: "CLOSE CURSOR" },
        ("discard", _) => Statement::Discard,
        ("deallocate", _) => {
            let at = if word(1) == "prepare" { 2 } else { 1 };
            Statement::Deallocate { name: (word(at) != "all").then(|| tokens.get(at).map(named)).flatten() }
        }
        ("reset", _) => Statement::Set { name: tokens.get(1).map(named).unwrap_or_default(), value: None },
        ("set", _) => set(&tokens[1..]),
        ("show", "tables" | "columns") => Statement::Query { sql: sql.to_owned(), about: About::Data },
        ("show", "transaction") => Statement::Show { name: "transaction_isolation".into() },
        ("show", "time") => Statement::Show { name: "timezone".into() },
        ("show", _) => Statement::Show { name: tokens[1..].iter().map(named).collect() },
        _ => Statement::Query { sql: sql.to_owned(), about: about(tokens) },
    }
}

/// `SET [SESSION | LOCAL] name {TO | =} value`, and the forms without.
fn set(tokens: &[&Token]) -> Statement {
    let skip = tokens.iter().take_while(|t| plain(t).is_some_and(|w| w == "session" || w == "local")).count();
    let tokens = &tokens[skip.min(tokens.len().saturating_sub(1))..];
    let word = |at: usize| tokens.get(at).and_then(|token| plain(token)).unwrap_or_default();
    if word(0) == "transaction" || word(0) == "characteristics" {
        return Statement::Nothing { tag: "SET" };
    }
    let text = |tokens: &[&Token]| tokens.iter().map(named).collect::<Vec<_>>().join("");
    let (name, value) = match (word(0).as_str(), word(1).as_str()) {
        ("time", "zone") => ("timezone".to_owned(), text(&tokens[2..])),
        ("names", _) => ("client_encoding".to_owned(), text(&tokens[1..])),
        _ => {
            let end = tokens.iter().position(|t| **t == Token::Eq || plain(t).is_some_and(|w| w == "to"));
            let end = end.unwrap_or(tokens.len());
            (text(&tokens[..end]), text(tokens.get(end + 1..).unwrap_or_default()))
        }
    };
    let value = (!value.is_empty() && !value.eq_ignore_ascii_case("default")).then_some(value);
    Statement::Set { name, value }
}

/// A word without quotes, in lower case.
fn plain(token: &Token) -> Option<String> {
    match token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value.to_ascii_lowercase()),
        _ => None,
    }
}

/// A name or a value, without its quotes.
fn named(token: &&Token) -> String {
    match token {
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        other => other.to_string(),
    }
}

fn about(tokens: &[&Token]) -> About {
    let mut from = false;
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let name = word.value.to_ascii_lowercase();
        let (before, after) = (at.checked_sub(1).and_then(|at| tokens.get(at)), tokens.get(at + 1));
        from |= word.quote_style.is_none() && matches!(name.as_str(), "from" | "explain" | "describe" | "desc");
        let qualifies = after.is_some_and(|t| **t == Token::Period) && before.is_none_or(|t| **t != Token::Period);
        if qualifies && matches!(name.as_str(), "pg_catalog" | "information_schema") {
            return About::Catalog;
        }
        let reads = before.is_some_and(|t| **t == Token::Comma || matches!(plain(t).as_deref(), Some("from" | "join")));
        if reads && name.starts_with("pg_") {
            return About::Catalog;
        }
    }
    let asks = tokens.first().and_then(|first| plain(first)).is_some_and(|word| word == "select" || word == "with");
    // Types of parameters are the lake's to infer.
    let takes = tokens.iter().any(|token| matches!(token, Token::Placeholder(_)));
    if from || takes || !asks { About::Data } else { About::Nothing }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn one(sql: &str) -> Statement {
        let mut all = statements(sql).unwrap();
        assert_eq!(all.len(), 1, "{sql}");
        all.remove(0)
    }

    fn asked(sql: &str) -> About {
        match one(sql) {
            Statement::Query { about, .. } => about,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_are_cut_into_statements() {
        let all = statements(" SELECT 'é;' ,\n  1 ; -- end;\n;\nselect 2 -- two\n").unwrap();
        let texts: Vec<_> = all
            .iter()
            .map(|s| match s {
                Statement::Query { sql, .. } => sql.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["SELECT 'é;' ,\n  1", "select 2"]);
        assert_eq!(statements(" ; -- nothing\n;").unwrap(), []);
        assert!(statements("SELECT 'no end").is_err());
    }

    #[test]
    fn questions_go_to_whom_they_concern() {
        assert_eq!(asked("SELECT user.name FROM api_activity"), About::Data);
        assert_eq!(asked("SELECT * FROM api_activity WHERE message = 'pg_catalog.pg_class'"), About::Data);
        assert_eq!(asked("SELECT pg_catalog.format_type(a, b) FROM x"), About::Catalog);
        assert_eq!(asked("SELECT table_name FROM information_schema.tables"), About::Catalog);
        assert_eq!(asked("SELECT 1 FROM a, pg_type"), About::Catalog);
        assert_eq!(asked("SELECT a.pg_catalog.b FROM a"), About::Data);
        assert_eq!(asked("SELECT version(), 1"), About::Nothing);
        assert_eq!(asked("INSERT INTO t VALUES (1)"), About::Data);
    }

    #[test]
    fn sessions_change() {
        let set = |name: &str, value: Option<&str>| Statement::Set { name: name.into(), value: value.map(Into::into) };
        assert_eq!(one("SET application_name = 'psql'"), set("application_name", Some("psql")));
        assert_eq!(one("set session DateStyle to ISO, MDY"), set("DateStyle", Some("ISO,MDY")));
        assert_eq!(one("SET TIME ZONE 'UTC'"), set("timezone", Some("UTC")));
        assert_eq!(one("SET extra_float_digits TO DEFAULT"), set("extra_float_digits", None));
        assert_eq!(one("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"), Statement::Nothing { tag: "SET" });
        assert_eq!(one("RESET ALL"), set("ALL", None));
        assert_eq!(one("set"), set("", None));
        assert_eq!(one("START TRANSACTION READ ONLY"), Statement::Begin);
        assert_eq!(one("ROLLBACK TO SAVEPOINT a"), Statement::Nothing { tag: "ROLLBACK" });
        assert_eq!(one("SHOW server_version"), Statement::Show { name: "server_version".into() });
        assert_eq!(one("SHOW TRANSACTION ISOLATION LEVEL"), Statement::Show { name: "transaction_isolation".into() });
        assert_eq!(one("DEALLOCATE PREPARE \"s 1\""), Statement::Deallocate { name: Some("s 1".into()) });
        assert_eq!(one("DEALLOCATE ALL"), Statement::Deallocate { name: None });
    }
}
