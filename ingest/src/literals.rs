//! Which of thousands of literals are in a text.
//!
//! A long literal is known by eight of its grams (four bytes each) that follow each other, so that of a text only every
//! eighth gram has to be looked up, in a small table of bits that says no nearly always. Shorter literals are found by
//! vectors when they are few, else all by the same table, in smaller steps. Texts are short, so what an automaton saves in
//! comparisons it would lose in waiting for memory.

use ahash::AHashMap;
use aho_corasick::packed;
use memchr::memmem;

/// A literal's number.
pub type LiteralIx = u32;

/// A set of distinct literals, none empty.
#[derive(Default)]
pub struct Literals {
    texts: Vec<Box<[u8]>>,
    table: Option<Table>,
    few: Option<Few>,
    /// Literals of up to three bytes.
    tiny: Option<Tiny>,
}

impl Literals {
    /// For these literals, numbered in their order.
    pub fn new(texts: &[String]) -> Self {
        let mut out = Self { texts: texts.iter().map(|t| t.as_bytes().into()).collect(), ..Self::default() };
        let of_length = |lengths: std::ops::RangeInclusive<usize>| -> Vec<LiteralIx> {
            let fits = |i: &LiteralIx| lengths.contains(&texts[*i as usize].len());
            (0..texts.len() as LiteralIx).filter(fits).collect()
        };
        let long = Table::shortest(STRIDES[0]);
        // All that the table does not find in its largest steps, or else those that it does not find at all.
        let few = [GRAM - 1..=long - 1, GRAM - 1..=GRAM - 1];
        let few = few.into_iter().find_map(|lengths| Some((*lengths.end(), Few::new(&out.texts, of_length(lengths))?)));
        let (shortest, tiny) = match &few {
            Some((most, _)) => (most + 1, of_length(1..=GRAM - 2)),
            None => (GRAM, of_length(1..=GRAM - 1)),
        };
        let others = of_length(shortest..=usize::MAX);
        out.few = few.map(|(_, few)| few);
        // One pass in the steps that the shortest needs takes less than one for each length.
        out.table = (!others.is_empty()).then(|| Table::new(&out.texts, &others));
        out.tiny = (!tiny.is_empty()).then(|| Tiny::new(&out.texts, &tiny));
        out
    }

    /// Tells the literals that are in a text; one that is there more than once may be told as often.
    pub fn find(&self, text: &[u8], found: &mut impl FnMut(LiteralIx)) {
        if let Some(table) = &self.table {
            table.find(&self.texts, text, found);
        }
        if let Some(few) = &self.few {
            few.find(&self.texts, text, found);
        }
        if let Some(tiny) = &self.tiny {
            tiny.find(&self.texts, text, found);
        }
    }
}

/// Literals of some bytes, few enough for a search by vectors.
struct Few {
    searcher: packed::Searcher,
    literals: Vec<LiteralIx>,
    /// For each of them, a bit for each that may stand where it stands: it, those that it begins with, and those that
    /// begin with it.
    there: Vec<u64>,
}

impl Few {
    /// More literals are searched for more slowly.
    const MOST: usize = 64;

    fn new(texts: &[Box<[u8]>], literals: Vec<LiteralIx>) -> Option<Self> {
        if literals.is_empty() || literals.len() > Self::MOST {
            return None;
        }
        let text = |literal: &LiteralIx| &*texts[*literal as usize];
        let share = |a: &LiteralIx, b: &LiteralIx| text(a).starts_with(text(b)) || text(b).starts_with(text(a));
        let bits = |a: &LiteralIx| {
            literals.iter().enumerate().filter(|(_, b)| share(a, b)).fold(0, |all, (i, _)| all | 1 << i)
        };
        let there = literals.iter().map(bits).collect();
        let searcher = packed::Searcher::new(literals.iter().map(text))?;
        Some(Self { searcher, literals, there })
    }

    fn find(&self, texts: &[Box<[u8]>], text: &[u8], found: &mut impl FnMut(LiteralIx)) {
        let (mut from, mut told) = (0, 0_u64);
        while let Some(hit) = self.searcher.find_in(text, (from..text.len()).into()) {
            let here = &text[hit.start()..];
            let mut open = self.there[hit.pattern().as_usize()] & !told;
            while open != 0 {
                let at = open.trailing_zeros();
                open &= open - 1;
                let literal = self.literals[at as usize];
                if here.starts_with(&texts[literal as usize]) {
                    told |= 1 << at;
                    found(literal);
                }
            }
            // Others may begin inside.
            from = hit.start() + 1;
        }
    }
}

