//! Files that grow and rotate, read from where reading stopped.
//!
//! A file is known by its inode and its first bytes, so it stays the same when it is renamed, and is another one when its
//! inode is used again. **Rotation**: a renamed or deleted file is read to its end, and a while longer, as its writer may
//! not have noticed; a file that became shorter, or begins otherwise (copytruncate), is read from its start. **Records**
//! are one a line; a last line without an end waits for it, and lines of one audit event for each other. Compressed files
//! are left alone: they are what rotation makes of files that were read. **At least once**: a position is remembered after
//! the delivery was taken, in a file that is replaced as a whole. Looks at the files every so often; no inotify.

mod file;
mod files;
mod positions;

pub use positions::{Remembered, parse};

use crate::intake::{Delivery, Intake, Refused};
use files::Files;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tarn_ingest::container::Block;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Pieces of one file that are read before the next file's turn.
const PIECES_A_TURN: usize = 16;
/// The longest pause between attempts to hand a piece over.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where a file is read from that nobody remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// All that is in it.
    #[default]
    Beginning,
    /// What comes from now on, in files that are there when Tarn starts for the first time.
    End,
}

/// Configuration: a table of the TOML.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Files: paths, or patterns with `*`, `?`, `[…]` and `**`.
    pub paths: Vec<String>,
    /// The log source of all of them; none: each record's is recognised.
    pub source: Option<String>,
    /// Where new files are read from.
    #[serde(default)]
    pub from: From,
    /// How often files are looked at.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// Bytes that are handed over at once.
    #[serde(default = "piece_bytes")]
    pub piece_bytes: usize,
    /// The longest line; a longer one is a dead letter.
    #[serde(default = "piece_bytes")]
    pub line_bytes_max: usize,
    /// Files that are open at a time; others wait.
    #[serde(default = "files_max")]
    pub files_max: usize,
    /// How long a file is watched that was renamed or deleted, after its last growth.
    #[serde(default = "gone_seconds")]
    pub gone_seconds: u64,
}

fn poll_ms() -> u64 {
    250
}

fn piece_bytes() -> usize {
    1 << 20
}

fn files_max() -> usize {
    1024
}

fn gone_seconds() -> u64 {
    10
}

/// Why files are not read any more.
#[derive(Debug, Error)]
pub enum TailError {
    /// A path that is no pattern.
    #[error("{pattern:?} is no pattern of paths")]
    Pattern {
        /// As configured.
        pattern: String,
        /// What is wrong.
        #[source]
        source: glob::PatternError,
    },
    /// Positions that cannot be read or written.
    #[error("{}: positions cannot be {verb}", path.display())]
    Positions {
        /// The file that remembers them.
        path: PathBuf,
        /// What failed.
        verb: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of positions that this release cannot read.
    #[error("{}: no positions of version {}", path.display(), positions::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The intake will never take what was read.
    #[error("what was read is not taken")]
    Refused(#[from] Refused),
    /// The thread that reads is gone.
    #[error("reading was given up")]
    GivenUp,
}

/// Reads files.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Which, and how.
    pub options: Options,
    /// Where deliveries go.
    pub intake: Intake,
    /// The file that remembers positions; its folder exists.
    pub positions: PathBuf,
}

impl Tail {
    /// Reads until `stop`.
    ///
    /// **Errors**: [`TailError`]; what was handed over is remembered then, where that can be written.
    pub async fn run(self, stop: CancellationToken) -> Result<(), TailError> {
        let remembered = positions::load(&self.positions)?;
        let mut files = Files::open(self.options.clone(), remembered)?;
        loop {
            let (next, ()) = blocking(files, Files::scan).await?;
            let (next, result) = self.round(next, &stop).await?;
            files = next;
            if files.take_changed() {
                let (path, all) = (self.positions.clone(), files.remembered());
                let saved = tokio::task::spawn_blocking(move || positions::save(&path, &all));
                saved.await.map_err(|_| TailError::GivenUp)??;
            }
            result?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(self.options.poll_ms.max(1))) => {}
            }
        }
    }

    /// Reads what there is, some of each file. The inner error is the intake's.
    async fn round(
        &self,
        mut files: Files,
        stop: &CancellationToken,
    ) -> Result<(Files, Result<(), Refused>), TailError> {
        for id in files.ids() {
            for _ in 0..PIECES_A_TURN {
                let (next, piece) = blocking(files, move |files| files.read(id)).await?;
                files = next;
                let Some(piece) = piece else { break };
                match self.deliver(piece.block, stop).await {
                    Ok(true) => files.commit(id, piece.next),
                    Ok(false) => return Ok((files, Ok(()))),
                    Err(refused) => return Ok((files, Err(refused))),
                }
            }
        }
        Ok((files, Ok(())))
    }

    /// Hands a piece over, as often as it takes. False when it was not before `stop`.
    async fn deliver(&self, block: Block, stop: &CancellationToken) -> Result<bool, Refused> {
        let mut pause = Duration::from_millis(100);
        while !block.records.is_empty() || !block.dead.is_empty() {
            let delivery = Delivery {
                source: self.options.source.clone(),
                block: block.clone(),
                sender: Some("tail".into()),
                ..Delivery::default()
            };
            let wait = match self.intake.deliver(delivery).await {
                Ok(()) => break,
                Err(Refused::Overloaded { retry_after }) => retry_after.min(PAUSE_MAX),
                Err(refused) if refused.is_retryable() => pause,
                Err(refused) => return Err(refused),
            };
            pause = (pause * 2).min(PAUSE_MAX);
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(true)
    }
}

async fn blocking<T: Send + 'static>(
    mut files: Files,
    work: impl FnOnce(&mut Files) -> T + Send + 'static,
) -> Result<(Files, T), TailError> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut files);
        (files, result)
    });
    done.await.map_err(|_| TailError::GivenUp)
}
