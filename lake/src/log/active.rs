//! The segment that is written.

use super::error::LogError;
use super::files::{Files, LogFile};
use super::format::{FRAME_HEAD, FrameHead, SEGMENT_HEAD, STAGED, SegmentHead, segment_name};
use bytes::Bytes;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// A payload on its way to disk.
#[derive(Debug)]
pub(super) struct Payload {
    pub parts: Vec<Bytes>,
    pub bytes: u32,
    pub crc: u32,
}

impl Payload {
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEAD as u64 + u64::from(self.bytes)
    }
}

/// Why a group or a segment did not become durable.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk has no room; everything is as before.
    NoRoom,
    /// Everything is as before.
    Unchanged(LogError),
    /// What the disk has is unknown from here on.
    Poison(PathBuf, io::Error),
}

/// The segment that is written, open at its end.
#[derive(Debug)]
pub(super) struct Active {
    pub file: Box<dyn LogFile>,
    pub path: PathBuf,
    pub head: SegmentHead,
    /// Where its durable frames end.
    pub end: u64,
}

impl Active {
    /// Creates the segment that begins with a frame. It has its name only once its header is synced, so a header that
    /// is not sound is damage, never an interrupted write.
    pub(super) fn create(files: &Arc<dyn Files>, writer: Uuid, first: u64) -> Result<Self, Failure> {
        let name = segment_name(first);
        let staged = format!("{first:020}{STAGED}");
        let path = files.path(&name);
        let unchanged = |error| {
            // It would be overwritten, and removed at the next start: nothing depends on this.
            let _ = files.remove(&staged);
            Failure::Unchanged(LogError::io(path.clone(), error))
        };
        let head = SegmentHead { writer, salt: salt(), first };
        let mut file = files.create(&staged).map_err(unchanged)?;
        file.write_all(&head.encode()).map_err(unchanged)?;
        file.sync().map_err(|error| Failure::Poison(path.clone(), error))?;
        files.rename(&staged, &name).map_err(|error| match error.kind() {
            // Another process writes this log, too.
            io::ErrorKind::AlreadyExists => Failure::Poison(path.clone(), error),
            _ => unchanged(error),
        })?;
        files.sync_folder().map_err(|error| Failure::Poison(files.path(""), error))?;
        Ok(Self { file, path, head, end: SEGMENT_HEAD as u64 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end == SEGMENT_HEAD as u64
    }

    /// Writes payloads as the frames after `last`, and syncs them.
    pub(super) fn write<'a>(
        &mut self,
        last: u64,
        group: impl ExactSizeIterator<Item = &'a Payload> + Clone,
    ) -> Result<(), Failure> {
        let heads: Vec<[u8; FRAME_HEAD]> = (last + 1..)
            .zip(group.clone())
            .map(|(sequence, p)| {
                FrameHead { bytes: p.bytes, crc: p.crc, sequence, synced: last }.encode(self.head.salt)
            })
            .collect();
        let bytes: u64 = group.clone().map(Payload::frame_bytes).sum();
        let mut slices = Vec::with_capacity(2 * heads.len());
        for (head, payload) in heads.iter().zip(group) {
            slices.push(IoSlice::new(head));
            slices.extend(payload.parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)));
        }
        match write_all(&mut *self.file, &mut slices) {
            Ok(()) => {}
            Err(error) if is_no_room(&error) => return Err(self.take_back()),
            Err(error) => return Err(self.poison(error)),
        }
        // Never a second time: after a failure the kernel takes as written what it could not write.
        self.file.sync().map_err(|error| self.poison(error))?;
        self.end += bytes;
        Ok(())
    }

    /// After a write that found no room: the file ends with its last durable frame again, also on disk. Else a crash
    /// after the next segment was begun would leave something behind the last frame of this one.
    fn take_back(&mut self) -> Failure {
        let mut cut = || {
            self.file.truncate(self.end)?;
            self.file.sync()?;
            self.file.seek(SeekFrom::Start(self.end))
        };
        match cut() {
            Ok(_) => Failure::NoRoom,
            Err(error) => self.poison(error),
        }
    }

    fn poison(&self, error: io::Error) -> Failure {
        Failure::Poison(self.path.clone(), error)
    }
}

/// Random, so that nobody who sends payloads can know it.
fn salt() -> u32 {
    Uuid::new_v4().as_fields().0
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn write_all(file: &mut dyn LogFile, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
