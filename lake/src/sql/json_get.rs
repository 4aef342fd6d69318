//! `json_get(column, 'a.b[0].c')`: a value out of a JSON column, as text.
//!
//! A key may itself hold dots (vendors' fields are often flat): at every level the longest key that fits is taken.
//! Texts come unescaped, other values as their JSON, JSON `null` and what is not there as SQL null. The text is not
//! parsed into a tree: only the objects on the way are looked at.

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonGet {
    signature: Signature,
}

/// The function `json_get`.
pub fn json_get() -> JsonGet {
    JsonGet { signature: Signature::new(TypeSignature::String(2), Volatility::Immutable) }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        "json_get"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = args.args.as_slice() else { return exec_err!("json_get takes a column and a path") };
        if let (ColumnarValue::Scalar(json), ColumnarValue::Scalar(path)) = (json, path) {
            let found = match (json.try_as_str().flatten(), path.try_as_str().flatten()) {
                (Some(json), Some(path)) => lookup(json, path).map(Cow::into_owned),
                _ => None,
            };
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found)));
        }
        let text = |value: &ColumnarValue| -> Result<ArrayRef> {
            Ok(cast(&value.to_array(args.number_rows)?, &DataType::Utf8)?)
        };
        let (json, path) = (text(json)?, text(path)?);
        let (json, path) = (json.as_string::<i32>(), path.as_string::<i32>());
        let mut found = StringBuilder::new();
        for (json, path) in json.iter().zip(path) {
            found.append_option(json.zip(path).and_then(|(json, path)| lookup(json, path)));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

/// The value at `path`, as text.
fn lookup<'a>(json: &'a str, path: &str) -> Option<Cow<'a, str>> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    match descend(raw.get(), path)? {
        "null" => None,
        text if text.starts_with('"') => match serde_json::from_str::<Text<'a>>(text) {
            Ok(Text(found)) => Some(found),
            Err(_) => None,
        },
        other => Some(Cow::Borrowed(other)),
    }
}

struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(V).map(Text)
    }
}

fn descend<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    if path.is_empty() {
        return Some(json);
    }
    match json.as_bytes().first()? {
        b'{' => {
            // All members whose key begins the path, the longest key first.
            let mut deserializer = serde_json::Deserializer::from_str(json);
            let mut fits = deserializer.deserialize_map(Members { path }).ok()?;
            fits.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
            fits.into_iter().find_map(|(length, value)| descend(value.get(), rest(path, length)?))
        }
        b'[' => {
            let inner = path.strip_prefix('[').unwrap_or(path);
            let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
            let index: usize = inner.get(..digits)?.parse().ok()?;
            let after = inner.get(digits..)?;
            let after = after.strip_prefix(']').unwrap_or(after);
            let mut deserializer = serde_json::Deserializer::from_str(json);
            let value = deserializer.deserialize_seq(Element(index)).ok()??;
            descend(value.get(), after.strip_prefix('.').unwrap_or(after))
        }
        _ => None,
    }
}

/// What follows a key of `length` bytes, if the path has a border there.
fn rest(path: &str, length: usize) -> Option<&str> {
    let after = path.get(length..)?;
    match after.as_bytes().first() {
        None | Some(b'[') => Some(after),
        Some(b'.') => after.get(1..),
        Some(_) => None,
    }
}

struct Members<'p> {
    path: &'p str,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(usize, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut fits = Vec::new();
        while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            if self.path.starts_with(key.as_ref()) && rest(self.path, key.len()).is_some() {
                fits.push((key.len(), value));
            }
        }
        Ok(fits)
    }
}

struct Element(usize);

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
        let mut at = 0;
        let mut found = None;
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            if at == self.0 {
                found = Some(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_path() {
        let json = r#"{"a":{"b":"x\ty","n":12},"a.c":{"d":true},"l":[{"k":"v"},null],"z":null,"":"e"}"#;
        let get = |path: &str| lookup(json, path).map(Cow::into_owned);
        assert_eq!(get("a.b").as_deref(), Some("x\ty"));
        assert_eq!(get("a.n").as_deref(), Some("12"));
        assert_eq!(get("a.c.d").as_deref(), Some("true"));
        assert_eq!(get("l[0].k").as_deref(), Some("v"));
        assert_eq!(get("l.0.k").as_deref(), Some("v"));
        assert_eq!(get("l").as_deref(), Some(r#"[{"k":"v"},null]"#));
        for absent in ["l[1]", "z", "a.x", "ab", "a.b.c", "l[9]", "l[x]"] {
            assert_eq!(get(absent), None, "{absent}");
        }
        assert_eq!(lookup("not json", "a"), None);
    }
}
