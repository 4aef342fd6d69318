//! A rule's own test events: `<rule>.events.yml` beside `<rule>.yml` (or `.events.json`, which is YAML, too).
//!
//! ```yaml
//! - name: the key is for somebody else      # what the event shows
//!   fires: true
//!   event: { eventName: CreateAccessKey, … }
//! - name: six services refuse within a minute    # what correlations make of several
//!   fires: true
//!   events:
//!       - { times: 6, every: 10s, event: { eventSource: "service-{n}.amazonaws.com", … } }
//!       - { after: 2m, event: { … } }
//! ```
//!
//! An event is what its source writes. Running them takes sources, so it happens elsewhere.

use crate::about::About;
use crate::correlation::span_us;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a rule, or a correlation, has to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Entry")]
pub struct TestCase {
    /// What it shows.
    pub name: String,
    /// Whether the rule must fire.
    pub fires: bool,
    /// The source that writes the events, where that cannot be recognised.
    pub source: Option<String>,
    /// Id or title of the only rule that this is for; all of the file where there is none.
    pub rule: Option<String>,
    /// What happens.
    pub happens: Happens,
}

/// What happens in a test case.
#[derive(Clone, Debug)]
pub enum Happens {
    /// One event, for detection rules.
    Event(Value),
    /// Several in time, for correlations.
    Sequence(Vec<Step>),
}

/// An event of a sequence, or several of one form.
#[derive(Clone, Debug)]
pub struct Step {
    /// The event as its source writes it; `{n}` in its texts becomes 0, 1, 2, … Its own time does not count.
    pub event: Value,
    /// When the first of them is, microseconds from the start of the sequence.
    pub after_us: i64,
    /// How many there are.
    pub times: u32,
    /// How long after one the next is, microseconds.
    pub every_us: i64,
}

impl Happens {
    /// An event of each form that there is.
    pub fn forms(&self) -> Vec<Value> {
        match self {
            Self::Event(event) => vec![event.clone()],
            Self::Sequence(steps) => {
                steps.iter().filter_map(|step| step.events().next()).map(|(_, event)| event).collect()
            }
        }
    }
}

impl TestCase {
    /// Whether it is for correlations.
    pub fn is_sequence(&self) -> bool {
        matches!(self.happens, Happens::Sequence(_))
    }

    /// Whether it is for a rule of its file.
    pub fn is_for(&self, about: &About) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == about.id || *rule == about.title)
    }
}

impl Step {
    /// The events and their times, microseconds from the start of the sequence.
    pub fn events(&self) -> impl Iterator<Item = (i64, Value)> + '_ {
        (0..self.times).map(|n| (self.after_us + i64::from(n) * self.every_us, numbered(&self.event, n)))
    }
}

/// Events of one sequence.
const EVENTS_MAX: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    fires: bool,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    event: Option<Value>,
    #[serde(default)]
    events: Option<Vec<Timed>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timed {
    event: Value,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    every: Option<String>,
}

impl TryFrom<Entry> for TestCase {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let events = entry.event.iter().chain(entry.events.iter().flatten().map(|timed| &timed.event));
        if let Some(event) = events.into_iter().find(|event| has_merge(event)) {
            return Err(format!("{:?}: `<<` merges nothing in {event}: write its members out", entry.name));
        }
        let happens = match (entry.event, entry.events) {
            (Some(event), None) => Happens::Event(event),
            (None, Some(events)) => Happens::Sequence(steps(events).map_err(|e| format!("{:?}: {e}", entry.name))?),
            _ => return Err(format!("{:?}: expected either `event` or `events`", entry.name)),
        };
        Ok(Self { name: entry.name, fires: entry.fires, source: entry.source, rule: entry.rule, happens })
    }
}

/// Whether an object in it has the key of YAML's merges, which YAML 1.2 does not know.
fn has_merge(event: &Value) -> bool {
    match event {
        Value::Array(list) => list.iter().any(has_merge),
        Value::Object(members) => members.contains_key("<<") || members.values().any(has_merge),
        _ => false,
    }
}

/// A step without `after` is with the last event before it.
fn steps(events: Vec<Timed>) -> Result<Vec<Step>, String> {
    let span = |text: Option<String>, or: i64| match text {
        None => Ok(or),
        Some(text) if text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()) == "0" => Ok(0),
        Some(text) => span_us(&text).ok_or_else(|| format!("{text:?}: expected a number and one of s, m, h, d")),
    };
    let (mut last, mut count, mut out) = (0, 0_u32, Vec::new());
    for timed in events {
        let times = timed.times.unwrap_or(1);
        count = count.saturating_add(times);
        if count > EVENTS_MAX {
            return Err(format!("more than {EVENTS_MAX} events"));
        }
        let step =
            Step { event: timed.event, after_us: span(timed.after, last)?, times, every_us: span(timed.every, 0)? };
        last = step.after_us + step.every_us * i64::from(times.saturating_sub(1));
        out.push(step);
    }
    Ok(out)
}

