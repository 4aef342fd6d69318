//! Events of known sources inside log records: a JSON object or a syslog line that the body is, a key-value list as the
//! Collector's receivers make them (journald, Windows), or the attributes (what a parsing operator writes there).
//!
//! Lines of auditd are left as they are: an event of theirs spans several records.

use super::windows;
use crate::container::Block;
use crate::decode::syslog;
use crate::json::{self, Members, end_of_value, push_string};
use crate::source::{Record, Sources};
use chrono::{DateTime, SecondsFormat};
use std::borrow::Cow;
use std::sync::Arc;

/// A log record's body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A text.
    Text(&'a str),
    /// A key-value list, as a JSON object's text.
    Object(&'a str),
}

/// The event in a record, as a JSON object's text; `time` is the record's, nanoseconds since 1970, 0 where it has none.
pub fn of<'a>(
    body: Option<Body<'a>>,
    attributes: Option<&'a str>,
    time: u64,
    sources: &Sources,
) -> Option<Cow<'a, str>> {
    let of_body = match body {
        Some(Body::Text(text)) => {
            let text = text.trim();
            if text.starts_with('{') { whole_object(text, sources).map(Cow::Borrowed) } else { line(text) }
        }
        Some(Body::Object(object)) => match windows::event(object) {
            Some(event) => whole_object(&event, sources).map(str::to_owned).map(Cow::Owned),
            None => known(object, time, sources),
        },
        None => None,
    };
    of_body.or_else(|| known(attributes?, time, sources))
}

/// A JSON object of a source that is more than any JSON.
fn whole_object<'a>(text: &'a str, sources: &Sources) -> Option<&'a str> {
    (end_of_value(text.as_bytes(), 0) == Ok(text.len())).then_some(())?;
    let members: Vec<_> = Members::of(text).collect();
    sources.specific(&Record::new(&members)).map(|_| text)
}

/// The same for members that a collector took apart: it keeps the event's time as the record's.
fn known<'a>(object: &'a str, time: u64, sources: &Sources) -> Option<Cow<'a, str>> {
    let members: Vec<_> = Members::of(object).collect();
    let source = sources.specific(&Record::new(&members))?;
    let has = |key: &str| members.iter().any(|(k, _)| *k == key);
    let micros = i64::try_from(time / 1_000).ok().filter(|_| time > 0);
    let time = match (source, micros) {
        ("syslog", Some(micros)) if has("MESSAGE") && !has("__REALTIME_TIMESTAMP") => {
            Some(("__REALTIME_TIMESTAMP", micros.to_string()))
        }
        ("syslog", Some(micros)) if !has("MESSAGE") && !has("timestamp") => {
            let time = DateTime::from_timestamp_micros(micros);
            time.map(|time| ("timestamp", time.to_rfc3339_opts(SecondsFormat::Micros, true)))
        }
        _ => None,
    };
    let Some((key, text)) = time else { return Some(Cow::Borrowed(object)) };
    let mut with_time = object.strip_suffix('}')?.to_owned();
    with_time.push(',');
    push_string(&mut with_time, key);
    with_time.push(':');
    push_string(&mut with_time, &text);
    with_time.push('}');
    Some(Cow::Owned(with_time))
}

/// A syslog line. Many logs begin with an ISO time: such a line has to name a process as well.
fn line(text: &str) -> Option<Cow<'static, str>> {
    if text.contains('\n') || !syslog::looks_like(text) {
        return None;
    }
    let mut block = Block::default();
    syslog::line(text, &mut || 1, &mut block).ok()?;
    let sure = !text.starts_with(|c: char| c.is_ascii_digit()) || json::at(&block.json, "procid").is_some();
    sure.then_some(Cow::Owned(Arc::unwrap_or_clone(block.json)))
}
