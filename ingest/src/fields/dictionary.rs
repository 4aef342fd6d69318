//! The distinct values of one field, by the raw, still escaped bytes of their JSON.
//!
//! **Bounds**: one that outgrows [`DICTIONARY_BYTES_MAX`], or has too many values, is cleared between blocks, and its epoch
//! moves on. So is one whose values hardly ever come again, which are then not looked up for some blocks: that costs more
//! than it gives. In columns such values are not copied either: their arrays are held until the next batch.

use super::FieldValue;
use crate::json::{self, Kind, Members};
use ahash::RandomState;
use arrow::array::StringViewArray;
use hashbrown::HashTable;
use std::borrow::Cow;

/// Bytes of values that one field's dictionary remembers.
pub const DICTIONARY_BYTES_MAX: usize = 32 << 20;
/// Values that it remembers: with more of them, most lookups wait for memory.
const VALUES_MAX: usize = 1 << 16;

/// A part of a value that tests look at.
pub enum Scalar<'a> {
    /// JSON null.
    Null,
    /// A text; numbers and booleans are their JSON text.
    Text(Cow<'a, str>),
}

/// Which values rules find in a JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// Those of a field.
    #[default]
    Field,
    /// Every value of an event; nothing is remembered, as no event comes twice.
    Event,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    /// Where its text begins, or which value of a lent array it is.
    start: usize,
    length: usize,
    /// Which array has it, if one that was lent.
    lent: Option<u32>,
    /// Whether it is the text itself, not JSON.
    plain: bool,
}

/// The distinct values of one field.
#[derive(Debug, Default)]
pub struct Dictionary {
    codes: HashTable<u32>,
    state: RandomState,
    entries: Vec<Entry>,
    /// The values' texts, one behind the other.
    texts: String,
    /// The code that came last: logs repeat themselves.
    last: u32,
    epoch: u64,
    reading: Reading,
    /// Values of the block at hand, and how many of them were known.
    asked: u32,
    known: u32,
    /// Blocks for which nothing is looked up.
    forgetful: u32,
    /// Batches whose values are not copied where each row has its own.
    lending: u32,
    /// Arrays that values of the batch at hand are of.
    lent: Vec<StringViewArray>,
}

/// Fewer values of a block tell nothing.
const ASKED_MIN: u32 = 32;
/// Of how many values one has to come again.
const KNOWN_ONE_OF: u32 = 16;
/// Bytes of values that stay between batches, whether or not they come again.
const BATCH_BYTES: usize = 256 << 10;
/// How many blocks later it is tried again.
const FORGETFUL_BLOCKS: u32 = 32;

impl Dictionary {
    /// Of whole events, for keywords.
    pub(super) fn of_events() -> Self {
        Self { reading: Reading::Event, ..Self::default() }
    }

    fn of(&self, code: u32) -> (&str, bool) {
        let entry = &self.entries[code as usize];
        (self.text(entry), entry.plain)
    }

    fn text(&self, entry: &Entry) -> &str {
        match entry.lent {
            Some(array) => self.lent[array as usize].value(entry.start),
            None => &self.texts[entry.start..entry.start + entry.length],
        }
    }

