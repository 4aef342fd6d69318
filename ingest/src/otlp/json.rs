//! OTLP/JSON becomes protobuf, so that there is one decoder behind it.
//!
//! The rules are the JSON mapping of proto3 with what OTLP changes (opentelemetry.io/docs/specs/otlp, "JSON Protobuf
//! Encoding"): ids in hexadecimal digits of either case, enumerations as numbers only, names in lowerCamelCase only,
//! unknown members skipped. 64-bit integers are strings or numbers, null is the same as nothing, bytes are base64 of
//! either alphabet, with or without padding; `"NaN"`, `"Infinity"` and `"-Infinity"` are doubles.

use super::OtlpError;
use super::schema::{Field, Kind, Message};
use super::wire::DEPTH_MAX;
use crate::json::{self, Members, Stop, end_of_value, skip_space};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of the length that precedes a message: its number may have leading zeros, so that it can be written last.
const LENGTH_BYTES: usize = 5;

/// The protobuf of a JSON text that is a message of this type.
///
/// **Errors**: [`OtlpError::Json`] for what is no JSON, [`OtlpError::Field`] for a value that its field cannot have.
/// **Bounds**: the result is at most four times as long.
pub fn to_protobuf(bytes: &[u8], message: &Message) -> Result<Vec<u8>, OtlpError> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| OtlpError::Json { at: error.valid_up_to(), expected: "UTF-8" })?;
    let start = skip_space(bytes, 0);
    let end = end_of_value(bytes, start).map_err(|stop| match stop {
        Stop::Incomplete => OtlpError::Json { at: bytes.len(), expected: "the rest of the object" },
        Stop::Broken { at, expected } => OtlpError::Json { at, expected },
    })?;
    if bytes.get(start) != Some(&b'{') {
        return Err(OtlpError::Json { at: start, expected: "an object" });
    }
    let rest = skip_space(bytes, end);
    if rest < bytes.len() {
        return Err(OtlpError::Json { at: rest, expected: "nothing more" });
    }
    let mut out = Vec::with_capacity(bytes.len());
    members(&mut out, &text[start..end], message, DEPTH_MAX)?;
    Ok(out)
}

fn members(out: &mut Vec<u8>, object: &str, message: &Message, depth: usize) -> Result<(), OtlpError> {
    for (key, raw) in Members::of(object) {
        let Some(field) = message.named(&json::unescape(key)) else { continue };
        match (json::kind(raw), field.repeated) {
            (json::Kind::Null, _) => {}
            (json::Kind::Array, true) => {
                for (_, element) in Members::of(raw) {
                    value(out, element, field, message, depth)?;
                }
            }
            (_, true) => return Err(wrong(message, field, "an array")),
            (_, false) => value(out, raw, field, message, depth)?,
        }
    }
    Ok(())
}

fn wrong(message: &Message, field: &Field, expected: &'static str) -> OtlpError {
    OtlpError::Field { message: message.name, field: field.name, expected }
}

