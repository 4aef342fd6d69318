//! What a condition means, written to be read: the referee of the engine's matcher.

use crate::expr::{Expr, FieldTest, Item, Test, TimePart, fold};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
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
        Test::Number(compare, n) => number(text).is_some_and(|v| compare.holds(v, *n)),
        Test::Time(part, compare, n) => time_part(text, *part).is_some_and(|v| compare.holds(v, *n)),
        Test::Null | Test::Exists | Test::Field(..) => false,
    }
}

/// A text as a number.
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

/// A part of a time in UTC; the text is RFC 3339, a bare time in UTC, or seconds or milliseconds since 1970.
pub fn time_part(text: &str, part: TimePart) -> Option<f64> {
    let text = text.trim();
    let time = DateTime::parse_from_rfc3339(text)
        .map(|t| t.naive_utc())
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"))
        .ok()
        .or_else(|| {
            let n: i64 = text.parse().ok()?;
            let millis = if n.abs() < 100_000_000_000 { n.checked_mul(1_000)? } else { n };
            Some(DateTime::from_timestamp_millis(millis)?.naive_utc())
        })?;
    Some(f64::from(match part {
        TimePart::Minute => time.minute(),
        TimePart::Hour => time.hour(),
        TimePart::Day => time.day(),
        TimePart::Week => time.iso_week().week(),
        TimePart::Month => time.month(),
        TimePart::Year => return Some(f64::from(time.year())),
    }))
}