    /// The value of a code as JSON.
    pub fn json(&self, code: u32) -> Cow<'_, str> {
        match self.of(code) {
            (raw, false) => raw.into(),
            (text, true) => {
                let mut raw = String::with_capacity(text.len() + 2);
                json::push_string(&mut raw, text);
                raw.into()
            }
        }
    }

    /// The value of a code.
    pub fn value(&self, code: u32) -> FieldValue {
        match (self.reading, self.of(code)) {
            (_, (text, true)) => FieldValue::Text(text.into()),
            (Reading::Field, (raw, _)) => FieldValue::of(raw),
            (Reading::Event, (raw, _)) => {
                let mut values = Vec::new();
                json::scalars(raw, &mut |raw| values.push(FieldValue::Text(json::text(raw).into())));
                FieldValue::List(values.into())
            }
        }
    }

    /// Every part of a code's value that tests look at, as [`FieldValue::of`] has them; `room` is for texts that have escapes.
    pub fn visit(&self, code: u32, room: &mut Vec<u8>, found: &mut impl FnMut(Scalar<'_>)) {
        match (self.reading, self.of(code)) {
            (_, (text, true)) => found(Scalar::Text(text.into())),
            (Reading::Field, (raw, _)) => visit(raw, room, found),
            (Reading::Event, (raw, _)) => json::scalars(raw, &mut |raw| found(Scalar::Text(json::text_in(raw, room)))),
        }
    }

    /// How many codes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no code yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Moves on when codes are given anew.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The code of a JSON text.
    pub(super) fn code(&mut self, raw: &str) -> u32 {
        self.code_of(raw, false)
    }

    /// The code of a text as it is.
    pub(super) fn code_of_text(&mut self, text: &str) -> u32 {
        self.code_of(text, true)
    }

    fn code_of(&mut self, raw: &str, plain: bool) -> u32 {
        if self.reading == Reading::Event {
            return self.add(raw, plain, 0);
        }
        self.asked += 1;
        if self.is_last(raw, plain) {
            self.known += 1;
            return self.last;
        }
        if self.forgetful > 0 {
            self.last = self.add(raw, plain, 0);
            return self.last;
        }
        let hash = self.state.hash_one(raw);
        let same = |code: &u32| {
            let entry = &self.entries[*code as usize];
            entry.hash == hash && entry.plain == plain && self.text(entry) == raw
        };
        let code = match self.codes.find(hash, same) {
            Some(code) => {
                self.known += 1;
                *code
            }
            None => {
                let code = self.add(raw, plain, hash);
                self.codes.insert_unique(hash, code, |code| self.entries[*code as usize].hash);
                code
            }
        };
        self.last = code;
        code
    }

    /// Whether values of which each row has its own should come as [`Dictionary::code_of_lent`].
    pub(super) fn is_lent(&self) -> bool {
        self.lending > 0
    }

    /// The code of an array's value, in this batch: it is not copied, nor looked up.
    pub(super) fn code_of_lent(&mut self, values: &StringViewArray, number: usize, plain: bool) -> u32 {
        let raw = values.value(number);
        if self.is_last(raw, plain) {
            return self.last;
        }
        if !self.lent.last().is_some_and(|last| std::ptr::eq(last.views().as_ptr(), values.views().as_ptr())) {
            self.lent.push(values.clone());
        }
        let lent = Some(self.lent.len() as u32 - 1);
        self.entries.push(Entry { hash: 0, start: number, length: raw.len(), lent, plain });
        self.last = self.entries.len() as u32 - 1;
        self.last
    }

    /// Whether a value is the one that came last. Values that differ mostly do so in their last bytes.
    fn is_last(&self, raw: &str, plain: bool) -> bool {
        let Some(entry) = self.entries.get(self.last as usize).filter(|e| e.length == raw.len() && e.plain == plain)
        else {
            return false;
        };
        let last = self.text(entry).as_bytes();
        raw.as_bytes().last_chunk::<8>() == last.last_chunk() && raw.as_bytes() == last
    }

    fn add(&mut self, raw: &str, plain: bool, hash: u64) -> u32 {
        let start = self.texts.len();
        self.texts.push_str(raw);
        self.entries.push(Entry { hash, start, length: raw.len(), lent: None, plain });
        (self.entries.len() - 1) as u32
    }

    /// Between batches of values that are looked up once each: forgets what is lent, too much, or not worth its room.
    pub(super) fn bound(&mut self) {
        let once = self.known * KNOWN_ONE_OF < self.asked && self.texts.len() > BATCH_BYTES;
        if once || !self.lent.is_empty() || self.is_full() {
            self.clear();
        }
        self.lending = if once { FORGETFUL_BLOCKS } else { self.lending.saturating_sub(1) };
        (self.asked, self.known) = (0, 0);
    }

    fn is_full(&self) -> bool {
        let bytes = self.texts.len() + self.entries.len() * size_of::<Entry>();
        bytes > DICTIONARY_BYTES_MAX || self.entries.len() > VALUES_MAX
    }

    /// Forgets all, and gives its room back.
    pub(super) fn rest(&mut self) {
        let (epoch, reading) = (self.epoch + 1, self.reading);
        *self = Self { epoch, reading, ..Self::default() };
    }

    fn clear(&mut self) {
        self.codes.clear();
        self.entries.clear();
        self.texts.clear();
        self.lent.clear();
        self.epoch += 1;
    }

    /// Between blocks: forgets what is too much, or not worth it.
    pub(super) fn renew(&mut self) {
        let once = self.forgetful == 0 && self.asked >= ASKED_MIN && self.known * KNOWN_ONE_OF < self.asked;
        if self.reading == Reading::Event || self.forgetful > 0 || once || self.is_full() {
            self.clear();
        }
        self.forgetful = if once { FORGETFUL_BLOCKS } else { self.forgetful.saturating_sub(1) };
        (self.asked, self.known) = (0, 0);
    }
}

