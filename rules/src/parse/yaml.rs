//! YAML as rules need it: documents apart, keys in order and unique, numbers as the text of their JSON.
//!
//! Every document is read for itself, so a broken one costs no other. Merge keys (`<<`) are followed, tags of an
//! application are not. Bounds keep hostile files from costing more than their length.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Bytes of one document.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Brackets of one document: the scanner's time per token grows with open ones.
const BRACKETS_MAX: usize = 5_000;
/// Values of one document, aliases followed.
const VALUES_MAX: usize = 200_000;

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as JSON writes it.
    Number(String),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping in the order of the text.
    Map(Map),
}

/// A mapping's entries.
pub type Map = Vec<(String, Yaml)>;

/// A part of a file between document markers.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Its text.
    pub text: &'a str,
    /// The line of the file before its first.
    pub lines_before: usize,
}

/// A document that is not read: the line in its file, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, where the reader knows it.
    pub line: Option<usize>,
    /// Why.
    pub reason: String,
}

/// The documents of a text. A marker at the margin always ends a document, even inside a block scalar (YAML 1.2, 9.1.2).
pub fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = Vec::new();
    let (mut start, mut at, mut first, mut number) = (0, 0, 0, 0);
    for line in text.split_inclusive('\n') {
        let marker = |m: &str| {
            line.strip_prefix(m).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if marker("---") || marker("...") {
            out.push(Chunk { text: &text[start..at], lines_before: first });
            // What follows `--- ` on its line belongs to the document, and needs the marker in front of it.
            let bare = line.trim_end().len() == 3;
            (start, first) = if bare { (at + line.len(), number + 1) } else { (at, number) };
        }
        at += line.len();
        number += 1;
    }
    out.push(Chunk { text: &text[start..], lines_before: first });
    // Directives (`%YAML 1.2`) stand before the document that they are for, as comments may.
    let says = |l: &str| !l.trim().is_empty() && !l.trim_start().starts_with('#') && !l.starts_with('%');
    out.retain(|c| c.text.lines().any(says));
    out
}

impl Chunk<'_> {
    /// The document's value.
    pub fn read(&self) -> Result<Yaml, Unreadable> {
        let fail = |reason: String| Err(Unreadable { line: Some(self.lines_before + 1), reason });
        if self.text.len() > DOCUMENT_BYTES_MAX {
            return fail(format!("a document of {} bytes; the limit is {DOCUMENT_BYTES_MAX}", self.text.len()));
        }
        let brackets = self.text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
        if brackets > BRACKETS_MAX {
            return fail(format!("{brackets} brackets in one document; the limit is {BRACKETS_MAX}"));
        }
        let left = Cell::new(VALUES_MAX);
        Seed { left: &left }.deserialize(yaml_serde::Deserializer::from_str(self.text)).map_err(|e| Unreadable {
            line: e.location().map(|l| self.lines_before + l.line()),
            reason: format!("not YAML: {e}"),
        })
    }

    /// The line in the file of the first entry with this key.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        let is = |line: &str| {
            let line = line.trim_start_matches([' ', '-']).trim_start_matches(['\'', '"']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['\'', '"']).trim_start().starts_with(':'))
        };
        self.text.lines().position(is).map(|n| self.lines_before + n + 1)
    }
}

impl Yaml {
    /// The text of a text, number or boolean.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(t) | Self::Number(t) => Some(t.clone()),
            Self::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.map()?.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.scalar()
    }

    /// The texts under a key that holds one or a list.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(Self::List(list)) => list.iter().filter_map(Self::scalar).collect(),
            Some(one) => one.scalar().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The same value as JSON.
    #[cfg(test)]
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => serde_json::from_str(n).unwrap_or_else(|_| Value::String(n.clone())),
            Self::Text(t) => Value::String(t.clone()),
            Self::List(list) => list.iter().map(Self::json).collect(),
            Self::Map(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), v.json())).collect()),
        }
    }

    /// `self` with `other`'s entries over its own, maps merged into maps.
    pub fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Map(mut below), Self::Map(above)) => {
                for (key, value) in above {
                    match below.iter_mut().find(|(k, _)| *k == key) {
                        Some((_, slot)) => *slot = std::mem::replace(slot, Self::Null).merged(value),
                        None => below.push((key, value)),
                    }
                }
                Self::Map(below)
            }
            (_, above) => above,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Yaml;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom(format!("more than {VALUES_MAX} values")))?);
        deserializer.deserialize_any(self)
    }
}

/// A key: any scalar, by its text.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(1);
        let key = Seed { left: &left }.deserialize(deserializer)?;
        key.scalar().map(Key).ok_or_else(|| D::Error::custom("a key that is no text"))
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(v.to_string()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Yaml, E> {
        Ok(Yaml::Number(v.to_string()))
    }

    fn visit_u128<E>(self, v: u128) -> Result<Yaml, E> {
        Ok(Yaml::Number(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Yaml, E> {
        // `.inf` and `.nan` are no numbers in JSON.
        Ok(serde_json::Number::from_f64(v).map_or_else(|| Yaml::Text(v.to_string()), |n| Yaml::Number(n.to_string())))
    }

    fn visit_str<E>(self, v: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let (mut out, mut below) = (Map::new(), Yaml::Map(Map::new()));
        let mut keys = std::collections::HashSet::new();
        while let Some(Key(key)) = map.next_key()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            let value = map.next_value_seed(self)?;
            match (key.as_str(), value) {
                ("<<", Yaml::List(list)) => below = list.into_iter().rev().fold(below, Yaml::merged),
                ("<<", value) => below = below.merged(value),
                (_, value) => out.push((key, value)),
            }
        }
        match below {
            Yaml::Map(below) if below.is_empty() => Ok(Yaml::Map(out)),
            // What a merge key brings in gives way to the mapping's own keys, whole.
            Yaml::Map(mut below) => {
                below.retain(|(k, _)| !keys.contains(k));
                below.extend(out);
                Ok(Yaml::Map(below))
            }
            _ => Err(A::Error::custom("a merge key without a mapping")),
        }
    }
}
