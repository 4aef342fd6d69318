//! The laws of every container, whatever its bytes.

use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::Cursor;
use tarn_ingest::container::{Block, Blocks, ContainerError, Limits};
use tarn_ingest::{Reason, json};

/// What a container gave, without where it stood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Each record's JSON and original, in order.
    pub records: Vec<(String, String)>,
    /// Each dead letter's bytes and reason, in order.
    pub dead: Vec<(Vec<u8>, Reason)>,
}

/// Few bytes a block, and a short longest record: every limit is met by small inputs.
pub const SMALL: Limits =
    Limits { record_bytes_max: 512, dead_letter_bytes_max: 64, block_bytes: 32, block_records: 1 << 20 };

/// A number from the input that says where to cut it, up to its length.
pub fn cut(data: &[u8]) -> usize {
    data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % (data.len() + 1)
}

/// All blocks of a container. Each record is one JSON object's text, which serde_json reads as well; records and dead
/// letters are numbered from 1 without a gap; blocks with records have one origin; nothing comes after the end.
///
/// **Errors**: the bytes are no container.
pub fn blocks(data: &[u8], limits: Limits) -> Result<Vec<Block>, ContainerError> {
    let mut reader = Blocks::open(Cursor::new(data.to_vec()), limits)?;
    let (mut blocks, mut numbers) = (Vec::<Block>::new(), BTreeSet::new());
    while let Some(block) = reader.next_block()? {
        for record in &block.records {
            let text = block.json(record);
            assert!(text.starts_with('{'), "a record that is no object: {text}");
            assert_eq!(json::end_of_value(text.as_bytes(), 0), Ok(text.len()), "{text}");
            assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
            assert!(!block.original(record).is_empty());
        }
        for number in block.records.iter().map(|r| r.number).chain(block.dead.iter().map(|d| d.number)) {
            assert!(numbers.insert(number), "two records have the number {number}");
        }
        assert!(!block.records.is_empty() || !block.dead.is_empty(), "an empty block");
        blocks.push(block);
    }
    assert!(reader.next_block()?.is_none(), "a block after the last");
    assert!(numbers.into_iter().eq(1..=count(&blocks)), "the numbers have a gap");
    let origins: BTreeSet<_> = blocks.iter().filter(|b| !b.records.is_empty()).map(|b| b.origin).collect();
    assert!(origins.len() <= 1, "two origins of one container");
    Ok(blocks)
}

/// Records and dead letters.
pub fn count(blocks: &[Block]) -> u64 {
    blocks.iter().map(|b| (b.records.len() + b.dead.len()) as u64).sum()
}

/// What is in a container, with the laws of [`blocks`].
///
/// **Errors**: the bytes are no container.
pub fn read(data: &[u8], limits: Limits) -> Result<Read, ContainerError> {
    let mut read = Read::default();
    for block in blocks(data, limits)? {
        let records = block.records.iter().map(|r| (block.json(r).to_owned(), block.original(r).to_owned()));
        read.records.extend(records);
        read.dead.extend(block.dead.iter().map(|d| (d.bytes.clone(), d.reason.clone())));
    }
    Ok(read)
}
