//! Decoders of text logs: lines become JSON records. One module a format.
//!
//! A log may hold lines of several formats (the kernel's audit records among its other messages, audispd's in a syslog):
//! each line goes to the decoder that knows it. **Fails**: a line that none knows is a dead letter; ausearch's separators
//! are neither.

pub(crate) mod auditd;
mod cri;
pub(crate) mod parquet;
pub(crate) mod syslog;

use crate::container::Block;
use crate::dead_letter::Reason;

/// The decoders, with what they know of earlier lines.
#[derive(Default)]
pub struct LineDecoder {
    auditd: auditd::Decoder,
    cri: cri::Decoder,
}

impl LineDecoder {
    /// Whether a line is of one of the formats.
    pub fn knows(line: &str) -> bool {
        auditd::header(line).is_some() || syslog::looks_like(line)
    }

    /// Takes a line; records that are complete go to `block`, numbered by `number`.
    ///
    /// **Errors**: the reason why the line belongs to no record.
    pub fn line(&mut self, line: &str, number: &mut dyn FnMut() -> u64, block: &mut Block) -> Result<(), Reason> {
        if let Some(header) = auditd::header(line) {
            self.auditd.line(line, header, number, block);
            return Ok(());
        }
        if auditd::is_separator(line) {
            return Ok(());
        }
        self.auditd.pass(block);
        if let Some(read) = cri::parse(line) {
            self.cri.line(line, &read, number, block);
            return Ok(());
        }
        syslog::line(line, number, block)
    }

    /// Numbers of records that wait for more lines.
    pub fn waiting(&self) -> Vec<u64> {
        [self.auditd.waiting(), self.cri.waiting()].concat()
    }

    /// Ends the log: records that were waiting for more lines go to `block`.
    pub fn finish(&mut self, block: &mut Block) {
        self.auditd.finish(block);
        self.cri.finish(block);
    }
}

#[cfg(test)]
mod tests;
