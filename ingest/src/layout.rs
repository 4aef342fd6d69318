//! Layouts: records with the same keys in the same order are the same source's, and keep their fields at the same places.
//!
//! Producers write the same keys again and again. A key is found by the one that stood before it, and what follows from
//! all of a record's keys (its source, where its fields are) is worked out once a layout.
//! **Bounds**: keys come from outside; beyond [`BYTES_MAX`] all are forgotten.

use crate::source::{Record, SourceId, Sources, Trie};
use ahash::AHashMap;

/// Bytes of keys and layouts that are remembered, about.
const BYTES_MAX: usize = 16 << 20;
/// What a key and a member of a layout take beside their own bytes, about.
const BYTES_EACH: usize = 128;

/// A known key.
struct Key {
    text: Box<str>,
    ends: Ends,
    /// The number of the key that stood behind it last.
    next: u32,
}

/// A key's length and its first and last bytes: up to 16 bytes that is all of it.
type Ends = (usize, u64, u64);

#[inline]
fn ends(key: &str) -> Ends {
    let bytes = key.as_bytes();
    let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (four(first), four(last)),
            _ => (bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0),
        },
    };
    (bytes.len(), first, last)
}

impl Key {
    fn new(text: &str) -> Self {
        Self { text: text.into(), ends: ends(text), next: 0 }
    }

    #[inline]
    fn is(&self, text: &str) -> bool {
        self.ends == ends(text) && (text.len() <= 16 || *self.text == *text)
    }
}

/// A member in which fields are found.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its number in the record.
    pub member: u32,
    /// The trie's node of its key.
    pub node: u32,
    /// Its field, when the member holds no more than that.
    pub field: Option<u16>,
}

/// A source, and one of its shapes.
type Shape = (SourceId, u16);

/// What follows from a record's keys.
#[derive(Default)]
pub struct Layout {
    /// Its source and shape, where its keys alone tell them.
    recognised: Option<Shape>,
    /// By trie, where the fields are.
    steps: Vec<(Shape, Box<[Step]>)>,
}

impl Layout {
    /// The members with fields of one trie.
    pub fn steps(&mut self, of: Shape, trie: &Trie, members: &[(&str, &str)]) -> &[Step] {
        let at = self.steps.iter().position(|(known, _)| *known == of).unwrap_or_else(|| {
            let step = |(member, (key, _)): (usize, &(&str, &str))| {
                let (node, field) = trie.top(key)?;
                Some(Step { member: member as u32, node, field })
            };
            self.steps.push((of, members.iter().enumerate().filter_map(step).collect()));
            self.steps.len() - 1
        });
        &self.steps[at].1
    }
}

/// All layouts so far.
#[derive(Default)]
pub struct Layouts {
    keys: Vec<Key>,
    numbers: AHashMap<Box<str>, u32>,
    layouts: Vec<Layout>,
    /// Layouts by their keys.
    of_keys: AHashMap<Box<[u32]>, u32>,
    bytes: usize,
    /// The source of all records, where that is known.
    only: Option<SourceId>,
    /// Scratch: the record's keys.
    record: Vec<u32>,
}

impl Layouts {
    /// Says that the records that come next are all of one source, or of any.
    pub fn begin(&mut self, only: Option<SourceId>) {
        if self.only != only {
            *self = Self { only, ..Self::default() };
        }
    }

    /// The number of a record's layout, until the next record's is asked for.
    pub fn of(&mut self, members: &[(&str, &str)]) -> usize {
        if self.bytes > BYTES_MAX {
            *self = Self { only: self.only, ..Self::default() };
        }
        if self.keys.is_empty() {
            // What stands before the first key.
            self.keys.push(Key::new(""));
        }
        self.record.clear();
        let mut before = 0;
        for (key, _) in members {
            before = self.number(before, key);
            self.record.push(before);
        }
        if let Some(at) = self.of_keys.get(self.record.as_slice()) {
            return *at as usize;
        }
        // Each member has a number here, and may have a step.
        self.bytes += BYTES_EACH + members.len() * (size_of::<u32>() + size_of::<Step>());
        self.of_keys.insert(self.record.as_slice().into(), self.layouts.len() as u32);
        self.layouts.push(Layout::default());
        self.layouts.len() - 1
    }

    /// The source and the shape of a record of a layout.
    pub fn recognise(&mut self, number: usize, sources: &Sources, members: &[(&str, &str)]) -> Shape {
        let layout = &mut self.layouts[number];
        layout.recognised.unwrap_or_else(|| {
            let record = Record::new(members);
            let recognised = sources.recognise(&record, self.only);
            layout.recognised = record.by_keys().then_some(recognised);
            recognised
        })
    }

    /// The layout of a number.
    pub fn layout(&mut self, number: usize) -> &mut Layout {
        &mut self.layouts[number]
    }

    fn number(&mut self, before: u32, key: &str) -> u32 {
        let guess = self.keys[before as usize].next;
        if guess != 0 && self.keys[guess as usize].is(key) {
            return guess;
        }
        let number = self.numbers.get(key).copied().unwrap_or_else(|| {
            let number = self.keys.len() as u32;
            self.bytes += BYTES_EACH + 2 * key.len();
            self.keys.push(Key::new(key));
            self.numbers.insert(key.into(), number);
            number
        });
        self.keys[before as usize].next = number;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_with_the_same_keys_share_a_layout() {
        let mut layouts = Layouts::default();
        let long = "k".repeat(40);
        let records: [&[(&str, &str)]; 5] = [
            &[("a", "1"), ("EventID", "2"), (&long, "3")],
            &[("EventID", "2"), ("a", "1")],
            &[("a", "1"), ("EventIX", "2"), (&long, "3")],
            &[("a", "1")],
            &[],
        ];
        let first: Vec<usize> = records.iter().map(|r| layouts.of(r)).collect();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let again: Vec<usize> = records.iter().rev().map(|r| layouts.of(r)).collect();
        assert_eq!(again, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn what_is_remembered_is_bounded_however_long_keys_and_records_are() {
        let mut layouts = Layouts::default();
        for n in 0..40 {
            let key = format!("{n}{}", "k".repeat(1 << 20));
            layouts.of(&[(&key, "1")]);
            let many = vec![("a", "1"); 100_000 + n];
            layouts.of(&many);
            assert!(layouts.keys.iter().map(|k| k.text.len()).sum::<usize>() < BYTES_MAX);
            assert!(layouts.of_keys.keys().map(|k| k.len()).sum::<usize>() < BYTES_MAX);
        }
    }
}
