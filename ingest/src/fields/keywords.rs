//! Keyword rules search every value of an event: which events are worth it.

use super::{FieldIx, FieldUse};
use crate::literals::Literals;
use aho_corasick::packed;
use std::collections::BTreeSet;

/// Lower-case ASCII that JSON writes as it is: it is in a value without case only if it is in the event's JSON, or the
/// JSON has an escape by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle(Box<str>);

impl Needle {
    /// The longest such part of a text; none when no character of it is written as it is.
    pub fn of(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '/');
        let part = text.split(|c| !plain(c)).max_by_key(|p| p.len()).filter(|p| !p.is_empty())?;
        Some(Self(part.to_ascii_lowercase().into()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it may be in the text of a number or a truth value.
    pub fn is_in_numbers(&self) -> bool {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e');
        self.0.chars().all(is_number) || ["true", "false", "inf", "nan"].iter().any(|word| word.contains(&*self.0))
    }
}

/// When an event's values are worth collecting.
pub(super) struct Keywords {
    pub field: FieldIx,
    /// Finds one of the needles in lower-cased JSON; none when every event is.
    search: Option<Search>,
}

/// Finds any of some texts in others.
enum Search {
    /// By vectors: the least for few.
    Packed(packed::Searcher),
    Literals(Box<Literals>),
}

/// More texts at once are searched for more slowly.
const PACKED_MAX: usize = 64;

impl Search {
    fn new(texts: &BTreeSet<&str>) -> Self {
        let packed = || packed::Searcher::new(texts);
        match (texts.len() <= PACKED_MAX).then(packed).flatten() {
            Some(searcher) => Self::Packed(searcher),
            None => {
                let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
                Self::Literals(Literals::new(&texts).into())
            }
        }
    }

    /// Tells which rows, each from an offset to the next, hold any of the texts.
    fn rows(&self, bytes: &[u8], offsets: &[usize], found: &mut impl FnMut(usize)) {
        match self {
            Self::Packed(searcher) => {
                let mut from = 0;
                while let Some(hit) = searcher.find_in(bytes, (from..bytes.len()).into()) {
                    let row = offsets.partition_point(|start| *start <= hit.start()) - 1;
                    from = offsets[row + 1];
                    // What begins in one row and ends in another is in none, but may hide what is.
                    match hit.end() <= from {
                        true => found(row),
                        false if self.is_in(&bytes[hit.start()..from]) => found(row),
                        false => {}
                    }
                }
            }
            Self::Literals(_) => {
                let rows = offsets.windows(2).enumerate().filter(|(_, row)| self.is_in(&bytes[row[0]..row[1]]));
                rows.for_each(|(row, _)| found(row));
            }
        }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Packed(searcher) => searcher.find(text).is_some(),
            Self::Literals(literals) => {
                let mut any = false;
                literals.find(text, &mut |_| any = true);
                any
            }
        }
    }
}

impl Keywords {
    pub fn new(field: FieldIx, uses: &[&FieldUse]) -> Self {
        let of_keywords = uses.iter().filter(|u| u.fields.contains(&field.0));
        let needles: Option<Vec<&BTreeSet<Needle>>> = of_keywords.map(|u| u.needles.as_ref()).collect();
        let search = needles.map(|sets| {
            let all: BTreeSet<&str> = sets.into_iter().flatten().map(|n| &*n.0).collect();
            Search::new(&all)
        });
        Self { field, search }
    }

    /// For events with any of these.
    pub fn of_any(field: FieldIx, needles: &BTreeSet<Needle>) -> Self {
        Self { field, search: Some(Search::new(&needles.iter().map(|needle| needle.text()).collect())) }
    }

    /// Whether a keyword may be in an event.
    pub fn worth(&self, event: &str, lower: &mut Vec<u8>) -> bool {
        let Some(search) = &self.search else { return true };
        lower.clear();
        lower.extend(event.bytes().map(|byte| byte.to_ascii_lowercase()));
        // The event itself tells escapes: in lower case, each path to a user would look like one.
        search.is_in(lower) || (unsure(event.as_bytes()).is_some() && search.is_in(&unescaped(lower)))
    }

    /// Whether there is anything to search for; if not, every event is worth it.
    pub fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// Tells in which rows keywords are: each row of lower-cased bytes is from an offset to the next.
    pub fn rows(&self, lower: &[u8], offsets: &[usize], found: &mut impl FnMut(usize)) {
        if let Some(search) = &self.search {
            search.rows(lower, offsets, found);
        }
    }
}

/// The one character beyond ASCII whose lower case is within.
const KELVIN: char = '\u{212a}';

/// Where the first character of a JSON text is that may stand for another in ASCII.
pub(super) fn unsure(text: &[u8]) -> Option<usize> {
    let escape = memchr::memmem::find(text, b"\\u");
    let before = &text[..escape.unwrap_or(text.len())];
    let kelvin = || memchr::memmem::find(before, KELVIN.encode_utf8(&mut [0; 4]).as_bytes());
    let kelvin = if before.is_ascii() { None } else { kelvin() };
    kelvin.or(escape)
}

/// A lower-cased JSON text in which characters stand for themselves that were escaped by number.
fn unescaped(lower: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lower.len());
    let mut rest = lower;
    while let Some(plain) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        // The backslash of `\\\\` escapes the next, which then escapes nothing.
        let (byte, used) = match number(rest) {
            Some(byte) => (byte, 6),
            None => (b'\\', rest.len().min(2)),
        };
        out.push(byte);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
    if out.is_ascii() { out } else { String::from_utf8_lossy(&out).replace(KELVIN, "k").into_bytes() }
}

/// The ASCII character, in lower case, that stands for an escape by number; none for other escapes.
fn number(escape: &[u8]) -> Option<u8> {
    let hex = std::str::from_utf8(escape.strip_prefix(b"\\u")?.get(..4)?).ok()?;
    match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)? {
        KELVIN => Some(b'k'),
        other => u8::try_from(other).ok().filter(u8::is_ascii).map(|byte| byte.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_however_they_are_escaped() {
        // Few texts are searched for in another way than many.
        let many: Vec<String> = (0..100).map(|i| format!("none of these {i}")).collect();
        for more in [&many[..0], &many] {
            keywords_are_found(more);
        }
    }

    fn keywords_are_found(more: &[String]) {
        let needles = ["mimikatz", "<script>", "u0041"].into_iter().chain(more.iter().map(String::as_str));
        let uses = FieldUse {
            binding: crate::source::Binding { source: crate::source::SourceId(0), category: None, service: None },
            fields: [0].into(),
            needles: Some(needles.filter_map(Needle::of).collect()),
        };
        let keywords = Keywords::new(FieldIx(0), &[&uses]);
        let mut lower = Vec::new();
        for event in [
            r#"{"a":"x MIMIKATZ"}"#,
            r#"{"a":"\u006dimi\u004Batz"}"#,
            r#"{"a":"mimi\u212Aatz"}"#,
            "{\"a\":\"mimi\u{212a}atz\"}",
            r#"{"a":"\u003cScript>"}"#,
            r#"{"a":"\\u0041"}"#,
        ] {
            assert!(keywords.worth(event, &mut lower), "{event}");
        }
        for event in [r#"{"a":"mimi"}"#, r#"{"a":"\u0042 \u212b"}"#, r#"{"a":"\\\\u006dimikatz"}"#, "{\"a\":\"é\"}"] {
            assert!(!keywords.worth(event, &mut lower), "{event}");
        }
    }
}
