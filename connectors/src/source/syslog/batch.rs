//! Messages that are handed over together.

use std::net::IpAddr;
use tarn_ingest::container::Block;
use tarn_ingest::json::{end_of_value, push_string};
use tarn_ingest::{DeadLetter, LineDecoder, Reason};

/// Messages of one sender since the last delivery. Audit records of one event, which are several messages, are joined
/// over deliveries until [`Batch::settle`].
pub struct Batch {
    decoder: LineDecoder,
    block: Block,
    number: u64,
    bytes: usize,
    peer: String,
}

impl Batch {
    /// None yet.
    pub fn new(peer: IpAddr) -> Self {
        let (decoder, block) = (LineDecoder::default(), Block::default());
        Self { decoder, block, number: 0, bytes: 0, peer: peer.to_string() }
    }

    /// Bytes of messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message.
    pub fn message(&mut self, message: &[u8]) {
        let message = message.trim_ascii_end();
        if message.is_empty() {
            return;
        }
        match std::str::from_utf8(message) {
            Ok(text) => self.text(text),
            Err(_) => self.dead(message, Reason::NotUtf8),
        }
    }

    /// Keeps what is no message.
    pub fn dead(&mut self, bytes: &[u8], reason: Reason) {
        self.number += 1;
        self.bytes += bytes.len();
        self.block.dead.push(DeadLetter { number: self.number, offset: None, bytes: bytes.to_vec(), reason });
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len();
        // Some send JSON alone, without any header.
        if text.starts_with('{') && end_of_value(text.as_bytes(), 0) == Ok(text.len()) {
            self.number += 1;
            return self.block.push(self.number, text);
        }
        let number = &mut self.number;
        let mut next = || {
            *number += 1;
            *number
        };
        let Err(reason) = self.decoder.line(text, &mut next, &mut self.block) else { return };
        match bare(text, &self.peer) {
            Some(json) => self.block.push_with_original(next(), &json, text),
            None => {
                self.bytes -= text.len();
                self.dead(text.as_bytes(), reason);
            }
        }
    }

    /// Gives out what waits for more messages.
    pub fn settle(&mut self) {
        self.decoder.finish(&mut self.block);
    }

    /// The messages so far, if there are any.
    pub fn take(&mut self) -> Option<Block> {
        self.bytes = 0;
        let block = std::mem::take(&mut self.block);
        (!block.records.is_empty() || !block.dead.is_empty()).then_some(block)
    }
}

/// A message with a priority and no header that can be read: its host is who sent it (RFC 3164, section 4.3.2).
fn bare(text: &str, peer: &str) -> Option<String> {
    let (priority, message) = text.strip_prefix('<')?.split_once('>')?;
    let priority = priority.parse::<u16>().ok().filter(|priority| *priority < 192)?;
    let mut json = String::from("{\"syslog_format\":\"rfc3164\",\"hostname\":");
    push_string(&mut json, peer);
    json.push_str(&format!(",\"facility\":{},\"severity\":{},\"message\":", priority / 8, priority % 8));
    push_string(&mut json, message.trim_start());
    json.push('}');
    Some(json)
}
