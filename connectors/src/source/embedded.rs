//! Records inside what carries them: an event in Splunk's envelope, a line in a shipper's document.
//!
//! A carried record that a log source takes goes on as if it had come alone, with what carried it as its original. Lines
//! of syslog, auditd, AWS's flow logs and S3's access logs are decoded; audit records of one event are joined over the whole request, and keep their own
//! lines as the original. What no source takes is left to the caller, who knows what the carrier means.

use std::borrow::Cow;
use tarn_ingest::container::Block;
use tarn_ingest::json::{Kind, Members, end_of_value, kind, text};
use tarn_ingest::source::Sources;
use tarn_ingest::{DeadLetter, LineDecoder, Reason};

/// Members under which shippers put a line as it was read.
const LINES: [&str; 3] = ["message", "log", "MESSAGE"];
/// Bytes of a dead letter that are kept.
const DEAD_BYTES: usize = 1 << 20;

/// The records of a request.
pub struct Embedded<'a> {
    sources: &'a Sources,
    decoder: LineDecoder,
    block: Block,
    number: u64,
}

impl<'a> Embedded<'a> {
    /// None yet.
    pub fn new(sources: &'a Sources) -> Self {
        Self { sources, decoder: LineDecoder::default(), block: Block::default(), number: 0 }
    }

    /// Adds a JSON object that is, or carries, a record of a known source; false if it does not.
    pub fn object(&mut self, object: &str, carrier: &str) -> bool {
        if self.sources.know(object) {
            self.record(object, carrier);
            return true;
        }
        let mut lines = Members::of(object).filter(|(key, value)| LINES.contains(key) && kind(value) == Kind::String);
        lines.any(|(_, line)| self.text(&text(line), carrier))
    }

    /// Adds a text that is a record of a known source: an object or a line; false if it is not.
    pub fn text(&mut self, line: &str, carrier: &str) -> bool {
        if let Some(object) = object_of(line) {
            let known = self.sources.know(object);
            if known {
                self.record(object, carrier);
            }
            return known;
        }
        if !is_line(line) {
            return false;
        }
        let before = self.block.records.len();
        let number = &mut self.number;
        let mut next = || {
            *number += 1;
            *number
        };
        let taken = self.decoder.line(line, &mut next, &mut self.block).is_ok();
        let alone = self.block.records.last().is_some_and(|record| self.block.original(record) == line);
        if taken && alone && self.block.records.len() == before + 1 {
            self.block.set_original(carrier);
        }
        taken
    }

    /// Adds a JSON object's text with what carried it.
    pub fn record(&mut self, object: &str, carrier: &str) {
        self.number += 1;
        if std::ptr::eq(object, carrier) {
            self.block.push(self.number, object);
        } else {
            self.block.push_with_original(self.number, object, carrier);
        }
    }

    /// Keeps what is no record.
    pub fn dead(&mut self, bytes: &[u8], reason: Reason) {
        self.number += 1;
        let bytes = bytes[..bytes.len().min(DEAD_BYTES)].to_vec();
        self.block.dead.push(DeadLetter { number: self.number, offset: None, bytes, reason });
    }

    /// All of them.
    pub fn finish(mut self) -> Block {
        self.decoder.finish(&mut self.block);
        self.block
    }
}

/// Whether a text is one line of syslog, auditd, an AWS flow log or S3's access log. Many logs begin with an ISO time:
/// such a line has to name a process as well.
fn is_line(text: &str) -> bool {
    let sure = || {
        let tagged = text.split_once(": ").is_some_and(|(head, _)| head.ends_with(']'));
        !text.starts_with(|c: char| c.is_ascii_digit()) || tagged
    };
    !text.contains('\n') && (LineDecoder::is_certain(text) || LineDecoder::knows(text) && sure())
}

/// The object that a text is, without white space around it.
pub fn object_of(text: &str) -> Option<&str> {
    let text = text.trim();
    (text.starts_with('{') && end_of_value(text.as_bytes(), 0) == Ok(text.len())).then_some(text)
}

/// The object that a JSON value is, or that a text in it is.
pub fn object_in(value: &str) -> Option<Cow<'_, str>> {
    match kind(value) {
        Kind::Object => Some(Cow::Borrowed(value)),
        Kind::String => match text(value) {
            Cow::Borrowed(inner) => object_of(inner).map(Cow::Borrowed),
            Cow::Owned(inner) => object_of(&inner).map(|object| Cow::Owned(object.to_owned())),
        },
        _ => None,
    }
}
