//! What fired on rows of the same atoms: logs repeat themselves, also where no value of a row comes again.
//!
//! A row's key is the sum of its parts: its route's, and those of all atoms that hold for its values; of fields that conditions of
//! its route compare with each other it is the value's own part. Parts are of 128 bits that nobody can guess, so that rows of one
//! key have the same parts, but for chance. Rows of one key fire the same rules.
//! **Bounds**: [`KEYS_MAX`] keys; beyond, all are forgotten. Where keys hardly ever come again, rows are not
//! looked up for a while.

use crate::bind::RuleIx;
use hashbrown::HashTable;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::hash::{BuildHasher, RandomState};

const KEYS_MAX: usize = 1 << 14;
/// Rows over which it is told whether keys come again.
const WINDOW: u32 = 4096;
/// Of how many rows one has to come again.
const KNOWN_ONE_OF: u32 = 4;
/// Windows for which nothing is looked up then.
const PAUSE: u32 = 16;

/// Gives numbers of 128 bits that cannot be guessed.
pub struct Parts(ChaCha12Rng);

impl Default for Parts {
    fn default() -> Self {
        let mut seed = [0; 32];
        // Keys of the standard library's hashers are the operating system's random numbers.
        seed.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&RandomState::new().hash_one(()).to_le_bytes()));
        Self(ChaCha12Rng::from_seed(seed))
    }
}

impl Parts {
    /// The next one.
    pub fn next(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }
}

/// A known key, and where its rules are.
struct Entry {
    key: u128,
    rules: (u32, u32),
}

impl Entry {
    fn hash(key: u128) -> u64 {
        (key >> 64) as u64
    }
}

/// Rules by key.
#[derive(Default)]
pub struct Memo {
    entries: HashTable<Entry>,
    rules: Vec<RuleIx>,
    asked: u32,
    known: u32,
    /// Rows that are not looked up.
    paused: u32,
}

impl Memo {
    /// Whether the next rows are looked up.
    pub fn is_on(&mut self, rows: usize) -> bool {
        if self.paused > 0 {
            self.paused = self.paused.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
            return false;
        }
        if self.asked >= WINDOW {
            if self.known * KNOWN_ONE_OF < self.asked {
                self.paused = WINDOW * PAUSE;
            }
            (self.asked, self.known) = (0, 0);
        }
        true
    }

    /// What fires on rows of a key, if that is known.
    #[inline]
    pub fn get(&mut self, key: u128) -> Option<&[RuleIx]> {
        self.asked += 1;
        let entry = self.entries.find(Entry::hash(key), |entry| entry.key == key)?;
        self.known += 1;
        Some(&self.rules[entry.rules.0 as usize..entry.rules.1 as usize])
    }

    /// Remembers what fires on rows of a key that is not known.
    pub fn insert(&mut self, key: u128, rules: impl Iterator<Item = RuleIx>) {
        if self.entries.len() >= KEYS_MAX {
            self.clear();
        }
        let from = self.rules.len() as u32;
        self.rules.extend(rules);
        let entry = Entry { key, rules: (from, self.rules.len() as u32) };
        self.entries.insert_unique(Entry::hash(key), entry, |entry| Entry::hash(entry.key));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.rules.clear();
    }
}
