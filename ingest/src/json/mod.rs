//! JSON text read in place: strict validation, members of an object, unescaping. No tree is built.
//!
//! [`Scanner`] checks everything that RFC 8259 asks (tokens, nesting, control characters); the readers here rely on a
//! text that passed.

mod scan;

pub use scan::{DEPTH_MAX, MemberSpan, Scanner, Stop, end_of_value, skip_space};

use memchr::memchr2;
use std::borrow::Cow;
use wide::u8x16;

/// The end of a value in a text that passed [`end_of_value`]: brackets and quotes are all that has to be looked at.
fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => skip_string(bytes, at),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (at, 0_usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = skip_string(bytes, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            bytes.len()
        }
        _ => {
            let end = bytes[at..].iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            end.map_or(bytes.len(), |n| at + n)
        }
    }
}

fn skip_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Members of an object, or elements of an array (with an empty key), in a valid text.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
    keyed: bool,
}

impl<'a> Members<'a> {
    /// Members of the object that `text` is, elements of the array that it is, or none.
    pub fn of(text: &'a str) -> Self {
        let at = skip_space(text.as_bytes(), 0);
        let keyed = text.as_bytes().get(at) == Some(&b'{');
        let container = keyed || text.as_bytes().get(at) == Some(&b'[');
        Self { text, at: if container { at + 1 } else { text.len() }, keyed }
    }
}

impl<'a> Iterator for Members<'a> {
    /// The key between its quotes, still escaped, and the value's text.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        let mut key = "";
        if self.keyed {
            if bytes.get(at) != Some(&b'"') {
                return None;
            }
            let end = skip_string(bytes, at);
            key = self.text.get(at + 1..end.checked_sub(1)?)?;
            at = skip_space(bytes, end);
            at = skip_space(bytes, at + 1);
        }
        if at >= bytes.len() || matches!(bytes[at], b'}' | b']') {
            return None;
        }
        let end = skip(bytes, at);
        self.at = end;
        self.text.get(at..end).map(|value| (key, value))
    }
}

/// What a value's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// null.
    Null,
    /// true or false.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The kind of a value, by its first byte.
pub fn kind(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'"') => Kind::String,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        _ => Kind::Number,
    }
}

/// A scalar's text as rules see it: strings unescaped, numbers and booleans as written.
pub fn text(raw: &str) -> Cow<'_, str> {
    match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
        Some(inner) => unescape(inner),
        None => Cow::Borrowed(raw),
    }
}

/// Every value in an array or object that is neither of these nor null, at any depth; `found` gets their JSON texts.
pub fn scalars<'a>(raw: &'a str, found: &mut impl FnMut(&'a str)) {
    for (_, value) in Members::of(raw) {
        match kind(value) {
            Kind::Object | Kind::Array => scalars(value, found),
            Kind::Null => {}
            _ => found(value),
        }
    }
}

/// A JSON text in its shortest spelling: without white space, and escaped only where it has to be.
pub fn compact(raw: &str) -> Cow<'_, str> {
    if is_compact(raw.as_bytes()) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    push_compact(&mut out, raw);
    Cow::Owned(out)
}

/// Whether that can be told at a glance: nothing is escaped, and white space is in strings alone.
fn is_compact(raw: &[u8]) -> bool {
    // Lines do not end within strings.
    if memchr::memchr3(b'\\', b'\n', b'\r', raw).is_some() {
        return false;
    }
    let (mut from, mut quotes) = (0, 0);
    memchr::memchr2_iter(b' ', b'\t', raw).all(|at| {
        quotes += memchr::memchr_iter(b'"', &raw[from..at]).count();
        from = at;
        quotes % 2 == 1
    })
}

fn push_compact(out: &mut String, raw: &str) {
    let kind = kind(raw);
    match kind {
        Kind::Object | Kind::Array => {
            out.push(if kind == Kind::Object { '{' } else { '[' });
            for (i, (key, value)) in Members::of(raw).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if kind == Kind::Object {
                    push_string(out, &unescape(key));
                    out.push(':');
                }
                push_compact(out, value);
            }
            out.push(if kind == Kind::Object { '}' } else { ']' });
        }
        Kind::String => push_string(out, &text(raw)),
        Kind::Null | Kind::Bool | Kind::Number => out.push_str(raw),
    }
}

