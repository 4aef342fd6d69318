//! What the log's thread and its callers both know: which frames are durable, and whether more can be.

use super::LogOptions;
use super::error::LogError;
use super::files::Files;
use super::frames::Span;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// An open log, without its thread.
#[derive(Debug)]
pub(super) struct Core {
    pub files: Arc<dyn Files>,
    pub options: LogOptions,
    pub writer: Uuid,
    pub state: Mutex<State>,
}

impl Core {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// All segments, with the one that is written last. Never empty.
    pub spans: VecDeque<Span>,
    /// Sequence of the last durable frame.
    pub last: u64,
    pub closed: bool,
    /// What failed once and for all.
    pub poison: Option<LogError>,
}

impl State {
    /// Whether the log takes more.
    pub(super) fn usable(&self) -> Result<(), LogError> {
        match &self.poison {
            Some(error) => Err(error.clone()),
            None if self.closed => Err(LogError::Closed),
            None => Ok(()),
        }
    }

    /// Nothing is taken from here on; with the error that says so. The first cause stays.
    pub(super) fn poison(&mut self, file: PathBuf, source: io::Error) -> LogError {
        self.poison.get_or_insert_with(|| LogError::Poisoned { file, source: Arc::new(source) }).clone()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.spans.iter().map(|span| span.end).sum()
    }

    pub(super) fn first(&self) -> u64 {
        self.spans.front().map_or(self.last + 1, |span| span.first)
    }

    /// Frames up to `last` became durable, which end at `end`.
    pub(super) fn grown(&mut self, last: u64, end: u64) {
        self.last = last;
        if let Some(span) = self.spans.back_mut() {
            span.end = end;
        }
    }

    /// A new segment is written.
    pub(super) fn begun(&mut self, span: Span) {
        self.spans.push_back(span);
    }

    /// The first frame of the first segment, if all its frames have sequences up to `through` and it is not the one that is written.
    pub(super) fn cuttable(&self, through: u64) -> Option<u64> {
        let next = self.spans.get(1)?;
        (next.first - 1 <= through).then(|| self.first())
    }
}
