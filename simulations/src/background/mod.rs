//! What happens on any day, one module a log. The events are shaped by the vendors' documentation.

pub mod cloudtrail;
pub mod kubernetes;
pub mod linux;
pub mod windows;
pub mod work;

use crate::day::{Event, Source};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One ordinary event: of Windows 60 in 100, of CloudTrail 24, of Kubernetes 16. What Linux machines do is in [`work`].
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
        Source::Linux => linux::event(time, rng),
    };
    Event { source, time, json: value.to_string(), step: None }
}

/// Ordinary minutes from a time on, in order: what goes on all the time, so many events a minute, and what people do in
/// one go ([`work`]). The same seed gives the same events, but for their times.
pub fn minutes(from: DateTime<Utc>, minutes: u32, per_minute: u32, seed: u64) -> Vec<Event> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = u64::from(minutes) * u64::from(per_minute);
    let step_us = 60_000_000 / i64::from(per_minute.max(1));
    let mut events: Vec<Event> = (0..count)
        .map(|n| {
            let within = rng.random_range(0..step_us.max(1));
            event(from + TimeDelta::microseconds(n as i64 * step_us + within), &mut rng)
        })
        .collect();
    events.extend(work::sessions(from, minutes, &mut rng));
    events.sort_by_key(|event| event.time);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_hour_with_all_kinds_of_work_in_it() {
        let hour = |seed| minutes(DateTime::UNIX_EPOCH, 60, 60, seed);
        let (hour, again) = (hour(7), hour(7));
        assert!(hour.iter().zip(&again).all(|(a, b)| a.json == b.json) && hour.len() == again.len());
        assert!(hour.windows(2).all(|w| w[0].time <= w[1].time) && hour.len() > 4_000);
        for name in [
            "Terraform/",
            "AssumeRoleWithWebIdentity",
            "BackupJobCompleted",
            "portforward",
            "ConsoleLogin",
            "velero",
            "AnsiballZ",
        ] {
            assert!(hour.iter().any(|e| e.json.contains(name)), "no {name}");
        }
    }
}
