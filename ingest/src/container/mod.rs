//! Containers: bytes of files, sockets and objects become blocks of records.
//!
//! **In**: a `Read`. gzip and zstd (of any number of members) are peeled; then EVTX by its magic, JSON by its first
//! byte (one object a line, pretty-printed, concatenated, below evtx_dump's `Record 1`, arrays, and envelopes as `{"Records": […]}`), and
//! lines of auditd, syslog, AWS's flow logs and S3's access logs, and Parquet's rows. **Out**: [`Block`]s of about a megabyte. Each record is one valid JSON object's text.
//! **Fails**: never for a bad record (a [`DeadLetter`]), only when the bytes cannot be read.
//! **Bounds**: one block and one record ([`Limits::record_bytes_max`]) in memory.

mod envelope;
mod evtx;
mod export;
mod json;
mod lines;
mod whole;

use crate::dead_letter::{DeadLetter, Reason};
use crate::decode::parquet::RowReader;
use crate::identity::{self, Origin};
use crate::json::{MemberSpan, Members};
use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// Limits on what comes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest record; a longer one is a dead letter.
    pub record_bytes_max: usize,
    /// How many bytes of a too long record are kept.
    pub dead_letter_bytes_max: usize,
    /// About how much of the input a block holds.
    pub block_bytes: usize,
    /// About how many records and dead letters a block holds.
    pub block_records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes_max: 32 << 20,
            dead_letter_bytes_max: 1 << 20,
            block_bytes: 1 << 20,
            block_records: 1 << 20,
        }
    }
}

/// One record of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpan {
    /// Its number in the container, from 1.
    pub number: u64,
    /// Its JSON text in [`Block::json`].
    pub json: Range<usize>,
    /// The original's text in [`Block::text`], where that is not the JSON.
    pub original: Option<Range<usize>>,
    /// Its members in the block's index; empty where nobody has looked.
    members: Range<u32>,
}

/// Some records of a container, in order.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The container that the records are of.
    pub origin: Origin,
    /// The JSON texts: shared, so that what writes them does not have to copy them.
    pub json: Arc<String>,
    /// Original texts of records that were no JSON.
    pub text: String,
    /// The records.
    pub records: Vec<RecordSpan>,
    /// Members of the records whose scan found them, as offsets in `json`.
    index: Vec<MemberSpan>,
    /// What was no record.
    pub dead: Vec<DeadLetter>,
    /// How many of these were measured, and their bytes: a block is asked for its size at every record.
    dead_measured: (usize, usize),
    /// Numbers of records and dead letters that the container's end cut off, or may have: if it grows, they may go on.
    pub unsettled: Vec<u64>,
}

impl Block {
    /// A record's JSON text.
    pub fn json(&self, record: &RecordSpan) -> &str {
        &self.json[record.json.clone()]
    }

