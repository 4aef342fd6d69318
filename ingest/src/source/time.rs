//! Times as vendors write them, to microseconds since 1970 in UTC.

use super::definition::TimeFormat;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

/// Parses a time; `zone` is what a bare time is in.
pub fn parse(text: &str, format: TimeFormat, zone: Tz) -> Option<i64> {
    let text = text.trim();
    let utc = |bare: NaiveDateTime| Some(bare.and_utc().timestamp_micros());
    let local =
        |bare: NaiveDateTime| Some(zone.from_local_datetime(&bare).earliest()?.with_timezone(&Utc).timestamp_micros());
    match (format, usual(text)) {
        (TimeFormat::Zoned, _) => zoned(text),
        (TimeFormat::Utc, Some(bare)) => utc(bare),
        (TimeFormat::Utc, None) => zoned(text).or_else(|| utc(naive(text)?)),
        (TimeFormat::Bare, Some(bare)) => local(bare),
        (TimeFormat::Bare, None) => zoned(text).or_else(|| local(naive(text)?)),
        (TimeFormat::Epoch, _) => epoch(text),
    }
}

/// `2026-03-17 10:30:00.5`, which most bare times are, read without trying the other spellings first. What is none of them, or
/// looks as if, is left to these.
fn usual(text: &str) -> Option<NaiveDateTime> {
    let (whole, fraction) = text.split_at_checked(19)?;
    let number = |range: std::ops::Range<usize>| {
        let digits = whole.as_bytes().get(range)?;
        digits.iter().try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + u32::from(digit - b'0')))
    };
    let is = |at: usize, separators: &[u8]| whole.as_bytes().get(at).is_some_and(|byte| separators.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b" T") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let nanos = match fraction.strip_prefix('.') {
        None => fraction.is_empty().then_some(0)?,
        Some(digits) if matches!(digits.len(), 1..=9) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u32>().ok()? * 10_u32.pow(9 - digits.len() as u32)
        }
        Some(_) => return None,
    };
    let date = NaiveDate::from_ymd_opt(number(0..4)? as i32, number(5..7)?, number(8..10)?)?;
    date.and_hms_nano_opt(number(11..13)?, number(14..16)?, number(17..19)?, nanos)
}

