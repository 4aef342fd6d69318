//! What became of one trial.

use super::{ALERT, Finding, Trial, attack};
use serde::Serialize;
use std::collections::BTreeMap;

/// What findings say of a technique that ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Any rule fired on one of its records.
    pub seen: bool,
    /// A rule that names its technique did.
    pub matched: bool,
    /// Such a rule did at medium or above: this is what counts as detected.
    pub detected: bool,
    /// A rule that is there for it did; null where the table names none.
    pub expected: Option<bool>,
    /// From when the record was sent that made the first alert (medium or above) possible to when that could be read, ms;
    /// null without an alert.
    pub latency_ms: Option<i64>,
    /// Findings beyond the first of each rule.
    pub duplicates: usize,
    /// The rules that fired, the highest level first.
    pub rules: Vec<Fired>,
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: String,
    /// Whether it names the technique.
    pub matched: bool,
    /// Whether it is there for it.
    pub expected: bool,
    /// Its findings.
    pub findings: usize,
}

/// What `own` findings say of a trial that ran.
pub(super) fn of(trial: &Trial, own: &[&Finding]) -> Outcome {
    let names = |f: &Finding| f.attack.iter().any(|a| trial.attack.iter().any(|b| attack::same(a, b)));
    let mut rules: BTreeMap<&str, (tarn_rules::Level, Fired)> = BTreeMap::new();
    for finding in own {
        let fired = || Fired {
            id: finding.rule.clone(),
            title: finding.title.clone(),
            level: finding.level.to_string(),
            matched: names(finding),
            expected: trial.expected.contains(&finding.rule),
            findings: 0,
        };
        rules.entry(&finding.rule).or_insert_with(|| (finding.level, fired())).1.findings += 1;
    }
    let mut rules: Vec<(tarn_rules::Level, Fired)> = rules.into_values().collect();
    rules.sort_by(|(a, x), (b, y)| b.cmp(a).then(y.matched.cmp(&x.matched)).then_with(|| x.title.cmp(&y.title)));
    let is_expected = rules.iter().any(|(_, rule)| rule.expected);
    Outcome {
        seen: !own.is_empty(),
        matched: rules.iter().any(|(_, rule)| rule.matched),
        detected: rules.iter().any(|(level, rule)| rule.matched && *level >= ALERT),
        expected: (!trial.expected.is_empty()).then_some(is_expected),
        latency_ms: own.iter().filter(|f| f.level >= ALERT).min_by_key(|f| f.seen).map(|f| latency_ms(trial, f)),
        duplicates: rules.iter().map(|(_, rule)| rule.findings - 1).sum(),
        rules: rules.into_iter().map(|(_, rule)| rule).collect(),
    }
}

/// From the last of a finding's own records on. Clocks may differ, so it is never below 0.
fn latency_ms(trial: &Trial, finding: &Finding) -> i64 {
    let sent = finding.events.iter().filter_map(|uid| trial.uids.get(uid)).max();
    sent.map_or(0, |sent| (finding.seen - *sent).num_milliseconds().max(0))
}
