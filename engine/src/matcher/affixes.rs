//! Which of thousands of texts another begins, or ends, with: a tree of bytes, left where no text goes on as this one does.

use super::values::AtomIx;
use ahash::AHashMap;

/// From which end texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Start,
    End,
}

/// Texts, each with the atoms that hold where it is found.
pub struct Affixes {
    side: Side,
    /// Where a node goes on with a byte; the root is 0.
    steps: AHashMap<(u32, u8), u32>,
    /// By node, where its text's atoms are, if a text ends there.
    ends: Vec<Option<u32>>,
    atoms: Vec<Vec<AtomIx>>,
}

impl Default for Affixes {
    fn default() -> Self {
        Self::of(Side::default())
    }
}

impl Affixes {
    /// None yet.
    pub fn of(side: Side) -> Self {
        Self { side, steps: AHashMap::new(), ends: vec![None], atoms: Vec::new() }
    }

    /// Adds a text.
    pub fn add(&mut self, text: &str, atom: AtomIx) {
        let mut node = 0;
        for at in 0..text.len() {
            let (next, byte) = (self.ends.len() as u32, self.byte(text.as_bytes(), at));
            node = *self.steps.entry((node, byte)).or_insert(next);
            if node == next {
                self.ends.push(None);
            }
        }
        let end = *self.ends[node as usize].get_or_insert_with(|| {
            self.atoms.push(Vec::new());
            (self.atoms.len() - 1) as u32
        });
        self.atoms[end as usize].push(atom);
    }

    /// The atoms of the texts that `text` begins, or ends, with.
    pub fn find(&self, text: &[u8], out: &mut Vec<AtomIx>) {
        let (mut node, mut at) = (0, 0);
        loop {
            if let Some(end) = self.ends[node as usize] {
                out.extend(&self.atoms[end as usize]);
            }
            if at == text.len() || self.steps.is_empty() {
                return;
            }
            match self.steps.get(&(node, self.byte(text, at))) {
                Some(next) => (node, at) = (*next, at + 1),
                None => return,
            }
        }
    }

    /// The byte at a place, from the side where texts are compared.
    fn byte(&self, text: &[u8], at: usize) -> u8 {
        if self.side == Side::Start { text[at] } else { text[text.len() - 1 - at] }
    }
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
