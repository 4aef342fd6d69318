//! The bytes of a segment: its header, and the header of each frame. No IO.
//!
//! Integers are little-endian. A segment's header, 44 bytes:
//!
//! | offset | | |
//! | --- | --- | --- |
//! | 0 | 8 bytes | `TARNSEG` and a zero |
//! | 8 | u32 | format version, 1 |
//! | 12 | u32 | salt: where the CRC of each frame's header begins; random |
//! | 16 | 16 bytes | the log's writer, a UUID |
//! | 32 | u64 | sequence of the first frame |
//! | 40 | u32 | CRC-32 of the 40 bytes before |
//!
//! A frame's header, 28 bytes, then its payload:
//!
//! | offset | | |
//! | --- | --- | --- |
//! | 0 | u32 | bytes of the payload |
//! | 4 | u32 | CRC-32 of the payload |
//! | 8 | u64 | sequence: one more than the frame before |
//! | 16 | u64 | the sequence up to which everything was synced when this frame was written |
//! | 24 | u32 | CRC-32 of the 24 bytes before, begun with the salt |
//!
//! **The salt** makes a frame of another segment, and bytes that a sender chose, no frame here. **The synced sequence**
//! tells an interrupted write from damage: a frame that is not sound, while a later one says that it was synced, had
//! been acknowledged.

use crc32fast::Hasher;
use uuid::Uuid;

/// What this release writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEAD: usize = 44;
/// Bytes of a frame's header.
pub(super) const FRAME_HEAD: usize = 28;
/// The longest payload that any option allows: 1 GiB.
pub(super) const PAYLOAD_MAX: u64 = 1 << 30;

/// Delta's transactions count as far, and sequences go there.
const SEQUENCE_MAX: u64 = i64::MAX as u64;
const MAGIC: [u8; 8] = *b"TARNSEG\0";
const SUFFIX: &str = ".seg";
/// What a segment is called until its header is synced.
pub(super) const STAGED: &str = ".seg.new";

/// The name of the segment that begins with a frame.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first frame of the segment of that name; `None` for other files.
pub(super) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub writer: Uuid,
    pub salt: u32,
    pub first: u64,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSegment {
    Damaged,
    Newer(u32),
}

impl SegmentHead {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let mut bytes = [0; SEGMENT_HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..32].copy_from_slice(self.writer.as_bytes());
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEAD]) -> Result<Self, NoSegment> {
        let version = u32_at(bytes, 8);
        if bytes[..8] != MAGIC || version == 0 {
            return Err(NoSegment::Damaged);
        }
        // Before the CRC: a later format may have it elsewhere.
        if version > VERSION {
            return Err(NoSegment::Newer(version));
        }
        let first = u64_at(bytes, 32);
        if u32_at(bytes, 40) != crc32fast::hash(&bytes[..40]) || first == 0 || first > SEQUENCE_MAX {
            return Err(NoSegment::Damaged);
        }
        let mut writer = [0; 16];
        writer.copy_from_slice(&bytes[16..32]);
        Ok(Self { writer: Uuid::from_bytes(writer), salt: u32_at(bytes, 12), first })
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub bytes: u32,
    pub crc: u32,
    pub sequence: u64,
    /// Less than `sequence`.
    pub synced: u64,
}

impl FrameHead {
    pub(super) fn encode(&self, salt: u32) -> [u8; FRAME_HEAD] {
        let mut bytes = [0; FRAME_HEAD];
        bytes[..4].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced.to_le_bytes());
        let crc = salted(salt, &bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What would be its fields, if that is a header of a frame.
    pub(super) fn fields(bytes: &[u8; FRAME_HEAD]) -> Self {
        Self { bytes: u32_at(bytes, 0), crc: u32_at(bytes, 4), sequence: u64_at(bytes, 8), synced: u64_at(bytes, 16) }
    }

    /// `None` if that is no header of a frame.
    pub(super) fn decode(bytes: &[u8; FRAME_HEAD], salt: u32) -> Option<Self> {
        let head = Self::fields(bytes);
        let sound = head.synced < head.sequence && u32_at(bytes, 24) == salted(salt, &bytes[..24]);
        sound.then_some(head)
    }

    /// The frame's length, with this header.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEAD as u64 + u64::from(self.bytes)
    }
}

fn salted(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
