//! From the log to the sinks: findings are kept in the outbox, which delivers them in its own time.
//!
//! **While the outbox fails**, frames give their room in memory back, so that events go on. What the outbox does not have
//! is read from the log once it works; the log is not cut before that.

use super::attested::Attested;
use super::config::Config;
use super::copying;
use super::frame::{Frame, Kind, Logged};
use super::metrics::Metrics;
use crate::causes::with_causes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tarn_connectors::sink::outbox::{Outbox, OutboxError, Outside};
use tarn_ingest::source::Sources;
use tarn_lake::Live;
use tarn_lake::log::Log;
use tarn_lake::log::files::Bucket;
use tokio::runtime::Handle;

/// How long an outbox that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What the outbox is given of the daemon.
pub fn outside(sources: Arc<Sources>, live: &Live) -> Outside {
    let clock = Arc::new(|| chrono::Utc::now().timestamp_millis());
    // Not a secret: back-offs only have to differ from one daemon to the next.
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    let attesting = Some(Attested::new(live.clone()).of_alerts(Handle::current()));
    Outside { sources, clock, seed, attesting }
}

/// The outbox, where there are sinks, and whether it begins anew: then it has to be copied into the bucket first.
///
/// **Errors**: an outbox, or a copy of one, that cannot be opened.
pub fn open(
    config: &Config,
    outside: Outside,
    bucket: Option<&Bucket>,
    last: u64,
) -> anyhow::Result<Option<(Arc<Outbox>, bool)>> {
    if config.alerts.sinks.is_empty() {
        return Ok(None);
    }
    let (folder, secret) = (config.state.join("outbox"), &crate::config::secret);
    let (outbox, is_new) = match bucket {
        None => (Outbox::open(&folder, &config.alerts, secret, outside)?, false),
        Some(bucket) => {
            let copied = copying::copied(bucket, last)?;
            Outbox::open_copied(&folder, &config.alerts, secret, outside, &copied)?
        }
    };
    Ok(Some((Arc::new(outbox), is_new)))
}

/// Offers what is found.
pub struct Offering {
    pub log: Log<Frame>,
    pub outbox: Arc<Outbox>,
    pub metrics: Arc<Metrics>,
}

impl Offering {
    /// Goes on until there are no more frames. What the outbox cannot be given by then, the next start gives it.
    pub fn run(self, frames: &Receiver<Logged>) {
        while let Ok(logged) = frames.recv() {
            if self.offer(logged.sequence, &logged.frame).is_err() {
                let last = logged.sequence;
                drop(logged);
                self.catch_up(frames, last);
            }
        }
    }

    fn offer(&self, sequence: u64, frame: &Frame) -> Result<(), OutboxError> {
        let texts = || frame.block.records.iter().map(|record| frame.block.json(record)).collect::<Vec<_>>();
        match frame.kind {
            Kind::Findings { .. } => self.outbox.offer(sequence, &texts())?,
            Kind::Updates { .. } => self.outbox.change(sequence, &texts())?,
            Kind::Events { .. } | Kind::Idle { .. } | Kind::Metrics { .. } | Kind::Evidence { .. } => {}
        }
        self.metrics.offered(sequence);
        Ok(())
    }

    /// Lets frames go, up to some frame after `last`, until the outbox has all of these from the log, or there are no more.
    fn catch_up(&self, frames: &Receiver<Logged>, mut last: u64) {
        let mut next = Instant::now() + RETRY;
        loop {
            match frames.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(logged) => last = logged.sequence,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() < next {
                continue;
            }
            match self.read(last) {
                Ok(()) => return,
                Err(error) => tracing::debug!(error = with_causes(error.as_ref()), last, "alerts wait"),
            }
            next = Instant::now() + RETRY;
        }
    }

    /// Offers out of the log what is there up to frame `last`.
    fn read(&self, last: u64) -> anyhow::Result<()> {
        for read in self.log.read_after(self.metrics.taken())? {
            let (sequence, bytes) = read?;
            self.offer(sequence, &Frame::decode(&bytes)?)?;
            if sequence >= last {
                break;
            }
        }
        Ok(())
    }
}
