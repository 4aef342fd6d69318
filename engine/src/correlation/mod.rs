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
//! **Bounds**: [`Limits`]; what waits beyond them is taken early, groups beyond them are forgotten, stalest first. Both
//! are counted.

mod group;
mod set;
mod window;

pub(crate) use set::Correlations;

use crate::bind::{Engine, RuleIx};
use crate::finding;
use ahash::AHashMap;
use group::Group;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use tarn_ingest::fields::FieldValue;
use tarn_rules::correlation::{Correlation, Referred};
use window::{Entry, Window};

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
    /// Matches that wait for their turn.
    pub waiting_max: usize,
    /// Groups, over all correlations.
    pub groups_max: usize,
    /// Events remembered, over all groups.
    pub events_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lateness_us: None, waiting_max: 200_000, groups_max: 200_000, events_max: 500_000 }
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
}

/// A match on its way: of a rule, or of a correlation.
#[derive(Clone)]
struct Item {
    of: Referred,
    time: i64,
    uid: Arc<str>,
    fields: Arc<[(String, Option<FieldValue>)]>,
}

impl Item {
    fn value(&self, field: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(name, _)| name == field).and_then(|(_, value)| value.as_ref())
    }
}

/// What waits is ordered by event time, then arrival.
struct Waiting {
    time: i64,
    number: u64,
    item: Item,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.number) == (other.time, other.number)
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

type GroupKey = Arc<[Option<Box<str>>]>;

/// Evaluates an engine's correlations.
pub struct Correlator {
    engine: Arc<Engine>,
    limits: Limits,
    /// Correlations and places in them, by what they refer to.
    takers: AHashMap<Referred, Vec<(usize, usize)>>,
    groups: Vec<AHashMap<GroupKey, Group>>,
    /// When windows close.
    closing: BinaryHeap<Reverse<(i64, usize, GroupKey)>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    arrived: u64,
    latest: i64,
    /// Event time up to which matches were taken.
    taken: i64,
    remembered: usize,
    exceptions: Exceptions,
}

