//! JSON from outside: within bounds of size and depth, with each key once in an object, and nothing after the end.

use crate::reason::{Reason, Refusal};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Objects and lists in each other.
pub(crate) const DEPTH_MAX: usize = 16;
/// What stands in an error of serde's, which carries text only, for a limit.
const TOO_DEEP: &str = "nested too deep";

/// Reads a value.
pub(crate) fn value(bytes: &[u8], bytes_max: usize) -> Result<Value, Refusal> {
    if bytes.len() > bytes_max {
        let detail = format!("{} bytes of JSON, at most {bytes_max} are read", bytes.len());
        return Err(Refusal::new(Reason::LimitExceeded, detail));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict { depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        if error.to_string().starts_with(TOO_DEEP) {
            return Refusal::new(Reason::LimitExceeded, format!("JSON nested deeper than {DEPTH_MAX}"));
        }
        Refusal::new(Reason::MalformedDocument, format!("no JSON as expected: {error}"))
    })
}

/// Reads a document of a known shape.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, Refusal> {
    shaped(value(bytes, bytes_max)?)
}

/// Gives a value its shape.
pub(crate) fn shaped<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| Refusal::new(Reason::MalformedDocument, error))
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX { Err(E::custom(TOO_DEEP)) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice in one object")));
            }
            let value = object.next_value_seed(self.inner()?)?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
