//! Lanes from a seed: the ordinary day's events of one log.

use crate::background::{cloudtrail, kubernetes, linux, windows};
use crate::day::Source;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An iterator over the ordinary events of one log on one day, spread evenly, each a line of JSON.
///
/// **Bounds**: holds one event. Each has identifiers of its own, so none comes twice.
pub struct Background {
    source: Source,
    midnight: DateTime<Utc>,
    events: u64,
    made: u64,
    rng: ChaCha8Rng,
}

impl Background {
    /// `events` events of `source` on the day `date`; the same seed gives the same bytes.
    pub fn new(source: Source, date: NaiveDate, events: u64, seed: u64) -> Self {
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
        Self { source, midnight, events, made: 0, rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Iterator for Background {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.made == self.events {
            return None;
        }
        let share = (self.made as f64 + self.rng.random::<f64>()) / self.events as f64;
        let time = self.midnight + Duration::microseconds((share * 86_400e6) as i64);
        self.made += 1;
        let event = match self.source {
            Source::CloudTrail => cloudtrail::event(time, &mut self.rng),
            Source::Windows => windows::event(time, &mut self.rng),
            Source::Kubernetes => kubernetes::event(time, &mut self.rng),
            Source::Linux => linux::event(time, &mut self.rng),
        };
        Some(event.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn lane(source: Source, seed: u64) -> Vec<String> {
        Background::new(source, NaiveDate::from_ymd_opt(2026, 3, 17).unwrap_or_default(), 5_000, seed).collect()
    }

    #[test]
    fn a_lane_repeats_no_event_and_its_seed_fixes_it() {
        for source in [Source::Windows, Source::CloudTrail, Source::Kubernetes] {
            let events = lane(source, 7);
            assert_eq!(events.iter().collect::<HashSet<_>>().len(), 5_000, "{source:?}");
            assert_eq!(events, lane(source, 7));
            assert_ne!(events, lane(source, 8));
        }
    }
}
