//! Takes matches in event time and gives them to the groups of the correlations over their rules.

use super::early::{Early, Revised};
use super::group::Resting;
use super::groups::{Closed, Groups};
use super::measured::{Measured, Texts};
use super::uid::Uid;
use super::waiting::{Queue, Waiting};
use super::window::{Entry, Window};
use super::wiring::{Passed, Wiring};
use super::{Correlated, Exceptions, Forgotten, Limits, Match};
use crate::bind::Engine;
use std::borrow::Cow;
use std::sync::Arc;
use tarn_rules::correlation::{Correlation, Referred};

/// Whether a match is given as it arrives, or in event time.
#[derive(Clone, Copy)]
enum Turn {
    Early,
    Due,
}

/// A match on its way: of a rule, or of a correlation.
struct Item<'a> {
    of: Referred,
    time: i64,
    uid: Uid,
    /// In the order of [`super::wiring`].
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
    pub(super) engine: Arc<Engine>,
    limits: Limits,
    wiring: Arc<Wiring>,
    pub(super) groups: Groups,
    pub(super) early: Option<Early>,
    pub(super) waiting: Queue,
    pub(super) arrived: u64,
    pub(super) latest: i64,
    /// Event time up to which matches were taken.
    pub(super) taken: i64,
    pub(super) exceptions: Exceptions,
}

impl Correlator {
    /// For an engine's correlations.
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        Self {
            limits,
            wiring: Arc::new(Wiring::new(&engine)),
            groups: Groups::new(engine.clone(), limits),
            early: Early::new(engine.clone(), limits),
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

    /// Takes which groups were forgotten since the last time: the first 1,000 of them, as far as 1 MiB holds their names.
    pub fn forgotten(&mut self) -> Vec<Forgotten> {
        self.groups.forgotten()
    }

    /// Takes which findings that were told early are revised since the last time.
    pub fn revised(&mut self) -> Vec<Revised> {
        self.early.as_mut().map(Early::revised).unwrap_or_default()
    }

    /// Says that a finding of a correlation was told already, whose last event was at `time`, microseconds.
    pub fn told(&mut self, uid: &str, time: i64) {
        let span = self.engine.correlations().iter().map(|c| c.timespan_us).max().unwrap_or(0);
        if let Some(early) = &mut self.early {
            early.remember(uid, time.saturating_add(span), None);
        }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        (0..self.engine.correlations().len()).map(|i| self.groups.of(i).len()).sum()
    }

    /// How many matches wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is remembered, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.waiting.len() == 0
    }

    /// Bytes that groups and waiting matches take.
    pub fn bytes(&self) -> usize {
        self.groups.bytes() + self.waiting.bytes()
    }

    /// Takes a match; gives what became certain by it.
    pub fn push(&mut self, found: Match, out: &mut Vec<Correlated>) {
        self.push_by(found, i64::MAX, out);
    }

    /// The same of a match that came in at `now`, microseconds. One of a later time comes of a clock that is wrong: event
    /// time goes on to `now` only, or all others would be late from then on.
    pub fn push_by(&mut self, found: Match, now: i64, out: &mut Vec<Correlated>) {
        if found.time < self.taken {
            self.exceptions.late += 1;
            return;
        }
        if self.engine.captures(found.rule).is_none() {
            return;
        }
        let Match { rule, time, uid, values } = found;
        let Some(waiting) = Waiting::new(time, self.arrived, rule.0, &uid, &values) else {
            self.exceptions.dropped += 1;
            return;
        };
        self.take_early(&waiting, out);
        self.arrived += 1;
        self.latest = self.latest.max(time.min(now));
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
        self.pass(watermark);
    }

    /// What was told early of the time before `watermark` is confirmed by now, or revised.
    fn pass(&mut self, watermark: i64) {
        if let Some(early) = &mut self.early {
            let evicted = self.groups.evicted();
            early.pass(watermark, |correlation| evicted[correlation] == 0);
        }
    }

    /// Says that an event of `time`, microseconds, has come, whether or not a rule matches it: event time is at least that.
    /// Where lateness is allowed, what waits is taken in time, and windows close.
    pub fn heard(&mut self, time: i64, out: &mut Vec<Correlated>) {
        if let (Some(lateness), true) = (self.limits.lateness_us, time > self.latest) {
            self.latest = time;
            self.advance(time.saturating_sub(lateness), out);
        }
    }

    /// Says that event time went on by this many microseconds while no match came: where lateness is allowed, what waits
    /// is taken in time, and windows close.
    pub fn idle(&mut self, elapsed: i64, out: &mut Vec<Correlated>) {
        if let (Some(lateness), true) = (self.limits.lateness_us, self.latest > i64::MIN) {
            self.latest = self.latest.saturating_add(elapsed.max(0));
            self.advance(self.latest.saturating_sub(lateness), out);
        }
    }

    /// Ends the input: all that waits is taken, and all windows close.
    pub fn finish(&mut self, out: &mut Vec<Correlated>) {
        while let Some(next) = self.waiting.pop() {
            self.take(&next, out);
        }
        self.close(i64::MAX, out);
        self.pass(i64::MAX);
    }