    /// A record's members: keys between their quotes, still escaped, and texts of values.
    pub fn members<'a>(&'a self, record: &RecordSpan, into: &mut Vec<(&'a str, &'a str)>) {
        into.clear();
        if record.members.is_empty() {
            return into.extend(Members::of(self.json(record)));
        }
        let text = |range: &Range<u32>| self.json.get(range.start as usize..range.end as usize).unwrap_or_default();
        let spans = &self.index[record.members.start as usize..record.members.end as usize];
        into.extend(spans.iter().map(|span| (text(&span.key), text(&span.value))));
    }

    /// A record as its producer wrote it.
    pub fn original(&self, record: &RecordSpan) -> &str {
        record.original.clone().map_or_else(|| self.json(record), |range| &self.text[range])
    }

    /// Adds a record that is a JSON object's text.
    pub fn push(&mut self, number: u64, json: &str) {
        let start = self.json.len();
        Arc::make_mut(&mut self.json).push_str(json);
        self.records.push(RecordSpan { number, json: start..self.json.len(), original: None, members: 0..0 });
    }

    /// Adds a record with the text that it was made of.
    pub fn push_with_original(&mut self, number: u64, json: &str, original: &str) {
        self.push(number, json);
        let start = self.text.len();
        self.text.push_str(original);
        if let Some(record) = self.records.last_mut() {
            record.original = Some(start..self.text.len());
        }
    }

    /// Sets the text that the last record was made of.
    pub fn set_original(&mut self, original: &str) {
        let Some(record) = self.records.last_mut() else { return };
        if let Some(range) = record.original.take().filter(|range| range.end == self.text.len()) {
            self.text.truncate(range.start);
        }
        let start = self.text.len();
        self.text.push_str(original);
        record.original = Some(start..self.text.len());
    }

    /// Puts a block together again: `json` and `text` as they were in one, and where its records are in them.
    ///
    /// **Errors**: the number of the first record that is not within the texts.
    pub fn from_parts(
        json: String,
        text: String,
        records: impl IntoIterator<Item = (u64, Range<usize>, Option<Range<usize>>)>,
        dead: Vec<DeadLetter>,
    ) -> Result<Self, u64> {
        let mut block = Self { json: Arc::new(json), text, dead, ..Self::default() };
        for (number, json, original) in records {
            let within = block.json.get(json.clone()).is_some()
                && original.clone().is_none_or(|range| block.text.get(range).is_some());
            if !within {
                return Err(number);
            }
            block.records.push(RecordSpan { number, json, original, members: 0..0 });
        }
        Ok(block)
    }

    /// Adds a record whose members are those of the index from `first` on.
    fn add_indexed(&mut self, number: u64, json: Range<usize>, first: usize) {
        self.records.push(RecordSpan { number, json, original: None, members: first as u32..self.index.len() as u32 });
    }

    /// Moves the records from `records` on, and the members from `members` on, from offset `from` to `to`.
    fn shift(&mut self, records: usize, members: usize, to: usize, from: usize) {
        for record in &mut self.records[records..] {
            record.json = record.json.start - from + to..record.json.end - from + to;
        }
        let moved = |range: &Range<u32>| range.start - from as u32 + to as u32..range.end - from as u32 + to as u32;
        for span in &mut self.index[members..] {
            *span = MemberSpan { key: moved(&span.key), value: moved(&span.value) };
        }
    }

    fn clear(&mut self) {
        self.origin = Origin::default();
        match Arc::get_mut(&mut self.json) {
            Some(json) => json.clear(),
            None => self.json = Arc::default(),
        }
        self.text.clear();
        self.records.clear();
        self.index.clear();
        self.dead.clear();
        self.dead_measured = (0, 0);
        self.unsettled.clear();
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.dead.is_empty()
    }

    fn size(&mut self) -> usize {
        let (count, bytes) = self.dead_measured;
        let new: usize = self.dead.iter().skip(count).map(|letter| letter.bytes.len()).sum();
        self.dead_measured = (self.dead.len(), bytes + new);
        self.json.len() + self.text.len() + self.dead_measured.1
    }

    fn is_full(&mut self, limits: &Limits) -> bool {
        self.records.len() + self.dead.len() >= limits.block_records || self.size() >= limits.block_bytes
    }
}

/// Bytes that cannot be read at all.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// The reader failed.
    #[error("cannot read")]
    Read(#[source] io::Error),
    /// A Parquet file whose footer does not parse.
    #[error("not a readable Parquet file")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// Parquet is read from its end, and a stream of it is held in memory up to a limit.
    #[error("a Parquet stream of more than {limit} bytes: give it as a file")]
    ParquetStream {
        /// The limit.
        limit: usize,
    },
    /// More than one block is to hold, where all has to fit into one.
    #[error("more than the {records} records, or {bytes} bytes of them, that are read at once")]
    MoreThanABlock {
        /// The limit on records.
        records: usize,
        /// The limit on bytes.
        bytes: usize,
    },
}

/// The first record of a container that is this text alone, as JSON; none where it holds none.
pub fn first_record(text: &str) -> Option<Cow<'_, str>> {
    if let Some(object) = json::alone(text) {
        return Some(Cow::Borrowed(object));
    }
    let mut blocks = Blocks::open(Cursor::new(text.as_bytes().to_vec()), Limits::default()).ok()?;
    let block = blocks.next_block().ok()??;
    block.records.first().map(|record| Cow::Owned(block.json(record).to_owned()))
}

/// Longest Parquet stream that is held in memory; files have no limit.
const PARQUET_STREAM_BYTES_MAX: usize = 1 << 30;

