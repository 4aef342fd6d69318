//! Times in a record's text, moved by whole seconds: its own, and all that lie within a day of it.
//!
//! Forms: ISO 8601 and its look-alikes, seconds to nanoseconds since 1970, RFC 3164, and access logs'. What is further away
//! (when an account was made, a certificate's end) stays as it is, as does everything that is no time.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use regex::{Captures, Regex};
use std::borrow::Cow;

const DAY_S: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Finds and moves times.
pub struct Shift {
    iso: Regex,
    epoch: Regex,
    stamp: Regex,
    access: Regex,
}

impl Shift {
    /// **Errors**: none; the expressions are constants, which a test compiles.
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            iso: Regex::new(
                r"\b(\d{4})-(\d{2})-(\d{2})([T ])(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})?",
            )?,
            epoch: Regex::new(r"\b(1\d{9})(\.\d{1,9}|\d{3}|\d{6}|\d{9})?\b")?,
            stamp: Regex::new(
                r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ \d]\d) (\d{2}):(\d{2}):(\d{2})\b",
            )?,
            access: Regex::new(r"\b(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2})\b")?,
        })
    }

    /// The text of a record that happened `at`, as if it had happened `by` later; `by` is whole seconds.
    pub fn apply<'t>(&self, text: &'t str, at: DateTime<Utc>, by: TimeDelta) -> Cow<'t, str> {
        let near = |time: NaiveDateTime| (time.and_utc() - at).num_seconds().abs() <= DAY_S;
        let text = replace(&self.iso, text, |c| {
            let time = date(&c[1], month(&c[2])?, &c[3])?.and_time(clock(&c[5], &c[6], &c[7])?);
            let zone = c.get(9).and_then(|zone| offset(zone.as_str())).unwrap_or(0);
            let moved = near(time - TimeDelta::seconds(zone)).then(|| time + by)?;
            let (fraction, zone) = (part(c, 8), part(c, 9));
            Some(format!("{}{}{}{fraction}{zone}", moved.format("%Y-%m-%d"), &c[4], moved.format("%H:%M:%S")))
        });
        let text = again(text, &self.epoch, |c| {
            let seconds: i64 = c[1].parse().ok()?;
            let time = DateTime::from_timestamp(seconds, 0)?.naive_utc();
            near(time).then(|| format!("{}{}", seconds + by.num_seconds(), part(c, 2)))
        });
        let text = again(text, &self.stamp, |c| {
            let (month, clock) = (name(&c[1])?, clock(&c[3], &c[4], &c[5])?);
            let in_year = |year: i32| {
                let time = NaiveDate::from_ymd_opt(year, month, c[2].trim().parse().ok()?)?.and_time(clock);
                near(time).then_some(time)
            };
            // It has no year: that of the record, or its neighbour around New Year.
            let time = (-1..=1).find_map(|years| in_year(at.year() + years))?;
            let day = if c[2].starts_with('0') { "%b %d %H:%M:%S" } else { "%b %e %H:%M:%S" };
            Some((time + by).format(day).to_string())
        });
        again(text, &self.access, |c| {
            let time = date(&c[3], name(&c[2])?, &c[1])?.and_time(clock(&c[4], &c[5], &c[6])?);
            near(time).then(|| (time + by).format("%d/%b/%Y:%H:%M:%S").to_string())
        })
    }
}

fn replace<'t>(form: &Regex, text: &'t str, moved: impl Fn(&Captures<'_>) -> Option<String>) -> Cow<'t, str> {
    form.replace_all(text, |c: &Captures<'_>| moved(c).unwrap_or_else(|| c[0].to_owned()))
}

fn again<'t>(text: Cow<'t, str>, form: &Regex, moved: impl Fn(&Captures<'_>) -> Option<String>) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => replace(form, text, moved),
        Cow::Owned(text) => Cow::Owned(replace(form, &text, moved).into_owned()),
    }
}

fn part<'c>(captures: &'c Captures<'_>, at: usize) -> &'c str {
    captures.get(at).map_or("", |part| part.as_str())
}

fn month(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn name(text: &str) -> Option<u32> {
    MONTHS.iter().position(|name| *name == text).map(|at| at as u32 + 1)
}

fn date(year: &str, month: u32, day: &str) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year.parse().ok()?, month, day.parse().ok()?)
}

fn clock(hour: &str, minute: &str, second: &str) -> Option<NaiveTime> {
    NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?)
}

fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    zone.parse::<FixedOffset>().ok().map(|offset| i64::from(offset.local_minus_utc()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What happened on 2024-07-31 at 12:46:41 UTC, two days, an hour and a second later.
    fn moved(text: &str) -> String {
        let at = DateTime::parse_from_rfc3339("2024-07-31T12:46:41Z").unwrap().to_utc();
        Shift::new().unwrap().apply(text, at, TimeDelta::seconds(2 * DAY_S + 3_601)).into_owned()
    }

    #[test]
    fn times_of_every_form_are_moved() {
        for (text, expected) in [
            ("2024-07-31T12:46:41Z", "2024-08-02T13:46:42Z"),
            (r#"{"t":"2024-07-31T23:59:59.123456Z"}"#, r#"{"t":"2024-08-03T01:00:00.123456Z"}"#),
            ("2024-07-31 14:46:41+02:00", "2024-08-02 15:46:42+02:00"),
            ("2024-07-31T12:46:41.5", "2024-08-02T13:46:42.5"),
            (r#"{\"inner\":\"2024-07-31T12:46:41Z\"}"#, r#"{\"inner\":\"2024-08-02T13:46:42Z\"}"#),
            ("audit(1722430001.364:24287)", "audit(1722606402.364:24287)"),
            ("1722430001", "1722606402"),
            ("1722430001364", "1722606402364"),
            ("1722430001364000000", "1722606402364000000"),
            ("<38>Jul 31 12:46:41 host", "<38>Aug  2 13:46:42 host"),
            ("[31/Jul/2024:12:46:41 +0000]", "[02/Aug/2024:13:46:42 +0000]"),
        ] {
            assert_eq!(moved(text), expected);
        }
    }

    #[test]
    fn what_is_far_away_or_no_time_stays() {
        for text in [
            "2023-01-01T00:00:00Z",
            "1622430001",
            "17224300013",
            "111122223333",
            "2024-13-31T12:46:41Z",
            "2024-07-31",
            "arn:aws:iam::172243000136:user/x",
            "Jul 01 12:46:41",
            "12:46:41",
        ] {
            assert_eq!(moved(text), text);
        }
    }
}
