//! What exports wrap records in: the record inside instead of the wrapper, and lists of such wrappers.
//!
//! CloudWatch's log events (`message`, with JSON or a flow log's line), Docker's lines (`log`), Elasticsearch's and OpenSearch's hits (`_source`), Splunk's results (`result`), and
//! CloudTrail's LookupEvents (`CloudTrailEvent`). A wrapper is known by its other members as well, so that an event with
//! a member of such a name stays whole.

use crate::decode::aws_message;
use crate::json::{Kind, Members, at, end_of_value, kind, text};
use std::borrow::Cow;

/// Names of members that may make an object a wrapper, or a list of them.
pub const NAMES: &[&str] = &["_source", "result", "CloudTrailEvent", "Events", "events", "hits"];

/// The record in a wrapper.
pub fn unwrap(item: &str) -> Option<Cow<'_, str>> {
    log_event(item).or_else(|| member(item, "_source", &["_index"])).or_else(|| {
        member(item, "result", &["preview", "offset", "lastrow"])
            .or_else(|| member(item, "CloudTrailEvent", &["EventId", "EventName"]))
    })
}

/// The items of a list in an answer of an API, when all of them are wrappers.
pub fn list(answer: &str) -> Option<&str> {
    let lists = ["Events", "events", "hits.hits"];
    let found = lists.iter().find_map(|path| at(answer, path).filter(|raw| kind(raw) == Kind::Array))?;
    let mut items = Members::of(found).peekable();
    (items.peek().is_some() && items.all(|(_, item)| unwrap(item).is_some())).then_some(found)
}

/// A CloudWatch log event or a container's line that is a JSON object, or a flow log's line; the wrapper has nothing else
/// than where and when. A flow in a custom format is what a subscription's filter, which names the fields, extracted.
pub fn log_event(item: &str) -> Option<Cow<'_, str>> {
    let (mut keys, mut inner, mut extracted) = (0, None, None);
    for (key, value) in Members::of(item) {
        keys += 1;
        match key {
            "message" | "log" => inner = Some(value),
            "extractedFields" => extracted = Some(value),
            other if is_of_log_event(other.as_bytes()) => {}
            _ => return None,
        }
    }
    let inner = inner.filter(|raw| kind(raw) == Kind::String)?;
    let flow =
        |fields: &&str| kind(fields) == Kind::Object && ["srcaddr", "dstaddr"].iter().all(|f| at(fields, f).is_some());
    object(inner)
        .filter(|_| keys >= 2)
        .or_else(|| aws_message(&text(inner)).map(Cow::Owned))
        .or_else(|| extracted.filter(flow).map(Cow::Borrowed))
}

/// Whether a log event has members of this name.
pub fn is_of_log_event(key: &[u8]) -> bool {
    const NAMES: [&str; 11] = [
        "message",
        "log",
        "id",
        "eventId",
        "timestamp",
        "ingestionTime",
        "logStreamName",
        "stream",
        "time",
        "attrs",
        "extractedFields",
    ];
    NAMES.iter().any(|name| name.as_bytes() == key)
}

/// The object under a key, where one of the other keys is there, too.
fn member<'a>(item: &'a str, name: &str, others: &[&str]) -> Option<Cow<'a, str>> {
    let (mut inner, mut other) = (None, false);
    for (key, value) in Members::of(item) {
        if key == name {
            inner = Some(value);
        }
        other |= others.contains(&key);
    }
    object(inner.filter(|_| other)?)
}

/// An object, or the object that a text holds.
fn object(raw: &str) -> Option<Cow<'_, str>> {
    if kind(raw) == Kind::Object {
        return Some(Cow::Borrowed(raw));
    }
    if kind(raw) != Kind::String {
        return None;
    }
    let inner = text(raw).trim().to_owned();
    (inner.starts_with('{') && end_of_value(inner.as_bytes(), 0) == Ok(inner.len())).then_some(Cow::Owned(inner))
}
