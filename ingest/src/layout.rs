//! Layouts: records with the same keys in the same order are the same source's, and keep their fields at the same places.
//!
//! Producers write the same keys again and again. What follows from all of a record's keys (its source, where its fields are)
//! is worked out once a layout, and a record's layout is found by the ends of its keys.
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
}

/// A key's length and its first and last bytes: up to 16 bytes that is all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    bytes: usize,
    first: u64,
    last: u64,
}

impl Ends {
    #[inline]
    fn of(key: &str) -> Self {
        let bytes = key.as_bytes();
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (bytes.first_chunk(), bytes.last_chunk()) {
                (Some(first), Some(last)) => (four(first), four(last)),
                _ => (bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0),
            },
        };
        Self { bytes: bytes.len(), first, last }
    }

    /// The hash of some keys and this one. Keys that have the same one by intention are told apart all the same.
    #[inline]
    fn hash(self, before: u64) -> u64 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let key = (self.first ^ self.bytes as u64).wrapping_mul(ODD) ^ self.last;
        (before.rotate_left(23) ^ key).wrapping_mul(ODD)
    }
}

impl Key {
    fn new(text: &str) -> Self {
        Self { text: text.into(), ends: Ends::of(text) }
    }

    #[inline]
    fn is(&self, text: &str, ends: Ends) -> bool {
        self.ends == ends && (text.len() <= 16 || *self.text == *text)
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
    keys: Box<[u32]>,
    /// Its source and shape, where its keys alone tell them.
    recognised: Option<Shape>,
    /// By trie, where the fields are.
    steps: Vec<(Shape, Box<[Step]>)>,
    /// What [`Layouts::ordered`] kept.
    order: Vec<u32>,
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
    /// The last layout of which the keys' ends have this hash.
    of_ends: AHashMap<u64, u32>,
    /// Layouts by their keys.
    of_keys: AHashMap<Box<[u32]>, u32>,
    bytes: usize,
    /// The source of all records, where that is known.
    only: Option<SourceId>,
    /// Scratch: the record's keys.
    record: Vec<u32>,
    /// Scratch: their ends.
    ends: Vec<Ends>,
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
        self.ends.clear();
        self.ends.extend(members.iter().map(|(key, _)| Ends::of(key)));
        let hash = self.ends.iter().fold(0, |hash, ends| ends.hash(hash));
        if let Some(at) = self.of_ends.get(&hash).filter(|at| self.has(**at, members)) {
            return *at as usize;
        }
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record.extend(members.iter().map(|(key, _)| self.number(key)));
        let at = self.of_keys.get(record.as_slice()).copied().unwrap_or_else(|| {
            // Each member has a number here and there, and may have a step.
            self.bytes += BYTES_EACH + members.len() * (2 * size_of::<u32>() + size_of::<Step>());
            let at = self.layouts.len() as u32;
            self.of_keys.insert(record.as_slice().into(), at);
            self.layouts.push(Layout { keys: record.as_slice().into(), ..Layout::default() });
            at
        });
        self.record = record;
        self.of_ends.insert(hash, at);
        at as usize
    }

    /// Whether a layout is that of members whose ends are in `ends`.
    fn has(&self, layout: u32, members: &[(&str, &str)]) -> bool {
        let keys = &self.layouts[layout as usize].keys;
        let same =
            |((number, (key, _)), ends): ((&u32, &(&str, &str)), &Ends)| self.keys[*number as usize].is(key, *ends);
        keys.len() == members.len() && keys.iter().zip(members).zip(&self.ends).all(same)
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

    /// Gives `work` the order that it left of a layout's last record, to leave that of this one.
    pub fn ordered(&mut self, number: usize, work: impl FnOnce(&mut Vec<u32>)) {
        let order = &mut self.layouts[number].order;
        let before = order.capacity();
        work(order);
        // Below its members a record may have any number of names.
        self.bytes += order.capacity().saturating_sub(before) * size_of::<u32>();
    }

    fn number(&mut self, key: &str) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.keys.len() as u32;
        self.bytes += BYTES_EACH + 2 * key.len();
        self.keys.push(Key::new(key));
        self.numbers.insert(key.into(), number);
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
            let at = layouts.of(&many);
            layouts.ordered(at, |order| order.extend(0..1 << 20));
            assert!(layouts.keys.iter().map(|k| k.text.len()).sum::<usize>() < BYTES_MAX);
            assert!(layouts.of_keys.keys().map(|k| k.len()).sum::<usize>() < BYTES_MAX);
            assert!(layouts.layouts.iter().map(|l| l.order.len() * size_of::<u32>()).sum::<usize>() < 2 * BYTES_MAX);
        }
    }
}
