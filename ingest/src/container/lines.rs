//! Logs of text lines: JSON objects are records as they are, the decoders make records of the others.

use super::{Block, ContainerError, Input, Limits, State};
use crate::dead_letter::{DeadLetter, Reason};
use crate::decode::LineDecoder;

/// Lines from a log's start that are looked at.
const FIRST_LINES: usize = 8;
/// Bytes from a log's start that are looked at.
const FIRST_BYTES: usize = 16 << 10;

/// Reads lines and hands them to the decoders.
pub struct LineReader {
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    decoder: LineDecoder,
}

/// A syslog priority or a bracketed time may begin as JSON does.
pub fn looks_like_a_log_line(start: &[u8]) -> bool {
    if start.first() != Some(&b'[') {
        return false;
    }
    let text = String::from_utf8_lossy(&start[..start.len().min(FIRST_BYTES)]);
    let mut lines = text.lines().filter(|l| !l.trim().is_empty()).take(FIRST_LINES);
    lines.any(LineDecoder::knows)
}

impl LineReader {
    /// A reader whose first bytes were read already.
    pub fn new(start: Vec<u8>) -> Self {
        Self { buffer: start, at: 0, ended: false, decoder: LineDecoder::default() }
    }

    /// Reads about a block of lines; false at the end.
    pub fn read(
        &mut self,
        input: &mut Input,
        state: &mut State,
        limits: &Limits,
        block: &mut Block,
    ) -> Result<bool, ContainerError> {
        while let Some(end) = memchr::memchr(b'\n', &self.buffer[self.at..]) {
            let line = self.at..self.at + end;
            self.line(line, state, limits, block);
            self.at += end + 1;
            if block.is_full(limits) {
                return Ok(true);
            }
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.len() > limits.record_bytes_max {
            let all = 0..self.buffer.len();
            self.line(all, state, limits, block);
            self.buffer.clear();
        }
        if !self.ended {
            self.ended = input.read_onto(&mut self.buffer, limits.block_bytes)? == 0;
            return Ok(true);
        }
        // A line without an end may have one later, and an event that waits more lines.
        let (records, dead) = (block.records.len(), block.dead.len());
        let rest = 0..self.buffer.len();
        self.line(rest, state, limits, block);
        self.buffer.clear();
        self.decoder.finish(block);
        block.unsettled.extend(block.records[records..].iter().map(|r| r.number));
        block.unsettled.extend(block.dead[dead..].iter().map(|d| d.number));
        Ok(false)
    }

    /// Numbers of events that wait for more lines.
    pub fn waiting(&self) -> Vec<u64> {
        self.decoder.waiting()
    }

    fn line(&mut self, range: std::ops::Range<usize>, state: &mut State, limits: &Limits, block: &mut Block) {
        let bytes = &self.buffer[range];
        let offset = Some(state.offset);
        state.offset += bytes.len() as u64 + 1;
        let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Err(reason) = record(line, &mut self.decoder, state, limits, block) {
            let kept = line[..line.len().min(limits.dead_letter_bytes_max)].to_vec();
            block.dead.push(DeadLetter { number: state.next(), offset, bytes: kept, reason });
        }
    }
}

fn record(
    line: &[u8],
    decoder: &mut LineDecoder,
    state: &mut State,
    limits: &Limits,
    block: &mut Block,
) -> Result<(), Reason> {
    if line.len() > limits.record_bytes_max {
        return Err(Reason::TooLarge { bytes: line.len() as u64, limit: limits.record_bytes_max });
    }
    let text = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
    // JSON in a log of lines is a record like any other.
    if text.starts_with('{') && crate::json::end_of_value(line, 0) == Ok(line.len()) {
        block.push(state.next(), text);
        return Ok(());
    }
    decoder.line(text, &mut || state.next(), block)
}
