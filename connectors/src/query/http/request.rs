//! A question out of a request: its headers and its body.

use super::super::Ask;
use super::format::Format;
use super::problem::Problem;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use std::time::Duration;

/// A question, and how its answer is wanted.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) ask: Ask,
    pub(super) format: Format,
    /// Rows as OCSF's objects instead of dotted columns.
    pub(super) nested: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    sql: String,
    format: Option<Format>,
    #[serde(default)]
    nested: bool,
    rows_max: Option<u64>,
    timeout_ms: Option<u64>,
}

/// **Errors**: a body or an `Accept` that is not understood.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Parsed, Problem> {
    let text = |name: header::HeaderName| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let content_type = text(header::CONTENT_TYPE).unwrap_or_else(|| "application/json".to_owned());
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let malformed = |reason: String| Problem::Malformed { reason };
    let body: Body = match essence.as_str() {
        "application/json" => serde_json::from_slice(body).map_err(|e| malformed(e.to_string()))?,
        "text/plain" | "application/sql" => {
            let sql = std::str::from_utf8(body).map_err(|e| malformed(e.to_string()))?.to_owned();
            Body { sql, format: None, nested: false, rows_max: None, timeout_ms: None }
        }
        _ => return Err(Problem::ContentType { name: content_type }),
    };
    let format = match body.format {
        Some(format) => format,
        None => match text(header::ACCEPT) {
            None => Format::Json,
            Some(accept) => Format::accepted(&accept).ok_or(Problem::NotAcceptable { wanted: accept })?,
        },
    };
    if body.nested && !matches!(format, Format::Json | Format::Ndjson) {
        return Err(malformed("nested goes with json and ndjson".to_owned()));
    }
    let ask = Ask {
        sql: body.sql,
        rows_max: body.rows_max,
        time_max: body.timeout_ms.map(Duration::from_millis),
        ..Ask::default()
    };
    Ok(Parsed { ask, format, nested: body.nested })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn json_and_plain_text_are_questions() {
        let json = br#"{"sql": "SELECT 1", "format": "csv", "rows_max": 5, "timeout_ms": 20}"#;
        let parsed = parse(&HeaderMap::new(), json).unwrap();
        assert_eq!((parsed.ask.sql.as_str(), parsed.format), ("SELECT 1", Format::Csv));
        assert_eq!((parsed.ask.rows_max, parsed.ask.time_max), (Some(5), Some(Duration::from_millis(20))));
        let plain = headers(&[(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::ACCEPT, "text/csv")]);
        let parsed = parse(&plain, b"SELECT 1").unwrap();
        assert_eq!((parsed.ask.sql.as_str(), parsed.format), ("SELECT 1", Format::Csv));
    }

    #[test]
    fn other_bodies_are_refused() {
        let refused = |headers: &HeaderMap, body: &[u8]| parse(headers, body).unwrap_err();
        let none = HeaderMap::new();
        assert!(matches!(refused(&none, br#"{"sql": 1}"#), Problem::Malformed { .. }));
        assert!(matches!(refused(&none, br#"{"sql": "SELECT 1", "rows": 1}"#), Problem::Malformed { .. }));
        assert!(matches!(
            refused(&none, br#"{"sql": "", "format": "csv", "nested": true}"#),
            Problem::Malformed { .. }
        ));
        let form = headers(&[(header::CONTENT_TYPE, "application/x-www-form-urlencoded")]);
        assert!(matches!(refused(&form, b"sql=1"), Problem::ContentType { .. }));
        let html = headers(&[(header::ACCEPT, "text/html")]);
        assert!(matches!(refused(&html, br#"{"sql": "SELECT 1"}"#), Problem::NotAcceptable { .. }));
    }
}