fn value(out: &mut Vec<u8>, raw: &str, field: &Field, message: &Message, depth: usize) -> Result<(), OtlpError> {
    let kind = json::kind(raw);
    let wrong = |expected| wrong(message, field, expected);
    let text = |expected| if kind == json::Kind::String { Ok(json::text(raw)) } else { Err(wrong(expected)) };
    match &field.kind {
        Kind::Text => bytes(out, field, text("a string")?.as_bytes()),
        Kind::Base64 => {
            let text = text("a base64 string")?.replace('-', "+").replace('_', "/");
            bytes(out, field, &BASE64.decode(text).map_err(|_| wrong("a base64 string"))?);
        }
        Kind::Id => {
            let expected = "a string of hexadecimal digits";
            bytes(out, field, &hex::decode(text(expected)?.as_ref()).map_err(|_| wrong(expected))?);
        }
        Kind::Bool => match raw {
            "true" | "false" => varint_field(out, field, u64::from(raw == "true")),
            _ => return Err(wrong("a boolean")),
        },
        Kind::Double => fixed64(out, field, double(raw).ok_or_else(|| wrong("a number"))?.to_bits()),
        Kind::Message(inner) => {
            if kind != json::Kind::Object {
                return Err(wrong("an object"));
            }
            let deeper = depth.checked_sub(1).ok_or(OtlpError::TooDeep { limit: DEPTH_MAX })?;
            key(out, field, 2);
            let at = out.len();
            out.extend([0; LENGTH_BYTES]);
            members(out, raw, inner, deeper)?;
            let length = out.len() - at - LENGTH_BYTES;
            for (i, byte) in out[at..at + LENGTH_BYTES].iter_mut().enumerate() {
                let more = if i + 1 < LENGTH_BYTES { 0x80 } else { 0 };
                *byte = (length >> (7 * i) & 0x7f) as u8 | more;
            }
        }
        Kind::Int32
        | Kind::Uint32
        | Kind::Sint32
        | Kind::Int64
        | Kind::Uint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed64 => integer_field(out, raw, field).ok_or_else(|| wrong("an integer in its range"))?,
    }
    Ok(())
}

fn integer_field(out: &mut Vec<u8>, raw: &str, field: &Field) -> Option<()> {
    let number = integer(raw)?;
    match field.kind {
        // Negative numbers take ten bytes, as 64-bit ones.
        Kind::Int32 => varint_field(out, field, i64::from(i32::try_from(number).ok()?).cast_unsigned()),
        Kind::Int64 => varint_field(out, field, i64::try_from(number).ok()?.cast_unsigned()),
        Kind::Uint32 => varint_field(out, field, u64::from(u32::try_from(number).ok()?)),
        Kind::Fixed32 => {
            key(out, field, 5);
            out.extend(u32::try_from(number).ok()?.to_le_bytes());
        }
        Kind::Fixed64 => fixed64(out, field, u64::try_from(number).ok()?),
        Kind::Sfixed64 => fixed64(out, field, i64::try_from(number).ok()?.cast_unsigned()),
        Kind::Uint64 => varint_field(out, field, u64::try_from(number).ok()?),
        // Zigzag: 0, -1, 1, -2, …
        Kind::Sint32 => {
            let number = i32::try_from(number).ok()?;
            varint_field(out, field, u64::from((number << 1 ^ number >> 31).cast_unsigned()));
        }
        _ => return None,
    }
    Some(())
}

fn key(out: &mut Vec<u8>, field: &Field, wire_type: u64) {
    varint(out, u64::from(field.tag) << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint_field(out: &mut Vec<u8>, field: &Field, number: u64) {
    key(out, field, 0);
    varint(out, number);
}

fn fixed64(out: &mut Vec<u8>, field: &Field, bits: u64) {
    key(out, field, 1);
    out.extend(bits.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: &Field, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// The text of a number, or of a string that holds one.
fn number(raw: &str) -> Option<Cow<'_, str>> {
    matches!(json::kind(raw), json::Kind::Number | json::Kind::String).then(|| json::text(raw))
}

/// An integer; `1.0` and `1e3` are integers as well.
fn integer(raw: &str) -> Option<i128> {
    /// Doubles are exact integers up to here.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let text = number(raw)?;
    text.parse().ok().or_else(|| {
        let double: f64 = text.parse().ok()?;
        (double.fract() == 0.0 && double.abs() <= EXACT_MAX).then_some(double as i128)
    })
}

fn double(raw: &str) -> Option<f64> {
    let text = number(raw)?;
    match text.as_ref() {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // What Rust reads beside: `inf`, `nan` and their like.
        text if text.bytes().any(|b| b.is_ascii_alphabetic() && !matches!(b, b'e' | b'E')) => None,
        text => text.parse().ok(),
    }
}
