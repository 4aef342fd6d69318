//! What becomes of a try, and when the next one is.
//!
//! Back-off is exponential with full jitter: uniform between nothing and a bound that doubles, so that many messages
//! which failed together do not come again together.

use super::config::Pace;
use std::time::Duration;

/// What becomes of a message after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It may work later.
    Retry {
        /// What went wrong.
        reason: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// It will not work, however often it is tried.
    Never {
        /// What went wrong.
        reason: String,
    },
    /// The receiver wants no more messages at all.
    Gone {
        /// What it said.
        reason: String,
    },
}

/// A receiver that asks for more time than this is tried before.
const AFTER_MAX: Duration = Duration::from_secs(3_600);

/// How long to wait after try number `tries`, from 1. `jitter` is uniform in 0..1.
pub fn wait(pace: &Pace, tries: u32, after: Option<Duration>, jitter: f64) -> Duration {
    let doubled = pace.retry_base.0.saturating_mul(1 << tries.saturating_sub(1).min(30));
    let backoff = doubled.min(pace.retry_max.0).mul_f64(jitter.clamp(0.0, 1.0));
    after.map_or(backoff, |after| after.min(AFTER_MAX).saturating_add(backoff.min(pace.retry_base.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let pace = Pace::default();
        let secs = |tries, jitter| wait(&pace, tries, None, jitter).as_secs_f64();
        assert_eq!([1, 2, 3, 4].map(|tries| secs(tries, 1.0)), [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(secs(40, 1.0), 600.0);
        assert_eq!(secs(40, 0.5), 300.0);
        assert_eq!(secs(3, 0.0), 0.0);
    }

    #[test]
    fn receivers_are_left_alone_as_long_as_they_ask() {
        let pace = Pace::default();
        let after = |secs| wait(&pace, 5, Some(Duration::from_secs(secs)), 0.5).as_secs_f64();
        assert_eq!(after(30), 31.0);
        assert_eq!(after(1_000_000), 3_601.0);
    }
}
