//! Opens a folder: what an earlier process left becomes a log whose every frame is durable.

use super::active::{Active, Failure};
use super::error::{Damage, LogError};
use super::files::Files;
use super::format::{STAGED, segment_first};
use super::frames::Span;
use super::segment::{Found, Segment};
use std::any::Any;
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Bytes that are written again at a time.
const CHUNK: u64 = 1 << 20;

/// An opened folder.
#[derive(Debug)]
pub(super) struct Opened {
    /// Nobody else opens the folder while this lives.
    pub lock: Box<dyn Any + Send>,
    pub active: Active,
    /// All segments, with the active one last.
    pub spans: VecDeque<Span>,
    /// Sequence of the last frame; 0 if there was never one.
    pub last: u64,
    /// Bytes of an interrupted write that were cut off.
    pub torn: u64,
}

/// Opens or creates the folder.
///
/// Only the last segment is read, since the next one is created after all of it was synced. The others are checked
/// when they are read.
pub(super) fn open(files: &Arc<dyn Files>) -> Result<Opened, LogError> {
    let folder = |error| LogError::io(files.path(""), error);
    let lock = files.lock().map_err(folder)?.ok_or_else(|| LogError::Locked { folder: files.path("") })?;
    let names = files.names().map_err(folder)?;
    for name in names.iter().filter(|name| name.ends_with(STAGED)) {
        files.remove(name).map_err(|error| LogError::io(files.path(name), error))?;
    }
    // An earlier process may have ended between a change of names and its sync.
    files.sync_folder().map_err(folder)?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    let Some((&last, closed)) = firsts.split_last() else { return create(files, lock) };

    let mut spans = VecDeque::with_capacity(firsts.len());
    let mut writer = None;
    for &first in closed {
        let segment = Segment::open(files, first, None)?;
        belongs(&segment, &mut writer)?;
        spans.push_back(Span { first, end: segment.end });
    }
    let segment = Segment::open(files, last, None)?;
    belongs(&segment, &mut writer)?;
    let (active, last, torn) = recover(segment)?;
    spans.push_back(Span { first: active.head.first, end: active.end });
    Ok(Opened { lock, active, spans, last, torn })
}

fn create(files: &Arc<dyn Files>, lock: Box<dyn Any + Send>) -> Result<Opened, LogError> {
    let active = Active::create(files, uuid::Uuid::new_v4(), 1).map_err(|failure| match failure {
        Failure::NoRoom => LogError::Full { bytes: 0, limit: super::Limit::Disk },
        Failure::Unchanged(error) => error,
        Failure::Poison(file, error) => LogError::io(file, error),
    })?;
    let spans = VecDeque::from([Span { first: 1, end: active.end }]);
    Ok(Opened { lock, active, spans, last: 0, torn: 0 })
}

fn belongs(segment: &Segment, writer: &mut Option<uuid::Uuid>) -> Result<(), LogError> {
    let expected = *writer.get_or_insert(segment.head.writer);
    if expected == segment.head.writer {
        return Ok(());
    }
    Err(LogError::Foreign { file: segment.path.clone(), writer: segment.head.writer, expected })
}

/// Cuts an interrupted write off the last segment, and makes durable what is left. With the last sequence and the
/// bytes that were cut.
fn recover(mut segment: Segment) -> Result<(Active, u64, u64), LogError> {
    loop {
        match segment.found()? {
            Found::Frame(frame) if segment.check(&frame)? => {}
            Found::End => break,
            Found::Frame(_) | Found::Unsound => {
                if segment.next_was_synced()? {
                    return Err(segment.damaged(Damage::Frame { sequence: segment.next }));
                }
                break;
            }
        }
    }
    let (path, head, last) = (segment.path.clone(), segment.head, segment.next - 1);
    let (group, end, length) = (segment.group, segment.at, segment.end);
    let mut file = segment.into_file();
    let mut settle = || {
        if end < length {
            file.truncate(end)?;
        }
        // The last group may be in the kernel's memory only, and be taken there as written although its sync failed.
        // Whoever reads it from here on relies on it, so it is written once more.
        let mut at = group;
        while at < end {
            file.seek(SeekFrom::Start(at))?;
            let mut chunk = vec![0; CHUNK.min(end - at) as usize];
            file.read_exact(&mut chunk)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&chunk)?;
            at += chunk.len() as u64;
        }
        file.sync()?;
        file.seek(SeekFrom::Start(end))
    };
    settle().map_err(|error| LogError::io(path.clone(), error))?;
    Ok((Active { file, path, head, end }, last, length - end))
}
