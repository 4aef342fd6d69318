//! What is measured over the matches of a window, kept up to date as they come and go.
//!
//! A window that slides remembers what each match gave, to take it away again; one that closes does not.

use super::distinct::Distinct;
use super::measured::Measured;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tarn_rules::correlation::{Correlation, Measure};

/// A tally.
#[derive(Serialize, Deserialize)]
pub enum Tally {
    /// Of matches.
    Count,
    /// Of distinct values.
    Values(Distinct, Given<u32>),
    /// Of numbers: how many, and their sum.
    Sum(u64, f64, Given<f64>),
    /// Of numbers, ascending.
    Sorted(Vec<f64>, Given<f64>),
    /// How often each rule matched.
    Rules(Vec<u32>, VecDeque<u8>),
    /// Chains of rules in order.
    Chains(Vec<Chain>),
}

/// What each match gave, the oldest first.
#[derive(Default, Serialize, Deserialize)]
pub struct Given<T> {
    counts: VecDeque<u32>,
    list: VecDeque<T>,
}

/// Of the chains of one length that end with one rule, the one that began latest.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    length: u8,
    place: u8,
    began: i64,
}

impl<T> Given<T> {
    fn push(&mut self, values: impl Iterator<Item = T>) {
        let before = self.list.len();
        self.list.extend(values);
        self.counts.push_back((self.list.len() - before) as u32);
    }

    /// What a match gave that stands before the latest `behind` ones.
    fn insert(&mut self, behind: usize, values: impl Iterator<Item = T>) {
        let at = self.counts.len().saturating_sub(behind);
        let later: usize = self.counts.range(at..).map(|count| *count as usize).sum();
        let (before, mut next) = (self.list.len(), self.list.len().saturating_sub(later));
        for value in values {
            self.list.insert(next, value);
            next += 1;
        }
        self.counts.insert(at, (self.list.len() - before) as u32);
    }

    fn pop(&mut self) -> impl Iterator<Item = T> {
        let count = self.counts.pop_front().unwrap_or(0) as usize;
        self.list.drain(..count.min(self.list.len()))
    }

    fn size(&self) -> usize {
        2 * (self.counts.len() * size_of::<u32>() + self.list.len() * size_of::<T>())
    }

    /// Whether it is what `matches` gave.
    fn is_of(&self, matches: usize) -> bool {
        let sum = self.counts.iter().map(|c| u64::from(*c)).sum::<u64>();
        self.counts.len() == matches && sum == self.list.len() as u64
    }

    fn shrink(&mut self) {
        shrink(&mut self.counts);
        shrink(&mut self.list);
    }
}

/// Gives back what a burst took.
pub fn shrink<T>(list: &mut VecDeque<T>) {
    if list.capacity() > 64 && list.capacity() > 4 * list.len() {
        list.shrink_to(2 * list.len());
    }
}

impl Tally {
    /// Of nothing.
    pub fn new(correlation: &Correlation) -> Self {
        match correlation.measure {
            Measure::EventCount => Self::Count,
            Measure::ValueCount(_) => Self::Values(Distinct::default(), Given::default()),
            Measure::ValueSum(_) | Measure::ValueAvg(_) => Self::Sum(0, 0.0, Given::default()),
            Measure::ValuePercentile(..) => Self::Sorted(Vec::new(), Given::default()),
            Measure::Temporal => Self::Rules(vec![0; correlation.rules.len()], VecDeque::new()),
            Measure::TemporalOrdered => Self::Chains(Vec::new()),
        }
    }

