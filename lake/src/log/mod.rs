//! The durable log: what was taken in and is not yet in the lake's tables, on the local disk.
//!
//! ```text
//! append ─► queue ─► one thread: write a group, one fdatasync ─► durable(sequence, item) ─► the append's answer
//! ```
//!
//! A log is a folder that one process has open at a time:
//!
//! ```text
//! lock                         held while the log is open
//! 00000000000000000001.seg     frames from 1 on; the next segment is named by its first frame
//! 00000000000000004711.seg     the last one is written, the others are whole; there is always one
//! *.seg.new                    a segment whose header is not yet synced; removed at the next start
//! ```
//!
//! `format.rs` has the bytes. **A frame** is a payload and its sequence: 1, 2, 3 and so on, without a gap, never given
//! twice. **Acknowledged** means that `fdatasync` has returned, for the frame and all before it, and the folder's sync
//! for its segment's name.
//!
//! **After a crash** the last group may be there in part. What is not sound at the end of the last segment is cut off,
//! unless a later frame says that it had been synced: then it is damage, and an error. Every other segment was synced
//! before the next one was begun, and has to be whole. A damaged last group looks like an interrupted write.
//!
//! **When the disk fails** in a write or a sync, the log takes nothing more until it is opened anew: what the disk has
//! is unknown then. A disk without room is no failure: the file is cut back, and the append may be tried again.
//!
//! **Bounds**: [`LogOptions::bytes_max`] on disk, 16 MiB a group. Frames that wait are in memory; how many, is up to who
//! appends.
//!
//! It does not know what a payload means, does not compress, and does not replicate: a disk that is lost takes along
//! what the lake does not have. A copy of a folder must never be opened in place of the newer one: its sequences would
//! come twice.

mod active;
mod error;
pub mod files;
mod format;
mod frames;
mod open;
mod segment;
mod state;
mod writer;

pub use error::{Damage, Limit, LogError};
pub use frames::Frames;

use active::Payload;
use bytes::Bytes;
use files::{Disk, Files};
use format::{FRAME_HEAD, PAYLOAD_MAX, SEGMENT_HEAD, segment_name};
use futures::channel::oneshot;
use futures::executor::block_on;
use state::{Core, State};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use uuid::Uuid;
use writer::{Request, Waiting, Writer};

/// Bounds of a log. They may change from one start to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that has as many bytes is followed by a new one. A larger frame has a segment for itself.
    pub segment_bytes: u64,
    /// Bytes of all segments, at most.
    pub bytes_max: u64,
    /// The longest payload; never more than 1 GiB.
    pub frame_bytes_max: usize,
    /// How long a group waits, at most, for as many frames as the one before had. A lone frame never waits.
    pub sync_wait: Duration,
}

impl Default for LogOptions {
    /// 64 MiB, 4 GiB, 96 MiB, 2 ms.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            bytes_max: 4 << 30,
            frame_bytes_max: 96 << 20,
            sync_wait: Duration::from_millis(2),
        }
    }
}

/// A durable log whose frames travel with an item of `T`, so that nobody reads them back from disk. Cheap to clone.
///
/// When the last clone is dropped, what waits is still written, in the background; [`Log::close`] waits for that.
#[derive(Debug)]
pub struct Log<T> {
    core: Arc<Core>,
    requests: Sender<Request<T>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Held by who cuts.
    cutting: Arc<Mutex<()>>,
    torn: u64,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            requests: self.requests.clone(),
            thread: self.thread.clone(),
            cutting: self.cutting.clone(),
            torn: self.torn,
        }
    }
}