/// The event with `{n}` in its texts replaced.
fn numbered(event: &Value, n: u32) -> Value {
    match event {
        Value::String(text) => Value::String(text.replace("{n}", &n.to_string())),
        Value::Array(list) => list.iter().map(|v| numbered(v, n)).collect(),
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), numbered(v, n))).collect(),
        other => other.clone(),
    }
}

/// An events file that cannot be read.
#[derive(Debug, Error)]
#[error("{}: {reason}", file.display())]
pub struct EventsError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

const ENDINGS: [&str; 3] = ["events.yml", "events.yaml", "events.json"];
const BYTES_MAX: u64 = 4 << 20;

/// Whether a file name is that of test events.
pub fn is_events_file(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|rest| rest.ends_with('.')))
}

/// The test cases of the rules in `file`; none when it has no events file.
///
/// **Errors**: [`EventsError`] when the file is there and is not a list of test cases, or is longer than 4 MiB.
pub fn of_rule(file: &Path) -> Result<Option<Vec<TestCase>>, EventsError> {
    let Some(path) = ENDINGS.iter().map(|e| file.with_extension(e)).find(|p| p.is_file()) else { return Ok(None) };
    let error = |reason: String| EventsError { file: path.clone(), reason };
    let length = path.metadata().map_err(|e| error(e.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(error(format!("{length} bytes; the limit is {BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| error(e.to_string()))?;
    yaml_serde::from_str(&text).map(Some).map_err(|e| error(e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn events_stand_beside_their_rule() {
        let folder = std::env::temp_dir().join(format!("tarn-rules-events-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rule = folder.join("a.yml");
        assert!(of_rule(&rule).unwrap().is_none());
        let json = r#"[{"name": "n", "fires": true, "source": "windows", "event": {"A": 1}}]"#;
        std::fs::write(folder.join("a.events.json"), json).unwrap();
        let events = of_rule(&rule).unwrap().unwrap();
        let Happens::Event(event) = &events[0].happens else { panic!("{events:?}") };
        assert!(events[0].fires && event["A"] == 1 && events[0].source.as_deref() == Some("windows"));
        std::fs::write(folder.join("a.events.yml"), "- name: n\n  fire: true\n").unwrap();
        assert!(of_rule(&rule).unwrap_err().to_string().contains("fire"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(is_events_file("a.events.yml") && !is_events_file("events.yml") && !is_events_file("a.yml"));
    }

    fn read(text: &str) -> Result<Vec<TestCase>, String> {
        yaml_serde::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn steps_follow_each_other() {
        let text = "- name: s\n  fires: true\n  events:\n  - {times: 3, every: 10s, event: {a: 'x{n}', b: ['{n}']}}\n  \
                    - {event: {a: 1}}\n  - {after: 2m, event: {}}\n  - {after: 0m, event: 1}\n";
        let cases = read(text).unwrap();
        let Happens::Sequence(steps) = &cases[0].happens else { panic!("{cases:?}") };
        let events: Vec<(i64, String)> =
            steps.iter().flat_map(Step::events).map(|(at, event)| (at / 1_000_000, event.to_string())).collect();
        let expected = [
            (0, r#"{"a":"x0","b":["0"]}"#),
            (10, r#"{"a":"x1","b":["1"]}"#),
            (20, r#"{"a":"x2","b":["2"]}"#),
            (20, r#"{"a":1}"#),
            (120, "{}"),
            (0, "1"),
        ];
        assert_eq!(events, expected.map(|(at, event)| (at, event.to_owned())));
    }

    #[test]
    fn a_case_is_an_event_or_a_sequence_of_bounded_length() {
        for (case, said) in [
            ("{name: n, fires: true}", "either `event` or `events`"),
            ("{name: n, fires: true, event: {}, events: []}", "either `event` or `events`"),
            ("{name: n, fires: true, events: [{event: {}, every: soon}]}", "\"soon\""),
            ("{name: n, fires: true, events: [{event: {}, times: 10001}]}", "more than 10000"),
            ("{name: n, fires: true, events: [{event: {}, at: 1s}]}", "at"),
            ("{name: n, fires: true, event: {a: [{<<: {b: 1}}]}}", "merges nothing"),
        ] {
            let error = read(&format!("- {case}")).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
