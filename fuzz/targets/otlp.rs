//! OTLP requests, the first byte saying what they are. An error, or records and dead letters that are numbered from 1,
//! each record one JSON object's text, all of them within the limits.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use tarn_ingest::json;
use tarn_ingest::otlp::metric::table::Rows;
use tarn_ingest::otlp::{Encoding, Limits, logs, metrics, spans};
use tarn_ingest::source::Sources;

thread_local! {
    static SOURCES: Sources = Sources::builtin().unwrap();
}

const LIMITS: Limits = Limits {
    messages_max: 10_000,
    records_max: 100,
    attributes_max: 8,
    record_bytes_max: 4_096,
    dead_letter_bytes_max: 64,
    bytes_max: 64 << 10,
};

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let encoding = if kind & 1 == 0 { Encoding::Protobuf } else { Encoding::Json };
    let of_metrics = kind & 10 == 10;
    let read = match kind & 10 {
        10 => metrics(bytes, encoding, &LIMITS),
        2 => spans(bytes, encoding, &LIMITS),
        _ => SOURCES.with(|sources| logs(bytes, encoding, (kind & 4 == 0).then_some(sources), &LIMITS)),
    };
    let Ok(block) = read else { return };
    assert!(block.json.len() + block.text.len() <= LIMITS.bytes_max);
    for record in &block.records {
        for text in [block.json(record), block.original(record)] {
            assert!(text.starts_with('{'), "a record that is no object: {text}");
            assert_eq!(json::end_of_value(text.as_bytes(), 0), Ok(text.len()), "{text}");
            assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
        }
        assert!(block.original(record).len() <= LIMITS.record_bytes_max);
    }
    if of_metrics {
        let mut rows = Rows::default();
        for record in &block.records {
            rows.push(&block, record, 7).unwrap();
        }
        assert_eq!(rows.finish().unwrap().num_rows(), block.records.len());
    }
    assert!(block.dead.iter().all(|d| d.bytes.len() <= LIMITS.dead_letter_bytes_max));
    let numbers = block.records.iter().map(|r| r.number).chain(block.dead.iter().map(|d| d.number));
    let numbers: BTreeSet<u64> = numbers.collect();
    assert!(numbers.into_iter().eq(1..=(block.records.len() + block.dead.len()) as u64), "a gap in the numbers");
});
