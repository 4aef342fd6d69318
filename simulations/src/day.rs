//! One day, in time order: background events drawn by the hour's activity, the intrusion's steps between them.

use crate::{background, intrusion};
use chrono::{DateTime, NaiveDate, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Which log an event was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// AWS CloudTrail records.
    CloudTrail,
    /// Windows events (Sysmon, Security, System) as NXLog ships them: flat JSON.
    Windows,
    /// Kubernetes API server audit events.
    Kubernetes,
    /// Audit events as LAUREL writes them, and journald's export; in replays' background, not in the day.
    Linux,
}

/// One event as its producer wrote it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The log that holds it.
    pub source: Source,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// JSON, one line.
    pub json: String,
    /// The intrusion's step that it belongs to; none for the background.
    pub step: Option<&'static str>,
}

/// An iterator over the events of one day, in time order.
///
/// **Bounds**: holds the intrusion's few dozen events and one background event at a time.
pub struct Day {
    rng: ChaCha8Rng,
    midnight: DateTime<Utc>,
    remaining: usize,
    total: usize,
    intrusion: std::iter::Peekable<std::vec::IntoIter<Event>>,
    pending: Option<Event>,
}

impl Day {
    /// The day `date` with `background` ordinary events; the same seed gives the same bytes.
    pub fn new(date: NaiveDate, background: usize, seed: u64) -> Self {
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let intrusion = intrusion::events(midnight, &mut rng);
        Self {
            rng,
            midnight,
            remaining: background,
            total: background,
            intrusion: intrusion.into_iter().peekable(),
            pending: None,
        }
    }

    /// The moment of the `n`-th background event: most of the day's work is done between 08:00 and 18:00 UTC.
    fn moment(&mut self, n: usize) -> DateTime<Utc> {
        let share = (n as f64 + self.rng.random::<f64>()) / self.total.max(1) as f64;
        // 15 % before work, 75 % at work, 10 % after it.
        let hour = match share {
            s if s < 0.15 => 8.0 * s / 0.15,
            s if s < 0.90 => 8.0 + 10.0 * (s - 0.15) / 0.75,
            s => 18.0 + 6.0 * (s - 0.90) / 0.10,
        };
        self.midnight + chrono::Duration::milliseconds((hour * 3_600_000.0) as i64)
    }

    fn background(&mut self) -> Option<Event> {
        if self.remaining == 0 {
            return None;
        }
        let time = self.moment(self.total - self.remaining);
        self.remaining -= 1;
        Some(background::event(time, &mut self.rng))
    }
}

impl Iterator for Day {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.pending.is_none() {
            self.pending = self.background();
        }
        let intruder_first = match (&self.pending, self.intrusion.peek()) {
            (Some(ordinary), Some(step)) => step.time <= ordinary.time,
            (None, Some(_)) => true,
            _ => false,
        };
        if intruder_first { self.intrusion.next() } else { self.pending.take() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Vec<Event> {
        Day::new(NaiveDate::from_ymd_opt(2026, 3, 17).unwrap_or_default(), 2_000, 7).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert!(day().iter().zip(&day()).all(|(a, b)| a.json == b.json));
    }

    #[test]
    fn every_background_event_and_every_step_is_there_once_and_in_order() {
        let events = day();
        assert_eq!(events.iter().filter(|e| e.step.is_none()).count(), 2_000);
        assert!(events.iter().filter(|e| e.step.is_some()).count() > 20);
        let jitter = chrono::Duration::seconds(60);
        assert!(events.windows(2).all(|w| w[0].time <= w[1].time + jitter));
    }

    #[test]
    fn every_event_is_one_line_of_json() {
        for event in day() {
            assert!(!event.json.contains('\n'));
            assert!(serde_json::from_str::<serde_json::Value>(&event.json).is_ok());
        }
    }
}
