//! Frames of a checkpoint: a length of four bytes, least significant first, so many bytes, and a checksum.
//!
//! The checksum is the CRC-32 of all bytes since the checkpoint's first that are no checksums, so that frames that are
//! lost, doubled or in another order are found as well.

use super::RestoreError;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Bytes of a frame. One group or match has to find room in it.
const FRAME_MAX: u32 = 64 << 20;

/// Groups or matches are written together until they take so many bytes.
const BATCH_BYTES: usize = 64 << 10;

/// A frame, in postcard's format.
#[derive(Serialize, Deserialize)]
pub enum Frame<'a> {
    /// What is true of all; first.
    Clock(Clock),
    /// A correlation; its groups follow. `fields` are those that its matches pass on.
    Correlation {
        #[serde(borrow)]
        identity: Identity<'a>,
        #[serde(borrow)]
        fields: Vec<&'a str>,
        evicted: u64,
    },
    /// A rule; its waiting matches follow. `fields` are those of their values.
    Rule {
        #[serde(borrow)]
        identity: Identity<'a>,
        #[serde(borrow)]
        fields: Vec<&'a str>,
    },
    /// Groups or matches, each packed and behind its length ([`take_item`]).
    Items(&'a [u8]),
    /// The end.
    End,
    /// A correlation; what was told of it early follows.
    Told {
        #[serde(borrow)]
        identity: Identity<'a>,
    },
    /// Uids of findings that were told and of which no more is known, and when they expire, follow.
    Uids,
}

/// Times and counts.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Clock {
    pub arrived: u64,
    pub latest: i64,
    pub taken: i64,
    pub late: u64,
    pub early: u64,
    pub dropped: u64,
}

/// Which version of which rule; of several that say they are the same, which of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity<'a> {
    pub id: &'a str,
    pub digest: &'a str,
    pub nth: u32,
}

/// Writes frames.
pub struct Writer<W> {
    out: W,
    checksum: crc32fast::Hasher,
    /// Items under way.
    items: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Behind a head.
    pub fn new(mut out: W, head: &[u8]) -> io::Result<Self> {
        out.write_all(head)?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(head);
        Ok(Self { out, checksum, items: Vec::new() })
    }

    /// Writes a frame.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        self.write_items()?;
        self.frame(frame)
    }

    /// Writes an item, with others.
    pub fn write_item(&mut self, item: &[u8]) -> io::Result<()> {
        self.items = postcard::to_extend(item, std::mem::take(&mut self.items)).map_err(io::Error::other)?;
        if self.items.len() >= BATCH_BYTES { self.write_items() } else { Ok(()) }
    }

    fn write_items(&mut self) -> io::Result<()> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() { Ok(()) } else { self.frame(&Frame::Items(&items)) }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let bytes = postcard::to_stdvec(frame).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= FRAME_MAX);
        let too_long = || io::Error::other(format!("a frame of {} bytes; the limit is {FRAME_MAX}", bytes.len()));
        let length = length.ok_or_else(too_long)?.to_le_bytes();
        self.checksum.update(&length);
        self.checksum.update(&bytes);
        self.out.write_all(&length)?;
        self.out.write_all(&bytes)?;
        self.out.write_all(&self.checksum.clone().finalize().to_le_bytes())
    }
}

/// Takes the first item of a frame's; none where there is none.
pub fn take_item<'a>(items: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (item, rest) = postcard::take_from_bytes(items).ok()?;
    *items = rest;
    Some(item)
}

/// Reads frames.
pub struct Reader<R> {
    input: R,
    checksum: crc32fast::Hasher,
    bytes: Vec<u8>,
    /// The next frame's number.
    number: u64,
}

impl<R: Read> Reader<R> {
    /// Behind a head.
    pub fn new(input: R, head: &[u8]) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(head);
        Self { input, checksum, bytes: Vec::new(), number: 0 }
    }

    /// The next frame, and its number.
    pub fn read(&mut self) -> Result<(u64, Frame<'_>), RestoreError> {
        let number = self.number;
        let damaged = |expected| RestoreError::Damaged { frame: number, expected };
        let length = u32::from_le_bytes(self.four(number, "a frame's length")?);
        if length > FRAME_MAX {
            return Err(damaged("a frame of at most 64 MiB"));
        }
        self.bytes.clear();
        // What the length promises is not reserved before it is there.
        let input = self.input.by_ref().take(length.into());
        if { input }.read_to_end(&mut self.bytes).map_err(RestoreError::Read)? < length as usize {
            return Err(damaged("the rest of a frame"));
        }
        self.checksum.update(&length.to_le_bytes());
        self.checksum.update(&self.bytes);
        if u32::from_le_bytes(self.four(number, "a frame's checksum")?) != self.checksum.clone().finalize() {
            return Err(damaged("bytes that their checksum is of"));
        }
        self.number += 1;
        match postcard::take_from_bytes(&self.bytes) {
            Ok((frame, [])) => Ok((number, frame)),
            _ => Err(damaged("a frame that this version knows")),
        }
    }

    fn four(&mut self, frame: u64, expected: &'static str) -> Result<[u8; 4], RestoreError> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RestoreError::Damaged { frame, expected },
            _ => RestoreError::Read(error),
        })?;
        Ok(bytes)
    }
}