enum Format {
    Json(json::JsonReader),
    Evtx(evtx::EvtxReader),
    Parquet(Box<RowReader>),
    Lines(lines::LineReader),
    Empty,
}

/// The blocks of one container.
pub struct Blocks {
    input: Input,
    format: Option<Format>,
    limits: Limits,
    state: State,
    /// A block that was given back.
    spare: Block,
}

/// What all formats count.
#[derive(Default)]
struct State {
    /// Records and dead letters so far.
    number: u64,
    /// Offset of the input's next byte.
    offset: u64,
    /// Known once there was a record.
    origin: Option<Origin>,
}

impl State {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

/// The decompressed bytes. A stream that breaks ends there, and the reason is told once.
struct Input {
    reader: Box<dyn BufRead + Send>,
    compressed: bool,
    broken: Option<String>,
    /// Nothing is left to read.
    ended: bool,
}

impl Input {
    /// Reads up to `want` bytes onto `into`; 0 at the end.
    fn read_onto(&mut self, into: &mut Vec<u8>, want: usize) -> Result<usize, ContainerError> {
        if self.ended {
            return Ok(0);
        }
        let before = into.len();
        let mut left = want;
        // By way of the reader's own room: reading into a vector would fill that with zeros first.
        while left > 0 {
            match self.reader.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    let bytes = &bytes[..bytes.len().min(left)];
                    into.extend_from_slice(bytes);
                    let read = bytes.len();
                    left -= read;
                    self.reader.consume(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.compressed => {
                    self.broken.get_or_insert(error.to_string());
                    break;
                }
                Err(error) => return Err(ContainerError::Read(error)),
            }
        }
        Ok(into.len() - before)
    }
}

impl Blocks {
    /// Opens a container; its format is told from its first bytes.
    ///
    /// **Errors**: [`ContainerError`] when the reader fails.
    pub fn open(reader: impl Read + Send + 'static, limits: Limits) -> Result<Self, ContainerError> {
        let mut reader: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(256 << 10, reader));
        let mut compressed = false;
        // A log inside .gz inside .zst is as deep as it gets.
        for _ in 0..2 {
            let start = reader.fill_buf().map_err(ContainerError::Read)?;
            if start.starts_with(&[0x1f, 0x8b]) {
                reader = Box::new(BufReader::with_capacity(256 << 10, flate2::bufread::MultiGzDecoder::new(reader)));
            } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(ContainerError::Read)?;
                reader = Box::new(BufReader::with_capacity(256 << 10, decoder));
            } else {
                break;
            }
            compressed = true;
        }
        let input = Input { reader, compressed, broken: None, ended: false };
        Ok(Self { input, format: None, limits, state: State::default(), spare: Block::default() })
    }

    /// Takes a block back whose records are done with: its memory serves the next one.
    pub fn give_back(&mut self, mut block: Block) {
        block.clear();
        self.spare = block;
    }

    /// The next block; none at the end.
    ///
    /// **Errors**: [`ContainerError`] when the reader fails; the blocks before stay good.
    pub fn next_block(&mut self) -> Result<Option<Block>, ContainerError> {
        let mut format = match self.format.take() {
            Some(format) => format,
            None => self.sniff()?,
        };
        let mut block = std::mem::take(&mut self.spare);
        loop {
            let more = match &mut format {
                Format::Json(reader) => reader.read(&mut self.input, &mut self.state, &self.limits, &mut block)?,
                Format::Evtx(reader) => reader.read(&mut self.input, &mut self.state, &mut block)?,
                Format::Parquet(rows) => rows.read(&mut || self.state.next(), &mut block),
                Format::Lines(reader) => reader.read(&mut self.input, &mut self.state, &self.limits, &mut block)?,
                Format::Empty => false,
            };
            if !more {
                if let Some(why) = self.input.broken.take() {
                    let number = self.state.next();
                    block.unsettled.push(number);
                    block.dead.push(DeadLetter {
                        number,
                        offset: Some(self.state.offset),
                        bytes: Vec::new(),
                        reason: Reason::Compression(why),
                    });
                }
                format = Format::Empty;
                break;
            }
            if block.is_full(&self.limits) {
                break;
            }
        }
        self.format = Some(format);
        if let Some(first) = block.records.first() {
            block.origin = *self.state.origin.get_or_insert_with(|| identity::origin(block.original(first)));
        }
        Ok(if block.is_empty() { None } else { Some(block) })
    }

    /// Numbers of records that wait for more of the input while later ones were given out.
    pub fn waiting(&self) -> Vec<u64> {
        match &self.format {
            Some(Format::Lines(reader)) => reader.waiting(),
            _ => Vec::new(),
        }
    }

    fn sniff(&mut self) -> Result<Format, ContainerError> {
        let mut start = Vec::new();
        while self.input.read_onto(&mut start, 64 << 10)? > 0 && start.trim_ascii().is_empty() {
            self.state.offset += start.len() as u64;
            start.clear();
        }
        self.format_of(start)
    }

    /// The reader for a container with this start.
    fn format_of(&mut self, start: Vec<u8>) -> Result<Format, ContainerError> {
        if start.starts_with(b"ElfFile\0") {
            return Ok(Format::Evtx(evtx::EvtxReader::new(start)));
        }
        if start.starts_with(b"PAR1") {
            return self.parquet(start);
        }
        let mut body = utf16(start, &mut self.input)?;
        if body.starts_with(b"\xef\xbb\xbf") {
            body.drain(..3);
        }
        let first = json::first_byte(&body);
        Ok(match first {
            None => Format::Empty,
            Some(b'{' | b'[') if !lines::looks_like_a_log_line(&body) => Format::Json(json::JsonReader::new(body)),
            Some(b'R') if json::is_headed(&body) => Format::Json(json::JsonReader::new(body)),
            _ => Format::Lines(lines::LineReader::new(body)),
        })
    }
}

