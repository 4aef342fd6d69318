//! Decoders of text logs: lines become JSON records. One module a format, one row here.

pub(crate) mod auditd;
pub(crate) mod parquet;
pub(crate) mod syslog;

use crate::container::Block;
use crate::dead_letter::Reason;

/// A decoder with its state.
pub enum LineDecoder {
    /// Linux audit records.
    Auditd(Box<auditd::Decoder>),
    /// RFC 5424, RFC 3164 and rsyslog's ISO lines.
    Syslog(syslog::Decoder),
}

impl LineDecoder {
    /// The decoder whose format the first lines have.
    pub fn recognise(start: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(&start[..start.len().min(16 << 10)]);
        let lines: Vec<&str> =
            text.lines().filter(|l| !l.trim().is_empty() && !auditd::is_separator(l)).take(8).collect();
        // The kernel's audit records among other lines of a syslog are lines of that log.
        let audit = lines.iter().filter(|l| auditd::looks_like(l)).count();
        if audit > 0 && 2 * audit >= lines.len() {
            return Some(Self::Auditd(Box::default()));
        }
        lines.iter().any(|l| syslog::looks_like(l)).then_some(Self::Syslog(syslog::Decoder))
    }

    /// Takes a line; records that are complete go to `block`, numbered by `number`.
    ///
    /// **Errors**: the reason why the line belongs to no record.
    pub fn line(&mut self, line: &str, number: &mut dyn FnMut() -> u64, block: &mut Block) -> Result<(), Reason> {
        match self {
            Self::Auditd(decoder) => decoder.line(line, number, block),
            Self::Syslog(decoder) => decoder.line(line, number, block),
        }
    }

    /// Numbers of records that wait for more lines.
    pub fn waiting(&self) -> Vec<u64> {
        match self {
            Self::Auditd(decoder) => decoder.waiting(),
            Self::Syslog(_) => Vec::new(),
        }
    }

    /// Ends the log: records that were waiting for more lines go to `block`.
    pub fn finish(&mut self, block: &mut Block) {
        match self {
            Self::Auditd(decoder) => decoder.finish(block),
            Self::Syslog(_) => {}
        }
    }
}