impl Correlator {
    /// For an engine's correlations.
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        let mut takers: AHashMap<Referred, Vec<(usize, usize)>> = AHashMap::new();
        for (i, bound) in engine.correlations().iter().enumerate() {
            for (place, reference) in bound.rules.iter().enumerate() {
                let of_rule = takers.entry(reference.to).or_default();
                // A rule that is named twice, by id and by name, counts once.
                if of_rule.iter().all(|(correlation, _)| *correlation != i) {
                    of_rule.push((i, place));
                }
            }
        }
        Self {
            limits,
            takers,
            groups: engine.correlations().iter().map(|_| AHashMap::new()).collect(),
            closing: BinaryHeap::new(),
            waiting: BinaryHeap::new(),
            arrived: 0,
            latest: i64::MIN,
            taken: i64::MIN,
            remembered: 0,
            exceptions: Exceptions::default(),
            engine,
        }
    }

    /// What did not go by the rules so far.
    pub fn exceptions(&self) -> Exceptions {
        self.exceptions
    }

    /// Takes a match; gives what became certain by it.
    pub fn push(&mut self, found: Match, out: &mut Vec<Correlated>) {
        if found.time < self.taken {
            self.exceptions.late += 1;
            return;
        }
        let Some(names) = self.engine.captures(found.rule) else { return };
        let fields = names.iter().cloned().zip(found.values).collect();
        let of = Referred::Rule(found.rule.0 as usize);
        let item = Item { of, time: found.time, uid: found.uid, fields };
        self.arrived += 1;
        self.latest = self.latest.max(found.time);
        self.waiting.push(Reverse(Waiting { time: found.time, number: self.arrived, item }));
        if let Some(lateness) = self.limits.lateness_us {
            self.advance(self.latest.saturating_sub(lateness), out);
        }
        while self.waiting.len() > self.limits.waiting_max {
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.exceptions.early += 1;
                self.take(first.item, out);
            }
        }
    }

    /// Says that no match before `watermark`, microseconds, will come any more.
    pub fn advance(&mut self, watermark: i64, out: &mut Vec<Correlated>) {
        while self.waiting.peek().is_some_and(|Reverse(first)| first.time < watermark) {
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.take(first.item, out);
            }
        }
        self.close(watermark, out);
        self.taken = self.taken.max(watermark);
    }

    /// Ends the input: all that waits is taken, and all windows close.
    pub fn finish(&mut self, out: &mut Vec<Correlated>) {
        while let Some(Reverse(first)) = self.waiting.pop() {
            self.take(first.item, out);
        }
        self.close(i64::MAX, out);
    }

    fn take(&mut self, item: Item, out: &mut Vec<Correlated>) {
        self.close(item.time, out);
        self.taken = self.taken.max(item.time);
        self.give(&item, out);
        self.forget();
    }

    /// Gives an item to the correlations over it.
    fn give(&mut self, item: &Item, out: &mut Vec<Correlated>) {
        let takers = self.takers.get(&item.of).cloned().unwrap_or_default();
        for (i, place) in takers {
            let engine = self.engine.clone();
            let correlation = &engine.correlations()[i];
            let value = |name: &str| correlation.field_of(name, place).and_then(|field| item.value(field));
            let key: GroupKey = correlation.group_by.iter().map(|name| value(name).and_then(text)).collect();
            let measured = correlation.measured().iter().map(|name| value(name)).collect::<Vec<_>>();
            let group = self.groups[i].entry(key.clone()).or_insert_with(|| Group::new(correlation));
            let before = group.window.len();
            let entry = Entry { time: item.time, uid: item.uid.clone(), place };
            let fires = group.take(correlation, entry, &measured);
            let after = group.window.len();
            self.remembered = (self.remembered + after).saturating_sub(before);
            if fires {
                let matched = correlated(i, correlation, &key, &group.window, item.time);
                self.matched(matched, item, out);
            } else if after > before && !correlation.condition.is_monotone() {
                group.last = Some(item.clone());
                if before == 0 {
                    let end = item.time.saturating_add(correlation.timespan_us);
                    self.closing.push(Reverse((end, i, key)));
                }
            }
        }
    }

    /// Closes the windows that end before `time`.
    fn close(&mut self, time: i64, out: &mut Vec<Correlated>) {
        while self.closing.peek().is_some_and(|Reverse((end, _, _))| *end < time) {
            let Some(Reverse((end, i, key))) = self.closing.pop() else { return };
            let Some(group) = self.groups[i].remove(&key) else { continue };
            self.remembered = self.remembered.saturating_sub(group.window.len());
            let engine = self.engine.clone();
            let correlation = &engine.correlations()[i];
            if let (true, Some(last)) = (group.holds(correlation), &group.last) {
                let matched = correlated(i, correlation, &key, &group.window, end);
                self.matched(matched, last, out);
            }
        }
    }

    /// Gives a correlation's match to those over it, and out.
    fn matched(&mut self, matched: Correlated, last: &Item, out: &mut Vec<Correlated>) {
        let of = Referred::Correlation(matched.correlation);
        let uid: Arc<str> = matched.uid(&self.engine).into();
        if self.takers.contains_key(&of) {
            let of_group =
                matched.group.iter().map(|(n, v)| (n.clone(), v.as_deref().map(|t| FieldValue::Text(t.into()))));
            let others = last.fields.iter().filter(|(n, _)| matched.group.iter().all(|(name, _)| name != n)).cloned();
            let fields = of_group.chain(others).collect();
            let item = Item { of, time: matched.time, uid, fields };
            self.give(&item, out);
        }
        out.push(matched);
    }

    /// Keeps within the limits: what can no longer count goes first, then the stalest groups.
    fn forget(&mut self) {
        let count: usize = self.groups.iter().map(|g| g.len()).sum();
        if count <= self.limits.groups_max && self.remembered <= self.limits.events_max {
            return;
        }
        let engine = self.engine.clone();
        let now = self.taken;
        let mut stalest: Vec<(i64, usize, GroupKey)> = Vec::new();
        for (i, groups) in self.groups.iter_mut().enumerate() {
            let span = engine.correlations()[i].timespan_us;
            let monotone = engine.correlations()[i].condition.is_monotone();
            groups.retain(|_, g| !monotone || g.window.last().is_some_and(|t| now.saturating_sub(t) <= span));
            stalest.extend(groups.iter().map(|(key, g)| (g.window.last().unwrap_or(i64::MIN), i, key.clone())));
        }
        self.remembered = self.groups.iter().flat_map(|g| g.values()).map(|g| g.window.len()).sum();
        stalest.sort_unstable();
        let (groups_max, events_max) = (self.limits.groups_max / 10 * 9, self.limits.events_max / 10 * 9);
        let mut left = stalest.len();
        for (_, i, key) in stalest {
            if left <= groups_max && self.remembered <= events_max {
                break;
            }
            if let Some(group) = self.groups[i].remove(&key) {
                self.remembered = self.remembered.saturating_sub(group.window.len());
                self.exceptions.evicted += 1;
            }
            left -= 1;
        }
    }
}

/// The text of a value, by which groups are told apart; of several, all.
fn text(value: &FieldValue) -> Option<Box<str>> {
    match value {
        FieldValue::Null => None,
        FieldValue::Text(text) => Some(text.clone()),
        FieldValue::List(list) => {
            let texts: Vec<Box<str>> = list.iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| texts.join(", ").into())
        }
    }
}

fn correlated(number: usize, correlation: &Correlation, key: &GroupKey, window: &Window, time: i64) -> Correlated {
    let group = correlation.group_by.iter().cloned().zip(key.iter().map(|v| v.as_deref().map(str::to_owned)));
    let (first, last) = (window.first().unwrap_or(time), window.last().unwrap_or(time));
    Correlated {
        correlation: number,
        time,
        first,
        last,
        group: group.collect(),
        measure: window.measure(&correlation.measure),
        count: window.len() as u64,
        events: window.events(EVENTS_MAX),
    }
}
