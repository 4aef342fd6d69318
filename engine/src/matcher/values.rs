//! What one field's tests say of a value, worked out once for each distinct value.
//!
//! Texts without case go through one hash table (equal), one Aho–Corasick automaton (contains, starts, ends, and the
//! longest literal of each glob) and regular expressions behind the literals that they need.

use ahash::AHashMap;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::{Regex, RegexBuilder};
use std::net::IpAddr;
use tarn_ingest::fields::FieldValue;
use tarn_rules::{Compare, Number, Part, Pattern, Test, TimePart, expr, reference};

/// An atom's number: one distinct test of one field.
pub type AtomIx = u32;

/// Why a literal is looked for.
#[derive(Clone, Copy)]
enum Needle {
    Contains(AtomIx),
    Prefix(AtomIx),
    Suffix(AtomIx),
    /// The glob with this number may match.
    Glob(u32),
}

struct Glob {
    atom: AtomIx,
    pattern: Pattern,
}

/// One case's literals and patterns.
#[derive(Default)]
struct Texts {
    exact: AHashMap<Box<str>, Vec<AtomIx>>,
    needles: Option<AhoCorasick>,
    /// For each of the automaton's patterns, what it stands for.
    meanings: Vec<Vec<Needle>>,
    lengths: Vec<usize>,
    globs: Vec<Glob>,
    /// Globs without a literal.
    loose: Vec<u32>,
    any: Vec<AtomIx>,
}

/// All tests of one field.
#[derive(Default)]
pub struct FieldTests {
    folded: Texts,
    cased: Texts,
    has_cased: bool,
    regexes: Vec<(AtomIx, Regex)>,
    nets: Vec<(AtomIx, ipnet::IpNet)>,
    numbers: Vec<(AtomIx, Compare, Number)>,
    times: Vec<(AtomIx, TimePart, Compare, Number)>,
    null: Vec<AtomIx>,
    exists: Vec<AtomIx>,
    seen: Vec<bool>,
}

impl Texts {
    fn add(&mut self, needles: &mut Vec<(String, Needle)>, atom: AtomIx, pattern: &Pattern) {
        match pattern {
            Pattern::Any => self.any.push(atom),
            Pattern::Exact(t) => self.exact.entry(t.as_str().into()).or_default().push(atom),
            Pattern::Contains(t) => needles.push((t.clone(), Needle::Contains(atom))),
            Pattern::Prefix(t) => needles.push((t.clone(), Needle::Prefix(atom))),
            Pattern::Suffix(t) => needles.push((t.clone(), Needle::Suffix(atom))),
            Pattern::Glob(parts) => {
                let number = self.globs.len() as u32;
                self.globs.push(Glob { atom, pattern: pattern.clone() });
                let literal = parts
                    .iter()
                    .filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None })
                    .max_by_key(|t| t.len());
                match literal {
                    Some(t) => needles.push((t.clone(), Needle::Glob(number))),
                    None => self.loose.push(number),
                }
            }
        }
    }

    fn build(&mut self, needles: Vec<(String, Needle)>) {
        let mut numbers: AHashMap<String, usize> = AHashMap::new();
        let mut patterns: Vec<String> = Vec::new();
        for (text, needle) in needles {
            let number = *numbers.entry(text.clone()).or_insert_with(|| {
                self.lengths.push(text.len());
                patterns.push(text);
                self.meanings.push(Vec::new());
                patterns.len() - 1
            });
            self.meanings[number].push(needle);
        }
        if !patterns.is_empty() {
            let mut builder = AhoCorasickBuilder::new();
            builder.match_kind(MatchKind::Standard).kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA));
            // A small automaton is worth the faster form.
            if patterns.len() <= 100 {
                builder.kind(Some(aho_corasick::AhoCorasickKind::DFA));
            }
            self.needles = builder.build(&patterns).ok();
        }
    }

    fn run(&self, text: &str, out: &mut Vec<AtomIx>, seen: &mut [bool]) {
        out.extend(&self.any);
        if let Some(atoms) = self.exact.get(text) {
            out.extend(atoms);
        }
        let glob = |number: &u32, out: &mut Vec<AtomIx>| {
            let glob = &self.globs[*number as usize];
            if glob.pattern.matches(text) {
                out.push(glob.atom);
            }
        };
        let Some(needles) = &self.needles else { return self.loose.iter().for_each(|n| glob(n, out)) };
        // A glob is tried once, however often its literal comes.
        let mut tried: Vec<u32> = Vec::new();
        for found in needles.find_overlapping_iter(text) {
            let number = found.pattern().as_usize();
            for meaning in &self.meanings[number] {
                match meaning {
                    Needle::Contains(atom) if !std::mem::replace(&mut seen[*atom as usize], true) => out.push(*atom),
                    Needle::Prefix(atom) if found.start() == 0 => out.push(*atom),
                    Needle::Suffix(atom) if found.end() == text.len() => out.push(*atom),
                    Needle::Glob(number) if !tried.contains(number) => {
                        tried.push(*number);
                        glob(number, out);
                    }
                    _ => {}
                }
            }
        }
        self.loose.iter().for_each(|n| glob(n, out));
        for atom in out.iter() {
            seen[*atom as usize] = false;
        }
    }
}

