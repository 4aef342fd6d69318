//! Reads one segment, frame after frame. Decides nothing: who reads knows what an unsound frame means.

use super::error::{Damage, LogError};
use super::files::{Files, LogFile};
use super::format::{FRAME_HEAD, FrameHead, NoSegment, SEGMENT_HEAD, SegmentHead, VERSION, segment_name};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

const BUFFER: usize = 256 << 10;

/// A segment and where its reader stands.
#[derive(Debug)]
pub(super) struct Segment {
    file: BufReader<Box<dyn LogFile>>,
    pub path: PathBuf,
    pub head: SegmentHead,
    /// Offset of the next frame.
    pub at: u64,
    /// Where reading ends.
    pub end: u64,
    /// Sequence of the next frame.
    pub next: u64,
    /// Offset of the last group: the frames that one sync made durable.
    pub group: u64,
    /// What the last group knew as synced.
    synced: u64,
}

/// What stands at the reader's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Frame(FrameHead),
    End,
    Unsound,
}

impl Segment {
    /// Opens the segment that begins with `first`, up to `end` or as far as it goes.
    ///
    /// **Errors**: [`LogError::Cut`] where there is none; [`LogError::Damaged`] and [`LogError::NewerFormat`] by its
    /// header.
    pub(super) fn open(files: &Arc<dyn Files>, first: u64, end: Option<u64>) -> Result<Self, LogError> {
        let name = segment_name(first);
        let path = files.path(&name);
        let mut file = files.open(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LogError::Cut { sequence: first },
            _ => LogError::io(path.clone(), error),
        })?;
        let length = file.length().map_err(|error| LogError::io(path.clone(), error))?;
        let damaged = |damage| LogError::Damaged { file: path.clone(), offset: 0, damage };
        if length < SEGMENT_HEAD as u64 {
            return Err(damaged(Damage::Head));
        }
        let mut bytes = [0; SEGMENT_HEAD];
        file.read_exact(&mut bytes).map_err(|error| LogError::io(path.clone(), error))?;
        let head = SegmentHead::decode(&bytes).map_err(|error| match error {
            NoSegment::Damaged => damaged(Damage::Head),
            NoSegment::Newer(found) => LogError::NewerFormat { file: path.clone(), found, supported: VERSION },
        })?;
        if head.first != first {
            return Err(damaged(Damage::Name { first: head.first }));
        }
        let at = SEGMENT_HEAD as u64;
        let end = end.map_or(length, |end| end.min(length));
        let file = BufReader::with_capacity(BUFFER, file);
        Ok(Self { file, path, head, at, end, next: first, group: at, synced: first - 1 })
    }

    /// The frame at the offset. Its payload has to be read or skipped next.
    pub(super) fn found(&mut self) -> Result<Found, LogError> {
        if self.at >= self.end {
            return Ok(Found::End);
        }
        if self.end - self.at < FRAME_HEAD as u64 {
            return Ok(Found::Unsound);
        }
        let mut bytes = [0; FRAME_HEAD];
        self.file.read_exact(&mut bytes).map_err(|error| self.io(error))?;
        let Some(frame) = FrameHead::decode(&bytes, self.head.salt) else { return Ok(Found::Unsound) };
        // A group knows as synced what was there before it.
        let new_group = frame.synced == self.next - 1;
        let fits = frame.frame_bytes() <= self.end - self.at;
        if frame.sequence != self.next || !fits || !(new_group || frame.synced == self.synced) {
            return Ok(Found::Unsound);
        }
        if new_group {
            (self.group, self.synced) = (self.at, frame.synced);
        }
        Ok(Found::Frame(frame))
    }

    /// The payload of the frame that was found; `None` if it is not sound.
    pub(super) fn payload(&mut self, frame: &FrameHead) -> Result<Option<Vec<u8>>, LogError> {
        // Not longer than the file, as was checked.
        let mut payload = vec![0; frame.bytes as usize];
        self.file.read_exact(&mut payload).map_err(|error| self.io(error))?;
        let sound = crc32fast::hash(&payload) == frame.crc;
        if sound {
            self.pass(frame);
        }
        Ok(sound.then_some(payload))
    }

    /// As [`Segment::payload`], without keeping it: whether it is sound.
    pub(super) fn check(&mut self, frame: &FrameHead) -> Result<bool, LogError> {
        let (mut hasher, mut left) = (crc32fast::Hasher::new(), frame.bytes as usize);
        let mut chunk = vec![0; BUFFER.min(left)];
        while left > 0 {
            let chunk = &mut chunk[..BUFFER.min(left)];
            self.file.read_exact(chunk).map_err(|error| self.io(error))?;
            hasher.update(chunk);
            left -= chunk.len();
        }
        let sound = hasher.finalize() == frame.crc;
        if sound {
            self.pass(frame);
        }
        Ok(sound)
    }

    /// Passes over the payload of the frame that was found.
    pub(super) fn skip(&mut self, frame: &FrameHead) -> Result<(), LogError> {
        self.file.seek_relative(i64::from(frame.bytes)).map_err(|error| self.io(error))?;
        self.pass(frame);
        Ok(())
    }

    fn pass(&mut self, frame: &FrameHead) {
        self.at += frame.frame_bytes();
        self.next += 1;
    }

    /// Whether a header in the rest of the segment says that the frame which is next had been synced.
    pub(super) fn next_was_synced(&mut self) -> Result<bool, LogError> {
        self.file.seek(SeekFrom::Start(self.at)).map_err(|error| self.io(error))?;
        let mut window = Vec::with_capacity(2 * BUFFER);
        let mut left = self.end - self.at;
        let most = self.next + left / FRAME_HEAD as u64;
        loop {
            let more = left.min(BUFFER as u64);
            let read = Read::by_ref(&mut self.file).take(more).read_to_end(&mut window);
            read.map_err(|error| self.io(error))?;
            let says_so = |bytes: &[u8; FRAME_HEAD]| {
                let frame = FrameHead::fields(bytes);
                // The CRC last: it is what costs.
                frame.synced >= self.next
                    && frame.sequence <= most
                    && FrameHead::decode(bytes, self.head.salt).is_some()
            };
            if window.array_windows().any(says_so) {
                return Ok(true);
            }
            left -= more;
            if left == 0 {
                return Ok(false);
            }
            window.drain(..window.len().saturating_sub(FRAME_HEAD - 1));
        }
    }

    /// The file, to go on writing.
    pub(super) fn into_file(self) -> Box<dyn LogFile> {
        self.file.into_inner()
    }

    pub(super) fn damaged(&self, damage: Damage) -> LogError {
        LogError::Damaged { file: self.path.clone(), offset: self.at, damage }
    }

    fn io(&self, error: io::Error) -> LogError {
        LogError::io(self.path.clone(), error)
    }
}