fn visit(raw: &str, room: &mut Vec<u8>, found: &mut impl FnMut(Scalar<'_>)) {
    match json::kind(raw) {
        Kind::Null => found(Scalar::Null),
        Kind::Array => Members::of(raw).for_each(|(_, element)| visit(element, room, found)),
        Kind::Object => {
            found(Scalar::Text(json::compact(raw)));
            json::scalars(raw, &mut |scalar| found(Scalar::Text(json::text_in(scalar, room))));
        }
        _ => found(Scalar::Text(json::text_in(raw, room))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &FieldValue, out: &mut Vec<String>) {
        match value {
            FieldValue::Null => out.push("null".into()),
            FieldValue::Text(text) => out.push(format!("{text:?}")),
            FieldValue::List(list) => list.iter().for_each(|v| parts(v, out)),
        }
    }

    #[test]
    fn parts_are_those_of_the_value() {
        let (mut dictionary, mut room) = (Dictionary::default(), Vec::new());
        for raw in ["null", "1.50", "\"a\\\\b\"", "[1,[null,\"x\"]]", "{ \"a\": {\"b\": [true, \"y\"]}, \"c\": null }"]
        {
            let code = dictionary.code(raw);
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            dictionary.visit(code, &mut room, &mut |scalar| match scalar {
                Scalar::Null => seen.push("null".into()),
                Scalar::Text(text) => seen.push(format!("{text:?}")),
            });
            parts(&dictionary.value(code), &mut expected);
            assert_eq!(seen, expected, "{raw}");
            assert_eq!(dictionary.code(raw), code, "{raw}");
        }
        assert_eq!(dictionary.len(), 5);
    }

    #[test]
    fn values_of_a_batch_that_would_not_come_again_are_lent() {
        let batch = |from: u32| StringViewArray::from_iter_values((from..from + 64).map(|i| format!("{i:0>9999}")));
        let mut dictionary = Dictionary::default();
        for value in batch(0).iter().flatten() {
            dictionary.code(value);
        }
        assert!(!dictionary.is_lent());
        dictionary.bound();
        assert!(dictionary.is_lent(), "none of many bytes came again");
        let mut batches = 0;
        while dictionary.is_lent() {
            let (some, others) = (batch(batches), batch(1_000));
            let codes: Vec<u32> = [(&some, 0), (&some, 1), (&others, 1), (&others, 1), (&others, 2)]
                .map(|(values, number)| dictionary.code_of_lent(values, number, false))
                .into();
            assert_eq!(codes, [0, 1, 2, 2, 3]);
            assert_eq!(dictionary.code("\"own\""), 4);
            let texts = codes.iter().map(|code| dictionary.json(*code)).collect::<Vec<_>>();
            assert_eq!(texts, [some.value(0), some.value(1), others.value(1), others.value(1), others.value(2)]);
            assert_eq!(dictionary.value(4), FieldValue::Text("own".into()));
            let epoch = dictionary.epoch();
            dictionary.bound();
            assert_eq!((dictionary.len(), dictionary.epoch()), (0, epoch + 1), "arrays are given back");
            batches += 1;
        }
        assert_eq!(batches, FORGETFUL_BLOCKS);
    }

    #[test]
    fn a_full_dictionary_begins_anew() {
        let mut dictionary = Dictionary::default();
        let long = "9".repeat(DICTIONARY_BYTES_MAX / 2);
        assert_eq!((dictionary.code(&long), dictionary.code("1"), dictionary.code(&long)), (0, 1, 0));
        dictionary.renew();
        assert_eq!((dictionary.code("1"), dictionary.epoch()), (1, 0));
        dictionary.code(&format!("1{long}"));
        dictionary.renew();
        assert_eq!((dictionary.code("1"), dictionary.epoch()), (0, 1));
    }

    #[test]
    fn values_that_never_come_again_are_not_looked_up() {
        let mut dictionary = Dictionary::default();
        let block = |dictionary: &mut Dictionary, from: u32, values: u32| {
            dictionary.renew();
            (0..64).map(|i| dictionary.code(&(from + i % values).to_string())).max()
        };
        assert_eq!(block(&mut dictionary, 0, 8), Some(7));
        assert_eq!(block(&mut dictionary, 0, 64), Some(63), "and remembered what came before");
        assert_eq!(block(&mut dictionary, 100, 64), Some(127));
        assert_eq!((block(&mut dictionary, 200, 8), dictionary.epoch()), (Some(63), 1), "new ones again and again");
        for _ in 0..FORGETFUL_BLOCKS {
            block(&mut dictionary, 300, 8);
        }
        assert_eq!(block(&mut dictionary, 300, 8), Some(7), "until it is tried again");
    }
}