const GRAM: usize = 4;
const GOLDEN: u32 = 0x9E37_79B1;
/// Steps in which a text is looked at, by the lengths of literals.
const STRIDES: [usize; 4] = [8, 4, 2, 1];
/// More grams would fill the table; longer literals are then looked for in smaller steps.
const GRAMS_MAX: usize = 1 << 17;
/// Bits of the table for each gram, so that few grams of a text are taken for those of a literal.
const BITS_PER_GRAM: usize = 32;
/// The table stays in a near cache.
const BITS_MAX: u32 = 21;
/// Hashes that share a place in the list of entries.
const HASHES: usize = 8;

/// Where a gram stands in a literal.
#[derive(Clone, Copy)]
struct Entry {
    gram: u32,
    literal: LiteralIx,
    offset: u32,
}

/// Literals by some of their grams.
struct Table {
    /// Every so many bytes of a text a gram is looked up.
    stride: usize,
    /// Whether a gram with this hash is a literal's.
    bits: Vec<u64>,
    shift: u32,
    /// Where the entries of each eight hashes begin.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

impl Table {
    /// How long a literal has to be so that one of its grams is looked up wherever it stands.
    const fn shortest(stride: usize) -> usize {
        GRAM + stride - 1
    }

    fn new(texts: &[Box<[u8]>], literals: &[LiteralIx]) -> Self {
        let shortest = literals.iter().map(|l| texts[*l as usize].len()).min().unwrap_or(0);
        let fits = |stride: &usize| Self::shortest(*stride) <= shortest && literals.len() * stride <= GRAMS_MAX;
        let stride = STRIDES.into_iter().find(fits).unwrap_or(1);
        let uses = Uses::of(literals.iter().map(|literal| &*texts[*literal as usize]));
        let (mut entries, mut all, mut common) = (Vec::with_capacity(literals.len() * stride), Vec::new(), Vec::new());
        for literal in literals {
            all.clear();
            all.extend(grams(&texts[*literal as usize]));
            // The run of grams that is expected least often in texts.
            common.clear();
            common.extend(all.iter().map(|gram| commonness(*gram) + uses.of_gram(*gram).max(1).ilog2()));
            let runs = common.windows(stride).map(|run| run.iter().sum::<u32>()).enumerate();
            let first = runs.min_by_key(|(_, common)| *common).map_or(0, |(first, _)| first);
            let run = &all[first..all.len().min(first + stride)];
            let entry = |(i, gram): (usize, &u32)| Entry { gram: *gram, literal: *literal, offset: (first + i) as u32 };
            entries.extend(run.iter().enumerate().map(entry));
        }
        let bits = (entries.len() * BITS_PER_GRAM).next_power_of_two().trailing_zeros().clamp(10, BITS_MAX);
        let shift = u32::BITS - bits;
        let hash = |entry: &Entry| (entry.gram.wrapping_mul(GOLDEN) >> shift) as usize;
        let mut set = vec![0_u64; (1 << bits) / 64];
        // How many entries each eight hashes have, then where they begin.
        let mut starts = vec![0_u32; (1 << bits) / HASHES + 1];
        for hash in entries.iter().map(hash) {
            set[hash / 64] |= 1 << (hash % 64);
            starts[hash / HASHES + 1] += 1;
        }
        for group in 1..starts.len() {
            starts[group] += starts[group - 1];
        }
        // Each goes to the next place of its eight hashes: sorting them all takes longer.
        let (mut next, mut placed) = (starts.clone(), entries.clone());
        for entry in entries {
            let place = &mut next[hash(&entry) / HASHES];
            placed[*place as usize] = entry;
            *place += 1;
        }
        Self { stride, bits: set, shift, starts, entries: placed }
    }

