//! Lengths of time in configuration: a whole number and its unit, as `500ms`, `30s`, `5m`, `12h` or `7d`.

use serde::Deserialize;
use std::time::Duration;
use thiserror::Error;

/// A length of time that configuration gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// A text that is no length of time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no length of time; expected a number and ms, s, m, h or d, at most 366d")]
pub struct SpanError {
    /// As written.
    text: String,
}

/// More than a year is a mistake, and would make sums of times overflow.
const MS_MAX: u64 = 366 * 86_400_000;

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_ms = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        let ms = unit_ms.zip(number.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
        match ms.filter(|ms| *ms <= MS_MAX) {
            Some(ms) => Ok(Self(Duration::from_millis(ms))),
            None => Err(SpanError { text }),
        }
    }
}

impl Span {
    /// Milliseconds, as times in the outbox are.
    pub fn ms(self) -> i64 {
        // At most `MS_MAX`.
        self.0.as_millis() as i64
    }

    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let ms = |text: &str| Span::try_from(text.to_owned()).map(Span::ms).ok();
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("30s"), Some(30_000));
        assert_eq!(ms("7d"), Some(604_800_000));
        for wrong in ["", "5", "s", "-5s", "1.5h", "5 s", "5S", "367d", "99999999999999999999s"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
