//! Correlations: matches of rules, counted and ordered by group within a time span (Sigma correlation rules 2.1).
//!
//! **In**: [`Match`]es in any order. **Out**: [`Correlated`]s in event time. Matches wait until the watermark (the latest
//! event time less the allowed lateness) has passed them and are taken in event time, so that arrival order decides
//! nothing but ties. One that comes when the watermark has passed it is late: counted, not correlated.
//!
//! **Windows** slide: matches are within a window when they are at most the time span apart. A condition of lower bounds
//! (`gt`, `gte`, rules without `not`) matches with the event that makes it true. Then it is quiet for that group until
//! it was false at an event, or the time span has passed. Any other condition is asked when its window closes: a window
//! begins with the group's first event after the window before, and lasts the time span. Groups are told apart by the
//! values' texts; an absent value is a value of its own. What no event belongs to has no group, so that nothing happened
//! is never a match.
//!
//! With [`Limits::early_bytes_max`], a condition of lower bounds also tells at once what is true of what has arrived, and
//! takes back ([`Correlator::revised`]) what late events changed.
//!
//! A correlation's match is a match for correlations over it: at the time of its last event, or of its window's end, with
//! its group's values, and for other fields those of its last event.
//!
//! **Bounds**: [`Limits`], in bytes; what waits beyond them is taken early, groups beyond them are forgotten, those first
//! that no match came to for the longest, or whose windows would close next. A window of more than 100,000 matches that
//! slides, or of more than 16 MiB, drops its oldest ones, or takes no more values. All of it is counted ([`Exceptions`]).
//!
//! **At rest**: [`Correlator::checkpoint`] and [`Correlator::restore`].

mod checkpoint;
mod correlator;
mod distinct;
mod early;
mod group;
mod groups;
mod measured;
mod set;
mod store;
mod tally;
mod uid;
mod waiting;
mod window;
mod wiring;

pub use checkpoint::{Dropped, RestoreError, Restored};
pub use correlator::Correlator;
pub use early::Revised;
pub(crate) use set::Correlations;

use crate::bind::{Engine, RuleIx};
use crate::finding;
use std::sync::Arc;
use tarn_ingest::fields::FieldValue;

/// A rule's hit as correlations take it.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The rule.
    pub rule: RuleIx,
    /// The event's time, microseconds since 1970.
    pub time: i64,
    /// The event's uid.
    pub uid: Arc<str>,
    /// Values of the fields that [`Engine::captures`] names, in its order; none is absent.
    pub values: Vec<Option<FieldValue>>,
}

/// A correlation that matched.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlated {
    /// Its number in [`Engine::correlations`].
    pub correlation: usize,
    /// When it became true, in event time, microseconds.
    pub time: i64,
    /// Time of the first event.
    pub first: i64,
    /// Time of the last event.
    pub last: i64,
    /// The group: each field or alias and its value.
    pub group: Vec<(String, Option<String>)>,
    /// What was measured.
    pub measure: f64,
    /// Events that made it.
    pub count: u64,
    /// Their uids, the latest [`EVENTS_MAX`] of them, in event time.
    pub events: Vec<Arc<str>>,
}

impl Correlated {
    /// The finding's uid: the same version of a rule, on the same group from the same event on, is the same finding.
    pub fn uid(&self, engine: &Engine) -> String {
        let mut key = String::new();
        for (name, value) in &self.group {
            key.push_str(name);
            key.push('\u{1f}');
            key.push_str(value.as_deref().unwrap_or("\u{1e}"));
            key.push('\u{1f}');
        }
        key.push_str(self.events.first().map_or("", |uid| uid));
        finding::uid(&engine.correlations()[self.correlation].about, &key)
    }
}

/// Events that a match of a correlation names.
pub const EVENTS_MAX: usize = 100;

/// Bounds of what is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How late an event may be, microseconds; none waits for the end of the input.
    pub lateness_us: Option<i64>,
    /// Bytes of matches that wait for their turn.
    pub waiting_bytes_max: usize,
    /// Bytes of the groups of one correlation.
    pub rule_bytes_max: usize,
    /// Bytes of the groups of all.
    pub bytes_max: usize,
    /// Bytes of what is remembered to tell correlations of lower bounds before the watermark; none tells them at it.
    pub early_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lateness_us: None,
            waiting_bytes_max: 32 << 20,
            rule_bytes_max: 64 << 20,
            bytes_max: 96 << 20,
            early_bytes_max: 0,
        }
    }
}

/// What did not go by the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// Matches that came too late.
    pub late: u64,
    /// Matches that were taken before the watermark, because too many waited.
    pub early: u64,
    /// Groups that were forgotten.
    pub evicted: u64,
    /// Matches that left a window before their time, or were not measured in it, because it was full; and those of more
    /// than 16 MiB.
    pub dropped: u64,
}

/// A group that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Its correlation's number in [`Engine::correlations`].
    pub correlation: usize,
    /// Each field or alias and its value.
    pub group: Vec<(String, Option<String>)>,
    /// Time of the first match in its window.
    pub first: i64,
    /// Time of the last one.
    pub last: i64,
}
