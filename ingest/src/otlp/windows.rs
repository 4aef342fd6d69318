//! Windows events as the Collector's Windows Event Log receiver takes them apart: members by its own names in lower case,
//! turned into the flat table that the mapping `windows` knows.
//!
//! `level`, `task`, `opcode` and `keywords` are what Windows renders of the numbers, so they stay in the original only.

use crate::json::{self, Members, push_string};

/// The receiver's name, ours; paths are into its event.
const SYSTEM: &[(&str, &str)] = &[
    ("channel", "Channel"),
    ("computer", "Computer"),
    ("event_id.id", "EventID"),
    ("provider.name", "Provider_Name"),
    ("provider.guid", "Provider_Guid"),
    ("record_id", "EventRecordID"),
    ("system_time", "TimeCreated"),
    ("execution.process_id", "ExecutionProcessID"),
    ("execution.thread_id", "ExecutionThreadID"),
    ("security.user_id", "UserID"),
    ("message", "Message"),
];

/// The event, where an object is one of the receiver's. EventData is a list of objects of one member each (`data`), or
/// one object.
pub fn event(object: &str) -> Option<String> {
    let there = |path| json::at(object, path).is_some();
    if !(there("channel") && there("event_id.id") && there("provider.name") && there("record_id")) {
        return None;
    }
    let mut out = String::with_capacity(object.len());
    let mut member = |key: &str, raw: &str| {
        out.push(if out.is_empty() { '{' } else { ',' });
        push_string(&mut out, key);
        out.push(':');
        out.push_str(raw);
    };
    for (path, name) in SYSTEM {
        if let Some(raw) = json::at(object, path) {
            member(name, raw);
        }
    }
    let data = json::at(object, "event_data").unwrap_or_default();
    let named = |key: &str| !key.is_empty() && SYSTEM.iter().all(|(_, name)| *name != key);
    let mut all = |object| {
        for (key, raw) in Members::of(object) {
            let key = json::unescape(key);
            if named(&key) {
                member(&key, raw);
            }
        }
    };
    match json::at(data, "data").filter(|data| json::kind(data) == json::Kind::Array) {
        Some(list) => Members::of(list).for_each(|(_, element)| all(element)),
        None => all(data),
    }
    out.push('}');
    Some(out)
}
