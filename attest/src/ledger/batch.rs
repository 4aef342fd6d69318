//! A batch: one object that commits leaves, with the checkpoint after them and the bytes that they stand for.
//!
//! ```text
//! "TLB1" | checkpoint length u32 | leaves u32
//! each leaf: leaf length u16 | record length u32 | raw length u32
//! checkpoint | leaves | each leaf: record, raw
//! ```
//!
//! Integers are big-endian. Nothing follows, nothing is between; so every byte is covered by the checkpoint's signature,
//! by the tree's root, by a leaf's digests, or by the lengths that make these right.

use super::checkpoint::CHECKPOINT_BYTES_MAX;
use super::entry::{RAW_BYTES_MAX, RECORD_BYTES_MAX};
use bytes::{BufMut, Bytes, BytesMut};

const MAGIC: &[u8; 4] = b"TLB1";
const HEAD: usize = 12;
const ROW: usize = 10;

/// Most leaves of a batch.
pub(crate) const BATCH_LEAVES_MAX: usize = 8192;
/// Bytes of records and documents after which a batch is closed; one entry alone may be larger.
pub(crate) const BATCH_BYTES: usize = 16 << 20;
/// Largest batch that can be: the last entry may exceed the bytes, and a leaf has less than 8 KiB.
pub(crate) const BATCH_BYTES_MAX: usize = BATCH_BYTES + RECORD_BYTES_MAX + RAW_BYTES_MAX + (8 << 10) * BATCH_LEAVES_MAX;

/// Bytes that hold the directory of any batch.
pub(crate) const DIRECTORY_BYTES_MAX: u64 = (HEAD + ROW * BATCH_LEAVES_MAX) as u64;

/// One leaf of a batch and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) leaf: Bytes,
    pub(crate) record: Bytes,
    pub(crate) raw: Bytes,
}

/// What a batch holds.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) checkpoint: Bytes,
    pub(crate) items: Vec<Item>,
}

/// Where a batch's parts are.
pub(crate) struct Directory {
    checkpoint: usize,
    rows: Vec<[usize; 3]>,
}

impl Directory {
    /// Reads the head of a batch; what follows it is not looked at.
    ///
    /// **Errors**: what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or("no batch: too short")?;
        if !head.starts_with(MAGIC) {
            return Err("no batch of this format: it does not begin with TLB1".to_owned());
        }
        let (checkpoint, count) = (number(&head[4..8]), number(&head[8..12]));
        if checkpoint > CHECKPOINT_BYTES_MAX || count == 0 || count > BATCH_LEAVES_MAX {
            return Err(format!("a batch of {count} leaves and a checkpoint of {checkpoint} bytes cannot be"));
        }
        let rows = rest.get(..count * ROW).ok_or("the batch is cut off in its directory")?;
        let rows = rows.chunks_exact(ROW).map(|r| [number(&r[..2]), number(&r[2..6]), number(&r[6..])]);
        Ok(Self { checkpoint, rows: rows.collect() })
    }

    fn start(&self) -> usize {
        HEAD + self.rows.len() * ROW
    }

    /// Where the record and the document of a leaf are, from the beginning of the object.
    pub(crate) fn blobs(&self, at: usize) -> Option<(std::ops::Range<u64>, std::ops::Range<u64>)> {
        let [_, record, raw] = *self.rows.get(at)?;
        let leaves: usize = self.rows.iter().map(|row| row[0]).sum();
        let before: usize = self.rows[..at].iter().map(|row| row[1] + row[2]).sum();
        let from = (self.start() + self.checkpoint + leaves + before) as u64;
        let middle = from + record as u64;
        Some((from..middle, middle..middle + raw as u64))
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, b| (n << 8) | usize::from(*b))
}

impl Batch {
    /// The object. The lengths fit: entries and leaves are bounded.
    pub(crate) fn encode(&self) -> Bytes {
        let size = |i: &Item| ROW + i.leaf.len() + i.record.len() + i.raw.len();
        let mut out =
            BytesMut::with_capacity(HEAD + self.checkpoint.len() + self.items.iter().map(size).sum::<usize>());
        out.put_slice(MAGIC);
        out.put_u32(self.checkpoint.len() as u32);
        out.put_u32(self.items.len() as u32);
        for item in &self.items {
            out.put_u16(item.leaf.len() as u16);
            out.put_u32(item.record.len() as u32);
            out.put_u32(item.raw.len() as u32);
        }
        out.put_slice(&self.checkpoint);
        for item in &self.items {
            out.put_slice(&item.leaf);
        }
        for item in &self.items {
            out.put_slice(&item.record);
            out.put_slice(&item.raw);
        }
        out.freeze()
    }

    /// Reads an object; its parts share its memory.
    ///
    /// **Errors**: what is wrong with it.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, String> {
        let directory = Directory::parse(bytes)?;
        let mut rest = bytes.slice(directory.start()..);
        let expected = directory.checkpoint + directory.rows.iter().flatten().sum::<usize>();
        if rest.len() != expected {
            return Err(format!("the batch should go on for {expected} bytes, it goes on for {}", rest.len()));
        }
        let checkpoint = rest.split_to(directory.checkpoint);
        let leaves: Vec<Bytes> = directory.rows.iter().map(|row| rest.split_to(row[0])).collect();
        let items = leaves.into_iter().zip(&directory.rows).map(|(leaf, row)| {
            let record = rest.split_to(row[1]);
            Item { leaf, record, raw: rest.split_to(row[2]) }
        });
        let items = items.collect();
        Ok(Self { checkpoint, items })
    }
}

/// The name of the batch after so many leaves.
pub(crate) fn path(from: u64) -> String {
    format!("batch/{from:020}")
}
