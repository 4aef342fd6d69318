//! Logs of text lines: each decoder says whether the first lines are its own, and makes records of lines.

use super::{Block, ContainerError, Input, Limits, State};
use crate::dead_letter::{DeadLetter, Reason};
use crate::decode::LineDecoder;

/// Reads lines and hands them to the decoder that knows them.
pub struct LineReader {
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    decoder: Option<LineDecoder>,
}

/// A syslog priority or a bracketed time may begin as JSON does.
pub fn looks_like_a_log_line(start: &[u8]) -> bool {
    matches!(start.first(), Some(b'[')) && LineDecoder::recognise(start).is_some()
}

impl LineReader {
    /// A reader whose first bytes were read already.
    pub fn new(start: Vec<u8>) -> Self {
        let decoder = LineDecoder::recognise(&start);
        Self { buffer: start, at: 0, ended: false, decoder }
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
            if block.size() >= limits.block_bytes {
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
        if let Some(decoder) = &mut self.decoder {
            decoder.finish(block);
        }
        block.unsettled.extend(block.records[records..].iter().map(|r| r.number));
        block.unsettled.extend(block.dead[dead..].iter().map(|d| d.number));
        Ok(false)
    }

    /// Numbers of events that wait for more lines.
    pub fn waiting(&self) -> Vec<u64> {
        self.decoder.as_ref().map_or_else(Vec::new, LineDecoder::waiting)
    }

    fn line(&mut self, range: std::ops::Range<usize>, state: &mut State, limits: &Limits, block: &mut Block) {
        let bytes = &self.buffer[range];
        let offset = Some(state.offset);
        state.offset += bytes.len() as u64 + 1;
        let line = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if line.trim_ascii().is_empty() {
            return;
        }
        let mut letter = |reason| {
            let kept = line[..line.len().min(limits.dead_letter_bytes_max)].to_vec();
            block.dead.push(DeadLetter { number: state.next(), offset, bytes: kept, reason });
        };
        if line.len() > limits.record_bytes_max {
            return letter(Reason::TooLarge { bytes: line.len() as u64, limit: limits.record_bytes_max });
        }
        let Ok(text) = std::str::from_utf8(line) else { return letter(Reason::NotUtf8) };
        // JSON in a log of lines is a record like any other.
        if text.starts_with('{') && crate::json::end_of_value(line, 0) == Ok(line.len()) {
            return block.push(state.next(), text);
        }
        match &mut self.decoder {
            Some(decoder) => {
                if let Err(reason) = decoder.line(text, &mut || state.next(), block) {
                    block.dead.push(DeadLetter { number: state.next(), offset, bytes: line.to_vec(), reason });
                }
            }
            None => letter(Reason::UnknownLine),
        }
    }
}
