//! Shares with their Wilson score intervals: what a few dozen trials can say, and no more.
//!
//! Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

use serde::Serialize;

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// `count` of `of`, and where the true share lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many did.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// In percent; null of none.
    pub percent: Option<f64>,
    /// The interval's lower end, percent; null of none.
    pub low: Option<f64>,
    /// The interval's upper end, percent; null of none.
    pub high: Option<f64>,
}

impl Share {
    /// The share and its interval.
    pub fn new(count: usize, of: usize) -> Self {
        if of == 0 {
            return Self { count, of, percent: None, low: None, high: None };
        }
        let (n, p) = (of as f64, count as f64 / of as f64);
        let z2 = Z * Z;
        let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let percent = |share: f64| Some(round(100.0 * share.clamp(0.0, 1.0)));
        Self { count, of, percent: percent(p), low: percent(center - half), high: percent(center + half) }
    }
}

impl std::fmt::Display for Share {
    /// `22 of 24, 91.7 % (74.2–97.7)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, of, percent, low, high } = self;
        match (percent, low, high) {
            (Some(percent), Some(low), Some(high)) => write!(f, "{count} of {of}, {percent:.1} % ({low:.1}–{high:.1})"),
            _ => f.write_str("nothing ran"),
        }
    }
}

/// To a hundredth of a percent: more digits would say what is not known.
fn round(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (count, of, low, high) in
            [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)]
        {
            let share = Share::new(count, of);
            assert_eq!((share.low, share.high), (Some(low), Some(high)), "{share}");
        }
        assert_eq!(Share::new(20, 20).high, Some(100.0));
    }

    #[test]
    fn of_none_nothing_is_said() {
        let share = Share::new(0, 0);
        assert_eq!(
            (share.percent, share.low, share.high, share.to_string().as_str()),
            (None, None, None, "nothing ran")
        );
        assert_eq!(Share::new(22, 24).to_string(), "22 of 24, 91.7 % (74.2–97.7)");
    }
}