    fn find(&self, texts: &[Box<[u8]>], text: &[u8], found: &mut impl FnMut(LiteralIx)) {
        match self.stride {
            8 => self.find_in_steps::<8>(texts, text, found),
            4 => self.find_in_steps::<4>(texts, text, found),
            2 => self.find_in_steps::<2>(texts, text, found),
            _ => self.find_in_steps::<1>(texts, text, found),
        }
    }

    /// Looks up the gram at every so many bytes.
    fn find_in_steps<const STRIDE: usize>(&self, texts: &[Box<[u8]>], text: &[u8], found: &mut impl FnMut(LiteralIx)) {
        let gram = |some: &[u8], at: usize| [some[at], some[at + 1], some[at + 2], some[at + 3]];
        let mut at = 0;
        while let Some(four) = text.get(at..at + 3 * STRIDE + GRAM) {
            // Nearly always none of them is a literal's: one branch for all is enough.
            let mut may_be = false;
            for step in 0..4 {
                may_be |= self.may_be(self.hash(gram(four, step * STRIDE)));
            }
            if may_be {
                for step in 0..4 {
                    let from = step * STRIDE;
                    self.look(texts, (text, at + from), gram(four, from), found);
                }
            }
            at += 4 * STRIDE;
        }
        while let Some(gram) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            self.look(texts, (text, at), *gram, found);
            at += STRIDE;
        }
    }

    fn hash(&self, gram: [u8; GRAM]) -> usize {
        (u32::from_le_bytes(gram).wrapping_mul(GOLDEN) >> self.shift) as usize
    }

    /// Whether a gram of this hash may be a literal's.
    fn may_be(&self, hash: usize) -> bool {
        self.bits[hash / 64] >> (hash % 64) & 1 != 0
    }

    fn look(&self, texts: &[Box<[u8]>], at: (&[u8], usize), gram: [u8; GRAM], found: &mut impl FnMut(LiteralIx)) {
        let hash = self.hash(gram);
        if self.may_be(hash) {
            self.verify(texts, at, (u32::from_le_bytes(gram), hash), found);
        }
    }

    /// Tells the literals that have this gram, of this hash, and stand around it in a text.
    #[cold]
    fn verify(
        &self,
        texts: &[Box<[u8]>],
        (text, at): (&[u8], usize),
        (gram, hash): (u32, usize),
        found: &mut impl FnMut(LiteralIx),
    ) {
        let entries = self.starts[hash / HASHES] as usize..self.starts[hash / HASHES + 1] as usize;
        for entry in self.entries[entries].iter().filter(|e| e.gram == gram) {
            let begins = at.checked_sub(entry.offset as usize);
            if begins.is_some_and(|start| text[start..].starts_with(&texts[entry.literal as usize])) {
                found(entry.literal);
            }
        }
    }
}

fn grams(text: &[u8]) -> impl Iterator<Item = u32> {
    text.array_windows::<GRAM>().map(|gram| u32::from_le_bytes(*gram))
}

/// How many grams of literals are the same, roughly: those that share a place are counted together.
struct Uses {
    counts: Vec<u32>,
    shift: u32,
}

impl Uses {
    fn of<'t>(literals: impl Iterator<Item = &'t [u8]> + Clone) -> Self {
        let all: usize = literals.clone().map(<[u8]>::len).sum();
        let bits = (2 * all).next_power_of_two().trailing_zeros().clamp(1, BITS_MAX);
        let mut uses = Self { counts: vec![0; 1 << bits], shift: u32::BITS - bits };
        for gram in literals.flat_map(grams) {
            let place = uses.place(gram);
            uses.counts[place] += 1;
        }
        uses
    }

    fn place(&self, gram: u32) -> usize {
        (gram.wrapping_mul(GOLDEN) >> self.shift) as usize
    }

    fn of_gram(&self, gram: u32) -> u32 {
        self.counts[self.place(gram)]
    }
}

/// How often each byte is expected in lower-cased logs.
const COMMONNESS: [u8; 256] = {
    let mut of_bytes = [0; 256];
    let mut byte = 0;
    while byte < of_bytes.len() {
        of_bytes[byte] = match byte as u8 {
            b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 3,
            b'l' | b'd' | b'c' | b'm' | b'p' | b'u' | b'h' | b'.' | b'\\' | b' ' | b'0'..=b'9' => 2,
            b'a'..=b'z' | b'-' | b'/' | b'_' | b':' | b'=' => 1,
            _ => 0,
        };
        byte += 1;
    }
    of_bytes
};

