//! Linux audit logs: lines become records, records of one serial become one event.
//!
//! **In**: auditd's log (raw or ENRICHED), ausearch's output, the kernel's own lines, each also behind a syslog header
//! or a `node=`. **Out**: one JSON object an event ([`event`]) with its lines as the original. Events come out in the
//! order of their first lines. **Fails**: a line without an audit header is a dead letter; ausearch's separators are
//! neither. **Bounds**: an event waits for its end (EOE, or PROCTITLE and [`SETTLED_LINES`] other lines, or a record
//! that is an event by itself), at most [`WAIT_MS`] of log time, [`WAITING_MAX`] events, [`SERIALS_MAX`] serials and
//! [`WAITING_BYTES_MAX`] bytes; then it comes out as it is, and a straggler makes an event of its own.

mod encoded;
pub(crate) mod event;
pub(crate) mod record;
mod syscalls;
mod types;

use crate::container::Block;
use crate::dead_letter::Reason;
use record::Record;
use std::collections::VecDeque;

pub use record::{is_separator, looks_like};

/// How long an event without an end waits, in the log's own time; audit's `end_of_event_timeout`.
pub const WAIT_MS: i64 = 2_000;
/// A clock that jumps back further than this is another log.
const BACK_MS: i64 = 60_000;
/// Most events that wait.
pub const WAITING_MAX: usize = 256;
/// Serials are given in order: an event this far behind gets nothing more.
pub const SERIALS_MAX: u64 = 4_096;
/// Most bytes of lines that wait.
pub const WAITING_BYTES_MAX: usize = 16 << 20;
/// Lines of other events after which an event that had its process title is over.
pub const SETTLED_LINES: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// PROCTITLE is the last record that auditd writes; the kernel's own EOE may follow.
    Settling,
    Over,
}

struct Waiting {
    /// Given with the first line, so that it stays the same when the log grows.
    number: u64,
    records: Vec<Record>,
    text: String,
    time_ms: Option<i64>,
    serial: u64,
    end: End,
    /// The line that touched it last.
    touched: u64,
}

/// Joins records.
#[derive(Default)]
pub struct Decoder {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    lines: u64,
}

impl Decoder {
    /// Takes a line; events that are over go to `block`.
    ///
    /// **Errors**: why the line is no audit record; the decoder is unchanged.
    pub fn line(&mut self, line: &str, number: &mut dyn FnMut() -> u64, block: &mut Block) -> Result<(), Reason> {
        if is_separator(line) {
            return Ok(());
        }
        let record = record::parse(line)?;
        self.lines += 1;
        let (time_ms, serial) = (millis(&record.id.time), record.id.serial.parse().unwrap_or(u64::MAX));
        let (single, kind) = (types::is_single(&record.kind), record.kind.clone());
        let same = |w: &&mut Waiting| w.serial == serial && w.records.first().is_some_and(|r| r.id == record.id);
        let event = match self.waiting.iter_mut().rev().find(same) {
            Some(event) => {
                event.text.push('\n');
                event
            }
            None => {
                self.waiting.push_back(Waiting {
                    number: number(),
                    records: Vec::new(),
                    text: String::new(),
                    time_ms,
                    serial,
                    end: End::Open,
                    touched: 0,
                });
                match self.waiting.back_mut() {
                    Some(event) => event,
                    None => return Ok(()),
                }
            }
        };
        event.text.push_str(line);
        event.records.push(record);
        event.touched = self.lines;
        event.end = match (kind.as_str(), event.end) {
            ("EOE", _) => End::Over,
            _ if single && event.records.len() == 1 => End::Over,
            ("PROCTITLE", End::Open) => End::Settling,
            (_, end) => end,
        };
        self.bytes += line.len();
        self.release(time_ms, serial, block);
        Ok(())
    }

    fn release(&mut self, now_ms: Option<i64>, serial: u64, block: &mut Block) {
        while let Some(first) = self.waiting.front() {
            let waited = match (now_ms, first.time_ms) {
                (Some(now), Some(then)) => now.saturating_sub(then) > WAIT_MS || then.saturating_sub(now) > BACK_MS,
                _ => false,
            };
            let over = match first.end {
                End::Over => true,
                End::Settling => self.lines - first.touched >= SETTLED_LINES,
                End::Open => false,
            };
            let behind = serial.saturating_sub(first.serial) > SERIALS_MAX;
            if !(over || waited || behind || self.waiting.len() > WAITING_MAX || self.bytes > WAITING_BYTES_MAX) {
                break;
            }
            self.pop(block);
        }
    }

    fn pop(&mut self, block: &mut Block) {
        if let Some(event) = self.waiting.pop_front() {
            let lines = event.records.len().saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(event.text.len() - lines);
            if let Some(first) = event.records.first() {
                block.push_with_original(event.number, &event::json(&first.id, &event.records), &event.text);
            }
        }
    }

    /// Numbers of the events that wait.
    pub fn waiting(&self) -> Vec<u64> {
        self.waiting.iter().map(|w| w.number).collect()
    }

    /// Ends the log: what waits comes out as it is.
    pub fn finish(&mut self, block: &mut Block) {
        while !self.waiting.is_empty() {
            self.pop(block);
        }
    }
}

/// Milliseconds of an id's time; none for a time that ausearch wrote in words, whose order is the log's.
fn millis(time: &str) -> Option<i64> {
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let fraction: i64 = fraction.get(..3).unwrap_or(fraction).parse().unwrap_or(0);
    seconds.checked_mul(1_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests;
