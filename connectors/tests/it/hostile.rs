//! Whatever the bytes are, receivers answer with an error, or with records that are JSON objects.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tarn_connectors::source::syslog::{Frame, Framing};
use tarn_connectors::source::{elasticsearch, splunk_hec, tail};
use tarn_ingest::container::Block;
use tarn_ingest::json;
use tarn_ingest::source::Sources;

static SOURCES: LazyLock<Sources> = LazyLock::new(|| Sources::builtin().unwrap());

/// Pieces that the protocols are made of, and any bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 26] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        " ",
        "1",
        "null",
        "\"event\":",
        "\"time\":1",
        "{\"event\":\"a\"}",
        "{\"event\":{\"message\":\"",
        "Oct 11 22:14:15 h su: x",
        "type=CWD msg=audit(1.0:1): cwd=\\\"/\\\"",
        "\"}}",
        "{\"create\":{}}\n",
        "{\"index\":{\"_index\":\"i\"}}\n",
        "{\"delete\":{}}\n",
        "{\"a\":1}\n",
        "<34>1 ",
        "12 ",
        "\0",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn check(block: &Block) {
    for record in &block.records {
        let text = block.json(record);
        assert!(text.starts_with('{') && json::end_of_value(text.as_bytes(), 0) == Ok(text.len()), "{text}");
        assert!(!block.original(record).is_empty());
    }
    let numbers = block.records.iter().map(|r| r.number).chain(block.dead.iter().map(|d| d.number));
    let count = (block.records.len() + block.dead.len()) as u64;
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (1..=count).collect());
}

fn frames(stream: &[u8], piece: usize) -> Vec<(u8, Vec<u8>)> {
    let mut framing = Framing::new(16);
    let mut found = Vec::new();
    let told = |framing: &Framing, frame: &Frame| match frame {
        Frame::Message(range) => (0, framing.text(range).to_vec()),
        Frame::TooLong { kept } => (1, framing.text(kept).to_vec()),
        Frame::Cut(range) => (2, framing.text(range).to_vec()),
    };
    for piece in stream.chunks(piece) {
        framing.room().extend_from_slice(piece);
        while let Some(frame) = framing.frame() {
            found.push(told(&framing, &frame));
        }
    }
    found.extend(framing.finish().map(|frame| told(&framing, &frame)));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn collectors_bodies(body in bytes()) {
        if let Ok(block) = splunk_hec::read(&body, &SOURCES) {
            check(&block);
        }
    }

    #[test]
    fn bulk_bodies(body in bytes()) {
        if let Ok((items, block)) = elasticsearch::read(&body, Some("i"), &SOURCES) {
            prop_assert!(block.records.len() + block.dead.len() <= items.len());
            check(&block);
        }
    }

    #[test]
    fn streams_of_syslog(stream in bytes(), piece in 1_usize..40) {
        prop_assert_eq!(frames(&stream, piece), frames(&stream, stream.len().max(1)));
    }

    #[test]
    fn positions(text in bytes()) {
        drop(tail::parse(&text));
    }
}
