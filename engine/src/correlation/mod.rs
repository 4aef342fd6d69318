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
//! A correlation's match is a match for correlations over it: at the time of its last event, or of its window's end, with
//! its group's values, and for other fields those of its last event.
//!
//! **Bounds**: [`Limits`], in bytes; what waits beyond them is taken early, groups beyond them are forgotten, those first
//! that no match came to for the longest, or whose windows would close next. A window of more than 100,000 matches that
//! slides, or of more than 16 MiB, drops its oldest ones, or takes no more values. All of it is counted ([`Exceptions`]).

mod distinct;
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

pub(crate) use set::Correlations;

use crate::bind::{Engine, RuleIx};
use crate::finding;
use groups::{Closed, Groups};
use measured::{Measured, Texts};
use std::borrow::Cow;
use std::sync::Arc;
use tarn_ingest::fields::FieldValue;
use tarn_rules::correlation::{Correlation, Referred};
use uid::Uid;
use waiting::{Queue, Waiting};
use window::{Entry, Window};
use wiring::{Passed, Wiring};

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { lateness_us: None, waiting_bytes_max: 32 << 20, rule_bytes_max: 64 << 20, bytes_max: 96 << 20 }
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
    /// Matches that left a window before their time, or were not measured in it, because it was full.
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

/// A match on its way: of a rule, or of a correlation.
struct Item<'a> {
    of: Referred,
    time: i64,
    uid: Uid,
    /// In the order of [`wiring`].
    values: Vec<Texts<'a>>,
}

impl<'a> Item<'a> {
    fn texts(&self, at: Option<usize>) -> &[&'a str] {
        at.and_then(|at| self.values.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The text by which groups are told apart; of several, all.
    fn text(&self, at: Option<usize>) -> Option<Cow<'a, str>> {
        match self.texts(at) {
            [] => None,
            [text] => Some(Cow::Borrowed(text)),
            texts => Some(Cow::Owned(texts.join(", "))),
        }
    }
}

/// Evaluates an engine's correlations.
pub struct Correlator {
    engine: Arc<Engine>,
    limits: Limits,
    wiring: Arc<Wiring>,
    groups: Groups,
    waiting: Queue,
    arrived: u64,
    latest: i64,
    /// Event time up to which matches were taken.
    taken: i64,
    exceptions: Exceptions,
}

impl Correlator {
    /// For an engine's correlations.
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        Self {
            limits,
            wiring: Arc::new(Wiring::new(&engine)),
            groups: Groups::new(engine.clone(), limits),
            waiting: Queue::default(),
            arrived: 0,
            latest: i64::MIN,
            taken: i64::MIN,
            exceptions: Exceptions::default(),
            engine,
        }
    }

    /// What did not go by the rules so far.
    pub fn exceptions(&self) -> Exceptions {
        Exceptions { evicted: self.evicted().iter().sum(), ..self.exceptions }
    }

    /// How many groups of each of [`Engine::correlations`] were forgotten so far.
    pub fn evicted(&self) -> &[u64] {
        self.groups.evicted()
    }

    /// Takes which groups were forgotten since the last time, the first 1,000 of them.
    pub fn forgotten(&mut self) -> Vec<Forgotten> {
        self.groups.forgotten()
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        (0..self.engine.correlations().len()).map(|i| self.groups.of(i).len()).sum()
    }

