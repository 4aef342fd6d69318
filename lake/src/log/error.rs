//! What can go wrong with the durable log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use uuid::Uuid;

/// A failed operation on a log. After a failed append its frame is not acknowledged: it may be read back later, whole,
/// or not at all.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// Another process, or another [`super::Log`] of this one, has the folder.
    #[error("the log in {folder} is in use by another process")]
    Locked {
        /// The log's folder.
        folder: PathBuf,
    },
    /// The filesystem failed. The log goes on.
    #[error("the durable log failed on {file}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Written by a later release.
    #[error("{file} has log format {found}; this release reads up to {supported}: use a newer tarn")]
    NewerFormat {
        /// The segment.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// Not an interrupted write: frames that were acknowledged are damaged or missing. Nothing was changed.
    #[error(
        "{file} is damaged at byte {offset}: {damage}. Restore the file from a copy, or move the whole folder away and \
         begin with an empty one, without the frames that the lake does not have yet"
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where, from the segment's beginning.
        offset: u64,
        /// What.
        damage: Damage,
    },
    /// A segment of another log lies in this one's folder. Nothing was changed.
    #[error("{file} belongs to the log {writer}, not to {expected}: move it away")]
    Foreign {
        /// The segment.
        file: PathBuf,
        /// Whose it is.
        writer: Uuid,
        /// The writer of the folder's first segment.
        expected: Uuid,
    },
    /// No room for this frame now; a [`super::Log::cut`] may make some. Worth trying again.
    #[error("the durable log is full: it holds {bytes} bytes, and {limit}")]
    Full {
        /// Bytes of all segments.
        bytes: u64,
        /// What does not allow more.
        limit: Limit,
    },
    /// A write or a sync failed, once and for all: what is on disk is known again after the log was opened anew.
    #[error("the durable log takes nothing more since it failed on {file}: see to the disk, then restart")]
    Poisoned {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Larger than any frame may be.
    #[error("a frame of {bytes} bytes is larger than {bytes_max}")]
    TooLarge {
        /// Of the frame that was to be appended.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// [`super::Log::close`] was called, or the log's thread panicked in its callback.
    #[error("the durable log is closed")]
    Closed,
    /// A segment went while it was to be read.
    #[error("frame {sequence} of the durable log is gone: it was cut")]
    Cut {
        /// The frame that was to be read next.
        sequence: u64,
    },
}

/// Why a log is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Limit {
    /// [`super::LogOptions::bytes_max`].
    #[error("{bytes_max} are allowed")]
    Bytes {
        /// The option's value.
        bytes_max: u64,
    },
    /// The disk, or a quota on it.
    #[error("its disk has no room")]
    Disk,
}

/// What is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// No sound header of a segment.
    #[error("it has no header of a log segment")]
    Head,
    /// The header gives another first sequence than the name.
    #[error("its name does not go with its header, where frame {first} is first")]
    Name {
        /// By the header.
        first: u64,
    },
    /// Something else is where a frame was.
    #[error("frame {sequence} is not sound, and it was acknowledged")]
    Frame {
        /// Which.
        sequence: u64,
    },
    /// A segment ends before the next one begins, or goes on after that.
    #[error("frame {sequence} ends this segment, and the next one begins with frame {next}")]
    End {
        /// The segment's last.
        sequence: u64,
        /// The next segment's first.
        next: u64,
    },
}

impl LogError {
    /// Whether the same append may succeed later, without a restart.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    pub(super) fn io(file: PathBuf, source: io::Error) -> Self {
        Self::Io { file, source: Arc::new(source) }
    }
}