/// The inside of a string, unescaped; a lone surrogate becomes U+FFFD.
pub fn unescape(inner: &str) -> Cow<'_, str> {
    let mut room = Vec::new();
    match unescaped(inner, &mut room) {
        Some(length) => {
            room.truncate(length);
            // What was taken out is ASCII, and what was put in are characters.
            Cow::Owned(String::from_utf8(room).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
        }
        None => Cow::Borrowed(inner),
    }
}

/// The text of a scalar as [`text`] has it; `room` holds one that had escapes.
pub fn text_in<'a>(raw: &'a str, room: &'a mut Vec<u8>) -> Cow<'a, str> {
    let Some(inner) = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) else { return Cow::Borrowed(raw) };
    match unescaped(inner, room) {
        Some(length) => match str::from_utf8(&room[..length]) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(&room[..length]),
        },
        None => Cow::Borrowed(inner),
    }
}

/// Unescapes the inside of a string into the beginning of `out`, which only grows, and says how long it is there; none where
/// it has no escape.
fn unescaped(inner: &str, out: &mut Vec<u8>) -> Option<usize> {
    let bytes = inner.as_bytes();
    let first = memchr::memchr(b'\\', bytes)?;
    // Whole words are written, also where they end in an escape; a character may stand for an escape that is a byte shorter.
    let most = bytes.len() + bytes.len() / 2 + WORD;
    if out.len() < most {
        out.resize(most, 0);
    }
    out[..first].copy_from_slice(&bytes[..first]);
    let (mut from, mut to) = (first, first);
    while from < bytes.len() {
        // Paths have an escape every few bytes: finding each of them by vectors costs more than this.
        match bytes[from..].first_chunk::<WORD>() {
            Some(word) => {
                out[to..to + WORD].copy_from_slice(word);
                let plain = until_backslash(*word);
                (from, to) = (from + plain, to + plain);
                if plain == WORD {
                    continue;
                }
            }
            None if bytes[from] != b'\\' => {
                out[to] = bytes[from];
                (from, to) = (from + 1, to + 1);
                continue;
            }
            None => {}
        }
        from += 1;
        out[to] = match bytes.get(from) {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 0x8,
            Some(b'f') => 0xc,
            Some(b'u') => {
                let (c, used) = unicode(&inner[from..]);
                to += c.encode_utf8(&mut out[to..]).len();
                from += used;
                continue;
            }
            Some(byte) if byte.is_ascii() => *byte,
            // A backslash before anything else is none.
            _ => continue,
        };
        (from, to) = (from + 1, to + 1);
    }
    Some(to)
}

/// Bytes that are looked at together.
const WORD: usize = 16;

/// How many of a word's bytes are before its first backslash.
fn until_backslash(word: [u8; WORD]) -> usize {
    let found = u8x16::new(word).simd_eq(u8x16::splat(b'\\')).to_bitmask();
    (found | 1 << WORD).trailing_zeros() as usize
}

/// The character of `uXXXX`, or of two such escapes that are a surrogate pair, and how many bytes it takes.
fn unicode(after: &str) -> (char, usize) {
    let unit = |text: Option<&str>| text.and_then(|t| u32::from_str_radix(t, 16).ok());
    let Some(high) = unit(after.get(1..5)) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if (0xd800..0xdc00).contains(&high)
        && after.get(5..7) == Some("\\u")
        && let Some(low) = unit(after.get(7..11)).filter(|low| (0xdc00..0xe000).contains(low))
    {
        let c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}

/// The value at a dotted path, not looking into arrays.
pub fn at<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
    let value = Members::of(text).find(|(key, _)| *key == head).map(|(_, v)| v)?;
    match rest {
        Some(rest) => at(value, rest),
        None => Some(value),
    }
}