    fn take(&mut self, waiting: &Waiting, out: &mut Vec<Correlated>) {
        let Some((uid, values)) = waiting.unpack() else { return };
        self.close(waiting.time, out);
        self.taken = self.taken.max(waiting.time);
        let item = Item { of: Referred::Rule(waiting.rule as usize), time: waiting.time, uid, values };
        self.give(&item, Turn::Due, out);
    }

    /// Works out again what is true of what has arrived, after what is due and what waits were put back. Nothing is told.
    pub(super) fn revive_early(&mut self) {
        let Some(early) = &mut self.early else { return };
        let engine = self.engine.clone();
        for (i, correlation) in engine.correlations().iter().enumerate().filter(|(_, c)| c.condition.is_monotone()) {
            for resting in self.groups.of(i).iter() {
                let bytes = resting.bytes();
                if let Some((key, group)) = bytes.ok().and_then(|bytes| Resting::read(correlation, &bytes)) {
                    early.groups.restore(i, &key, group, self.taken);
                }
            }
        }
        early.silent = true;
        let waiting = std::mem::take(&mut self.waiting);
        let mut in_order: Vec<&Waiting> = waiting.iter().collect();
        in_order.sort_unstable();
        for waiting in in_order {
            self.take_early(waiting, &mut Vec::new());
        }
        self.waiting = waiting;
        self.early.iter_mut().for_each(|early| early.silent = false);
    }

    /// Gives a match to what is told early.
    pub(super) fn take_early(&mut self, waiting: &Waiting, out: &mut Vec<Correlated>) {
        if self.early.is_some()
            && let Some((uid, values)) = waiting.unpack()
        {
            let item = Item { of: Referred::Rule(waiting.rule as usize), time: waiting.time, uid, values };
            self.give(&item, Turn::Early, out);
        }
    }

    /// Gives an item to the correlations over it.
    fn give(&mut self, item: &Item<'_>, turn: Turn, out: &mut Vec<Correlated>) {
        let (engine, wiring) = (self.engine.clone(), self.wiring.clone());
        for taker in wiring.takers(item.of) {
            let correlation = &engine.correlations()[taker.correlation];
            let groups = match (turn, &mut self.early) {
                (Turn::Due, _) => &mut self.groups,
                (Turn::Early, Some(early)) if correlation.condition.is_monotone() => &mut early.groups,
                (Turn::Early, _) => continue,
            };
            let fields: Vec<&[&str]> = taker.measured.iter().map(|at| item.texts(*at)).collect();
            let Some(measured) = Measured::new(&correlation.measure, &fields) else { continue };
            let group: Vec<Option<Cow<'_, str>>> = taker.group.iter().map(|at| item.text(*at)).collect();
            let Ok(key) = postcard::to_stdvec(&group) else { continue };
            let passed = taker.passed.iter().map(|passed| match passed {
                Passed::Group(at) => group[*at].as_deref().into_iter().collect(),
                Passed::Last(at) => item.texts(*at).to_vec(),
            });
            let entry = Entry { time: item.time, uid: &item.uid, place: taker.place as u8 };
            let (matched, dropped) = groups.change(taker.correlation, &key, item.time, |of_key| {
                let (fires, dropped) = match turn {
                    Turn::Due => of_key.take(correlation, &entry, measured),
                    Turn::Early => (of_key.take_early(correlation, &entry, measured), 0),
                };
                if !correlation.condition.is_monotone() && !taker.passed.is_empty() {
                    let values: Vec<Texts<'_>> = passed.clone().collect();
                    of_key.passed = postcard::to_stdvec(&values).unwrap_or_default().into();
                }
                let time = match turn {
                    Turn::Due => item.time,
                    Turn::Early => of_key.window.span().last(),
                };
                let matched = || correlated(taker.correlation, correlation, &key, &of_key.window, time);
                (fires.then(matched), dropped)
            });
            self.exceptions.dropped += dropped;
            if let Some(matched) = matched {
                self.matched(matched, passed.collect(), turn, out);
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
                self.matched(matched, postcard::from_bytes(&group.passed).unwrap_or_default(), Turn::Due, out);
            }
        }
    }

    /// Gives a correlation's match to those over it, and out.
    fn matched(&mut self, matched: Correlated, values: Vec<Texts<'_>>, turn: Turn, out: &mut Vec<Correlated>) {
        let of = Referred::Correlation(matched.correlation);
        let taken = !self.wiring.takers(of).is_empty();
        if !taken && self.early.is_none() {
            return out.push(matched);
        }
        let uid = matched.uid(&self.engine);
        if taken {
            self.give(&Item { of, time: matched.time, uid: Uid::new(&uid), values }, turn, out);
        }
        let correlation = &self.engine.correlations()[matched.correlation];
        let tell = match (turn, &mut self.early) {
            (Turn::Due, Some(early)) => !early.confirm(&uid, &matched, correlation),
            (Turn::Early, Some(early)) => early.tell(&uid, &matched, correlation),
            (_, None) => true,
        };
        if tell {
            out.push(matched);
        }
    }
}

/// The fields and values of a group's key.
pub(super) fn key_of(correlation: &Correlation, key: &[u8]) -> Vec<(String, Option<String>)> {
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