impl Blocks {
    /// A Parquet file is read from its footer: a stream of it whole.
    fn parquet(&mut self, mut bytes: Vec<u8>) -> Result<Format, ContainerError> {
        let limit = PARQUET_STREAM_BYTES_MAX;
        while bytes.len() <= limit && self.input.read_onto(&mut bytes, 16 << 20)? > 0 {}
        if bytes.len() > limit {
            return Err(ContainerError::ParquetStream { limit });
        }
        RowReader::open(bytes::Bytes::from(bytes))
            .map(|rows| Format::Parquet(Box::new(rows)))
            .map_err(ContainerError::Parquet)
    }

    /// Opens a file: as [`Blocks::open`] does, but Parquet a few rows at a time.
    ///
    /// **Errors**: [`ContainerError`].
    pub fn open_file(file: std::fs::File, limits: Limits) -> Result<Self, ContainerError> {
        use parquet::file::reader::ChunkReader;
        let mut magic = [0_u8; 4];
        let long = file.metadata().is_ok_and(|m| m.is_file() && m.len() > 12);
        if long && file.get_read(0).is_ok_and(|mut r| r.read_exact(&mut magic).is_ok()) && &magic == b"PAR1" {
            let rows = RowReader::open(file).map_err(ContainerError::Parquet)?;
            let mut blocks = Self::open(io::empty(), limits)?;
            blocks.format = Some(Format::Parquet(Box::new(rows)));
            return Ok(blocks);
        }
        // The magic was read through a handle that shares this one's position.
        let mut file = file;
        if long {
            io::Seek::rewind(&mut file).map_err(ContainerError::Read)?;
        }
        Self::open(file, limits)
    }
}

/// UTF-16 with a byte-order mark, as Windows tools export: read whole and turned into UTF-8.
fn utf16(mut start: Vec<u8>, input: &mut Input) -> Result<Vec<u8>, ContainerError> {
    let little = match start.get(..2) {
        Some([0xff, 0xfe]) => true,
        Some([0xfe, 0xff]) => false,
        _ => return Ok(start),
    };
    // Bounded: such exports are small; what is beyond stays unread and is reported as a truncated record.
    input.read_onto(&mut start, 256 << 20)?;
    let unit = |pair: &[u8]| {
        if little { u16::from_le_bytes([pair[0], pair[1]]) } else { u16::from_be_bytes([pair[0], pair[1]]) }
    };
    let units = start[2..].chunks_exact(2).map(unit);
    Ok(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes())
}