impl FieldTests {
    /// The tests of one field, by atom; `atoms` is how many atoms there are in all.
    pub fn new<'a>(tests: impl Iterator<Item = (AtomIx, &'a Test)>) -> Self {
        let mut out = Self::default();
        let (mut folded, mut cased) = (Vec::new(), Vec::new());
        let mut highest = 0;
        for (atom, test) in tests {
            highest = highest.max(atom as usize + 1);
            match test {
                Test::Text { pattern, cased: false } => out.folded.add(&mut folded, atom, pattern),
                Test::Text { pattern, cased: true } => {
                    out.has_cased = true;
                    out.cased.add(&mut cased, atom, pattern);
                }
                // The rules crate compiled it before.
                Test::Regex(pattern) => {
                    out.regexes.extend(RegexBuilder::new(pattern).size_limit(4 << 20).build().ok().map(|r| (atom, r)))
                }
                Test::Cidr(net) => out.nets.push((atom, *net)),
                Test::Number(compare, n) => out.numbers.push((atom, *compare, *n)),
                Test::Time(part, compare, n) => out.times.push((atom, *part, *compare, *n)),
                Test::Null => out.null.push(atom),
                Test::Exists => out.exists.push(atom),
                // Two fields of one event: evaluated by the row.
                Test::Field(..) => {}
            }
        }
        out.folded.build(folded);
        out.cased.build(cased);
        out.seen = vec![false; highest];
        out
    }

    /// The atoms that hold for a value, ascending and once each.
    pub fn atoms(&mut self, value: &FieldValue, out: &mut Vec<AtomIx>) {
        out.clear();
        out.extend(&self.exists);
        let mut folded = String::new();
        self.value(value, out, &mut folded);
        out.sort_unstable();
        out.dedup();
    }

    fn value(&mut self, value: &FieldValue, out: &mut Vec<AtomIx>, folded: &mut String) {
        match value {
            FieldValue::Null => out.extend(&self.null),
            FieldValue::Text(text) => self.text(text, out, folded),
            FieldValue::List(list) => list.iter().for_each(|v| self.value(v, out, folded)),
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<AtomIx>, folded: &mut String) {
        let mut found = Vec::new();
        if text.is_ascii() {
            folded.clear();
            folded.push_str(text);
            folded.make_ascii_lowercase();
        } else {
            *folded = expr::fold(text);
        }
        self.folded.run(folded, &mut found, &mut self.seen);
        out.append(&mut found);
        if self.has_cased {
            self.cased.run(text, &mut found, &mut self.seen);
            out.append(&mut found);
        }
        out.extend(self.regexes.iter().filter(|(_, r)| r.is_match(text)).map(|(a, _)| *a));
        if !self.nets.is_empty()
            && let Ok(ip) = text.trim().parse::<IpAddr>()
        {
            out.extend(self.nets.iter().filter(|(_, net)| net.contains(&ip)).map(|(a, _)| *a));
        }
        if !self.numbers.is_empty()
            && let Some(v) = Number::parse(text)
        {
            out.extend(self.numbers.iter().filter(|(_, compare, n)| compare.holds(v, *n)).map(|(a, _, _)| *a));
        }
        for (atom, part, compare, n) in &self.times {
            if reference::time_part(text, *part).is_some_and(|v| compare.holds(v, *n)) {
                out.push(*atom);
            }
        }
    }
}
