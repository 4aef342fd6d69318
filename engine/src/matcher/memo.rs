//! What fired on rows of the same atoms: logs repeat themselves, also where no value of a row comes again.
//!
//! A row's key is its route and, for each cell that tests look at, which atoms hold for its value, as the number of that set;
//! of fields that conditions compare with each other it is the value itself. Rows of one key fire the same rules.
//! **Bounds**: [`KEYS_MAX`] keys of [`PARTS_MAX`] parts, and [`SETS_MAX`] sets; beyond, all are forgotten. Where keys hardly ever come again, rows are not
//! looked up for a while.

use super::values::AtomIx;
use crate::bind::RuleIx;
use ahash::{AHashMap, RandomState};
use hashbrown::HashTable;

const KEYS_MAX: usize = 1 << 14;
const PARTS_MAX: usize = 1 << 20;
const SETS_MAX: usize = 1 << 18;
/// Rows over which it is told whether keys come again.
const WINDOW: u32 = 4096;
/// Of how many rows one has to come again.
const KNOWN_ONE_OF: u32 = 4;
/// Windows for which nothing is looked up then.
const PAUSE: u32 = 16;

/// The numbers of sets of atoms.
#[derive(Default)]
pub struct Sets {
    numbers: AHashMap<Box<[AtomIx]>, u32>,
}

impl Sets {
    /// The number of a set, which is in ascending order.
    pub fn number(&mut self, atoms: &[AtomIx]) -> u32 {
        if let Some(number) = self.numbers.get(atoms) {
            return *number;
        }
        let next = self.numbers.len() as u32;
        self.numbers.insert(atoms.into(), next);
        next
    }

    /// Whether there are too many of them.
    pub fn is_full(&self) -> bool {
        self.numbers.len() > SETS_MAX
    }
}

/// Where a known key's parts and rules are.
struct Entry {
    hash: u64,
    key: (u32, u32),
    rules: (u32, u32),
}

/// Rules by key.
#[derive(Default)]
pub struct Memo {
    entries: HashTable<Entry>,
    state: RandomState,
    keys: Vec<u64>,
    rules: Vec<RuleIx>,
    /// Scratch: the key of the row at hand, and its hash.
    pub key: Vec<u64>,
    hash: u64,
    asked: u32,
    known: u32,
    /// Rows that are not looked up.
    paused: u32,
}

impl Memo {
    /// Whether rows are looked up now.
    pub fn is_on(&mut self) -> bool {
        if self.paused > 0 {
            self.paused -= 1;
            return false;
        }
        if self.asked == WINDOW {
            if self.known * KNOWN_ONE_OF < self.asked {
                self.paused = WINDOW * PAUSE;
            }
            (self.asked, self.known) = (0, 0);
        }
        true
    }

    /// What fires on the row of [`Memo::key`], if that is known.
    pub fn get(&mut self) -> Option<&[RuleIx]> {
        self.asked += 1;
        self.hash = self.state.hash_one(&self.key);
        let (key, keys, hash) = (&self.key, &self.keys, self.hash);
        let same = |entry: &Entry| entry.hash == hash && keys[entry.key.0 as usize..entry.key.1 as usize] == key[..];
        let entry = self.entries.find(hash, same)?;
        self.known += 1;
        Some(&self.rules[entry.rules.0 as usize..entry.rules.1 as usize])
    }

    /// Remembers what fires on the row that was asked for last.
    pub fn insert(&mut self, rules: impl Iterator<Item = RuleIx>) {
        if self.entries.len() >= KEYS_MAX || self.keys.len() + self.key.len() > PARTS_MAX {
            self.clear();
        }
        let from = (self.keys.len() as u32, self.rules.len() as u32);
        self.keys.extend(&self.key);
        self.rules.extend(rules);
        let to = (self.keys.len() as u32, self.rules.len() as u32);
        let entry = Entry { hash: self.hash, key: (from.0, to.0), rules: (from.1, to.1) };
        self.entries.insert_unique(self.hash, entry, |entry| entry.hash);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.keys.clear();
        self.rules.clear();
    }
}
