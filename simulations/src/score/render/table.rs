//! A row a technique, and a few lines of totals.

use crate::score::Scorecard;
use serde_json::{Map, Value, json};

/// **Shape**: `technique`, `verdict`, `attack`, `rule` (of the highest level), `level`, `expected`, `latency_ms`,
/// `duplicates`, `records`; a technique that did not run has nulls.
pub fn rows(card: &Scorecard) -> Vec<Map<String, Value>> {
    let row = |t: &crate::score::Technique| {
        let outcome = t.outcome.as_ref();
        // The rule that speaks for the technique, else the loudest.
        let rule = outcome.and_then(|o| o.rules.iter().find(|r| r.matched).or(o.rules.first()));
        let cells = [
            ("technique", json!(t.id)),
            ("verdict", json!(t.verdict())),
            ("attack", json!(t.attack.join(" "))),
            ("rule", json!(rule.map(|r| &r.title))),
            ("level", json!(rule.map(|r| &r.level))),
            ("expected", json!(outcome.and_then(|o| o.expected))),
            ("latency_ms", json!(outcome.and_then(|o| o.latency_ms))),
            ("duplicates", json!(outcome.map(|o| o.duplicates))),
            ("records", json!(t.records)),
        ];
        cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    card.techniques.iter().map(row).collect()
}

/// The totals, a line each.
pub fn summary(card: &Scorecard) -> String {
    let totals = &card.totals;
    let mut lines = vec![
        format!("detected: {} (a rule that names the technique, at medium or above)", totals.detected),
        format!("named:    {} (at any level)", totals.matched),
        format!("seen:     {} (any rule)", totals.seen),
    ];
    if totals.expected.of > 0 {
        lines.push(format!("expected: {} (the rules that are there for it)", totals.expected));
    }
    if let (Some(median), Some(max)) = (totals.latency_ms_median, totals.latency_ms_max) {
        let duplicates = totals.duplicates;
        lines.push(format!("first alert after {median} ms (median), {max} ms at most; {duplicates} duplicates"));
    }
    if let (Some(records), Some(alarms)) = (card.background_records, &card.false_alarms) {
        let count: usize = alarms.iter().map(|a| a.findings).sum();
        lines.push(format!("false alarms: {count} in {records} benign records"));
        lines.extend(alarms.iter().map(|a| format!("  {} × {} ({})", a.findings, a.title, a.level)));
    }
    let skipped = card.techniques.iter().filter(|t| t.outcome.is_none());
    lines.extend(skipped.map(|t| format!("not run: {}: {}", t.id, t.skipped.as_deref().unwrap_or("nothing ran"))));
    lines.join("\n")
}
