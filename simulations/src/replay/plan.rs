//! When each record is to have happened, and when it is sent.
//!
//! ```text
//! ├─ recording ─┤ gap ├─ recording ─┤ gap ├─ recording ─┤        one after the other, each with its intervals
//! ├───────────────────── background ─────────────────────┤
//!                                              ends now ─┘        (or begins now, at real speed)
//! ```
//!
//! Recordings do not overlap, so that a correlation does not take two attacks for one.

use super::fresh::Fresh;
use super::recording::Recording;
use super::shift::Shift;
use crate::background;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Of a recording, by its number.
    Recording(usize),
    /// Of the ordinary day.
    Background,
}

/// A record to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// When it is to have happened.
    pub at: DateTime<Utc>,
    /// Its JSON, one line.
    pub text: String,
    /// Whose it is.
    pub owner: Owner,
}

/// An ordinary day around the attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinary {
    /// How long.
    pub minutes: u32,
    /// Events a minute, without what people do in one go.
    pub per_minute: u32,
    /// Fixes its events.
    pub seed: u64,
}

/// How fast records are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the daemon takes them; the last happened now.
    Fastest,
    /// So many times as fast as they happened; at 1 the first happens now.
    Times(f64),
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In order of time.
    pub items: Vec<Item>,
    /// When the first recording begins.
    pub start: DateTime<Utc>,
    /// How fast.
    pub pace: Pace,
}

impl Plan {
    /// Lays recordings out. `gap` stands between two of them, more where the background is longer than all.
    ///
    /// **Errors**: none; expressions that are constants.
    pub fn new(
        recordings: &[Recording],
        background: Option<Ordinary>,
        (pace, gap): (Pace, TimeDelta),
        run: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Self, regex::Error> {
        let (shift, fresh) = (Shift::new()?, Fresh::new(run)?);
        let span = |r: &Recording| match (r.records.first(), r.records.last()) {
            (Some(first), Some(last)) => last.time - first.time,
            _ => TimeDelta::zero(),
        };
        let busy: TimeDelta = recordings.iter().map(span).sum();
        let ordinary = TimeDelta::minutes(background.map_or(0, |b| i64::from(b.minutes)));
        let gaps = i32::try_from(recordings.len().saturating_sub(1)).unwrap_or(i32::MAX);
        let gap = if gaps > 0 { gap.max((ordinary - busy) / (gaps + 1)) } else { gap };
        let whole = (busy + gap * gaps).max(ordinary);
        let start = whole_second(now - whole + lasts(pace, whole));
        let mut items = Vec::new();
        let mut begins = start;
        for (number, recording) in recordings.iter().enumerate() {
            let Some(first) = recording.records.first() else { continue };
            // Whole seconds: many logs know no others, and intervals are to be kept.
            let by = TimeDelta::seconds((begins - first.time).num_seconds());
            items.extend(recording.records.iter().map(|record| Item {
                at: record.time + by,
                text: fresh.apply(&shift.apply(&record.text, record.time, by), record.uid.as_deref()),
                owner: Owner::Recording(number),
            }));
            begins += span(recording) + gap;
        }
        if let Some(Ordinary { minutes, per_minute, seed }) = background {
            let from = start + (whole - ordinary);
            let events = background::minutes(from, minutes, per_minute, seed);
            items.extend(events.into_iter().map(|e| Item { at: e.time, text: e.json, owner: Owner::Background }));
        }
        items.sort_by_key(|item| item.at);
        Ok(Self { items, start, pace })
    }

    /// When an item is due, if sending begins at `begun`; none: at once.
    pub fn due(&self, item: &Item, begun: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.pace {
            Pace::Fastest => None,
            pace => Some(begun + lasts(pace, item.at - self.start)),
        }
    }
}

/// How long sending lasts, of what took so long.
fn lasts(pace: Pace, took: TimeDelta) -> TimeDelta {
    match pace {
        Pace::Fastest => TimeDelta::zero(),
        Pace::Times(speed) => {
            let ms = took.num_milliseconds() as f64 / speed.max(f64::MIN_POSITIVE);
            TimeDelta::try_milliseconds(ms as i64).unwrap_or(TimeDelta::MAX)
        }
    }
}

fn whole_second(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::recording::Recorded;
    use super::*;

    fn recording(seconds: &[i64]) -> Recording {
        let record = |s: &i64| {
            let time = DateTime::from_timestamp(1_722_430_000 + s, 0).unwrap();
            let text = format!(r#"{{"eventTime":"{}"}}"#, time.format("%Y-%m-%dT%H:%M:%SZ"));
            Recorded { time, text, uid: None }
        };
        Recording { file: "x".into(), records: seconds.iter().map(record).collect() }
    }

    fn plan(background: Option<Ordinary>, pace: Pace) -> Plan {
        let now = DateTime::from_timestamp(1_800_000_000, 500_000_000).unwrap();
        let recordings = [recording(&[0, 7, 60]), recording(&[0, 1])];
        Plan::new(&recordings, background, (pace, TimeDelta::seconds(600)), Uuid::nil(), now).unwrap()
    }

    #[test]
    fn recordings_come_one_after_the_other_and_the_last_ends_now() {
        let plan = plan(None, Pace::Fastest);
        let at: Vec<i64> = plan.items.iter().map(|i| i.at.timestamp() - 1_800_000_000).collect();
        assert_eq!(at, [-661, -654, -601, -1, 0]);
        let text = |i: usize| plan.items[i].text.as_str();
        assert_eq!(
            (text(0), text(4)),
            (r#"{"eventTime":"2027-01-15T07:48:59Z"}"#, r#"{"eventTime":"2027-01-15T08:00:00Z"}"#)
        );
        assert_eq!(plan.due(&plan.items[1], DateTime::UNIX_EPOCH), None);
    }

    #[test]
    fn at_real_speed_the_first_begins_now_and_intervals_are_waited_for() {
        let plan = plan(None, Pace::Times(1.0));
        assert_eq!(plan.items[0].at.timestamp(), 1_800_000_000);
        assert_eq!(plan.due(&plan.items[2], DateTime::UNIX_EPOCH).unwrap().timestamp(), 60);
        let faster = super::tests::plan(None, Pace::Times(10.0));
        assert_eq!(faster.due(&faster.items[2], DateTime::UNIX_EPOCH).unwrap().timestamp(), 6);
        assert_eq!(faster.items[0].at.timestamp(), 1_800_000_000 - 661 + 66);
    }

    #[test]
    fn a_longer_background_spreads_them() {
        let ordinary = Ordinary { minutes: 60, per_minute: 30, seed: 7 };
        let plan = plan(Some(ordinary), Pace::Fastest);
        assert!(plan.items.iter().filter(|i| i.owner == Owner::Background).count() > 1_800);
        let of = |n: usize| plan.items.iter().find(|i| i.owner == Owner::Recording(n)).unwrap().at;
        assert!((of(1) - of(0)).num_minutes() >= 29, "{} {}", of(0), of(1));
        assert!(plan.items.windows(2).all(|w| w[0].at <= w[1].at));
        assert_eq!(plan, super::tests::plan(Some(ordinary), Pace::Fastest));
    }
}
