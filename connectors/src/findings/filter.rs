//! Which findings are listed: `?status=&severity=&since=&limit=`.

use super::problem::Problem;
use super::state::{STATUSES, id_of, names};
use crate::sink::span::Span;
use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// OCSF's `severity_id`.
const SEVERITIES: [(&str, i64, &str); 6] = [
    ("informational", 1, "Informational"),
    ("low", 2, "Low"),
    ("medium", 3, "Medium"),
    ("high", 4, "High"),
    ("critical", 5, "Critical"),
    ("fatal", 6, "Fatal"),
];
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    status_id: Option<i64>,
    severity_id: Option<i64>,
    /// Microseconds since 1970; of the latest record.
    since: Option<i64>,
    pub(super) limit: u64,
}

impl Filter {
    /// **Errors**: [`Problem::Field`].
    pub(super) fn parse(query: &str, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut filter = Self { status_id: None, severity_id: None, since: None, limit: LIMIT };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            let unknown = |expected: &str| Problem::field(&name, &format!("{value:?} is not understood"), expected);
            match &*name {
                "status" => {
                    filter.status_id = Some(id_of(&STATUSES, &value).ok_or_else(|| unknown(&names(&STATUSES)))?);
                }
                "severity" => {
                    filter.severity_id = Some(id_of(&SEVERITIES, &value).ok_or_else(|| unknown(&names(&SEVERITIES)))?);
                }
                "since" => {
                    let at = Span::try_from(value.to_string()).ok().map(|span| now - span.0);
                    let at = at.or_else(|| DateTime::parse_from_rfc3339(&value).ok().map(|at| at.to_utc()));
                    let at = at.ok_or_else(|| unknown("a time as 2026-01-31T12:00:00Z, or a span as 24h"))?;
                    filter.since = Some(at.timestamp_micros());
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                    filter.limit = limit.ok_or_else(|| unknown(&format!("1 to {LIMIT_MAX}")))?;
                }
                _ => return Err(Problem::field(&name, "no such parameter", "status, severity, since, limit")),
            }
        }
        Ok(filter)
    }

    /// The columns that it asks.
    pub(super) fn needs(&self) -> &'static [&'static str] {
        match (self.status_id.is_some(), self.severity_id.is_some()) {
            (false, false) => &["time"],
            (true, false) => &["time", "status_id"],
            (false, true) => &["time", "severity_id"],
            (true, true) => &["time", "status_id", "severity_id"],
        }
    }

    /// What follows the table in a query: the latest first.
    pub(super) fn sql(&self) -> (String, Vec<ArrayRef>) {
        let mut all = Vec::new();
        all.extend(self.status_id.map(|id| format!("status_id = {id}")));
        all.extend(self.severity_id.map(|id| format!("severity_id = {id}")));
        all.extend(self.since.map(|_| "time >= $1".to_owned()));
        let filter = if all.is_empty() { String::new() } else { format!("WHERE {} ", all.join(" AND ")) };
        let since = self.since.map(|at| TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC"));
        let parameters = since.into_iter().map(|at| Arc::new(at) as ArrayRef).collect();
        (format!("{filter}ORDER BY time DESC LIMIT {}", self.limit), parameters)
    }
}
