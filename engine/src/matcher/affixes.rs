//! Which of thousands of texts another begins, or ends, with: one hash that grows by a byte at a time.

use super::values::AtomIx;
use hashbrown::HashTable;

/// From which end texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Start,
    End,
}

/// Texts, each with the atoms that hold where it is found.
#[derive(Default)]
pub struct Affixes {
    side: Side,
    /// Whether a text has this length.
    lengths: Vec<bool>,
    table: HashTable<u32>,
    entries: Vec<(Box<[u8]>, Vec<AtomIx>)>,
}

impl Affixes {
    /// None yet.
    pub fn of(side: Side) -> Self {
        Self { side, ..Self::default() }
    }

    /// Adds a text.
    pub fn add(&mut self, text: &str, atom: AtomIx) {
        let (hash, text) = (self.hash(text.as_bytes()), text.as_bytes());
        if let Some(at) = self.table.find(hash, |at| *self.entries[*at as usize].0 == *text) {
            return self.entries[*at as usize].1.push(atom);
        }
        let at = self.entries.len() as u32;
        self.entries.push((text.into(), vec![atom]));
        let side = self.side;
        self.table.insert_unique(hash, at, |at| hash_of(side, &self.entries[*at as usize].0));
        self.lengths.resize(self.lengths.len().max(text.len() + 1), false);
        self.lengths[text.len()] = true;
    }

    /// The atoms of the texts that `text` begins, or ends, with.
    pub fn find(&self, text: &[u8], out: &mut Vec<AtomIx>) {
        let mut hash = SEED;
        for length in 0..self.lengths.len().min(text.len() + 1) {
            if length > 0 {
                let byte = if self.side == Side::Start { text[length - 1] } else { text[text.len() - length] };
                hash = step(hash, byte);
            }
            if self.lengths[length] {
                let part = if self.side == Side::Start { &text[..length] } else { &text[text.len() - length..] };
                if let Some(at) = self.table.find(finish(hash), |at| *self.entries[*at as usize].0 == *part) {
                    out.extend(&self.entries[*at as usize].1);
                }
            }
        }
    }

    fn hash(&self, text: &[u8]) -> u64 {
        hash_of(self.side, text)
    }
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The table looks at the highest bits, which the steps mix least.
fn finish(hash: u64) -> u64 {
    hash ^ hash.rotate_left(25).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn hash_of(side: Side, text: &[u8]) -> u64 {
    finish(match side {
        Side::Start => text.iter().fold(SEED, |hash, byte| step(hash, *byte)),
        Side::End => text.iter().rev().fold(SEED, |hash, byte| step(hash, *byte)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_beginnings_and_ends(
            texts in prop::collection::vec("[abé]{0,5}", 0..40), text in "[abé]{0,9}", at_start in any::<bool>(),
        ) {
            let mut affixes = Affixes::of(if at_start { Side::Start } else { Side::End });
            texts.iter().enumerate().for_each(|(i, text)| affixes.add(text, i as AtomIx));
            let mut found = Vec::new();
            affixes.find(text.as_bytes(), &mut found);
            found.sort_unstable();
            let holds = |t: &String| if at_start { text.starts_with(t.as_str()) } else { text.ends_with(t.as_str()) };
            let expected: Vec<AtomIx> = (0..texts.len()).filter(|i| holds(&texts[*i])).map(|i| i as AtomIx).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
