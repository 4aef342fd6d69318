//! What a sample of a log teaches: each event's scalars, and how often each member's value had not been seen before.

use super::grown::Grown;
use super::leaves::{Scalar, leaves};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// A text that is no JSON object.
#[derive(Debug, Error)]
#[error("not a JSON object")]
pub struct NotAnObject(#[source] Option<serde_json::Error>);

/// Names by which logs tell what an event is; a made event says what its original says.
const DISCRIMINATORS: [&str; 14] = [
    "eventid",
    "event_id",
    "eventcode",
    "eventname",
    "eventsource",
    "eventtype",
    "channel",
    "provider_name",
    "sourcename",
    "verb",
    "kind",
    "apiversion",
    "type",
    "action",
];

/// Up to this many distinct values in this many hundred, a member is a vocabulary and left as it is: it may tell kinds
/// apart, and no share is off by more than that.
const VOCABULARIES: [(u32, u32); 2] = [(u32::MAX, 1), (8, 5)];

/// A member of one kind of event.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) path: u32,
    /// Values.
    count: u32,
    /// Of these, such that no event of any kind had had in this member.
    new: u32,
}

/// A scalar in an event.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) member: u32,
    pub(super) scalar: Scalar,
}

/// Members of one name, in all kinds of events.
#[derive(Debug, Default)]
struct Path {
    /// The number, from 1, of the last event that has it.
    last_event: u32,
    is_discriminator: bool,
    count: u32,
    new: u32,
}

#[derive(Debug)]
struct Event {
    end: usize,
    leaves_end: usize,
    is_repeat: bool,
}

/// Events to make more of.
///
/// Events are of one *kind* when the same members hold scalars, in the same order. **Bounds**: all events are in memory,
/// and about 30 bytes for each of their scalars: the caller stops at [`Sample::bytes`] that it can afford.
#[derive(Debug, Default)]
pub struct Sample {
    text: String,
    events: Vec<Event>,
    leaves: Vec<Leaf>,
    numbers: HashMap<String, u32>,
    paths: Vec<Path>,
    members: Vec<Member>,
    of_kind: HashMap<(u64, u32), u32>,
    /// Hashes of (path, value), and of whole events.
    seen: HashSet<u64>,
    seen_whole: HashSet<u64>,
}

impl Sample {
    /// Adds an event.
    ///
    /// **Errors**: [`NotAnObject`]; the sample is as before.
    pub fn push(&mut self, json: &str) -> Result<(), NotAnObject> {
        let json = json.trim();
        serde_json::from_str::<&RawValue>(json).map_err(|e| NotAnObject(Some(e)))?;
        if !json.starts_with('{') {
            return Err(NotAnObject(None));
        }
        if json.contains(['\n', '\r']) {
            let value: serde_json::Value = serde_json::from_str(json).map_err(|e| NotAnObject(Some(e)))?;
            self.add(&value.to_string());
        } else {
            self.add(json);
        }
        Ok(())
    }

    fn add(&mut self, json: &str) {
        let (paths, numbers, this) = (&mut self.paths, &mut self.numbers, self.events.len() as u32 + 1);
        let (mut scalars, mut order) = (Vec::new(), Vec::new());
        leaves(json, &mut |path, at, scalar| {
            let number = numbers.get(path).copied().unwrap_or_else(|| {
                paths.push(Path { is_discriminator: is_discriminator(path), ..Path::default() });
                numbers.insert(path.to_owned(), paths.len() as u32 - 1);
                paths.len() as u32 - 1
            });
            if std::mem::replace(&mut paths[number as usize].last_event, this) != this {
                order.push(number);
            }
            scalars.push((number, at, scalar));
        });
        let kind = super::hash(&order);
        for (path, at, scalar) in scalars {
            let member = self.count(kind, path, &json.as_bytes()[at.clone()]);
            self.leaves.push(Leaf { start: at.start as u32, end: at.end as u32, member, scalar });
        }
        self.text.push_str(json);
        let is_repeat = !self.seen_whole.insert(super::hash(json));
        self.events.push(Event { end: self.text.len(), leaves_end: self.leaves.len(), is_repeat });
    }

