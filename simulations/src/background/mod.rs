//! What happens on any day, one module a log. The events are shaped by the vendors' documentation.

pub mod cloudtrail;
pub mod kubernetes;
pub mod windows;

use crate::day::{Event, Source};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One ordinary event: of Windows 60 in 100, of CloudTrail 24, of Kubernetes 16.
pub fn event(time: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Event {
    let source = match rng.random_range(0..100) {
        0..60 => Source::Windows,
        60..84 => Source::CloudTrail,
        _ => Source::Kubernetes,
    };
    let value = match source {
        Source::CloudTrail => cloudtrail::event(time, rng),
        Source::Windows => windows::event(time, rng),
        Source::Kubernetes => kubernetes::event(time, rng),
    };
    Event { source, time, json: value.to_string(), step: None }
}

/// Ordinary minutes from a time on, in order; the same seed gives the same events, but for their times.
pub fn minutes(from: DateTime<Utc>, minutes: u32, per_minute: u32, seed: u64) -> impl Iterator<Item = Event> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = u64::from(minutes) * u64::from(per_minute);
    let step_us = 60_000_000 / i64::from(per_minute.max(1));
    (0..count).map(move |n| {
        let within = rng.random_range(0..step_us.max(1));
        let time = from + TimeDelta::microseconds(n as i64 * step_us + within);
        event(time, &mut rng)
    })
}