impl<T: Send + 'static> Log<T> {
    /// Opens a folder, or creates it, and cuts off what an interrupted write left ([`Log::torn_bytes`]).
    ///
    /// `durable` is called for each frame once it is on disk, in the order of sequences and before its append is
    /// answered; not for frames that were there already. It runs on the log's thread: while it blocks, nobody's append
    /// gets on.
    ///
    /// **Errors**: [`LogError::Locked`], [`LogError::Damaged`], [`LogError::NewerFormat`], [`LogError::Foreign`],
    /// [`LogError::Io`].
    pub fn open(
        folder: &Path,
        options: LogOptions,
        durable: impl FnMut(u64, T) + Send + 'static,
    ) -> Result<Self, LogError> {
        Self::open_in(Arc::new(Disk::new(folder)), options, durable)
    }

    /// As [`Log::open`], in a folder of any file layer.
    ///
    /// **Errors**: as [`Log::open`].
    pub fn open_in(
        files: Arc<dyn Files>,
        options: LogOptions,
        durable: impl FnMut(u64, T) + Send + 'static,
    ) -> Result<Self, LogError> {
        let opened = open::open(&files)?;
        let (last, torn) = (opened.last, opened.torn);
        let state = Mutex::new(State { spans: opened.spans, last, closed: false, poison: None });
        let core = Arc::new(Core { files, options, writer: opened.active.head.writer, state });
        let (requests, waiting) = channel();
        let writer = Writer {
            core: core.clone(),
            requests: waiting,
            held: None,
            active: opened.active,
            last,
            crowd: 1,
            durable,
            _lock: opened.lock,
        };
        let thread = Builder::new().name("tarn-log".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| LogError::io(core.files.path(""), error))?;
        Ok(Self { core, requests, thread: Arc::new(Mutex::new(Some(thread))), cutting: Arc::default(), torn })
    }

    /// Appends the parts, one after the other, as one frame. It is queued at once: frames are in the order of these
    /// calls. The answer is its sequence, once it is on disk. When nobody waits for the answer the frame is written
    /// all the same.
    ///
    /// **Errors**: [`LogError::Full`], after which it may be tried again; [`LogError::TooLarge`];
    /// [`LogError::Poisoned`] and [`LogError::Closed`] for ever.
    pub fn append(&self, parts: Vec<Bytes>, item: T) -> impl Future<Output = Result<u64, LogError>> + Send + use<T> {
        let answer = self.queue(parts, item);
        async move { answer?.await.unwrap_or(Err(LogError::Closed)) }
    }

    /// As [`Log::append`], for threads that may block.
    ///
    /// **Errors**: as [`Log::append`].
    pub fn append_blocking(&self, parts: Vec<Bytes>, item: T) -> Result<u64, LogError> {
        block_on(self.append(parts, item))
    }

    fn queue(&self, parts: Vec<Bytes>, item: T) -> Result<oneshot::Receiver<Result<u64, LogError>>, LogError> {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let bytes_max = self.payload_bytes_max();
        let too_large = LogError::TooLarge { bytes, bytes_max };
        let Some(length) = u32::try_from(bytes).ok().filter(|_| bytes <= bytes_max) else { return Err(too_large) };
        // Here, and not on the log's thread: callers are many.
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|part| crc.update(part));
        let payload = Payload { parts, bytes: length, crc: crc.finalize() };
        let (answer, answered) = oneshot::channel();
        let request = Request::Append(Waiting { payload, item, answer });
        self.requests.send(request).map_err(|_| LogError::Closed)?;
        Ok(answered)
    }

    /// The longest payload that can ever be appended, in bytes.
    pub fn payload_bytes_max(&self) -> u64 {
        let options = &self.core.options;
        let fits = options.bytes_max.saturating_sub(2 * SEGMENT_HEAD as u64 + FRAME_HEAD as u64);
        PAYLOAD_MAX.min(options.frame_bytes_max as u64).min(fits)
    }

    /// The frames after `after` that are durable now, in order, from disk. Where some of them were cut already it
    /// begins with [`Log::first`].
    ///
    /// **Errors**: [`LogError::Closed`].
    pub fn read_after(&self, after: u64) -> Result<Frames, LogError> {
        let state = self.core.state();
        if state.closed {
            return Err(LogError::Closed);
        }
        Ok(Frames::new(self.core.files.clone(), &state.spans, after, state.last))
    }

    /// Removes the segments all of whose frames have sequences up to `through`. Blocks for a few syncs.
    ///
    /// **Errors**: [`LogError::Io`], after which some of them are left, and it may be tried again;
    /// [`LogError::Poisoned`], [`LogError::Closed`].
    pub fn cut(&self, through: u64) -> Result<(), LogError> {
        let _one_at_a_time = self.cutting.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = {
            let state = self.core.state();
            state.usable()?;
            state.last <= through
        };
        if whole {
            let (answer, answered) = oneshot::channel();
            self.requests.send(Request::Rotate { through, answer }).map_err(|_| LogError::Closed)?;
            block_on(answered).unwrap_or(Err(LogError::Closed))?;
        }
        loop {
            let Some(first) = self.core.state().cuttable(through) else { return Ok(()) };
            self.remove(first)?;
        }
    }

    /// Removes the first segment for good, before the next one goes: a crash leaves no hole between two others.
    fn remove(&self, first: u64) -> Result<(), LogError> {
        let (files, name) = (&self.core.files, segment_name(first));
        match files.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LogError::io(files.path(&name), error));
            }
            _ => {}
        }
        self.core.state().spans.pop_front();
        files.sync_folder().map_err(|error| self.core.state().poison(files.path(""), error))
    }

    /// Sequence of the last durable frame; 0 if there was never one. It never goes back, also when all was cut.
    pub fn last(&self) -> u64 {
        self.core.state().last
    }

    /// Sequence of the first frame that is there, or of the next one if there is none.
    pub fn first(&self) -> u64 {
        self.core.state().first()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.core.state().bytes()
    }

    /// Identifies this log among all that write to a lake. A folder keeps it for as long as it has a segment.
    pub fn writer(&self) -> Uuid {
        self.core.writer
    }

    /// Bytes of an interrupted write that were cut off when the log was opened.
    pub fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Writes what was queued before this call, and ends the log for all its clones. Blocks until another process may
    /// open the folder.
    pub fn close(self) {
        // Without a thread it is closed already.
        let _ = self.requests.send(Request::Close);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic in `durable` has been reported where it happened.
            let _ = thread.join();
        }
    }
}