    fn count(&mut self, kind: u64, path: u32, value: &[u8]) -> u32 {
        let members = &mut self.members;
        let ix = *self.of_kind.entry((kind, path)).or_insert_with(|| {
            members.push(Member { path, ..Member::default() });
            members.len() as u32 - 1
        });
        let (member, of_path) = (&mut self.members[ix as usize], &mut self.paths[path as usize]);
        member.count += 1;
        of_path.count += 1;
        if self.seen.insert(super::hash((path, value))) {
            member.new += 1;
            of_path.new += 1;
            // CloudTrail's eventID is an identifier, Windows' EventID is not.
            of_path.is_discriminator = of_path.is_discriminator && !is_identifier(value);
        }
        ix
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of all events.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// A lane of `events` events: the sample's own first, each once, then such that are made of them in turn. The same
    /// seed gives the same bytes.
    pub fn grow(self, events: u64, seed: u64) -> Grown {
        Grown::new(self, events, seed)
    }

    /// The share of new values of each member, by its number; none for a member that is left as it is.
    pub(super) fn shares(&self) -> Vec<Option<f64>> {
        let is_vocabulary = |path: &Path| {
            let fits = |(new, percent): &(u32, u32)| {
                path.new <= *new && u64::from(path.new) * 100 <= u64::from(path.count) * u64::from(*percent)
            };
            VOCABULARIES.iter().any(fits)
        };
        let is_kept = |path: u32| {
            let path = &self.paths[path as usize];
            path.is_discriminator || is_vocabulary(path)
        };
        let share = |m: &Member| (!is_kept(m.path)).then(|| f64::from(m.new) / f64::from(m.count));
        self.members.iter().map(share).collect()
    }

    pub(super) fn event(&self, ix: usize) -> &str {
        let start = ix.checked_sub(1).map_or(0, |before| self.events[before].end);
        &self.text[start..self.events[ix].end]
    }

    /// Whether an event is one that the sample has had before.
    pub(super) fn is_repeat(&self, ix: usize) -> bool {
        self.events[ix].is_repeat
    }

    pub(super) fn leaves(&self, ix: usize) -> &[Leaf] {
        let start = ix.checked_sub(1).map_or(0, |before| self.events[before].leaves_end);
        &self.leaves[start..self.events[ix].leaves_end]
    }

    /// The member's path.
    pub(super) fn path(&self, leaf: &Leaf) -> u32 {
        self.members[leaf.member as usize].path
    }

    /// Whether the sample has the value at the path.
    pub(super) fn has(&self, path: u32, value: &[u8]) -> bool {
        self.seen.contains(&super::hash((path, value)))
    }
}

fn is_discriminator(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    DISCRIMINATORS.iter().any(|d| name.eq_ignore_ascii_case(d))
}

/// A GUID, or a number that long.
fn is_identifier(value: &[u8]) -> bool {
    value.len() >= 8 && value.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'{' | b'}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_events() {
        let mut sample = Sample::default();
        for text in ["", "[1]", "\"x\"", "{\"a\":}", "{} {}"] {
            assert!(sample.push(text).is_err(), "{text}");
        }
        assert!(sample.push("{\n  \"a\": 1\n}").is_ok());
        assert_eq!((sample.event(0), sample.len(), sample.bytes()), (r#"{"a":1}"#, 1, 7));
    }

    #[test]
    fn shares_are_of_values_that_are_new_in_the_samples_order() {
        let mut sample = Sample::default();
        for n in 0..100 {
            let event = format!(r#"{{"EventID":{},"id":{n},"user":"u{}","on":true}}"#, n % 2, n / 4);
            assert!(sample.push(&event).is_ok());
        }
        assert_eq!(sample.shares(), [None, Some(1.0), Some(0.25), None]);
    }
}
