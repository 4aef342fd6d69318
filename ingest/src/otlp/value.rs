//! `AnyValue`s as plain JSON: a string is a string, a list an array, a key-value list an object.
//!
//! Nothing is lost. A key that comes twice is written twice; bytes are `{"bytesValue": base64}`, a double that JSON does
//! not have is `{"doubleValue": "NaN"}`, as OTLP/JSON writes both; a value of no kind is null.

use crate::json::push_string;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use std::fmt::Write;

/// Appends a value.
pub fn push_value(out: &mut String, value: Option<&AnyValue>) {
    match value.and_then(|value| value.value.as_ref()) {
        None => out.push_str("null"),
        Some(Value::StringValue(text)) => push_string(out, text),
        Some(Value::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Value::IntValue(value)) => push_number(out, value),
        Some(Value::DoubleValue(value)) => push_double(out, *value),
        Some(Value::BytesValue(bytes)) => {
            out.push_str("{\"bytesValue\":\"");
            BASE64_STANDARD.encode_string(bytes, out);
            out.push_str("\"}");
        }
        Some(Value::ArrayValue(array)) => {
            out.push('[');
            for (i, element) in array.values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_value(out, Some(element));
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => push_object(out, &list.values),
        // An index into the dictionary of a profile; other signals have none.
        Some(Value::StringValueStrindex(index)) => {
            out.push_str("{\"stringValueStrindex\":");
            push_number(out, index);
            out.push('}');
        }
    }
}

/// Appends attributes as an object.
pub fn push_object(out: &mut String, members: &[KeyValue]) {
    out.push('{');
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, &member.key);
        out.push(':');
        push_value(out, member.value.as_ref());
    }
    out.push('}');
}

/// Appends an integer.
pub fn push_number(out: &mut String, number: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(out, "{number}");
}

/// Appends a double so that it reads as the same one.
pub fn push_double(out: &mut String, value: f64) {
    let name = match value {
        value if value.is_finite() => {
            let _ = write!(out, "{value:?}");
            return;
        }
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    let _ = write!(out, "{{\"doubleValue\":\"{name}\"}}");
}
