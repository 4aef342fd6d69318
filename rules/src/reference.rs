//! What a condition means, written to be read: the referee of the engine's matcher.

use crate::expr::{Expr, FieldTest, Item, Number, Test, TimePart, fold};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A text; numbers and booleans as their JSON text.
    Text(String),
    /// Any element counts.
    List(Vec<Value>),
}

/// An event: fields that are not there are absent.
pub type Event = BTreeMap<String, Value>;

/// Whether a condition holds for an event.
pub fn holds(expr: &Expr, event: &Event) -> bool {
    match expr {
        Expr::And(list) => list.iter().all(|e| holds(e, event)),
        Expr::Or(list) => list.iter().any(|e| holds(e, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::Item(item) => item_holds(item, event),
    }
}

fn item_holds(item: &Item, event: &Event) -> bool {
    let Some(field) = &item.field else { return event.values().any(|v| any(v, &|t| text_holds(&item.test, t))) };
    match (&item.test, event.get(field)) {
        (Test::Null, None) => true,
        (_, None) => false,
        (Test::Exists, Some(_)) => true,
        (Test::Null, Some(value)) => null(value),
        (Test::Field(how, other), Some(value)) => {
            let Some(other) = event.get(other) else { return false };
            any(value, &|a| any(other, &|b| field_holds(*how, a, b)))
        }
        (test, Some(value)) => any(value, &|text| text_holds(test, text)),
    }
}

fn null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(_) => false,
        Value::List(list) => list.iter().any(null),
    }
}

fn any(value: &Value, holds: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::Text(text) => holds(text),
        Value::List(list) => list.iter().any(|v| any(v, holds)),
    }
}

/// Whether one text relates to another so, without case.
pub fn field_holds(how: FieldTest, a: &str, b: &str) -> bool {
    let (a, b) = (fold(a), fold(b));
    match how {
        FieldTest::Equals => a == b,
        FieldTest::StartsWith => a.starts_with(&b),
        FieldTest::EndsWith => a.ends_with(&b),
        FieldTest::Contains => a.contains(&b),
    }
}

/// Whether a test holds for one text.
pub fn text_holds(test: &Test, text: &str) -> bool {
    match test {
        Test::Text { pattern, cased: true } => pattern.matches(text),
        Test::Text { pattern, cased: false } => pattern.matches(&fold(text)),
        Test::Regex(pattern) => regex::Regex::new(pattern).is_ok_and(|r| r.is_match(text)),
        Test::Cidr(net) => text.trim().parse::<IpAddr>().is_ok_and(|ip| net.contains(&ip)),
        Test::Number(compare, n) => Number::parse(text).is_some_and(|v| compare.holds(v, *n)),
        Test::Time(part, compare, n) => time_part(text, *part).is_some_and(|v| compare.holds(v, *n)),
        Test::Null | Test::Exists | Test::Field(..) => false,
    }
}

/// Times with a zone, without one (UTC), and days; as logs have them.
const ZONED: &[&str] =
    &["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%a %b %e %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z"];
const BARE: &[&str] = &[
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
];
const DAYS: &[&str] = &["%Y-%m-%d", "%Y/%m/%d"];

/// A part of a time in UTC; the text is RFC 3339 or one of its kin, a bare time in UTC, a day (which has no hour), or
/// seconds, milliseconds, microseconds or nanoseconds since 1970.
pub fn time_part(text: &str, part: TimePart) -> Option<Number> {
    let text = text.trim();
    let zoned = || ZONED.iter().find_map(|f| DateTime::parse_from_str(text, f).ok()).map(|t| t.naive_utc());
    let bare = || BARE.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok());
    let of_day = matches!(part, TimePart::Day | TimePart::Week | TimePart::Month | TimePart::Year);
    let day = || {
        let date = DAYS.iter().filter(|_| of_day).find_map(|f| NaiveDate::parse_from_str(text, f).ok())?;
        date.and_hms_opt(0, 0, 0)
    };
    let time = DateTime::parse_from_rfc3339(text).map(|t| t.naive_utc()).ok();
    let time = time.or_else(zoned).or_else(bare).or_else(day).or_else(|| since_1970(text))?;
    Some(Number::Whole(match part {
        TimePart::Minute => time.minute().into(),
        TimePart::Hour => time.hour().into(),
        TimePart::Day => time.day().into(),
        TimePart::Week => time.iso_week().week().into(),
        TimePart::Month => time.month().into(),
        TimePart::Year => time.year().into(),
    }))
}

/// The unit is told by the magnitude.
fn since_1970(text: &str) -> Option<NaiveDateTime> {
    let whole = text
        .split_once('.')
        .map_or(text, |(whole, fraction)| if fraction.bytes().all(|b| b.is_ascii_digit()) { whole } else { text });
    let n: i64 = whole.parse().ok()?;
    let time = match n.unsigned_abs() {
        0..=99_999_999_999 => DateTime::from_timestamp(n, 0),
        100_000_000_000..=99_999_999_999_999 => DateTime::from_timestamp_millis(n),
        100_000_000_000_000..=99_999_999_999_999_999 => DateTime::from_timestamp_micros(n),
        _ => Some(DateTime::from_timestamp_nanos(n)),
    };
    Some(time?.naive_utc())
}
