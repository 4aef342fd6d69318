//! More events than a sample has.
//!
//! A made event is one of the sample's, in the sample's order, with new values in some of its members: in each with the
//! probability that the sample taught. **Why no event comes twice**: a made event has one new value at least; a value
//! is new when the sample does not have it in that member, and those that are made of one form are numbered.

use super::form::Form;
use super::sample::{Leaf, Sample};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use thiserror::Error;

/// A prime that is prime to every form's capacity, so that steps of it go through all values before one comes again.
const STEP: u128 = (1 << 61) - 1;

/// The sample's events have too little in them that may vary.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the sample's events vary too little: no more than {made} distinct ones can be made")]
pub struct TooAlike {
    /// How many were made.
    pub made: u64,
}

/// A lane that is grown from a sample.
///
/// **Bounds**: the sample, one event, and a counter for each form of the sample's values.
pub struct Grown {
    sample: Sample,
    shares: Vec<Option<f64>>,
    rng: ChaCha8Rng,
    seed: u64,
    events: u64,
    made: u64,
    turn: usize,
    numbers: HashMap<u64, u64>,
    form: Form,
    line: Vec<u8>,
}

impl Grown {
    pub(super) fn new(sample: Sample, events: u64, seed: u64) -> Self {
        let shares = sample.shares();
        Self {
            shares,
            sample,
            rng: ChaCha8Rng::seed_from_u64(seed),
            seed,
            events,
            made: 0,
            turn: 0,
            numbers: HashMap::new(),
            form: Form::default(),
            line: Vec::new(),
        }
    }

    /// The next event, a line of JSON without its end; none when all are made.
    ///
    /// **Errors**: [`TooAlike`].
    pub fn next_event(&mut self) -> Result<Option<&[u8]>, TooAlike> {
        let len = self.sample.len();
        if self.made == self.events || len == 0 {
            return Ok(None);
        }
        // Events of which no more can be made are left out.
        for _ in 0..=len {
            let base = self.turn % len;
            let is_first = self.turn < len && !self.sample.is_repeat(base);
            self.turn += 1;
            self.line.clear();
            self.line.extend_from_slice(self.sample.event(base).as_bytes());
            if is_first || self.vary(base) {
                self.made += 1;
                return Ok(Some(&self.line));
            }
        }
        Err(TooAlike { made: self.made })
    }

    /// Gives the event at hand new values; false when it can have none.
    fn vary(&mut self, base: usize) -> bool {
        let Self { sample, shares, rng, .. } = self;
        let share = |leaf: &Leaf| shares[leaf.member as usize];
        let leaves = sample.leaves(base);
        let drawn: Vec<usize> =
            (0..leaves.len()).filter(|i| share(&leaves[*i]).is_some_and(|share| rng.random::<f64>() < share)).collect();
        let mut is_new = false;
        for leaf in drawn {
            is_new |= self.renew(base, leaf);
        }
        if is_new {
            return true;
        }
        // No new value by chance: one in the member that has new ones most often.
        let share = |leaf: &Leaf| self.shares[leaf.member as usize];
        let leaves = self.sample.leaves(base);
        let mut open: Vec<usize> = (0..leaves.len()).filter(|i| share(&leaves[*i]).is_some()).collect();
        open.sort_by(|a, b| share(&leaves[*b]).unwrap_or(0.0).total_cmp(&share(&leaves[*a]).unwrap_or(0.0)));
        open.into_iter().any(|leaf| self.renew(base, leaf))
    }