    /// Adds a match of the rule at `place`; what it gives is remembered where the window `slides`.
    pub fn add(&mut self, time: i64, place: u8, measured: Measured<'_>, slides: bool) {
        match (self, measured) {
            (Self::Values(distinct, given), Measured::Values(values)) => {
                let numbers = values.iter().map(|v| distinct.add(v));
                if slides { given.push(numbers) } else { numbers.for_each(drop) }
            }
            (Self::Sum(count, sum, given), Measured::Numbers(numbers)) => {
                *count = count.saturating_add(numbers.len() as u64);
                *sum = numbers.iter().fold(*sum, |sum, n| sum + n);
                if slides {
                    given.push(numbers.into_iter());
                }
            }
            (Self::Sorted(sorted, given), Measured::Numbers(numbers)) => {
                numbers.iter().for_each(|n| sorted.insert(sorted.partition_point(|s| s < n), *n));
                if slides {
                    given.push(numbers.into_iter());
                }
            }
            (Self::Rules(counts, places), _) => {
                counts[usize::from(place)] = counts[usize::from(place)].saturating_add(1);
                if slides {
                    places.push_back(place);
                }
            }
            (Self::Chains(chains), _) => chain(chains, place, time),
            _ => {}
        }
    }

    /// Adds a match before the latest `behind` ones, in a window that slides; whether that can be done.
    pub fn insert(&mut self, behind: usize, place: u8, measured: Measured<'_>) -> bool {
        match (self, measured) {
            (Self::Chains(_), _) => return false,
            (Self::Values(distinct, given), Measured::Values(values)) => {
                given.insert(behind, values.iter().map(|v| distinct.add(v)));
            }
            (Self::Sum(count, sum, given), Measured::Numbers(numbers)) => {
                *count = count.saturating_add(numbers.len() as u64);
                *sum = numbers.iter().fold(*sum, |sum, n| sum + n);
                given.insert(behind, numbers.into_iter());
            }
            (Self::Sorted(sorted, given), Measured::Numbers(numbers)) => {
                numbers.iter().for_each(|n| sorted.insert(sorted.partition_point(|s| s < n), *n));
                given.insert(behind, numbers.into_iter());
            }
            (Self::Rules(counts, places), _) => {
                counts[usize::from(place)] = counts[usize::from(place)].saturating_add(1);
                places.insert(places.len().saturating_sub(behind), place);
            }
            _ => {}
        }
        true
    }

    /// Takes the oldest match away.
    pub fn drop_first(&mut self) {
        match self {
            Self::Count | Self::Chains(_) => {}
            Self::Values(distinct, given) => given.pop().for_each(|number| distinct.remove(number)),
            Self::Sum(count, sum, given) => {
                for n in given.pop() {
                    *count -= 1;
                    *sum -= n;
                }
                // Differences do not add up for ever, and nothing comes back from beyond all numbers.
                if *count == 0 || !sum.is_finite() {
                    *sum = given.list.iter().fold(0.0, |sum, n| sum + n);
                }
            }
            Self::Sorted(sorted, given) => {
                for n in given.pop() {
                    let at = sorted.partition_point(|s| *s < n);
                    if at < sorted.len() {
                        sorted.remove(at);
                    }
                }
            }
            Self::Rules(counts, places) => {
                if let Some(place) = places.pop_front() {
                    counts[usize::from(place)] -= 1;
                }
            }
        }
    }

    /// Forgets what began before `time`, and gives memory back.
    pub fn expire(&mut self, time: i64) {
        match self {
            Self::Count => {}
            Self::Chains(chains) => chains.retain(|chain| chain.began >= time),
            Self::Values(_, given) => given.shrink(),
            Self::Sum(.., given) | Self::Sorted(_, given) => given.shrink(),
            Self::Rules(_, places) => shrink(places),
        }
    }

    /// What is measured, of so many matches.
    pub fn measure(&self, measure: &Measure, matches: u64) -> f64 {
        match self {
            Self::Count => matches as f64,
            Self::Values(distinct, _) => distinct.len() as f64,
            Self::Sum(count, sum, _) => match measure {
                Measure::ValueAvg(_) => sum / (*count).max(1) as f64,
                _ => *sum,
            },
            Self::Sorted(sorted, _) => match measure {
                Measure::ValuePercentile(_, percentile) => at_percentile(sorted, *percentile),
                _ => 0.0,
            },
            Self::Rules(counts, _) => counts.iter().filter(|c| **c > 0).count() as f64,
            Self::Chains(chains) => chains.iter().map(|c| f64::from(c.length)).fold(0.0, f64::max),
        }
    }