/// How often a gram is expected, from its bytes alone.
fn commonness(gram: u32) -> u32 {
    gram.to_le_bytes().into_iter().map(|byte| u32::from(COMMONNESS[usize::from(byte)])).sum()
}

/// Literals of up to three bytes: one by one when they are few, else by their first two bytes.
struct Tiny {
    few: Vec<(memmem::Finder<'static>, LiteralIx)>,
    bits: Vec<u64>,
    pairs: AHashMap<u16, Vec<LiteralIx>>,
}

impl Tiny {
    /// More searches by vectors take longer than one pass by pairs.
    const FEW: usize = 8;

    fn new(texts: &[Box<[u8]>], literals: &[LiteralIx]) -> Self {
        let mut out = Self { few: Vec::new(), bits: Vec::new(), pairs: AHashMap::new() };
        let longer = literals.iter().filter(|l| texts[**l as usize].len() > 1).count();
        for literal in literals {
            let text = &*texts[*literal as usize];
            match text.first_chunk::<2>() {
                Some(pair) if longer > Self::FEW => {
                    let pair = u16::from_le_bytes(*pair);
                    out.bits.resize((1 << 16) / 64, 0);
                    out.bits[usize::from(pair) / 64] |= 1 << (pair % 64);
                    out.pairs.entry(pair).or_default().push(*literal);
                }
                _ => out.few.push((memmem::Finder::new(text).into_owned(), *literal)),
            }
        }
        out
    }

    fn find(&self, texts: &[Box<[u8]>], text: &[u8], found: &mut impl FnMut(LiteralIx)) {
        self.few.iter().filter(|(finder, _)| finder.find(text).is_some()).for_each(|(_, l)| found(*l));
        if self.bits.is_empty() {
            return;
        }
        for (at, pair) in text.array_windows::<2>().enumerate() {
            let pair = u16::from_le_bytes(*pair);
            if self.bits[usize::from(pair) / 64] >> (pair % 64) & 1 != 0
                && let Some(literals) = self.pairs.get(&pair)
            {
                literals.iter().filter(|l| text[at..].starts_with(&texts[**l as usize])).for_each(|l| found(*l));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn check(literals: BTreeSet<String>, text: &str) {
        let literals: Vec<String> = literals.into_iter().collect();
        let mut found = BTreeSet::new();
        Literals::new(&literals).find(text.as_bytes(), &mut |l| {
            found.insert(l as usize);
        });
        let expected: BTreeSet<usize> = (0..literals.len()).filter(|l| text.contains(literals[*l].as_str())).collect();
        assert_eq!(found, expected, "{literals:?} in {text:?}");
    }

    proptest! {
        #[test]
        fn finds_few(literals in prop::collection::btree_set("[abé]{1,9}", 0..30), text in "[abé.]{0,80}") {
            check(literals, &text);
        }

        #[test]
        fn finds_many(literals in prop::collection::btree_set("[ab\\\\.]{1,14}", 80..200), text in "[ab\\\\.]{0,80}") {
            check(literals, &text);
        }

        #[test]
        fn finds_parts_of_itself(text in "[a-z0-9\\\\ .é]{20,200}", from in 0_usize..19, length in 1_usize..40) {
            let part: String = text.chars().skip(from).take(length).collect();
            let other: String = text.chars().rev().collect();
            check([part, other].into(), &text);
        }
    }

    #[test]
    fn finds_short_ones_among_many() {
        let many = (0..100).map(|i| format!("middle{i}"));
        for short in [&["abc", "cab", "bc", "é", "?"][..], &["bc"], &[]] {
            let all: BTreeSet<String> = many.clone().chain(short.iter().map(|text| (*text).to_owned())).collect();
            for text in ["abcab", "é", "cab?", "xbcmiddle77", "ab middle7", ""] {
                check(all.clone(), text);
            }
        }
    }

    #[test]
    fn tables_of_many_literals_step_less() {
        let all: BTreeSet<String> = (0..6_000).map(|i| format!("{:032x}", i * 77_777_777_u128)).collect();
        let text: String = all.iter().step_by(500).cloned().collect();
        check(all, &text);
    }
}
