//! The records of a request as they are made, within limits: one that is too long, or has too many attributes, becomes a
//! dead letter; a request whose records are too long together is refused.

use super::{Limits, OtlpError};
use crate::container::Block;
use crate::dead_letter::{DeadLetter, Reason};

/// Records so far.
pub struct Records<'a> {
    /// They, and what is none.
    pub block: Block,
    limits: &'a Limits,
    number: u64,
    bytes: usize,
}

impl<'a> Records<'a> {
    /// None yet.
    pub fn new(limits: &'a Limits) -> Self {
        Self { block: Block::default(), limits, number: 0, bytes: 0 }
    }

    /// Adds a record: `text`, or an event that was found in it.
    ///
    /// **Errors**: [`OtlpError::TooLarge`].
    pub fn push(&mut self, event: Option<&str>, text: &str, attributes: usize) -> Result<(), OtlpError> {
        self.number += 1;
        let limits = self.limits;
        let reason = if text.len() > limits.record_bytes_max {
            Some(Reason::TooLarge { bytes: text.len() as u64, limit: limits.record_bytes_max })
        } else if attributes > limits.attributes_max {
            Some(Reason::Decoder(format!("OTLP: {attributes} attributes, the limit is {}", limits.attributes_max)))
        } else {
            None
        };
        if let Some(reason) = reason {
            let bytes = text.as_bytes()[..text.len().min(limits.dead_letter_bytes_max)].to_vec();
            self.add(bytes.len())?;
            self.block.dead.push(DeadLetter { number: self.number, offset: None, bytes, reason });
            return Ok(());
        }
        self.add(text.len() + event.map_or(0, str::len))?;
        match event {
            Some(event) => self.block.push_with_original(self.number, event, text),
            None => self.block.push(self.number, text),
        }
        Ok(())
    }

    fn add(&mut self, bytes: usize) -> Result<(), OtlpError> {
        self.bytes += bytes;
        let limit = self.limits.bytes_max;
        if self.bytes > limit { Err(OtlpError::TooLarge { limit }) } else { Ok(()) }
    }
}
