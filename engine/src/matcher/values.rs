//! What one field's tests say of a value, worked out once for each distinct value.
//!
//! Texts are compared without case first: equal ones by a hash, beginnings and ends by a tree of bytes ([`Affixes`]), all that
//! may stand anywhere by [`Literals`]. Globs and regular expressions are tried on texts with
//! a literal that they need.

use super::affixes::{Affixes, Side};
use super::ascii;
use super::required;
use ahash::AHashMap;
use regex::{Regex, RegexBuilder};
use std::cell::OnceCell;
use std::net::IpAddr;
use tarn_ingest::fields::{Dictionary, Scalar};
use tarn_ingest::literals::{LiteralIx, Literals};
use tarn_rules::{Compare, Number, Part, Pattern, Test, TimePart, expr, reference};

/// An atom's number: one distinct test of one field.
pub type AtomIx = u32;

/// Why a literal is looked for.
#[derive(Clone, Copy)]
enum Meaning {
    Contains(AtomIx),
    /// The glob with this number may match.
    Glob(u32),
    /// The regular expression with this number may match.
    Regex(u32),
}

/// A regular expression, compiled when a text is worth trying.
struct Lazy {
    atom: AtomIx,
    pattern: String,
    /// For ASCII texts; none where the pattern needs Unicode for them, too.
    ascii: OnceCell<Option<regex::bytes::Regex>>,
    unicode: OnceCell<Option<Regex>>,
}

/// The rules crate compiled it before, with the same limit.
const PROGRAM_BYTES_MAX: usize = 4 << 20;

impl Lazy {
    fn new(atom: AtomIx, pattern: &str) -> Self {
        Self { atom, pattern: pattern.to_owned(), ascii: OnceCell::new(), unicode: OnceCell::new() }
    }

    fn is_match(&self, text: &str, is_ascii: bool) -> bool {
        let ascii = || {
            let mut builder = regex::bytes::RegexBuilder::new(&self.pattern);
            builder.unicode(false).size_limit(PROGRAM_BYTES_MAX);
            ascii::is_ascii(&self.pattern).then(|| builder.build().ok()).flatten()
        };
        if is_ascii && let Some(regex) = self.ascii.get_or_init(ascii) {
            return regex.is_match(text.as_bytes());
        }
        let unicode = || RegexBuilder::new(&self.pattern).size_limit(PROGRAM_BYTES_MAX).build().ok();
        self.unicode.get_or_init(unicode).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Texts of patterns as they are collected.
#[derive(Default)]
struct Collected<'a> {
    starts: Vec<(&'a str, AtomIx)>,
    ends: Vec<(&'a str, AtomIx)>,
    numbers: AHashMap<String, LiteralIx>,
    texts: Vec<String>,
    meanings: Vec<Vec<Meaning>>,
}

impl Collected<'_> {
    fn add(&mut self, text: &str, meaning: Meaning) {
        let number = *self.numbers.entry(text.to_owned()).or_insert_with(|| {
            self.texts.push(text.to_owned());
            self.meanings.push(Vec::new());
            (self.texts.len() - 1) as LiteralIx
        });
        self.meanings[number as usize].push(meaning);
    }
}

/// One case's texts and patterns.
#[derive(Default)]
struct Texts {
    any: Vec<AtomIx>,
    exact: AHashMap<Box<[u8]>, Vec<AtomIx>>,
    /// Bytes of the longest of them.
    exact_bytes_max: usize,
    starts: Affixes,
    ends: Affixes,
    literals: Literals,
    /// For each literal, what it stands for.
    meanings: Vec<Vec<Meaning>>,
    globs: Vec<(AtomIx, Pattern)>,
    /// Globs without a literal.
    loose: Vec<u32>,
    /// Scratch: literals of the text at hand.
    found: Vec<LiteralIx>,
    /// Scratch: whether a literal is among them.
    seen: Vec<bool>,
}

impl Texts {
    fn add<'a>(&mut self, collected: &mut Collected<'a>, atom: AtomIx, pattern: &'a Pattern) {
        match pattern {
            Pattern::Any => self.any.push(atom),
            Pattern::Exact(t) => {
                self.exact_bytes_max = self.exact_bytes_max.max(t.len());
                self.exact.entry(t.as_bytes().into()).or_default().push(atom);
            }
            Pattern::Prefix(t) => collected.starts.push((t, atom)),
            Pattern::Suffix(t) => collected.ends.push((t, atom)),
            Pattern::Contains(t) => collected.add(t, Meaning::Contains(atom)),
            Pattern::Glob(parts) => {
                let number = self.globs.len() as u32;
                self.globs.push((atom, pattern.clone()));
                let literals = parts.iter().filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None });
                match literals.max_by_key(|t| t.len()) {
                    Some(t) => collected.add(t, Meaning::Glob(number)),
                    None => self.loose.push(number),
                }
            }
        }
    }

    fn build(&mut self, collected: Collected<'_>) {
        self.starts = Affixes::new(Side::Start, collected.starts);
        self.ends = Affixes::new(Side::End, collected.ends);
        self.literals = Literals::new(&collected.texts);
        self.seen = vec![false; collected.texts.len()];
        self.meanings = collected.meanings;
    }

    /// The atoms that hold for a text (UTF-8), some more than once; `regex` gets the numbers of expressions worth trying.
    fn run(&mut self, text: &[u8], out: &mut Vec<AtomIx>, regex: &mut impl FnMut(u32)) {
        out.extend(&self.any);
        if text.len() <= self.exact_bytes_max
            && let Some(atoms) = self.exact.get(text)
        {
            out.extend(atoms);
        }
        self.starts.find(text, out);
        self.ends.find(text, out);
        let (seen, found) = (&mut self.seen, &mut self.found);
        self.literals.find(text, &mut |literal| {
            if !std::mem::replace(&mut seen[literal as usize], true) {
                found.push(literal);
            }
        });
        let globs = &self.globs;
        let glob = |number: u32, out: &mut Vec<AtomIx>| {
            let (atom, pattern) = &globs[number as usize];
            if str::from_utf8(text).is_ok_and(|text| pattern.matches(text)) {
                out.push(*atom);
            }
        };
        for literal in self.found.drain(..) {
            self.seen[literal as usize] = false;
            for meaning in &self.meanings[literal as usize] {
                match meaning {
                    Meaning::Contains(atom) => out.push(*atom),
                    Meaning::Glob(number) => glob(*number, out),
                    Meaning::Regex(number) => regex(*number),
                }
            }
        }
        self.loose.iter().for_each(|number| glob(*number, out));
    }
}

