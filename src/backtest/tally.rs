//! Findings, counted by rule.
//!
//! **Bounds**: [`VALUES_MAX`] distinct values of one column and rule; those that come later are not counted.
//! [`KeySet`] bounds what is kept for the diff.

use super::Pass;
use super::diff::KeySet;
use chrono::{DateTime, NaiveDate};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tarn_engine::correlation::{Correlated, Correlator, Limits, Match};
use tarn_engine::{Engine, RuleIx};

/// Distinct values of one column that are counted for a rule.
const VALUES_MAX: usize = 10_000;

/// What one rule found.
pub struct Tally {
    /// Findings by day, UTC.
    pub days: BTreeMap<NaiveDate, u64>,
    /// Findings by value, by column or field.
    pub entities: BTreeMap<String, HashMap<String, u64>>,
    /// The events that findings stand on.
    pub keys: KeySet,
}

impl Tally {
    fn new(pass: Pass) -> Self {
        Self { days: BTreeMap::new(), entities: BTreeMap::new(), keys: KeySet::new(pass) }
    }

    /// How many findings.
    pub fn findings(&self) -> u64 {
        self.days.values().sum()
    }

    /// How many on the day that has most.
    pub fn busiest(&self) -> u64 {
        self.days.values().copied().max().unwrap_or(0)
    }

    /// The most frequent values of each column, by frequency, then by name.
    pub fn top(&self, count: usize) -> impl Iterator<Item = (&str, Vec<(&str, u64)>)> {
        self.entities.iter().map(move |(column, values)| {
            let mut values: Vec<_> = values.iter().map(|(value, n)| (value.as_str(), *n)).collect();
            values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            values.truncate(count);
            (column.as_str(), values)
        })
    }

    fn count(&mut self, time: i64) {
        let day = DateTime::from_timestamp_micros(time).unwrap_or_default().date_naive();
        *self.days.entry(day).or_default() += 1;
    }

    fn entity(&mut self, column: &str, value: &str) {
        if !self.entities.contains_key(column) {
            self.entities.insert(column.to_owned(), HashMap::new());
        }
        let Some(values) = self.entities.get_mut(column) else { return };
        if let Some(count) = values.get_mut(value) {
            *count += 1;
        } else if values.len() < VALUES_MAX {
            values.insert(value.to_owned(), 1);
        }
    }
}

/// What all rules of an engine found.
pub struct Tallies {
    engine: Arc<Engine>,
    rules: Vec<Tally>,
    correlations: Vec<Tally>,
    correlator: Correlator,
    found: Vec<Correlated>,
    /// Whether some of the data could not be read.
    pub incomplete: bool,
}

impl Tallies {
    /// Nothing yet.
    pub fn new(engine: Arc<Engine>, pass: Pass) -> Self {
        let tallies = |count: usize| (0..count).map(|_| Tally::new(pass)).collect();
        Self {
            rules: tallies(engine.len()),
            correlations: tallies(engine.correlations().len()),
            correlator: Correlator::new(engine.clone(), Limits::default()),
            found: Vec::new(),
            incomplete: false,
            engine,
        }
    }

    /// What a rule found.
    pub fn rule(&self, rule: RuleIx) -> &Tally {
        &self.rules[rule.0 as usize]
    }

    /// What a correlation found.
    pub fn correlation(&self, correlation: usize) -> &Tally {
        &self.correlations[correlation]
    }

    /// All findings so far.
    pub fn findings(&self) -> u64 {
        self.rules.iter().chain(&self.correlations).map(Tally::findings).sum()
    }

    /// A rule fired on an event; `time` in microseconds since 1970. Rules that only give to correlations have no findings.
    pub fn hit(&mut self, rule: RuleIx, uid: &Arc<str>, time: i64) {
        if self.engine.is_shown(rule) {
            let tally = &mut self.rules[rule.0 as usize];
            tally.count(time);
            tally.keys.add(uid, uid);
        }
    }

    /// A value of an event that a rule fired on.
    pub fn entity(&mut self, rule: RuleIx, column: &str, value: &str) {
        if self.engine.is_shown(rule) && !value.is_empty() {
            self.rules[rule.0 as usize].entity(column, value);
        }
    }

    /// What correlations take.
    pub fn take(&mut self, matched: Match) {
        self.correlator.push(matched, &mut self.found);
        self.correlated();
    }

    /// The end of the data.
    pub fn finish(mut self) -> Self {
        self.correlator.finish(&mut self.found);
        self.correlated();
        crate::report::report_exceptions(&self.engine, &mut self.correlator);
        self
    }

    fn correlated(&mut self) {
        for found in self.found.drain(..).filter(|c| self.engine.is_correlation_shown(c.correlation)) {
            let tally = &mut self.correlations[found.correlation];
            tally.count(found.time);
            let mut key = String::new();
            for (name, value) in &found.group {
                key.extend([name, "\u{1f}", value.as_deref().unwrap_or("\u{1e}"), "\u{1f}"]);
                value.iter().for_each(|value| tally.entity(name, value));
            }
            if let Some(last) = found.events.last() {
                key.push_str(last);
                tally.keys.add(&key.into(), last);
            }
        }
    }
}
