//! A back-test as rows, the rules with most findings first.

use super::version::{Subject, Version};
use super::{Diff, Tallies, Tally, Weights};
use crate::output::Format;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;
use tarn_engine::{Report, Verdict};
use tarn_rules::Level;

/// Values of each column that are told.
const TOP: usize = 5;
/// Columns of which a table tells the first value.
const COLUMNS_OF_TABLE: usize = 4;
/// How much of that value.
const CHARS_OF_TABLE: usize = 48;

/// A rule set and what it found.
pub struct Tried {
    /// The rules.
    pub version: Version,
    /// Their findings.
    pub tallies: Tallies,
}

impl Tried {
    fn tally(&self, subject: Subject) -> &Tally {
        match subject {
            Subject::Rule(rule) => self.tallies.rule(rule),
            Subject::Correlation(number) => self.tallies.correlation(number),
        }
    }
}

/// One rule of a back-test.
pub struct Row<'a> {
    report: &'a Report,
    level: Level,
    status: &'static str,
    why: Option<&'a str>,
    /// What it found; none where it cannot run.
    pub tally: Option<&'a Tally>,
    reads: Option<tarn_engine::Reads>,
    share: Option<f64>,
    nanos: Option<f64>,
    diff: Option<Option<Diff>>,
}

/// The rules of `new`, and those of `old` that are not in it, compared by id, with so many examples each.
pub fn rows<'a>(new: &'a Tried, old: Option<&'a Tried>, weights: &Weights, examples: usize) -> Vec<Row<'a>> {
    let before: HashMap<&str, &Tally> = old.into_iter().flat_map(found).collect();
    let row = |(report, level, subject): (&'a Report, Level, Option<Subject>)| {
        let tally = subject.map(|subject| new.tally(subject));
        let (status, why) = status(new, report, subject);
        let rule = if let Some(Subject::Rule(rule)) = subject { Some(rule) } else { None };
        let keys = (tally.map(|t| &t.keys), before.get(report.id.as_str()).map(|t| &t.keys));
        Row {
            report,
            level,
            status,
            why,
            tally,
            reads: rule.map(|rule| new.version.engine.reads(rule)),
            share: rule.and_then(|rule| weights.share(rule)),
            nanos: rule.and_then(|rule| weights.nanos(rule)),
            diff: old.map(|_| Diff::between(keys.0, keys.1, examples)),
        }
    };
    let mut rows: Vec<Row<'a>> = new.version.all().map(row).collect();
    rows.extend(old.into_iter().flat_map(|old| gone(new, old, examples)));
    rows.sort_by_key(|row| Reverse(row.tally.map_or(0, Tally::findings)));
    rows
}

/// What ran, by id; of several with one id, the first.
fn found(tried: &Tried) -> Vec<(&str, &Tally)> {
    let all = tried.version.all().filter_map(|(report, _, subject)| Some((report.id.as_str(), tried.tally(subject?))));
    let mut all: Vec<_> = all.collect();
    all.reverse();
    all
}

/// Rules that are no more.
fn gone<'a>(new: &Tried, old: &'a Tried, examples: usize) -> Vec<Row<'a>> {
    let ids: std::collections::HashSet<&str> = new.version.all().map(|(report, ..)| report.id.as_str()).collect();
    let row = |(report, level, subject): (&'a Report, Level, Option<Subject>)| Row {
        report,
        level,
        status: "gone",
        why: None,
        tally: None,
        reads: None,
        share: None,
        nanos: None,
        diff: Some(Diff::between(None, subject.map(|subject| &old.tally(subject).keys), examples)),
    };
    old.version.all().filter(|(report, ..)| !ids.contains(report.id.as_str())).map(row).collect()
}

fn status<'a>(tried: &Tried, report: &'a Report, subject: Option<Subject>) -> (&'static str, Option<&'a str>) {
    let engine = &tried.version.engine;
    let shown = match subject {
        Some(Subject::Rule(rule)) => engine.is_shown(rule),
        Some(Subject::Correlation(number)) => engine.is_correlation_shown(number),
        None => true,
    };
    match &report.verdict {
        Verdict::NotEvaluable(why) => ("not evaluable", Some(why)),
        Verdict::Evaluable { .. } if !shown => ("gives to correlations only", None),
        Verdict::Evaluable { .. } => ("runs", None),
    }
}

