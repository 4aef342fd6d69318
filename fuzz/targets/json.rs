//! JSON containers: the strict reader accepts what serde_json does and finds the same members, and where a block ends
//! changes no record.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use tarn_fuzz::container::{SMALL, blocks, cut, read};
use tarn_ingest::container::Limits;
use tarn_ingest::json::{self, Kind, Members, Stop};

/// The container reads this many bytes before it knows the format.
const FIRST_READ: usize = 64 << 10;
/// Reading so much in small blocks takes long: one input in so many is.
const LONG_EVERY: usize = 16;

fuzz_target!(|data: &[u8]| {
    let _ = blocks(data, SMALL);
    let Ok(whole) = read(data, Limits::default()) else { return };
    if let Ok(text) = std::str::from_utf8(data) {
        same_grammar(text);
    }
    if cut(data).is_multiple_of(LONG_EVERY) && data.trim_ascii_start().starts_with(b"{") {
        let mut padded = vec![b'\n'; FIRST_READ - cut(data)];
        padded.extend(data);
        let limits = Limits { block_bytes: 16, ..Limits::default() };
        assert_eq!(read(&padded, limits).unwrap(), whole, "another block size gives other records");
    }
});

fn same_grammar(text: &str) {
    let text = text.trim_ascii();
    let ours = json::end_of_value(text.as_bytes(), 0);
    if matches!(ours, Err(Stop::Broken { expected, .. }) if expected.starts_with("nesting")) {
        return;
    }
    let valid = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(ours == Ok(text.len()), valid, "{ours:?}: {text}");
    // Lone surrogates and deep nesting are valid JSON that serde_json makes no value of.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        assert_eq!(rebuilt(text), value, "{text}");
        let mut written = String::new();
        json::push_string(&mut written, text);
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}

fn rebuilt(text: &str) -> Value {
    match json::kind(text) {
        Kind::Object => Value::Object(Members::of(text).map(|(k, v)| (json::unescape(k).into(), rebuilt(v))).collect()),
        Kind::Array => Members::of(text).map(|(_, v)| rebuilt(v)).collect(),
        Kind::String => json::text(text).into(),
        Kind::Null | Kind::Bool | Kind::Number => serde_json::from_str(text).unwrap(),
    }
}
