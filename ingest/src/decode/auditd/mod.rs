//! Linux audit logs: lines become records, records of one serial become one event.
//!
//! **In**: auditd's log (raw or ENRICHED), ausearch's output, the kernel's own lines, each also behind a syslog header
//! or a `node=`. **Out**: one JSON object an event ([`event`]) with its lines as the original. Events come out in the
//! order of their first lines. **Bounds**: an event waits for its end (EOE, or PROCTITLE and [`SETTLED_LINES`] other
//! lines, or a record that is an event by itself), at most [`WAIT_MS`] of log time, [`PASSED_LINES`] lines of other
//! formats, [`WAITING_MAX`] events, [`SERIALS_MAX`] serials and [`WAITING_BYTES_MAX`] bytes; then it comes out as it is,
//! and a straggler makes an event of its own.

mod encoded;
pub(crate) mod event;
pub(crate) mod record;
mod syscalls;
mod types;

use crate::container::Block;
use record::Record;
use std::collections::VecDeque;

pub use record::{Header, header, is_separator};

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
/// Lines of other formats, among which audit's have no clock, after which any event is over.
pub const PASSED_LINES: u64 = 256;

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
    /// Lines of other formats up to then.
    passed: u64,
}

/// Joins records.
#[derive(Default)]
pub struct Decoder {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    lines: u64,
    /// Lines of other formats.
    passed: u64,
}

impl Decoder {
    /// Takes a line with its header; events that are over go to `block`.
    pub fn line(&mut self, line: &str, header: Header<'_>, number: &mut dyn FnMut() -> u64, block: &mut Block) {
        let record = record::read(header);
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
                    passed: 0,
                });
                match self.waiting.back_mut() {
                    Some(event) => event,
                    None => return,
                }
            }
        };
        event.text.push_str(line);
        event.records.push(record);
        (event.touched, event.passed) = (self.lines, self.passed);
        event.end = match (kind.as_str(), event.end) {
            ("EOE", _) => End::Over,
            _ if single && event.records.len() == 1 => End::Over,
            ("PROCTITLE", End::Open) => End::Settling,
            (_, end) => end,
        };
        self.bytes += line.len();
        self.release(time_ms, serial, block);
    }

    /// A line of another format came: the log goes on, and events that are over go to `block`.
    pub fn pass(&mut self, block: &mut Block) {
        if !self.waiting.is_empty() {
            self.passed += 1;
            self.release(None, 0, block);
        }
    }

    fn release(&mut self, now_ms: Option<i64>, serial: u64, block: &mut Block) {
        while let Some(first) = self.waiting.front() {
            let waited = match (now_ms, first.time_ms) {
                (Some(now), Some(then)) => now.saturating_sub(then) > WAIT_MS || then.saturating_sub(now) > BACK_MS,
                _ => false,
            };
            let over = match first.end {
                End::Over => true,
                End::Settling => self.lines - first.touched + self.passed - first.passed >= SETTLED_LINES,
                End::Open => self.passed - first.passed >= PASSED_LINES,
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