/// All tests of one field.
#[derive(Default)]
pub struct FieldTests {
    folded: Texts,
    cased: Option<Texts>,
    regexes: Vec<Lazy>,
    /// Numbers of expressions that no literal tells of.
    tried_always: Vec<u32>,
    nets: Vec<(AtomIx, ipnet::IpNet)>,
    numbers: Vec<(AtomIx, Compare, Number)>,
    times: Vec<(AtomIx, TimePart, Compare, Number)>,
    null: Vec<AtomIx>,
    exists: Vec<AtomIx>,
    /// Scratch: a text without case.
    text: Vec<u8>,
    /// Scratch: expressions worth trying.
    worth: Vec<u32>,
}

impl FieldTests {
    /// The tests of one field, by atom.
    pub fn new<'a>(tests: impl Iterator<Item = (AtomIx, &'a Test)>) -> Self {
        let mut out = Self::default();
        let (mut folded, mut cased) = (Collected::default(), Collected::default());
        for (atom, test) in tests {
            match test {
                Test::Text { pattern, cased: false } => out.folded.add(&mut folded, atom, pattern),
                Test::Text { pattern, cased: true } => {
                    out.cased.get_or_insert_default().add(&mut cased, atom, pattern);
                }
                Test::Regex(pattern) => out.add_regex(&mut folded, atom, pattern),
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
        if let Some(texts) = &mut out.cased {
            texts.build(cased);
        }
        out
    }

    fn add_regex(&mut self, folded: &mut Collected<'_>, atom: AtomIx, pattern: &str) {
        let number = self.regexes.len() as u32;
        match required::of(pattern) {
            Some(literals) => literals.iter().for_each(|text| folded.add(text, Meaning::Regex(number))),
            None => self.tried_always.push(number),
        }
        self.regexes.push(Lazy::new(atom, pattern));
    }

    /// The atoms that hold for a code's value, ascending and once each; `room` is for texts that have escapes.
    pub fn atoms(&mut self, dictionary: &Dictionary, code: u32, room: &mut Vec<u8>, out: &mut Vec<AtomIx>) {
        out.clear();
        out.extend(&self.exists);
        dictionary.visit(code, room, &mut |scalar| match scalar {
            Scalar::Null => out.extend(&self.null),
            Scalar::Text(text) => self.text(&text, out),
        });
        out.sort_unstable();
        out.dedup();
    }

    fn text(&mut self, text: &str, out: &mut Vec<AtomIx>) {
        let folded = &mut self.text;
        folded.clear();
        let ascii = text.is_ascii();
        if ascii {
            folded.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        } else {
            folded.extend_from_slice(expr::fold(text).as_bytes());
        }
        self.worth.clear();
        self.worth.extend(&self.tried_always);
        self.folded.run(folded, out, &mut |number| self.worth.push(number));
        if let Some(cased) = &mut self.cased {
            cased.run(text.as_bytes(), out, &mut |_| {});
        }
        if !ascii && text.contains(required::LONG_S) {
            self.worth.clear();
            self.worth.extend(0..self.regexes.len() as u32);
        }
        let regexes = self.worth.iter().map(|number| &self.regexes[*number as usize]);
        out.extend(regexes.filter(|regex| regex.is_match(text, ascii)).map(|regex| regex.atom));
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
