//! Distinct texts and how often each is there, by numbers that take the texts' place.

use ahash::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// Texts up to which no table is worth its memory.
const LISTED_MAX: usize = 16;

/// Distinct texts.
#[derive(Default, Serialize, Deserialize)]
pub struct Distinct {
    /// By number; one that is not there any more is empty, and its number free.
    texts: Vec<Box<str>>,
    /// How often each is there.
    #[serde(skip)]
    counts: Vec<u32>,
    #[serde(skip)]
    index: Index,
}

#[derive(Default)]
struct Index {
    /// Numbers by text, once there are many.
    table: HashTable<u32>,
    hashes: RandomState,
    free: Vec<u32>,
    bytes: usize,
}

impl Distinct {
    /// Counts a text; its number.
    pub fn add(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            self.counts[number as usize] = self.counts[number as usize].saturating_add(1);
            return number;
        }
        self.index.bytes += text.len();
        let number = match self.index.free.pop() {
            Some(number) => {
                (self.texts[number as usize], self.counts[number as usize]) = (text.into(), 1);
                number
            }
            None => {
                self.texts.push(text.into());
                self.counts.push(1);
                (self.texts.len() - 1) as u32
            }
        };
        self.enter(number);
        number
    }

    /// Takes one of a number's texts away.
    pub fn remove(&mut self, number: u32) {
        let at = number as usize;
        self.counts[at] -= 1;
        if self.counts[at] == 0 {
            let text = std::mem::take(&mut self.texts[at]);
            let hash = self.index.hashes.hash_one(&*text);
            if let Ok(found) = self.index.table.find_entry(hash, |n| *n == number) {
                found.remove();
            }
            self.index.free.push(number);
            self.index.bytes -= text.len();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len() - self.index.free.len()
    }

    /// Bytes that they take.
    pub fn size(&self) -> usize {
        self.index.bytes + self.texts.len() * 48
    }

    /// Works out what is not written. `given` are the numbers of the texts that are there, as often as they are.
    ///
    /// **Errors**: none is returned where these cannot be the numbers of the texts.
    pub fn revived(mut self, given: impl Iterator<Item = u32>) -> Option<Self> {
        self.counts = vec![0; self.texts.len()];
        for number in given {
            let count = self.counts.get_mut(number as usize)?;
            *count = count.checked_add(1)?;
        }
        self.index.free = (0..self.texts.len() as u32).filter(|n| self.counts[*n as usize] == 0).collect();
        self.index.bytes = self.texts.iter().map(|t| t.len()).sum();
        if self.index.free.iter().any(|n| !self.texts[*n as usize].is_empty()) {
            return None;
        }
        if self.texts.len() > LISTED_MAX {
            self.index_all();
        }
        Some(self)
    }

    /// The numbers of the texts that are written, where every one is there once.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..self.texts.len() as u32
    }

    fn find(&self, text: &str) -> Option<u32> {
        if self.texts.len() <= LISTED_MAX {
            let at = self.texts.iter().zip(&self.counts).position(|(t, count)| *count > 0 && **t == *text);
            return at.map(|at| at as u32);
        }
        let hash = self.index.hashes.hash_one(text);
        self.index.table.find(hash, |n| *self.texts[*n as usize] == *text).copied()
    }

    /// Puts a new text into the table; the first one too many puts all there.
    fn enter(&mut self, number: u32) {
        if self.texts.len() <= LISTED_MAX {
            return;
        }
        if self.index.table.is_empty() {
            return self.index_all();
        }
        let Index { table, hashes, .. } = &mut self.index;
        let hash = |n: &u32| hashes.hash_one(&*self.texts[*n as usize]);
        table.insert_unique(hash(&number), number, hash);
    }

    fn index_all(&mut self) {
        let Index { table, hashes, .. } = &mut self.index;
        let hash = |n: &u32| hashes.hash_one(&*self.texts[*n as usize]);
        for number in (0..self.texts.len() as u32).filter(|n| self.counts[*n as usize] > 0) {
            table.insert_unique(hash(&number), number, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Distinct;
    use std::collections::BTreeMap;

    /// Adds and removes by turns that only their number decides; the table's size is passed both ways.
    #[test]
    fn it_counts_as_a_map_does() {
        let (mut distinct, mut counts, mut given) = (Distinct::default(), BTreeMap::new(), Vec::new());
        for n in 0..2_000_u32 {
            let (phase, text) = (n / 250 % 2, (n * 7919 % 61).to_string());
            if phase == 0 || given.is_empty() {
                given.push((distinct.add(&text), text.clone()));
                *counts.entry(text).or_insert(0) += 1;
            } else {
                let (number, text) = given.swap_remove((n * 31) as usize % given.len());
                distinct.remove(number);
                let count = counts.get_mut(&text).unwrap();
                *count -= 1;
                if *count == 0 {
                    counts.remove(&text);
                }
            }
            assert_eq!((distinct.len(), distinct.index.bytes), (counts.len(), counts.keys().map(String::len).sum()));
            if n % 100 == 99 {
                let written = postcard::to_stdvec(&distinct).unwrap();
                let read: Distinct = postcard::from_bytes(&written).unwrap();
                distinct = read.revived(given.iter().map(|(number, _)| *number)).unwrap();
            }
        }
    }
}
