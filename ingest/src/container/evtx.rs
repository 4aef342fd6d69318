//! EVTX files: a header of 4 KiB, then chunks of 64 KiB, each readable alone. A corrupt chunk costs itself.
//!
//! Records leave as the JSON that `evtx_dump` writes (`#attributes` for XML attributes).

use super::{Block, ContainerError, Input, State};
use crate::dead_letter::{DeadLetter, Reason};
use evtx::{EvtxChunkData, ParserSettings};
use std::sync::Arc;

const HEADER_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 64 << 10;

/// Reads EVTX chunk by chunk.
pub struct EvtxReader {
    buffer: Vec<u8>,
    header_read: bool,
    settings: Arc<ParserSettings>,
}

impl EvtxReader {
    /// A reader whose first bytes were read already.
    pub fn new(start: Vec<u8>) -> Self {
        let settings = ParserSettings::default().num_threads(1).indent(false);
        Self { buffer: start, header_read: false, settings: Arc::new(settings) }
    }

    /// Reads the next chunk; false at the end.
    pub fn read(&mut self, input: &mut Input, state: &mut State, block: &mut Block) -> Result<bool, ContainerError> {
        let want = if self.header_read { CHUNK_BYTES } else { HEADER_BYTES + CHUNK_BYTES };
        if self.buffer.len() < want {
            let missing = want - self.buffer.len();
            input.read_onto(&mut self.buffer, missing)?;
        }
        if !self.header_read {
            self.header_read = true;
            let header: Vec<u8> = self.buffer.drain(..HEADER_BYTES.min(self.buffer.len())).collect();
            if header.len() < HEADER_BYTES {
                let letter =
                    DeadLetter { number: state.next(), offset: Some(0), bytes: header, reason: Reason::Truncated };
                block.dead.push(letter);
                return Ok(true);
            }
            state.offset += HEADER_BYTES as u64;
        }
        if self.buffer.is_empty() {
            return Ok(false);
        }
        let rest = self.buffer.split_off(CHUNK_BYTES.min(self.buffer.len()));
        let chunk = std::mem::replace(&mut self.buffer, rest);
        self.chunk(chunk, state, block);
        Ok(true)
    }

    fn chunk(&self, mut bytes: Vec<u8>, state: &mut State, block: &mut Block) {
        let offset = state.offset;
        state.offset += bytes.len() as u64;
        // Chunks that were allocated and never written are zeros.
        if bytes.iter().all(|b| *b == 0) {
            return;
        }
        let truncated = bytes.len() < CHUNK_BYTES;
        if truncated {
            let letter =
                DeadLetter { number: 0, offset: Some(offset), bytes: bytes.clone(), reason: Reason::Truncated };
            block.dead.push(letter);
            // The records before the cut are whole.
            bytes.resize(CHUNK_BYTES, 0);
        }
        let kept = bytes.clone();
        let dead = |number, reason: String| DeadLetter {
            number,
            offset: Some(offset),
            bytes: kept.clone(),
            reason: Reason::Evtx(reason),
        };
        let before = block.dead.len();
        match EvtxChunkData::new(bytes, false) {
            Err(error) => block.dead.push(dead(state.next(), chain(&error))),
            Ok(mut data) => match data.parse(self.settings.clone()) {
                Err(error) => block.dead.push(dead(state.next(), chain(&error))),
                Ok(mut chunk) => {
                    for record in chunk.iter() {
                        match record.and_then(|r| r.into_json()) {
                            Ok(record) => push(&record.data, state, block),
                            // One letter a chunk: it holds the chunk's bytes, and the records behind may be good.
                            Err(error) if block.dead.len() == before => {
                                let letter = dead(state.next(), chain(&error));
                                block.dead.push(letter);
                            }
                            Err(_) => {}
                        }
                    }
                }
            },
        }
        if truncated && let Some(letter) = block.dead.iter_mut().find(|d| d.number == 0) {
            letter.number = state.next();
        }
    }
}

fn push(json: &str, state: &mut State, block: &mut Block) {
    let json = json.trim();
    let number = state.next();
    // The crate writes JSON; what it cannot escape would break the lanes, so it is checked as any other record.
    match crate::json::end_of_value(json.as_bytes(), 0) {
        Ok(end) if end == json.len() => block.push(number, json),
        _ => {
            let reason = Reason::Evtx("the record's values make no JSON".into());
            block.dead.push(DeadLetter { number, offset: None, bytes: json.as_bytes().to_vec(), reason });
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
