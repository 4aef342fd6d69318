//! From the log to the sinks: findings are kept in the outbox, which delivers them in its own time.

use super::attested::Attested;
use super::frame::{Kind, Logged};
use super::metrics::Metrics;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tarn_connectors::sink::outbox::{Outbox, Outside};
use tarn_ingest::source::Sources;
use tarn_lake::Live;
use tokio::runtime::Handle;

/// What the outbox is given of the daemon.
pub fn outside(sources: Arc<Sources>, live: &Live) -> Outside {
    let clock = Arc::new(|| chrono::Utc::now().timestamp_millis());
    // Not a secret: back-offs only have to differ from one daemon to the next.
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    let attesting = Some(Attested::new(live.clone()).of_alerts(Handle::current()));
    Outside { sources, clock, seed, attesting }
}

/// Offers findings until there are no more frames.
///
/// **Errors**: an outbox that cannot be written.
pub fn run(frames: &Receiver<Logged>, outbox: &Outbox, metrics: &Metrics) -> anyhow::Result<()> {
    while let Ok(logged) = frames.recv() {
        if let Kind::Findings { .. } = logged.frame.kind {
            let block = &logged.frame.block;
            let findings: Vec<&str> = block.records.iter().map(|record| block.json(record)).collect();
            outbox.offer(logged.sequence, &findings)?;
        }
        metrics.offered(logged.sequence);
    }
    Ok(())
}
