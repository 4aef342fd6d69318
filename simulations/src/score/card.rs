//! The scorecard: a run, its techniques, its false alarms, and totals.

use super::wilson::Share;
use super::{Finding, Outcome, Trial};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its id, by which records of its results are found.
    pub id: String,
    /// `replay`, `stratus` or `atomic`.
    pub kind: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it was over.
    pub ended: DateTime<Utc>,
}

/// A technique and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Technique {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its platform.
    pub platform: String,
    /// Its ATT&CK ids.
    pub attack: Vec<String>,
    /// How many records were sent for it.
    pub records: usize,
    /// What became of it; null where nothing ran.
    pub outcome: Option<Outcome>,
    /// Why nothing ran.
    pub skipped: Option<String>,
}

impl Technique {
    pub(super) fn new(trial: &Trial, outcome: Option<Outcome>) -> Self {
        let Trial { id, name, platform, attack, records, skipped, .. } = trial.clone();
        let skipped = if outcome.is_some() { None } else { skipped.or_else(|| Some("nothing ran".into())) };
        Self { id, name, platform, attack, records, outcome, skipped }
    }

    /// In one word: `detected`, `named` (by a rule below medium), `other` (by rules for something else), `missed`, `not run`.
    pub fn verdict(&self) -> &'static str {
        match &self.outcome {
            None => "not run",
            Some(outcome) if outcome.detected => "detected",
            Some(outcome) if outcome.matched => "named",
            Some(outcome) if outcome.seen => "other",
            Some(_) => "missed",
        }
    }
}

/// A rule that alarmed somebody about the benign part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: String,
    /// How often.
    pub findings: usize,
}

/// Rules by how often they fired.
pub(super) fn alarms<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Alarm> {
    let mut by_rule: BTreeMap<&str, Alarm> = BTreeMap::new();
    for finding in findings {
        let alarm = || Alarm {
            rule: finding.rule.clone(),
            title: finding.title.clone(),
            level: finding.level.to_string(),
            findings: 0,
        };
        by_rule.entry(&finding.rule).or_insert_with(alarm).findings += 1;
    }
    let mut alarms: Vec<Alarm> = by_rule.into_values().collect();
    alarms.sort_by(|a, b| b.findings.cmp(&a.findings).then_with(|| a.title.cmp(&b.title)));
    alarms
}

/// Totals over the techniques that ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// Techniques that were to be tried.
    pub techniques: usize,
    /// A rule that names the technique fired at medium or above. `--fail-under` is about this one.
    pub detected: Share,
    /// A rule that names the technique fired.
    pub matched: Share,
    /// Any rule fired.
    pub seen: Share,
    /// A rule that is there for the technique fired; of those that have one.
    pub expected: Share,
    /// Half of the first alerts were as fast, ms; null without an alert.
    pub latency_ms_median: Option<i64>,
    /// The slowest first alert, ms; null without an alert.
    pub latency_ms_max: Option<i64>,
    /// Findings beyond the first of each rule and technique.
    pub duplicates: usize,
    /// Findings at medium or above in the benign part; null where there was none.
    pub false_alarms: Option<usize>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scorecard {
    /// The run.
    pub run: Run,
    /// Totals.
    pub totals: Totals,
    /// By technique, in the order of the trials.
    pub techniques: Vec<Technique>,
    /// How many benign records were mixed in; null where none were.
    pub background_records: Option<usize>,
    /// What alarmed about them; null where there were none.
    pub false_alarms: Option<Vec<Alarm>>,
}

impl Scorecard {
    pub(super) fn new(
        run: Run,
        techniques: Vec<Technique>,
        background_records: Option<usize>,
        false_alarms: Option<Vec<Alarm>>,
    ) -> Self {
        let totals = Totals::new(&techniques, false_alarms.as_deref());
        Self { run, totals, techniques, background_records, false_alarms }
    }

    /// Whether fewer than `percent` of what ran was detected; where nothing ran, any percentage above 0 is missed.
    pub fn is_under(&self, percent: f64) -> bool {
        self.totals.detected.percent.unwrap_or(0.0) < percent
    }
}

impl Totals {
    fn new(techniques: &[Technique], false_alarms: Option<&[Alarm]>) -> Self {
        let ran: Vec<&Outcome> = techniques.iter().filter_map(|t| t.outcome.as_ref()).collect();
        let share = |holds: fn(&Outcome) -> bool| Share::new(ran.iter().filter(|o| holds(o)).count(), ran.len());
        let expected: Vec<bool> = ran.iter().filter_map(|o| o.expected).collect();
        let mut latencies: Vec<i64> = ran.iter().filter_map(|o| o.latency_ms).collect();
        latencies.sort_unstable();
        Self {
            techniques: techniques.len(),
            detected: share(|o| o.detected),
            matched: share(|o| o.matched),
            seen: share(|o| o.seen),
            expected: Share::new(expected.iter().filter(|e| **e).count(), expected.len()),
            latency_ms_median: latencies.get(latencies.len().saturating_sub(1) / 2).copied(),
            latency_ms_max: latencies.last().copied(),
            duplicates: ran.iter().map(|o| o.duplicates).sum(),
            false_alarms: false_alarms.map(|alarms| alarms.iter().map(|a| a.findings).sum()),
        }
    }
}