/// As [`parse`]; a bare time without a year (RFC 3164) is the last such moment that is not more than a day after
/// `reference` (microseconds): in January, a record of December is last year's.
pub fn parse_at(text: &str, format: TimeFormat, zone: Tz, reference: i64) -> Option<i64> {
    const DAY: i64 = 86_400_000_000;
    let parsed = parse(text, format, zone);
    if parsed.is_some() || format != TimeFormat::Bare {
        return parsed;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let with_year = |text: &str| {
        let naive = NaiveDateTime::parse_from_str(text, "%Y %b %d %H:%M:%S%.f").ok()?;
        Some(zone.from_local_datetime(&naive).earliest()?.with_timezone(&Utc).timestamp_micros())
    };
    // `Mar 17 2026 10:30:00` has a year of its own.
    let words: Vec<&str> = text.split(' ').collect();
    if let [month, day, year, clock] = words[..] {
        return with_year(&format!("{year} {month} {day} {clock}"));
    }
    let year = Utc.timestamp_micros(reference).single()?.with_timezone(&zone).year();
    let candidates = (year - 4..=year + 1).rev().filter_map(|year| with_year(&format!("{year} {text}")));
    candidates.into_iter().find(|micros| *micros <= reference.saturating_add(DAY))
}

fn zoned(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    // `Z` as well behind what is no RFC 3339.
    let universal = [" UTC", " GMT", "Z"].iter().find_map(|zone| text.strip_suffix(zone));
    if let Some(time) = universal.and_then(|bare| naive(bare.trim_end())) {
        return Some(time.and_utc().timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%a %b %e %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(text, format).ok())
        .map(|time| time.timestamp_micros())
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%m/%d/%Y %I:%M:%S %p", "%Y/%m/%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// Seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude; all of them are after 1970 and before 5138.
/// `/Date(…)/`, as PowerShell's ConvertTo-Json writes times, holds milliseconds.
fn epoch(text: &str) -> Option<i64> {
    if let Some(millis) = text.strip_prefix("/Date(").and_then(|t| t.strip_suffix(")/")) {
        return millis.parse::<i64>().ok().filter(|n| *n >= 0)?.checked_mul(1_000);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let n: i64 = whole.parse().ok().filter(|n| *n >= 0)?;
    if n < 100_000_000_000 {
        let digits: String = fraction.chars().filter(char::is_ascii_digit).chain("000000".chars()).take(6).collect();
        n.checked_mul(1_000_000)?.checked_add(digits.parse().ok()?)
    } else if n < 100_000_000_000_000 {
        n.checked_mul(1_000)
    } else if n < 100_000_000_000_000_000 {
        Some(n)
    } else {
        Some(n / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_usual_spelling_is_read_as_among_all(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?") {
            if let Some(read) = usual(&text) {
                prop_assert_eq!(Some(read), naive(&text));
                prop_assert_eq!(zoned(&text), None);
            }
        }
    }

    #[test]
    fn what_looks_like_the_usual_spelling_is_left_to_the_others() {
        for text in [
            "2026-03-17 10:30:00.5Z",
            "2026-03-17 10:30:00.",
            "2026-03-17 10:30:60",
            "2026-03-17_10:30:00",
            "2026-03-17 10:30:0é",
        ] {
            assert_eq!(usual(text), None, "{text}");
        }
        assert!(usual("2026-03-17T10:30:00").is_some());
    }

    #[test]
    fn no_epoch_is_below_zero() {
        for text in ["-1.5", "-1773743400", "/Date(-1)/", "/Date()/"] {
            assert_eq!(parse(text, TimeFormat::Epoch, Tz::UTC), None);
        }
    }

    #[test]
    fn times_are_read_in_their_zone() {
        let at = |text, format| parse(text, format, Tz::Europe__Oslo);
        let expected = Some(1_773_743_400_500_000);
        assert_eq!(at("2026-03-17T10:30:00.5Z", TimeFormat::Zoned), expected);
        assert_eq!(at("2026-03-17T11:30:00.500+01:00", TimeFormat::Zoned), expected);
        assert_eq!(at("2026-03-17 10:30:00.500", TimeFormat::Utc), expected);
        for text in ["2026-03-17 10:30:00.5 UTC", "2026-03-17T10:30:00.5 GMT", "2026/03/17 10:30:00.5Z"] {
            assert_eq!(at(text, TimeFormat::Zoned), expected, "{text}");
            assert_eq!(at(text, TimeFormat::Bare), expected, "{text}");
        }
        assert_eq!(at("3/17/2026 10:30:00 AM UTC", TimeFormat::Utc), Some(1_773_743_400_000_000));
        for text in
            ["2026-03-17 UTC", "2026-03-17 10:30:00 CET", "2026-03-17 10:30:00 +01:00 UTC", "10:30Z", "Z", " UTC"]
        {
            assert_eq!(at(text, TimeFormat::Utc), None, "{text}");
        }
        assert_eq!(at("2026-03-17 11:30:00.500", TimeFormat::Bare), expected);
        assert_eq!(at("1773743400.5", TimeFormat::Epoch), expected);
        assert_eq!(at("1773743400500", TimeFormat::Epoch), expected);
        assert_eq!(at("/Date(1773743400500)/", TimeFormat::Epoch), expected);
        assert_eq!(at("2026-03-17 10:30", TimeFormat::Zoned), None);
        assert_eq!(at("99999999999999999999", TimeFormat::Epoch), None);
    }

    #[test]
    fn a_time_without_a_year_is_the_last_one() {
        let at = |text, reference| {
            parse_at(text, TimeFormat::Bare, Tz::UTC, parse(reference, TimeFormat::Zoned, Tz::UTC).unwrap_or_default())
        };
        let is = |text| parse(text, TimeFormat::Zoned, Tz::UTC);
        assert_eq!(at("Mar 17 10:30:00", "2026-03-17T11:00:00Z"), is("2026-03-17T10:30:00Z"));
        assert_eq!(at("Dec 31 23:59:59", "2026-01-01T00:00:10Z"), is("2025-12-31T23:59:59Z"));
        assert_eq!(at("Jan  1 00:00:10", "2025-12-31T23:59:59Z"), is("2026-01-01T00:00:10Z"));
        assert_eq!(at("Feb 29 12:00:00", "2026-03-01T00:00:00Z"), is("2024-02-29T12:00:00Z"));
        assert_eq!(at("Mar 17 2024 10:30:00.5", "2026-03-17T11:00:00Z"), is("2024-03-17T10:30:00.5Z"));
        assert_eq!(at("Mar 41 10:30:00", "2026-03-17T11:00:00Z"), None);
    }
}
