//! A copy of the outbox beside a log that is in an object store: what waits there is not lost with a machine and its disk.
//!
//! Written when the daemon ends, and while it runs as often as it costs little. The log is not cut behind the copy, so a
//! new machine has what the lost one had of both.

use super::metrics::Metrics;
use crate::causes::with_causes;
use anyhow::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_connectors::sink::Outbox;
use tarn_connectors::sink::outbox::Copied;
use tarn_lake::log::files::Bucket;
use tokio_util::sync::CancellationToken;

const NAME: &str = "outbox.copy";
/// The least time between two copies.
const EVERY: Duration = Duration::from_secs(10);
/// A copy that took long is followed by so many times as long without one.
const SHARE: u32 = 20;

/// The last copy, and the last frame that the log has.
///
/// **Errors**: the store's.
pub fn copied(bucket: &Bucket, through: u64) -> anyhow::Result<Copied> {
    let copy = bucket.kept(NAME).context("log.store: the copy of the outbox cannot be read")?;
    Ok(Copied { copy, through })
}

/// Copies an outbox.
pub struct Copying {
    bucket: Arc<Bucket>,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    /// The outbox's changes that the copy has; none without a copy.
    changes: Option<u64>,
}

impl Copying {
    /// Copies at once where the outbox `is_new`: no other file may go on beside it.
    ///
    /// **Errors**: the store's.
    pub fn begin(
        bucket: Arc<Bucket>,
        outbox: Arc<Outbox>,
        metrics: Arc<Metrics>,
        is_new: bool,
    ) -> anyhow::Result<Self> {
        let mut copying = Self { bucket, outbox, metrics, changes: None };
        copying.metrics.copied(0);
        if is_new {
            copying.copy()?;
        }
        Ok(copying)
    }

    /// Copies until `stop`, and once then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = EVERY;
        loop {
            let stops = tokio::time::timeout(wait, stop.cancelled()).await.is_ok();
            let begun = Instant::now();
            let copying = tokio::task::spawn_blocking(move || {
                if let Err(error) = self.copy() {
                    tracing::warn!(error = with_causes(error.as_ref()), "no copy of the outbox; it is tried again");
                }
                self
            });
            match copying.await {
                Ok(copying) if !stops => self = copying,
                _ => return,
            }
            wait = EVERY.max(begun.elapsed() * SHARE);
        }
    }

    fn copy(&mut self) -> anyhow::Result<()> {
        // In this order: what was offered by now is in the copy, and what changes meanwhile makes the next one.
        let (through, changes) = (self.metrics.taken(), self.outbox.changes());
        if self.changes != Some(changes) {
            self.bucket.keep(NAME, self.outbox.copy()?)?;
            self.changes = Some(changes);
        }
        self.metrics.copied(through);
        Ok(())
    }
}