    /// Whether the rule at a place matched, where rules are what is measured.
    pub fn matched(&self, place: usize) -> bool {
        matches!(self, Self::Rules(counts, _) if counts.get(place).is_some_and(|c| *c > 0))
    }

    /// Bytes that it takes beside itself, at most.
    pub fn size(&self) -> usize {
        match self {
            Self::Count => 0,
            Self::Values(distinct, given) => distinct.size() + given.size(),
            Self::Sum(.., given) => given.size(),
            Self::Sorted(sorted, given) => 2 * size_of_val(sorted.as_slice()) + given.size(),
            Self::Rules(counts, places) => size_of_val(counts.as_slice()) + 2 * places.len(),
            Self::Chains(chains) => 2 * size_of_val(chains.as_slice()),
        }
    }

    /// The tally, with what is not written of it, if it can be of so many matches in a window of this correlation.
    pub fn revived(self, correlation: &Correlation, matches: usize, slides: bool) -> Option<Self> {
        let (rules, given_by) = (correlation.rules.len(), if slides { matches } else { 0 });
        let finite = |list: &VecDeque<f64>| list.iter().all(|n| n.is_finite());
        match (self, Self::new(correlation)) {
            (Self::Count, Self::Count) => Some(Self::Count),
            (Self::Values(distinct, given), Self::Values(..)) if given.is_of(given_by) => {
                let distinct = match slides {
                    true => distinct.revived(given.list.iter().copied())?,
                    false => {
                        let numbers = distinct.numbers();
                        distinct.revived(numbers)?
                    }
                };
                Some(Self::Values(distinct, given))
            }
            (Self::Sum(count, sum, given), Self::Sum(..)) => {
                let is_so = !slides || count == given.list.len() as u64;
                (is_so && given.is_of(given_by) && finite(&given.list)).then_some(Self::Sum(count, sum, given))
            }
            (Self::Sorted(sorted, given), Self::Sorted(..)) if given.is_of(given_by) && finite(&given.list) => {
                let mut list: Vec<f64> = given.list.iter().copied().collect();
                list.sort_by(f64::total_cmp);
                let is_so =
                    if slides { list == sorted } else { sorted.is_sorted() && sorted.iter().all(|n| n.is_finite()) };
                is_so.then_some(Self::Sorted(sorted, given))
            }
            (Self::Rules(counts, places), Self::Rules(..)) if counts.len() == rules && places.len() == given_by => {
                let mut given = vec![0; rules];
                for place in &places {
                    *given.get_mut(usize::from(*place))? += 1;
                }
                (!slides || given == counts).then_some(Self::Rules(counts, places))
            }
            (Self::Chains(chains), Self::Chains(_)) => {
                let fits = |c: &Chain| (1..=rules).contains(&c.length.into()) && usize::from(c.place) < rules;
                (chains.len() <= rules * rules && chains.iter().all(fits)).then_some(Self::Chains(chains))
            }
            _ => None,
        }
    }
}

/// A match makes every chain that ends before its rule one longer.
fn chain(chains: &mut Vec<Chain>, place: u8, time: i64) {
    let mut latest = vec![None; usize::from(place) + 2];
    latest[1] = Some(time);
    for chain in chains.iter().filter(|chain| chain.place < place) {
        // A chain is no longer than there are places up to its last.
        if let Some(began) = latest.get_mut(usize::from(chain.length) + 1) {
            *began = (*began).max(Some(chain.began));
        }
    }
    for chain in chains.iter_mut().filter(|chain| chain.place == place) {
        if let Some(began) = latest.get_mut(usize::from(chain.length)).and_then(Option::take) {
            chain.began = chain.began.max(began);
        }
    }
    let new = latest.iter().enumerate().filter_map(|(length, began)| Some((length as u8, (*began)?)));
    chains.extend(new.map(|(length, began)| Chain { length, place, began }));
}

/// Between the two nearest of ascending numbers, linearly.
fn at_percentile(sorted: &[f64], percentile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = percentile / 100.0 * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}
