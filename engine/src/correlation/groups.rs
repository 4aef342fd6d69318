//! The groups of all correlations, within bounds of memory.
//!
//! Groups that can no longer count go by themselves, a few with every match. Beyond the bounds, those of them that are
//! left go first; then the first groups in order of the correlation that is beyond its bound, or of the largest one.

use super::correlator::key_of;
use super::group::Group;
use super::store::Store;
use super::{Forgotten, Limits};
use crate::bind::Engine;
use std::sync::Arc;

/// Groups beyond these are counted, but not named, until [`Groups::forgotten`] is asked.
const FORGOTTEN_MAX: usize = 1_000;

/// The same of the bytes of their keys.
const FORGOTTEN_BYTES_MAX: usize = 1 << 20;

/// Groups that can no longer count and go with one match.
const SWEPT: usize = 2;

/// Groups.
pub struct Groups {
    engine: Arc<Engine>,
    stores: Vec<Store>,
    rule_bytes_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// Correlations whose windows close.
    closing: Vec<usize>,
    /// No window closes before.
    closes_from: i64,
    evicted: Vec<u64>,
    forgotten: Vec<Forgotten>,
    forgotten_bytes: usize,
}

/// A group whose window has closed.
pub struct Closed {
    pub correlation: usize,
    pub end: i64,
    pub key: Box<[u8]>,
    pub group: Group,
}

impl Groups {
    /// None.
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        let count = engine.correlations().len();
        Self {
            stores: (0..count).map(|_| Store::new()).collect(),
            rule_bytes_max: limits.rule_bytes_max,
            bytes_max: limits.bytes_max,
            bytes: 0,
            closing: (0..count).filter(|i| !engine.correlations()[*i].condition.is_monotone()).collect(),
            closes_from: i64::MAX,
            evicted: vec![0; count],
            forgotten: Vec::new(),
            forgotten_bytes: 0,
            engine,
        }
    }

    /// Those of one correlation.
    pub fn of(&self, correlation: usize) -> &Store {
        &self.stores[correlation]
    }

    /// Bytes that all take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Groups of each correlation that were forgotten.
    pub fn evicted(&self) -> &[u64] {
        &self.evicted
    }

    /// Takes which groups were forgotten since the last time.
    pub fn forgotten(&mut self) -> Vec<Forgotten> {
        self.forgotten_bytes = 0;
        std::mem::take(&mut self.forgotten)
    }

    /// Changes a group of a correlation at `now`; then those go that there is no room for.
    pub fn change<T>(&mut self, i: usize, key: &[u8], now: i64, change: impl FnOnce(&mut Group) -> T) -> T {
        self.sweep(i, now, SWEPT);
        let engine = self.engine.clone();
        let out = self.on(i, |store| store.change(&engine.correlations()[i], key, change));
        self.opened(i);
        self.bound(i, now);
        out
    }

    /// Puts back what a checkpoint held, last; whether no group of that key is there.
    pub fn restore(&mut self, i: usize, key: &[u8], group: Group, now: i64) -> bool {
        let new = self.on(i, |store| store.push(key, group));
        self.opened(i);
        self.bound(i, now);
        new
    }

    /// Puts back how many groups of a correlation were forgotten.
    pub fn restore_evicted(&mut self, i: usize, count: u64) {
        self.evicted[i] = count;
    }

    /// Takes out the group whose window closes next, if it does before `time`.
    pub fn close(&mut self, time: i64) -> Option<Closed> {
        if self.closes_from >= time {
            return None;
        }
        let next = self.closing.iter().filter_map(|i| Some((self.ends(*i)?, *i))).min();
        self.closes_from = next.map_or(i64::MAX, |(end, _)| end);
        let (end, correlation) = next.filter(|(end, _)| *end < time)?;
        let (key, group) = self.pop(correlation)?;
        Some(Closed { correlation, end, key, group })
    }

    fn ends(&self, i: usize) -> Option<i64> {
        self.stores[i].ends(&self.engine.correlations()[i])
    }

    fn opened(&mut self, i: usize) {
        if !self.engine.correlations()[i].condition.is_monotone() {
            self.closes_from = self.closes_from.min(self.ends(i).unwrap_or(i64::MAX));
        }
    }

    /// Does something to a correlation's groups, and keeps the sum of all bytes.
    fn on<T>(&mut self, i: usize, act: impl FnOnce(&mut Store) -> T) -> T {
        self.bytes -= self.stores[i].bytes();
        let out = act(&mut self.stores[i]);
        self.bytes += self.stores[i].bytes();
        out
    }

    fn pop(&mut self, i: usize) -> Option<(Box<[u8]>, Group)> {
        let engine = self.engine.clone();
        self.on(i, |store| store.pop(&engine.correlations()[i]))
    }

    /// Groups of windows that slide go when their last match can no longer count at `now`.
    fn sweep(&mut self, i: usize, now: i64, most: usize) {
        let slides = self.engine.correlations()[i].condition.is_monotone();
        for _ in 0..most {
            if !slides || self.ends(i).is_none_or(|end| end >= now) {
                return;
            }
            self.pop(i);
        }
    }

    /// Makes room; `i` is the correlation that has grown.
    fn bound(&mut self, i: usize, now: i64) {
        if self.stores[i].bytes() > self.rule_bytes_max {
            self.sweep(i, now, usize::MAX);
            while self.stores[i].bytes() > self.rule_bytes_max && self.stores[i].len() > 0 {
                self.evict(i);
            }
        }
        if self.bytes <= self.bytes_max {
            return;
        }
        (0..self.stores.len()).for_each(|i| self.sweep(i, now, usize::MAX));
        // Some more than has to go, so that correlations are not compared with every match.
        let low = self.bytes_max - self.bytes_max / 64;
        while self.bytes > low {
            let largest = (0..self.stores.len()).rev().max_by_key(|i| self.stores[*i].bytes());
            let Some(largest) = largest.filter(|i| self.stores[*i].len() > 0) else { return };
            self.evict(largest);
        }
    }

    fn evict(&mut self, i: usize) {
        let Some((key, group)) = self.pop(i) else { return };
        self.evicted[i] += 1;
        if self.forgotten.len() < FORGOTTEN_MAX && self.forgotten_bytes + key.len() <= FORGOTTEN_BYTES_MAX {
            self.forgotten_bytes += key.len();
            let span = group.window.span();
            let group = key_of(&self.engine.correlations()[i], &key);
            self.forgotten.push(Forgotten { correlation: i, group, first: span.first, last: span.last() });
        }
    }
}