/// Every value at a dotted path: as nested objects, in every element of arrays on the way.
pub fn descend<'a>(raw: &'a str, path: &str, found: &mut impl FnMut(&'a str)) {
    match kind(raw) {
        Kind::Object => {
            let (head, rest) = path.split_once('.').map_or((path, None), |(h, r)| (h, Some(r)));
            for (_, value) in Members::of(raw).filter(|(key, _)| unescape(key) == head) {
                match rest {
                    Some(rest) => descend(value, rest, found),
                    None => found(value),
                }
            }
        }
        Kind::Array => Members::of(raw).for_each(|(_, element)| descend(element, path, found)),
        _ => {}
    }
}

/// As [`descend`], whichever of the path's dots are in keys.
pub fn descend_dotted<'a>(raw: &'a str, path: &str, found: &mut impl FnMut(&'a str)) {
    match kind(raw) {
        Kind::Object => {
            for (key, value) in Members::of(raw) {
                let key = unescape(key);
                if key == path {
                    found(value);
                } else if let Some(rest) = path.strip_prefix(key.as_ref()).and_then(|r| r.strip_prefix('.')) {
                    descend_dotted(value, rest, found);
                }
            }
        }
        Kind::Array => Members::of(raw).for_each(|(_, element)| descend_dotted(element, path, found)),
        _ => {}
    }
}

/// Bytes that JSON has escaped in a string.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        escaped[byte] = byte < 0x20 || byte == b'"' as usize || byte == b'\\' as usize;
        byte += 1;
    }
    escaped
};

