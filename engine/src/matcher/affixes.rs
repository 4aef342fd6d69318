//! Which of thousands of texts another begins, or ends, with: a tree of bytes, level by level in lists, left where no text goes on
//! as this one does.

use super::values::AtomIx;

/// From which end texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Start,
    End,
}

/// Texts, each with the atoms that hold where it is found.
pub struct Affixes {
    side: Side,
    /// By node, the byte that leads to it; the root, to which none does, is 0.
    bytes: Vec<u8>,
    /// By node, the first that it goes on with, and behind the last node: a node's are up to the next one's.
    next: Vec<u32>,
    /// By node, where the atoms of its text begin, likewise.
    starts: Vec<u32>,
    atoms: Vec<AtomIx>,
    /// By byte, the node that the root goes on with; 0 where with none.
    first: Box<[u32; 256]>,
}

/// Bytes that are compared one by one sooner than by vectors.
const FEW: usize = 8;

impl Default for Affixes {
    /// Of no text.
    fn default() -> Self {
        Self::new(Side::Start, [])
    }
}

impl Affixes {
    /// Of texts, each with an atom.
    pub fn new<'t>(side: Side, texts: impl IntoIterator<Item = (&'t str, AtomIx)>) -> Self {
        let from_side = |text: &str| match side {
            Side::Start => text.bytes().collect(),
            Side::End => text.bytes().rev().collect(),
        };
        let mut texts: Vec<(Vec<u8>, AtomIx)> = texts.into_iter().map(|(text, atom)| (from_side(text), atom)).collect();
        texts.sort_unstable();
        let (bytes, first) = (vec![0], Box::new([0; 256]));
        let mut out = Self { side, bytes, next: Vec::new(), starts: Vec::new(), atoms: Vec::new(), first };
        // By node, the texts that begin as it does, and with how many bytes.
        let mut nodes = vec![(0..texts.len(), 0)];
        let mut node = 0;
        while let Some((mut range, depth)) = nodes.get(node).cloned() {
            out.next.push(out.bytes.len() as u32);
            out.starts.push(out.atoms.len() as u32);
            let own = texts[range.clone()].iter().take_while(|(text, _)| text.len() == depth).map(|(_, atom)| *atom);
            out.atoms.extend(own);
            range.start += out.atoms.len() - out.starts[node] as usize;
            for same in texts[range.clone()].chunk_by(|(a, _), (b, _)| a[depth] == b[depth]) {
                out.bytes.push(same[0].0[depth]);
                nodes.push((range.start..range.start + same.len(), depth + 1));
                range.start += same.len();
            }
            node += 1;
        }
        out.next.push(out.bytes.len() as u32);
        out.starts.push(out.atoms.len() as u32);
        for node in 1..out.next[1] {
            out.first[usize::from(out.bytes[node as usize])] = node;
        }
        out
    }

    /// The atoms of the texts that `text` begins, or ends, with.
    pub fn find(&self, text: &[u8], out: &mut Vec<AtomIx>) {
        let of = |list: &[u32], node: usize| list[node] as usize..list[node + 1] as usize;
        out.extend_from_slice(&self.atoms[of(&self.starts, 0)]);
        let first = (!text.is_empty()).then(|| self.first[usize::from(self.byte(text, 0))] as usize);
        let (mut next, mut at) = (first.filter(|node| *node > 0), 1);
        while let Some(node) = next {
            let atoms = of(&self.starts, node);
            if !atoms.is_empty() {
                out.extend_from_slice(&self.atoms[atoms]);
            }
            if at == text.len() {
                return;
            }
            let (byte, nodes) = (self.byte(text, at), of(&self.next, node));
            let found = match &self.bytes[nodes.clone()] {
                few if few.len() <= FEW => few.iter().position(|other| *other == byte),
                many => memchr::memchr(byte, many),
            };
            (next, at) = (found.map(|found| nodes.start + found), at + 1);
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
            let side = if at_start { Side::Start } else { Side::End };
            let affixes = Affixes::new(side, texts.iter().enumerate().map(|(i, text)| (text.as_str(), i as AtomIx)));
            let mut found = Vec::new();
            affixes.find(text.as_bytes(), &mut found);
            found.sort_unstable();
            let holds = |t: &String| if at_start { text.starts_with(t.as_str()) } else { text.ends_with(t.as_str()) };
            let expected: Vec<AtomIx> = (0..texts.len()).filter(|i| holds(&texts[*i])).map(|i| i as AtomIx).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