impl Row<'_> {
    /// Whether some day has more findings.
    pub fn is_above(&self, findings_a_day: u64) -> bool {
        self.tally.is_some_and(|tally| tally.busiest() > findings_a_day)
    }

    /// The rule's title and how many findings its busiest day has.
    pub fn busiest(&self) -> (&str, u64) {
        (&self.report.title, self.tally.map_or(0, Tally::busiest))
    }

    /// The row as `format` has it: everything for programs, what fits for people and sheets.
    pub fn print(&self, format: Format) -> Map<String, Value> {
        match format {
            Format::Json | Format::Ndjson => self.whole(),
            Format::Table => self.brief("\n"),
            Format::Csv => self.brief("; "),
        }
    }

    /// What both begin with.
    fn head(&self) -> Map<String, Value> {
        let days = self.tally.map(|tally| &tally.days);
        let day = |day: Option<&chrono::NaiveDate>| day.map(ToString::to_string);
        cells([
            ("level", json!(self.level.to_string())),
            ("title", json!(self.report.title)),
            ("status", json!(self.status)),
            ("findings", json!(self.tally.map(Tally::findings))),
            ("days", json!(days.map(|days| days.len()))),
            ("first_day", json!(day(days.and_then(|days| days.keys().next())))),
            ("last_day", json!(day(days.and_then(|days| days.keys().next_back())))),
            ("busiest_day_findings", json!(self.tally.map(Tally::busiest))),
        ])
    }

    fn whole(&self) -> Map<String, Value> {
        let mut row = self.head();
        let by_day =
            |tally: &Tally| tally.days.iter().map(|(day, n)| (day.to_string(), json!(n))).collect::<Map<_, _>>();
        let values = |values: Vec<(&str, u64)>| -> Vec<Value> {
            values.into_iter().map(|(value, n)| json!({"value": value, "findings": n})).collect()
        };
        let top = |tally: &Tally| -> Map<String, Value> {
            tally.top(TOP).map(|(column, of)| (column.to_owned(), values(of).into())).collect()
        };
        row.extend(cells([
            ("id", json!(self.report.id)),
            ("file", json!(self.report.file.display().to_string())),
            ("why", json!(self.why)),
            ("by_day", json!(self.tally.map(by_day))),
            ("top", json!(self.tally.map(top))),
            ("tests", json!(self.reads.as_ref().map(|reads| reads.tests))),
            ("fields", json!(self.reads.as_ref().map(|reads| &reads.fields))),
            ("time_share", json!(self.share)),
            ("nanoseconds_per_event", json!(self.nanos)),
        ]));
        if let Some(diff) = &self.diff {
            let diff = diff.as_ref();
            let texts = |events: &[std::sync::Arc<str>]| events.iter().map(|e| json!(&**e)).collect::<Vec<_>>();
            row.extend(cells([
                ("gained", json!(diff.map(|d| d.gained))),
                ("lost", json!(diff.map(|d| d.lost))),
                ("gained_events", json!(diff.map(|d| texts(&d.gained_events)))),
                ("lost_events", json!(diff.map(|d| texts(&d.lost_events)))),
            ]));
        }
        row
    }

    fn brief(&self, between: &str) -> Map<String, Value> {
        let mut row = self.head();
        let first = |(column, of): (&str, Vec<(&str, u64)>)| {
            let (value, n) = of.first()?;
            // Values are an attacker's to choose: they are short here, and do nothing to a terminal.
            let value: String = value.chars().take(CHARS_OF_TABLE).flat_map(char::escape_debug).collect();
            Some(format!("{column} {value} ({n})"))
        };
        let top =
            |tally: &Tally| tally.top(1).filter_map(first).take(COLUMNS_OF_TABLE).collect::<Vec<_>>().join(between);
        row.extend(cells([
            ("top", json!(self.tally.map(top))),
            ("tests", json!(self.reads.as_ref().map(|reads| reads.tests))),
            ("fields", json!(self.reads.as_ref().map(|reads| reads.fields.len()))),
            ("time_%", json!(self.share.map(|share| format!("{:.1}", 100.0 * share)))),
        ]));
        if let Some(diff) = &self.diff {
            let diff = diff.as_ref();
            row.extend(cells([
                ("gained", json!(diff.map(|d| d.gained))),
                ("lost", json!(diff.map(|d| d.lost))),
                ("gained_events", json!(diff.map(|d| d.gained_events.join(between)))),
                ("lost_events", json!(diff.map(|d| d.lost_events.join(between)))),
            ]));
        }
        row
    }
}

fn cells<const N: usize>(cells: [(&str, Value); N]) -> Map<String, Value> {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
