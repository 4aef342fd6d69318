//! The log's thread: takes what waits as one group, writes it, syncs once, then answers all.

use super::Core;
use super::active::{Active, Failure, Payload};
use super::error::{Limit, LogError};
use super::format::SEGMENT_HEAD;
use super::frames::Span;
use futures::channel::oneshot;
use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

/// Bytes after which a group does not take more: what one sync writes, and how long others wait for it.
const GROUP_BYTES: u64 = 16 << 20;

/// A frame that waits for the disk.
pub(super) struct Waiting<T> {
    pub payload: Payload,
    pub item: T,
    pub answer: oneshot::Sender<Result<u64, LogError>>,
}

/// What the thread is asked for.
pub(super) enum Request<T> {
    Append(Waiting<T>),
    /// To begin a new segment if all frames of this one have sequences up to `through`.
    Rotate {
        through: u64,
        answer: oneshot::Sender<Result<(), LogError>>,
    },
    Close,
}

pub(super) struct Writer<T, D> {
    pub core: Arc<Core>,
    pub requests: Receiver<Request<T>>,
    /// Received, but not for this group.
    pub held: Option<Request<T>>,
    pub active: Active,
    pub last: u64,
    /// Frames of the last group. As many are expected in the next one: who waits for an answer sends again.
    pub crowd: usize,
    pub durable: D,
    /// Held until the last frame is written.
    pub _lock: Box<dyn Any + Send>,
}

impl<T, D> Drop for Writer<T, D> {
    fn drop(&mut self) {
        self.core.state().closed = true;
    }
}

impl<T, D: FnMut(u64, T)> Writer<T, D> {
    /// Runs until [`Request::Close`], or until nobody is left to ask for anything.
    pub(super) fn run(mut self) {
        while let Some(request) = self.held.take().or_else(|| self.requests.recv().ok()) {
            match request {
                Request::Append(first) => {
                    if !self.core.files.grows() {
                        if let Err(error) = self.rotate() {
                            refuse(first, error);
                            continue;
                        }
                    } else if self.active.end + first.payload.frame_bytes() > self.core.options.segment_bytes {
                        // Without a new segment this one goes on; if the disk is full, the write will say so.
                        let _ = self.rotate();
                    }
                    let group = self.group(first);
                    self.commit(group);
                }
                Request::Rotate { through, answer } => {
                    let rotated = if self.last <= through { self.rotate() } else { Ok(()) };
                    // Who asked may have gone.
                    let _ = answer.send(rotated);
                }
                Request::Close => return,
            }
        }
    }

    /// What waits, up to the segment's end; and as many as last time, if they come soon.
    fn group(&mut self, first: Waiting<T>) -> Vec<Waiting<T>> {
        let until = Instant::now() + self.core.options.sync_wait;
        let room = GROUP_BYTES.min(self.core.options.segment_bytes.saturating_sub(self.active.end));
        let mut bytes = first.payload.frame_bytes();
        let mut group = vec![first];
        while bytes < room {
            let request = match self.requests.try_recv() {
                Ok(request) => request,
                Err(TryRecvError::Empty) if group.len() < self.crowd => {
                    let left = until.saturating_duration_since(Instant::now());
                    let Ok(request) = self.requests.recv_timeout(left) else { break };
                    request
                }
                Err(_) => break,
            };
            match request {
                Request::Append(next) if bytes + next.payload.frame_bytes() <= room => {
                    bytes += next.payload.frame_bytes();
                    group.push(next);
                }
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        self.crowd = group.len();
        group
    }

    fn commit(&mut self, group: Vec<Waiting<T>>) {
        let group = self.admit(group);
        if group.is_empty() {
            return;
        }
        match self.active.write(self.last, group.iter().map(|waiting| &waiting.payload)) {
            Ok(()) => self.acknowledge(group),
            Err(failure) => {
                let error = self.failed(failure);
                for waiting in group {
                    refuse(waiting, error.clone());
                }
            }
        }
    }

    /// Refuses what may not be written.
    fn admit(&self, group: Vec<Waiting<T>>) -> Vec<Waiting<T>> {
        let (usable, held) = {
            let state = self.core.state();
            (state.usable(), state.bytes())
        };
        let bytes_max = self.core.options.bytes_max;
        let mut bytes = held;
        let mut admitted = Vec::with_capacity(group.len());
        for waiting in group {
            // The next segment's header has room, too.
            let with_this = bytes + waiting.payload.frame_bytes();
            match &usable {
                Err(error) => refuse(waiting, error.clone()),
                Ok(()) if with_this + SEGMENT_HEAD as u64 > bytes_max => {
                    refuse(waiting, LogError::Full { bytes: held, limit: Limit::Bytes { bytes_max } });
                }
                Ok(()) => {
                    bytes = with_this;
                    admitted.push(waiting);
                }
            }
        }
        admitted
    }

    fn acknowledge(&mut self, group: Vec<Waiting<T>>) {
        let first = self.last + 1;
        self.last += group.len() as u64;
        self.core.state().grown(self.last, self.active.end);
        for (sequence, waiting) in (first..).zip(group) {
            (self.durable)(sequence, waiting.item);
            // Who asked may have gone: the frame is there all the same.
            let _ = waiting.answer.send(Ok(sequence));
        }
    }

    /// Goes on in a new segment, unless this one has no frame.
    fn rotate(&mut self) -> Result<(), LogError> {
        if self.active.is_empty() {
            return Ok(());
        }
        self.core.state().usable()?;
        let next = Active::create(&self.core.files, self.core.writer, self.last + 1);
        self.active = next.map_err(|failure| self.failed(failure))?;
        self.core.state().begun(Span { first: self.last + 1, end: self.active.end });
        Ok(())
    }

    fn failed(&self, failure: Failure) -> LogError {
        match failure {
            Failure::NoRoom => LogError::Full { bytes: self.core.state().bytes(), limit: Limit::Disk },
            Failure::Unchanged(error) => error,
            Failure::Poison(file, error) => self.core.state().poison(file, error),
        }
    }
}

fn refuse<T>(waiting: Waiting<T>, error: LogError) {
    // Who asked may have gone.
    let _ = waiting.answer.send(Err(error));
}
