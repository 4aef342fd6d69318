//! The groups of one correlation, in the order in which they end.
//!
//! Of windows that slide, the first group is the one whose last match is the oldest; of windows that close, the one that
//! opened first. Matches come in event time, so the order is that of a list whose end is touched.

use super::group::{Group, Resting};
use ahash::RandomState;
use hashbrown::HashTable;
use tarn_rules::correlation::Correlation;

/// No slot.
const NONE: u32 = u32::MAX;

/// A slot, and its part of a table that is two thirds full.
const SLOT_BYTES: usize = size_of::<Slot>() + 8;

/// Groups.
pub struct Store {
    table: HashTable<u32>,
    hashes: RandomState,
    slots: Vec<Slot>,
    /// The first free slot; each names the next.
    free: u32,
    first: u32,
    last: u32,
    len: usize,
    bytes: usize,
    scratch: Vec<u8>,
}

struct Slot {
    resting: Resting,
    before: u32,
    after: u32,
}

impl Store {
    /// None.
    pub fn new() -> Self {
        Self {
            table: HashTable::new(),
            hashes: RandomState::new(),
            slots: Vec::new(),
            free: NONE,
            first: NONE,
            last: NONE,
            len: 0,
            bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first group can no longer count, or its window closes; none where there is none.
    pub fn ends(&self, correlation: &Correlation) -> Option<i64> {
        let span = self.slots.get(self.first as usize)?.resting.span()?;
        let from = if span.slides { span.last() } else { span.first };
        Some(from.saturating_add(correlation.timespan_us))
    }

    /// Changes a group, which is made where it is not there, and put last where its order changes with its matches.
    pub fn change<T>(&mut self, correlation: &Correlation, key: &[u8], change: impl FnOnce(&mut Group) -> T) -> T {
        let found = self.find(key);
        let group = found.and_then(|at| self.lift(at).wake(correlation));
        let mut group = group.map_or_else(|| Group::new(correlation), |(_, group)| group);
        let out = change(&mut group);
        let at = found.unwrap_or_else(|| self.add(key));
        if group.window.span().slides {
            self.unlink(at);
            self.link(at);
        }
        self.lay(at, group, key);
        out
    }

    /// Puts a group last; whether there was none of its key.
    pub fn push(&mut self, key: &[u8], group: Group) -> bool {
        let new = self.find(key).is_none();
        if new {
            let at = self.add(key);
            self.lay(at, group, key);
        }
        new
    }

    /// Takes the first group out.
    pub fn pop(&mut self, correlation: &Correlation) -> Option<(Box<[u8]>, Group)> {
        let at = self.first;
        let hash = self.hashes.hash_one(self.slots.get(at as usize)?.resting.key());
        if let Ok(found) = self.table.find_entry(hash, |slot| *slot == at) {
            found.remove();
        }
        let resting = self.lift(at);
        self.unlink(at);
        self.slots[at as usize].after = std::mem::replace(&mut self.free, at);
        self.len -= 1;
        self.bytes -= SLOT_BYTES;
        resting.wake(correlation)
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Resting> {
        let slot = |at: u32| self.slots.get(at as usize);
        std::iter::successors(slot(self.first), move |before| slot(before.after)).map(|slot| &slot.resting)
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hashes.hash_one(key);
        self.table.find(hash, |slot| self.slots[*slot as usize].resting.key() == key).copied()
    }

    /// A slot of a new key, last in order, in which no group lies yet.
    fn add(&mut self, key: &[u8]) -> u32 {
        let at = match self.slots.get_mut(self.free as usize) {
            Some(slot) => std::mem::replace(&mut self.free, slot.after),
            None => {
                self.slots.push(Slot { resting: Resting::default(), before: NONE, after: NONE });
                (self.slots.len() - 1) as u32
            }
        };
        let (hashes, slots) = (&self.hashes, &self.slots);
        let hash = |slot: &u32| hashes.hash_one(slots[*slot as usize].resting.key());
        self.table.insert_unique(hashes.hash_one(key), at, hash);
        self.link(at);
        self.len += 1;
        self.bytes += SLOT_BYTES;
        at
    }

    fn lift(&mut self, at: u32) -> Resting {
        let resting = std::mem::take(&mut self.slots[at as usize].resting);
        self.bytes -= resting.size();
        resting
    }

    fn lay(&mut self, at: u32, group: Group, key: &[u8]) {
        let resting = group.rest(key, &mut self.scratch);
        self.bytes += resting.size();
        self.slots[at as usize].resting = resting;
    }

    /// Puts a slot last.
    fn link(&mut self, at: u32) {
        (self.slots[at as usize].before, self.slots[at as usize].after) = (self.last, NONE);
        match self.slots.get_mut(self.last as usize) {
            Some(last) => last.after = at,
            None => self.first = at,
        }
        self.last = at;
    }

    fn unlink(&mut self, at: u32) {
        let Slot { before, after, .. } = self.slots[at as usize];
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.after = after,
            None => self.first = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.before = before,
            None => self.last = before,
        }
    }
}
