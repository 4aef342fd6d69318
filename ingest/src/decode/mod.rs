//! Decoders of text logs: lines become JSON records. One module a format.
//!
//! A log may hold lines of several formats (the kernel's audit records among its other messages, audispd's in a syslog):
//! each line goes to the decoder that knows it. **Fails**: a line that none knows is a dead letter; ausearch's separators
//! and the headers of flow logs are neither.

pub(crate) mod auditd;
mod cri;
pub(crate) mod object;
pub(crate) mod parquet;
mod s3_access;
pub(crate) mod syslog;
mod vpc_flow;

use crate::container::Block;
use crate::dead_letter::Reason;

/// The decoders, with what they know of earlier lines.
#[derive(Default)]
pub struct LineDecoder {
    auditd: auditd::Decoder,
    cri: cri::Decoder,
    vpc_flow: vpc_flow::Decoder,
}

impl LineDecoder {
    /// Whether a line is of one of the formats.
    pub fn knows(line: &str) -> bool {
        auditd::header(line).is_some() || syslog::looks_like(line)
    }

    /// Whether a line is of a format for which no other log's line can be taken: a flow log's default format, or S3's
    /// access log.
    pub fn is_certain(line: &str) -> bool {
        vpc_flow::default_format(line).is_some() || s3_access::parse(line).is_some_and(|read| read.is_ok())
    }

    /// The line at a log's start that names the fields of the lines below it, with its end; empty where none stands
    /// there. It makes no record, so who reads a log piece by piece puts it before every piece but the first.
    pub fn header(start: &[u8]) -> &[u8] {
        let line = memchr::memchr(b'\n', start).map_or(&[][..], |end| &start[..=end]);
        let names_fields = std::str::from_utf8(line).is_ok_and(|text| vpc_flow::Decoder::default().header(text));
        if names_fields { line } else { &[] }
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
        if let Some(read) = s3_access::parse(line) {
            return read.map(|json| block.push_with_original(number(), &json, line));
        }
        if self.vpc_flow.header(line) {
            return Ok(());
        }
        match self.vpc_flow.line(line, number, block) {
            // Below a header, what is no flow may still be a syslog's.
            Some(Err(reason)) => syslog::line(line, number, block).map_err(|_| reason),
            Some(Ok(())) => Ok(()),
            None => syslog::line(line, number, block),
        }
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

/// The record of a line that a service of AWS delivers inside a message: a flow log's in the default format.
pub(crate) fn aws_message(text: &str) -> Option<String> {
    vpc_flow::default_format(text)
}

#[cfg(test)]
mod tests;
