//! JSON from outside, within bounds: its size, depth and number of values are limited before anything is built of it,
//! and an object that has a key twice is refused, as readers would not agree on what it says.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;

/// What a document may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of it.
    pub bytes_max: usize,
    /// Objects and lists in each other.
    pub depth_max: usize,
    /// Values in it, an object's keys among them.
    pub values_max: usize,
}

/// Bundles, envelopes and what they carry, SBOMs too: one component is some twenty values.
pub const DOCUMENT: Limits = Limits { bytes_max: 64 << 20, depth_max: 64, values_max: 4_000_000 };
/// A trusted root is some kilobytes.
pub const TRUSTED_ROOT: Limits = Limits { bytes_max: 1 << 20, depth_max: 16, values_max: 20_000 };

/// Why bytes were not read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More bytes than the limit.
    #[error("{bytes} bytes, at most {max} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Deeper than the limit.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More values than the limit.
    #[error("more than {max} values")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// An object that names a key twice.
    #[error("the key {key:?} is there twice in one object")]
    DuplicateKey {
        /// The key, at most 64 characters of it.
        key: String,
    },
    /// No JSON.
    #[error("no JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// JSON, of another shape than expected: serde's words, with the document's control characters escaped, as they come to
    /// terminals.
    #[error("{0}")]
    Shape(String),
}

/// Reads a document.
///
/// **Errors**: the limit that it is over, the key that it has twice, or what it is not.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], limits: Limits) -> Result<T, JsonError> {
    check(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| JsonError::Shape(escaped(&error.to_string())))
}

/// A text for a terminal: its control characters are escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// Checks the bounds of a document, and that it is JSON without a key twice.
///
/// **Errors**: as [`read`].
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    if bytes.len() > limits.bytes_max {
        return Err(JsonError::TooLarge { bytes: bytes.len(), max: limits.bytes_max });
    }
    let mut walk = Walk { limits, values: 0, stop: None };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let walked = Value { walk: &mut walk, depth: 0 }.deserialize(&mut reader).and_then(|()| reader.end());
    walked.map_err(|error| walk.stop.take().unwrap_or(JsonError::Syntax(error)))
}

struct Walk {
    limits: Limits,
    values: usize,
    /// Why the walk ended, as serde's errors carry text only.
    stop: Option<JsonError>,
}

struct Value<'w> {
    walk: &'w mut Walk,
    depth: usize,
}

impl Value<'_> {
    fn stop<T, E: serde::de::Error>(&mut self, why: JsonError) -> Result<T, E> {
        self.walk.stop = Some(why);
        Err(E::custom("over the bounds"))
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.walk.values += 1;
        let max = self.walk.limits.values_max;
        if self.walk.values > max { self.stop(JsonError::TooMany { max }) } else { Ok(()) }
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.count()?;
        let max = self.walk.limits.depth_max;
        if self.depth >= max { self.stop(JsonError::TooDeep { max }) } else { Ok(()) }
    }

    fn inner(&mut self) -> Value<'_> {
        Value { walk: self.walk, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<(), E> {
        self.count()
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<(), E> {
        self.count()
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<(), E> {
        self.count()
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<(), E> {
        self.count()
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> Result<(), E> {
        self.count()
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.count()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.enter()?;
        while list.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        self.enter()?;
        let mut keys = HashSet::new();
        while let Some(key) = object.next_key::<String>()? {
            self.count()?;
            if keys.contains(&key) {
                return self.stop(JsonError::DuplicateKey { key: key.chars().take(64).collect() });
            }
            keys.insert(key);
            object.next_value_seed(self.inner())?;
        }
        Ok(())
    }
}