    /// Whether nothing is remembered, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.waiting.iter().next().is_none()
    }

    /// Bytes that groups and waiting matches take.
    pub fn bytes(&self) -> usize {
        self.groups.bytes() + self.waiting.bytes()
    }

    /// Takes a match; gives what became certain by it.
    pub fn push(&mut self, found: Match, out: &mut Vec<Correlated>) {
        if found.time < self.taken {
            self.exceptions.late += 1;
            return;
        }
        if self.engine.captures(found.rule).is_none() {
            return;
        }
        let Match { rule, time, uid, values } = found;
        let Some(waiting) = Waiting::new(time, self.arrived, rule.0, &uid, &values) else { return };
        self.arrived += 1;
        self.latest = self.latest.max(time);
        self.waiting.push(waiting);
        if let Some(lateness) = self.limits.lateness_us {
            self.advance(self.latest.saturating_sub(lateness), out);
        }
        while self.waiting.bytes() > self.limits.waiting_bytes_max {
            let Some(next) = self.waiting.pop() else { break };
            self.exceptions.early += 1;
            self.take(&next, out);
        }
    }

    /// Says that no match before `watermark`, microseconds, will come any more.
    pub fn advance(&mut self, watermark: i64, out: &mut Vec<Correlated>) {
        while let Some(next) = self.waiting.pop_before(watermark) {
            self.take(&next, out);
        }
        self.close(watermark, out);
        self.taken = self.taken.max(watermark);
    }

    /// Ends the input: all that waits is taken, and all windows close.
    pub fn finish(&mut self, out: &mut Vec<Correlated>) {
        while let Some(next) = self.waiting.pop() {
            self.take(&next, out);
        }
        self.close(i64::MAX, out);
    }

    fn take(&mut self, waiting: &Waiting, out: &mut Vec<Correlated>) {
        let Some((uid, values)) = waiting.unpack() else { return };
        self.close(waiting.time, out);
        self.taken = self.taken.max(waiting.time);
        self.give(&Item { of: Referred::Rule(waiting.rule as usize), time: waiting.time, uid, values }, out);
    }

    /// Gives an item to the correlations over it.
    fn give(&mut self, item: &Item<'_>, out: &mut Vec<Correlated>) {
        let (engine, wiring) = (self.engine.clone(), self.wiring.clone());
        for taker in wiring.takers(item.of) {
            let correlation = &engine.correlations()[taker.correlation];
            let fields: Vec<&[&str]> = taker.measured.iter().map(|at| item.texts(*at)).collect();
            let Some(measured) = Measured::new(&correlation.measure, &fields) else { continue };
            let group: Vec<Option<Cow<'_, str>>> = taker.group.iter().map(|at| item.text(*at)).collect();
            let Ok(key) = postcard::to_stdvec(&group) else { continue };
            let passed = taker.passed.iter().map(|passed| match passed {
                Passed::Group(at) => group[*at].as_deref().into_iter().collect(),
                Passed::Last(at) => item.texts(*at).to_vec(),
            });
            let entry = Entry { time: item.time, uid: &item.uid, place: taker.place as u8 };
            let (matched, dropped) = self.groups.change(taker.correlation, &key, item.time, |of_key| {
                let (fires, dropped) = of_key.take(correlation, &entry, measured);
                if !correlation.condition.is_monotone() && !taker.passed.is_empty() {
                    let values: Vec<Texts<'_>> = passed.clone().collect();
                    of_key.passed = postcard::to_stdvec(&values).unwrap_or_default().into();
                }
                let matched = || correlated(taker.correlation, correlation, &key, &of_key.window, item.time);
                (fires.then(matched), dropped)
            });
            self.exceptions.dropped += dropped;
            if let Some(matched) = matched {
                self.matched(matched, passed.collect(), out);
            }
        }
    }

    /// Closes the windows that end before `time`.
    fn close(&mut self, time: i64, out: &mut Vec<Correlated>) {
        let engine = self.engine.clone();
        while let Some(Closed { correlation: i, end, key, group }) = self.groups.close(time) {
            let correlation = &engine.correlations()[i];
            if group.window.holds(correlation) {
                let matched = correlated(i, correlation, &key, &group.window, end);
                self.matched(matched, postcard::from_bytes(&group.passed).unwrap_or_default(), out);
            }
        }
    }

    /// Gives a correlation's match to those over it, and out.
    fn matched(&mut self, matched: Correlated, values: Vec<Texts<'_>>, out: &mut Vec<Correlated>) {
        let of = Referred::Correlation(matched.correlation);
        if !self.wiring.takers(of).is_empty() {
            let uid = Uid::new(&matched.uid(&self.engine));
            self.give(&Item { of, time: matched.time, uid, values }, out);
        }
        out.push(matched);
    }
}

/// The fields and values of a group's key.
fn key_of(correlation: &Correlation, key: &[u8]) -> Vec<(String, Option<String>)> {
    let values: Vec<Option<String>> = postcard::from_bytes(key).unwrap_or_default();
    correlation.group_by.iter().cloned().zip(values).collect()
}

fn correlated(number: usize, correlation: &Correlation, key: &[u8], window: &Window, time: i64) -> Correlated {
    Correlated {
        correlation: number,
        time,
        first: window.span().first,
        last: window.span().last(),
        group: key_of(correlation, key),
        measure: window.measure(correlation),
        count: window.len(),
        events: window.events(),
    }
}