/// Appends a string as JSON, with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    // What is escaped is ASCII, so every cut is between characters.
    while let Some(at) = rest.bytes().position(|byte| ESCAPED[byte as usize]) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b => out.push_str(&format!("\\u{b:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_object_are_one() {
        let compacted = r#"{"a/é":[1.50,null,{"b":"x\"y"}],"c":{}}"#;
        for raw in [compacted, r#"{"a b":"é ,"}"#, "[ 1]", "[1,\r2]", r#"{"a":"b" }"#, r#"["a\/b"]"#, "{}"] {
            let mut slowly = String::new();
            push_compact(&mut slowly, raw);
            assert_eq!(compact(raw), slowly);
        }
        assert_eq!(compact("{ \"a\\/\\u00e9\" : [1.50, null,\n{\"b\":\"x\\\"y\"}], \"c\": {} }"), compacted);
        let mut found = Vec::new();
        scalars(compacted, &mut |scalar| found.push(text(scalar).into_owned()));
        assert_eq!(found, ["1.50", "x\"y"]);
    }

    #[test]
    fn values_end_or_say_why_not() {
        let ok = |t: &str| end_of_value(t.as_bytes(), 0) == Ok(t.len());
        for text in ["{}", "[]", r#"{"a":[1,-2.5e+7,"x\"\u00e9"],"b":{"c":null}}"#, "true", "\"\"", "0"] {
            assert!(ok(text), "{text}");
        }
        for text in [r#"{"a":tru }"#, "{\"a\":\"\n\"}", "{a:1}", "[1 2]", "01", r#""\x""#, "{\"a\":1,}"] {
            assert!(matches!(end_of_value(text.as_bytes(), 0), Err(Stop::Broken { .. })), "{text}");
        }
        for text in [r#"{"a":"#, r#"{"a":"b"#, "[1,", "tr", r#""\u12"#] {
            assert_eq!(end_of_value(text.as_bytes(), 0), Err(Stop::Incomplete), "{text}");
        }
        let deep = "[".repeat(200);
        assert!(matches!(end_of_value(deep.as_bytes(), 0), Err(Stop::Broken { .. })));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(|s: String| s.into()),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn rebuild(text: &str) -> serde_json::Value {
        match kind(text) {
            Kind::Object => Members::of(text)
                .map(|(k, v)| (unescape(k).into_owned(), rebuild(v)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Kind::Array => Members::of(text).map(|(_, v)| rebuild(v)).collect::<Vec<_>>().into(),
            Kind::String => super::text(text).into_owned().into(),
            _ => serde_json::from_str(text).unwrap(),
        }
    }

    /// The offset behind a string, from a place inside of it.
    fn by_bytes(bytes: &[u8], mut at: usize) -> Result<usize, Stop> {
        loop {
            let broken = |at, expected| Err(Stop::Broken { at, expected });
            match bytes.get(at) {
                None => return Err(Stop::Incomplete),
                Some(b'"') => return Ok(at + 1),
                Some(0..=0x1f) => return broken(at, "an escaped control character"),
                Some(b'\\') => match bytes.get(at + 1) {
                    None => return Err(Stop::Incomplete),
                    Some(b'u') => match (at + 2..at + 6).find(|i| !bytes.get(*i).is_some_and(u8::is_ascii_hexdigit)) {
                        Some(wrong) if wrong < bytes.len() => return broken(wrong, "four hexadecimal digits"),
                        Some(_) => return Err(Stop::Incomplete),
                        None => at += 6,
                    },
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(_) => return broken(at + 1, "a JSON escape"),
                },
                Some(_) => at += 1,
            }
        }
    }

    proptest! {
        #[test]
        fn members_read_back_what_was_written(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(end_of_value(text.as_bytes(), 0), Ok(text.len()));
            prop_assert_eq!(rebuild(&text), value);
        }

        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{}",:0-9a-z\\\-.e \n]{0,40}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let start = skip_space(text.as_bytes(), 0);
            let ours = end_of_value(text.as_bytes(), start).is_ok_and(|end| skip_space(text.as_bytes(), end) == text.len());
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn a_scan_finds_the_members_wherever_windows_begin(value in json(), before in 0_usize..200) {
            let object = serde_json::json!({ "a": value, "b\n": [value], "": 0 }).to_string();
            let text = format!("{}{object} ", " ".repeat(before));
            let mut spans = Vec::new();
            prop_assert_eq!(Scanner::new(text.as_bytes()).members(before, &mut spans), Ok(before + object.len()));
            let range = |r: &std::ops::Range<u32>| &text[r.start as usize..r.end as usize];
            let found: Vec<_> = spans.iter().map(|m| (range(&m.key), range(&m.value))).collect();
            prop_assert_eq!(found, Members::of(&object).collect::<Vec<_>>());
            for cut in 1..object.len() {
                prop_assert_eq!(end_of_value(&object.as_bytes()[..cut], 0), Err(Stop::Incomplete), "{}", cut);
            }
        }

        #[test]
        fn strings_end_where_a_look_at_each_byte_ends_them(
            pieces in prop::collection::vec(r#"[a-z]{0,40}|(\\\\){0,70}|\\["\\/nrtbf]|\\u[0-9a-fA-F]{4}|\\u[0-9g]{0,4}|\\[ax]|\\|"|\n|é"#, 0..12),
            before in 0_usize..130,
        ) {
            let text = format!("{}\"{}", " ".repeat(before), pieces.concat());
            prop_assert_eq!(end_of_value(text.as_bytes(), before), by_bytes(text.as_bytes(), before + 1), "{}", text);
        }

        #[test]
        fn escapes_are_read_one_by_one(
            pieces in prop::collection::vec(r#"[a-z]{0,12}|\\[\\/nrtbfux"]|\\u[0-9a-f]{4}|\\ud83d\\ude00|\\ud83d|é|\\é|\\"#, 0..40),
        ) {
            let text = pieces.concat();
            let (mut expected, mut rest) = (String::new(), text.as_str());
            while let Some(c) = rest.chars().next() {
                let after = &rest[c.len_utf8()..];
                let (read, used) = match (c, after.chars().next()) {
                    ('\\', Some('u')) => { let (read, used) = unicode(after); (Some(read), used) }
                    ('\\', Some(c)) if c.is_ascii() => {
                        let named = [('n', '\n'), ('r', '\r'), ('t', '\t'), ('b', '\u{8}'), ('f', '\u{c}')];
                        (Some(named.iter().find(|(name, _)| *name == c).map_or(c, |(_, read)| *read)), 1)
                    }
                    ('\\', _) => (None, 0),
                    _ => (Some(c), 0),
                };
                expected.extend(read);
                rest = &after[used..];
            }
            prop_assert_eq!(unescape(&text), expected);
        }

        #[test]
        fn readers_never_panic_on_any_text(text in ".{0,60}") {
            for (k, v) in Members::of(&text) { let _ = (unescape(k), super::text(v), at(v, "a.b")); }
            let _ = unescape(&text);
        }
    }
}
