//! Bodies of Splunk's collector and of bulk requests, streams of syslog, and positions; the first byte says which.
//! An error, or records that are JSON objects, numbered from 1 without a gap; no byte of a stream is told twice.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use tarn_connectors::source::{elasticsearch, splunk_hec, syslog, tail};
use tarn_ingest::container::Block;
use tarn_ingest::json;
use tarn_ingest::source::Sources;

thread_local! {
    static SOURCES: Sources = Sources::builtin().unwrap();
}

const MESSAGE_BYTES_MAX: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => SOURCES.with(|sources| splunk_hec::read(bytes, sources)).iter().for_each(check),
        1 => {
            if let Ok((items, block)) = SOURCES.with(|sources| elasticsearch::read(bytes, Some("i"), sources)) {
                assert!(block.records.len() + block.dead.len() <= items.len());
                check(&block);
            }
        }
        2 => {
            let whole = frames(bytes, bytes.len().max(1));
            assert_eq!(whole, frames(bytes, 1 + usize::from(*kind) / 4), "other pieces give other messages");
            assert!(whole.iter().map(|(_, text)| text.len()).sum::<usize>() <= bytes.len());
        }
        _ => drop(tail::parse(bytes)),
    }
});

/// Each frame's kind and bytes, of a stream that comes in pieces.
fn frames(stream: &[u8], piece: usize) -> Vec<(u8, Vec<u8>)> {
    let mut framing = syslog::Framing::new(MESSAGE_BYTES_MAX);
    let mut found = Vec::new();
    for piece in stream.chunks(piece) {
        framing.room().extend_from_slice(piece);
        while let Some(frame) = framing.frame() {
            found.push(told(&framing, &frame));
        }
    }
    let rest = framing.finish();
    found.extend(rest.map(|frame| told(&framing, &frame)));
    found
}

fn told(framing: &syslog::Framing, frame: &syslog::Frame) -> (u8, Vec<u8>) {
    let (kind, range) = match frame {
        syslog::Frame::Message(range) => (0, range),
        syslog::Frame::TooLong { kept } => (1, kept),
        syslog::Frame::Cut(range) => (2, range),
    };
    assert!(range.len() <= MESSAGE_BYTES_MAX || kind == 2);
    (kind, framing.text(range).to_vec())
}

fn check(block: &Block) {
    for record in &block.records {
        let text = block.json(record);
        assert!(text.starts_with('{'), "a record that is no object: {text}");
        assert_eq!(json::end_of_value(text.as_bytes(), 0), Ok(text.len()), "{text}");
        assert!(!block.original(record).is_empty());
    }
    let numbers = block.records.iter().map(|r| r.number).chain(block.dead.iter().map(|d| d.number));
    let count = (block.records.len() + block.dead.len()) as u64;
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (1..=count).collect());
}