    /// Gives a scalar of the event at hand a new value; false when all of its form are used.
    fn renew(&mut self, base: usize, leaf: usize) -> bool {
        let Self { sample, form, numbers, line, rng, .. } = self;
        let leaf = &sample.leaves(base)[leaf];
        let at = leaf.start as usize..leaf.end as usize;
        let path = sample.path(leaf);
        let text = &mut line[at.clone()];
        form.read(text, leaf.scalar);
        let capacity = form.capacity();
        if capacity <= 1 {
            return false;
        }
        let template = super::hash((path, form.template(text)));
        let offset = super::hash((self.seed, template));
        let number = numbers.entry(template).or_default();
        while *number < capacity {
            let n = (u128::from(*number) * STEP + u128::from(offset)) % u128::from(capacity);
            *number += 1;
            form.write(text, n as u64, rng);
            if !sample.has(path, text) {
                return true;
            }
        }
        text.copy_from_slice(&sample.event(base).as_bytes()[at]);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaves::leaves;
    use super::*;
    use crate::Source;
    use crate::lane::Background;
    use std::collections::{BTreeMap, HashSet};

    fn events(source: Source, events: u64) -> Vec<String> {
        Background::new(source, chrono::NaiveDate::from_ymd_opt(2026, 3, 17).unwrap_or_default(), events, 7).collect()
    }

    fn grow(sample: &[String], events: u64, seed: u64) -> Result<Vec<String>, TooAlike> {
        let mut learned = Sample::default();
        assert!(sample.iter().all(|event| learned.push(event).is_ok()));
        let (mut grown, mut made) = (learned.grow(events, seed), Vec::new());
        while let Some(event) = grown.next_event()? {
            made.push(String::from_utf8_lossy(event).into_owned());
        }
        Ok(made)
    }

    /// By member: values, and how many of them are not in `seen`, which they are added to.
    fn novelty(of: &[String], seen: &mut HashSet<(String, String)>) -> BTreeMap<String, (f64, f64)> {
        let mut members: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for event in of {
            leaves(event, &mut |path, at, _| {
                let (count, new) = members.entry(path.to_owned()).or_default();
                *count += 1.0;
                *new += f64::from(u8::from(seen.insert((path.to_owned(), event[at].to_owned()))));
            });
        }
        members
    }

    #[test]
    fn the_share_of_new_values_stays_the_samples() -> Result<(), TooAlike> {
        for source in [Source::Windows, Source::CloudTrail, Source::Kubernetes] {
            let sample = events(source, 2_000);
            let grown = grow(&sample, 10_000, 7)?;
            let mut seen = HashSet::new();
            let learned = novelty(&sample, &mut seen);
            let made = novelty(&grown[2_000..], &mut seen);
            assert!(learned.keys().eq(made.keys()));
            for (member, (count, new)) in made.into_iter().filter(|(_, (count, _))| *count > 500.0) {
                let (of, before) = learned[&member];
                let (share, expected) = (new / count, before / of);
                assert!((share - expected).abs() < 0.04, "{source:?} {member}: {share:.3}, not {expected:.3}");
            }
        }
        Ok(())
    }

    #[test]
    fn no_event_comes_twice_and_all_are_json() -> Result<(), TooAlike> {
        for source in [Source::Windows, Source::CloudTrail, Source::Kubernetes] {
            let sample = events(source, 100);
            let grown = grow(&sample, 20_000, 7)?;
            assert_eq!(grown[..100], sample);
            assert_eq!(grown.iter().collect::<HashSet<_>>().len(), 20_000);
            assert!(grown.iter().all(|event| serde_json::from_str::<serde_json::Value>(event).is_ok()));
        }
        Ok(())
    }

    #[test]
    fn the_seed_fixes_the_bytes() -> Result<(), TooAlike> {
        let sample = events(Source::Windows, 50);
        assert_eq!(grow(&sample, 1_000, 7)?, grow(&sample, 1_000, 7)?);
        assert_ne!(grow(&sample, 1_000, 7)?, grow(&sample, 1_000, 8)?);
        Ok(())
    }

    #[test]
    fn what_an_event_is_stays() -> Result<(), TooAlike> {
        let of = |events: &[String]| -> HashSet<(String, String)> {
            let value = |event: &String| serde_json::from_str::<serde_json::Value>(event).unwrap_or_default();
            events.iter().map(value).map(|e| (e["EventID"].to_string(), e["Channel"].to_string())).collect()
        };
        let sample = events(Source::Windows, 30);
        assert_eq!(of(&grow(&sample, 3_000, 7)?), of(&sample));
        Ok(())
    }

    #[test]
    fn a_samples_own_repeats_are_made_anew() -> Result<(), TooAlike> {
        let sample: Vec<String> = (0..40).map(|n| format!(r#"{{"EventID":1,"port":4915{}}}"#, n % 10)).collect();
        let grown = grow(&sample, 5_000, 7)?;
        assert_eq!(grown[..10], sample[..10]);
        assert_eq!(grown.iter().collect::<HashSet<_>>().len(), 5_000);
        Ok(())
    }

    #[test]
    fn a_sample_with_too_little_in_it_is_refused() {
        let sample = [r#"{"on":true,"n":7}"#.to_owned(), r#"{"on":true,"n":70}"#.to_owned()];
        assert_eq!(grow(&sample, 1_000, 7), Err(TooAlike { made: 11 }));
    }
}
