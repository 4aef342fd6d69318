//! The collector's body: JSON objects one behind the other, each an envelope with an event.
//!
//! Source: Splunk Enterprise, "Format events for HTTP Event Collector".

use super::reply::Reply;
use crate::source::embedded::{Embedded, object_in};
use std::collections::BTreeSet;
use tarn_ingest::container::{Block, ContainerError, Limits};
use tarn_ingest::json::{Kind, Members, end_of_value, kind, push_string, skip_space, text};
use tarn_ingest::source::Sources;

/// Members of an envelope that describe its event.
const ENVELOPE: [&str; 6] = ["time", "host", "source", "sourcetype", "index", "fields"];

/// The events of a body.
///
/// **Errors**: [`Reply`] about the first envelope that is wrong; no event is taken then. More events than a block holds
/// are [`ContainerError::MoreThanABlock`].
pub fn read(body: &[u8], sources: &Sources) -> Result<Block, Reply> {
    let limits = Limits::default();
    let mut events = Embedded::new(sources);
    let (mut at, mut event) = (skip_space(body, 0), 0);
    while at < body.len() {
        if event == limits.block_records {
            let most = ContainerError::MoreThanABlock { records: limits.block_records, bytes: limits.block_bytes };
            return Err(Reply::Failed(most.into()));
        }
        let invalid = Reply::InvalidFormat { event };
        let Some(end) = end_of_value(body, at).ok().filter(|_| body[at] == b'{') else { return Err(invalid) };
        let Ok(envelope) = std::str::from_utf8(&body[at..end]) else { return Err(invalid) };
        take(envelope, event, &mut events)?;
        at = skip_space(body, end);
        event += 1;
    }
    if event == 0 { Err(Reply::NoData) } else { Ok(events.finish()) }
}

fn take(envelope: &str, number: usize, events: &mut Embedded<'_>) -> Result<(), Reply> {
    let inner = Members::of(envelope).filter(|(key, _)| *key == "event").last();
    let (_, event) = inner.ok_or(Reply::EventRequired { event: number })?;
    match kind(event) {
        Kind::Null => return Err(Reply::EventRequired { event: number }),
        Kind::String if text(event).trim().is_empty() => return Err(Reply::EventBlank { event: number }),
        _ => {}
    }
    let object = object_in(event);
    let known = match &object {
        Some(object) => events.object(object, envelope),
        None => kind(event) == Kind::String && events.text(&text(event), envelope),
    };
    if !known {
        events.record(&described(envelope, event, object.as_deref()), envelope);
    }
    Ok(())
}

/// An event with what its envelope says of it, where the event does not say that itself.
fn described(envelope: &str, event: &str, object: Option<&str>) -> String {
    let mut json = String::with_capacity(envelope.len() + 16);
    json.push('{');
    let mut member = |key: &str, value: &str| {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(key);
        json.push_str("\":");
        json.push_str(value);
    };
    let own: BTreeSet<&str> = object.iter().flat_map(|object| Members::of(object)).map(|(key, _)| key).collect();
    for (key, value) in Members::of(envelope).filter(|(key, _)| ENVELOPE.contains(key) && !own.contains(key)) {
        member(key, value);
    }
    match object {
        Some(object) => Members::of(object).for_each(|(key, value)| member(key, value)),
        None if kind(event) == Kind::String => {
            // Written again: a lone surrogate's escape is no text that others read.
            let mut message = String::new();
            push_string(&mut message, &text(event));
            member("message", &message);
        }
        None => member("event", event),
    }
    json.push('}');
    json
}
