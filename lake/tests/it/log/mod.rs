//! The durable log from outside: what was acknowledged is read back, whatever happens.

mod bucket;
mod damage;
mod disk;
mod format;
mod kill;
mod power;
mod refusals;

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tarn_lake::log::files::Files;
use tarn_lake::log::{Log, LogError, LogOptions};

/// Segments of few frames, and few of them.
const SMALL: LogOptions =
    LogOptions { segment_bytes: 200, bytes_max: 1000, frame_bytes_max: 300, sync_wait: Duration::from_millis(2) };

fn open(files: Arc<dyn Files>) -> Result<Log<()>, LogError> {
    Log::open_in(files, SMALL, |_, ()| {})
}

fn append(log: &Log<()>, text: &str) -> Result<u64, LogError> {
    log.append_blocking(vec![Bytes::copy_from_slice(text.as_bytes())], ())
}

/// All frames after one, or the first error.
fn read(log: &Log<()>, after: u64) -> Result<Vec<(u64, String)>, LogError> {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    log.read_after(after)?.map(|frame| frame.map(|(sequence, bytes)| (sequence, text(bytes)))).collect()
}
