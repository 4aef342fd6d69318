//! One file that is read: the next piece of whole lines, and whether it is still the file that it was.

use super::Options;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::{DeadLetter, LineDecoder, Reason};

/// Bytes at a file's start that tell it from others.
pub const HEAD_BYTES: usize = 1024;
/// Bytes of a first line that may name the fields: all that AWS has for flow logs are 1,500.
const HEADER_BYTES_MAX: usize = 4096;
/// Bytes of a line that is too long which are kept.
const DEAD_BYTES: usize = 64 << 10;

/// Which file it is, on this machine, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Its device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

impl Id {
    /// The id in a file's metadata.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes that were taken.
    pub offset: u64,
    /// Whether the next bytes are the rest of a line that was too long.
    pub skipping: bool,
    /// Its first bytes, up to `offset`.
    pub head: Vec<u8>,
}

/// A piece of a file.
#[derive(Debug)]
pub struct Piece {
    /// Its records.
    pub block: Block,
    /// The position behind it.
    pub next: Position,
}

/// A file that is open.
#[derive(Debug)]
pub struct Tracked {
    file: File,
    /// Where it was last.
    pub path: PathBuf,
    /// How far it was taken.
    pub position: Position,
    /// Since when no path leads to it; later, when it grew since.
    pub gone: Option<Instant>,
    /// No path has led to it for long enough: a last line needs no end.
    pub last: bool,
    /// Its length at the last look.
    length: u64,
    /// When it was seen to have another length than before.
    grown: Instant,
}

impl Tracked {
    /// A file at a position.
    pub fn new(file: File, path: PathBuf, position: Position) -> Self {
        Self { file, path, position, gone: None, last: false, length: 0, grown: Instant::now() }
    }

    /// The first bytes of a file.
    pub fn head_of(file: &File, bytes: usize) -> io::Result<Vec<u8>> {
        read(file, 0, bytes)
    }

    /// The next piece; none where there is no whole line yet.
    pub fn piece(&mut self, options: &Options) -> io::Result<Option<Piece>> {
        let length = self.file.metadata()?.len();
        let grown = std::mem::replace(&mut self.length, length) != length;
        if grown {
            self.grown = Instant::now();
            self.gone = self.gone.map(|_| self.grown);
        }
        if length < self.position.offset || (grown && self.begins_otherwise()?) {
            tracing::info!(path = %self.path.display(), "tail: the file was truncated");
            self.position = Position::default();
        }
        if length == self.position.offset {
            return Ok(None);
        }
        let most = options.piece_bytes.max(options.line_bytes_max).max(1);
        let bytes = read(&self.file, self.position.offset, most)?;
        // A log whose first line names the fields is read with it in every piece; it makes no record.
        let first = if self.position.offset > 0 { read(&self.file, 0, HEADER_BYTES_MAX)? } else { Vec::new() };
        Ok(self.take(bytes, LineDecoder::header(&first), most, options))
    }

    /// Whether all of it was taken, as far as it was looked at.
    pub fn is_done(&self) -> bool {
        self.position.offset >= self.length
    }

    /// It cannot be read: what is left of it is not waited for.
    pub fn give_up(&mut self) {
        self.length = self.position.offset;
    }

    fn begins_otherwise(&self) -> io::Result<bool> {
        Ok(read(&self.file, 0, self.position.head.len())? != self.position.head)
    }

    /// The records of whole lines in `bytes`, of which there are `most` unless the file ends with them. `header` names
    /// their fields.
    fn take(&self, bytes: Vec<u8>, header: &[u8], most: usize, options: &Options) -> Option<Piece> {
        if self.position.skipping {
            let end = memchr::memchr(b'\n', &bytes);
            let skipped = end.map_or(bytes.len(), |end| end + 1);
            let next = self.behind(&bytes[..skipped], end.is_none() && !self.last);
            return (skipped > 0).then_some(Piece { block: Block::default(), next });
        }
        let end = match memchr::memrchr(b'\n', &bytes) {
            Some(end) => end + 1,
            None if bytes.len() >= options.line_bytes_max => return Some(self.too_long(&bytes, options)),
            None if self.last => bytes.len(),
            None => return None,
        };
        let lines = &bytes[..end];
        let at_end = bytes.len() < most;
        let quiet = self.last || self.grown.elapsed() >= Duration::from_millis(options.poll_ms);
        let lines = match settled(lines) {
            _ if at_end && quiet => lines,
            [] if !at_end => lines,
            settled => settled,
        };
        if lines.is_empty() {
            return None;
        }
        let next = self.behind(lines, false);
        // A piece is within these; what is made of lines is longer than they are.
        let limits = Limits { block_bytes: usize::MAX, block_records: usize::MAX, ..Limits::default() };
        let block = Blocks::whole([header, lines].concat(), limits)
            .unwrap_or_else(|error| dead(lines, Reason::Decoder(error.to_string())));
        Some(Piece { block, next })
    }

    fn too_long(&self, bytes: &[u8], options: &Options) -> Piece {
        let reason = Reason::TooLarge { bytes: bytes.len() as u64, limit: options.line_bytes_max };
        Piece { block: dead(bytes, reason), next: self.behind(bytes, true) }
    }

    /// The position behind these bytes.
    fn behind(&self, bytes: &[u8], skipping: bool) -> Position {
        let mut head = self.position.head.clone();
        let missing = HEAD_BYTES.saturating_sub(head.len());
        // A file that was read from its end on is known by nothing but its inode.
        if head.len() as u64 == self.position.offset {
            head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        }
        Position { offset: self.position.offset + bytes.len() as u64, skipping, head }
    }
}

fn dead(bytes: &[u8], reason: Reason) -> Block {
    let bytes = bytes[..bytes.len().min(DEAD_BYTES)].to_vec();
    let mut block = Block::default();
    block.dead.push(DeadLetter { number: 1, offset: None, bytes, reason });
    block
}

/// The lines before those of an audit event that may go on: all its lines have one id.
fn settled(lines: &[u8]) -> &[u8] {
    let last = |lines: &[u8]| {
        let body = lines.strip_suffix(b"\n").unwrap_or(lines);
        memchr::memrchr(b'\n', body).map_or(0, |end| end + 1)
    };
    let mut end = lines.len();
    let Some(id) = audit_id(&lines[last(lines)..]) else { return lines };
    while end > 0 && audit_id(&lines[last(&lines[..end])..end]) == Some(id) {
        end = last(&lines[..end]);
    }
    &lines[..end]
}

fn audit_id(line: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(line, b"msg=audit(")?;
    let rest = &line[start..];
    Some(&rest[..memchr::memchr(b')', rest)?])
}

fn read(file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
