//! The matches of one group that are within the time span, and what is measured over them.

use ahash::AHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use tarn_ingest::fields::FieldValue;
use tarn_rules::Number;
use tarn_rules::correlation::{Correlation, Measure};

/// Events that one window remembers: beyond it, the oldest go before their time.
pub const WINDOW_EVENTS_MAX: usize = 100_000;

/// A match in a window.
#[derive(Clone, Debug)]
pub struct Entry {
    pub time: i64,
    pub uid: Arc<str>,
    /// Which of the correlation's rules it is of.
    pub place: usize,
}

/// What is kept up to date beside the matches.
enum Tally {
    Count,
    /// How often each value is there.
    Values(AHashMap<Box<str>, u32>),
    /// The numbers, ascending, and their sum.
    Numbers(Vec<f64>, f64),
    /// How often each rule matched.
    Rules(Vec<u32>),
    /// By length and last rule, when the latest chain of rules in order began.
    Chains(Vec<Vec<Option<i64>>>),
}

/// A window.
pub struct Window {
    entries: VecDeque<(Entry, Vec<Box<str>>)>,
    tally: Tally,
}

impl Window {
    /// An empty one.
    pub fn new(correlation: &Correlation) -> Self {
        let rules = correlation.rules.len();
        let tally = match correlation.measure {
            Measure::EventCount => Tally::Count,
            Measure::ValueCount(_) => Tally::Values(AHashMap::new()),
            Measure::ValueSum(_) | Measure::ValueAvg(_) | Measure::ValuePercentile(..) => {
                Tally::Numbers(Vec::new(), 0.0)
            }
            Measure::Temporal => Tally::Rules(vec![0; rules]),
            Measure::TemporalOrdered => Tally::Chains(vec![vec![None; rules]; rules]),
        };
        Self { entries: VecDeque::new(), tally }
    }

    /// Adds a match with its measured values; false where it has none and would be measured by them.
    pub fn add(&mut self, entry: Entry, measured: &[Option<&FieldValue>]) -> bool {
        let mut values = Vec::new();
        match &mut self.tally {
            Tally::Count => {}
            Tally::Values(counts) => {
                combine(measured, &mut values);
                values.iter().for_each(|v| *counts.entry(v.clone()).or_default() += 1);
            }
            Tally::Numbers(sorted, sum) => {
                measured.iter().flatten().for_each(|v| texts(v, &mut values));
                values.retain(|v| Number::parse(v).is_some());
                for n in values.iter().filter_map(|v| Number::parse(v)).map(Number::as_f64) {
                    sorted.insert(sorted.partition_point(|s| *s < n), n);
                    *sum += n;
                }
            }
            Tally::Rules(counts) => counts[entry.place] += 1,
            Tally::Chains(chains) => chain(chains, &entry),
        }
        if values.is_empty() && matches!(self.tally, Tally::Values(_) | Tally::Numbers(..)) {
            return false;
        }
        self.entries.push_back((entry, values));
        if self.entries.len() > WINDOW_EVENTS_MAX {
            self.drop_first();
        }
        true
    }

    /// Drops what is before `time`.
    pub fn expire(&mut self, time: i64) {
        while self.entries.front().is_some_and(|(entry, _)| entry.time < time) {
            self.drop_first();
        }
        if let Tally::Chains(chains) = &mut self.tally {
            for start in chains.iter_mut().flatten() {
                *start = start.filter(|s| *s >= time);
            }
        }
    }

    fn drop_first(&mut self) {
        let Some((entry, values)) = self.entries.pop_front() else { return };
        match &mut self.tally {
            Tally::Count | Tally::Chains(_) => {}
            Tally::Values(counts) => {
                for value in values {
                    if let Some(count) = counts.get_mut(&value) {
                        *count -= 1;
                        if *count == 0 {
                            counts.remove(&value);
                        }
                    }
                }
            }
            Tally::Numbers(sorted, sum) => {
                for n in values.iter().filter_map(|v| Number::parse(v)).map(Number::as_f64) {
                    let at = sorted.partition_point(|s| *s < n);
                    if at < sorted.len() {
                        sorted.remove(at);
                    }
                    *sum -= n;
                }
                // Differences do not add up for ever.
                if sorted.is_empty() {
                    *sum = 0.0;
                }
            }
            Tally::Rules(counts) => counts[entry.place] = counts[entry.place].saturating_sub(1),
        }
    }

    /// What is measured.
    pub fn measure(&self, measure: &Measure) -> f64 {
        match &self.tally {
            Tally::Count => self.entries.len() as f64,
            Tally::Values(counts) => counts.len() as f64,
            Tally::Numbers(sorted, sum) => match measure {
                Measure::ValuePercentile(_, percentile) => at_percentile(sorted, *percentile),
                Measure::ValueAvg(_) => sum / sorted.len().max(1) as f64,
                _ => *sum,
            },
            Tally::Rules(counts) => counts.iter().filter(|c| **c > 0).count() as f64,
            Tally::Chains(chains) => chains
                .iter()
                .rposition(|of_length| of_length.iter().any(Option::is_some))
                .map_or(0.0, |l| (l + 1) as f64),
        }
    }

    /// Whether a rule matched.
    pub fn matched(&self, place: usize) -> bool {
        match &self.tally {
            Tally::Rules(counts) => counts[place] > 0,
            _ => self.entries.iter().any(|(entry, _)| entry.place == place),
        }
    }

    /// Matches in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Time of the first match.
    pub fn first(&self) -> Option<i64> {
        self.entries.front().map(|(entry, _)| entry.time)
    }

    /// Time of the last match.
    pub fn last(&self) -> Option<i64> {
        self.entries.back().map(|(entry, _)| entry.time)
    }

    /// Uids of the latest matches, in order.
    pub fn events(&self, most: usize) -> Vec<Arc<str>> {
        let skip = self.entries.len().saturating_sub(most);
        self.entries.iter().skip(skip).map(|(entry, _)| entry.uid.clone()).collect()
    }
}

/// A match makes every chain that ends before its rule one longer.
fn chain(chains: &mut [Vec<Option<i64>>], entry: &Entry) {
    for length in (1..chains.len()).rev() {
        let begun = chains[length - 1][..entry.place].iter().flatten().max().copied();
        chains[length][entry.place] = chains[length][entry.place].max(begun);
    }
    if let Some(first) = chains.first_mut() {
        first[entry.place] = first[entry.place].max(Some(entry.time));
    }
}

/// Between the two nearest of ascending numbers, linearly.
fn at_percentile(sorted: &[f64], percentile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = percentile / 100.0 * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// The texts of a value; of a list each element's.
fn texts(value: &FieldValue, out: &mut Vec<Box<str>>) {
    match value {
        FieldValue::Null => {}
        FieldValue::Text(text) => out.push(text.clone()),
        FieldValue::List(list) => list.iter().for_each(|v| texts(v, out)),
    }
}

/// The values that count as one: a field's own, of several fields each combination's. A match without one of them has
/// none.
fn combine(measured: &[Option<&FieldValue>], out: &mut Vec<Box<str>>) {
    let mut combined: Vec<Box<str>> = vec!["".into()];
    for (i, value) in measured.iter().enumerate() {
        let mut values = Vec::new();
        value.iter().for_each(|v| texts(v, &mut values));
        let join = |a: &str, b: &str| if i == 0 { b.into() } else { format!("{a}\u{1f}{b}").into() };
        combined = combined.iter().flat_map(|a| values.iter().map(move |b| join(a, b))).collect();
    }
    combined.sort_unstable();
    combined.dedup();
    out.extend(combined);
}
