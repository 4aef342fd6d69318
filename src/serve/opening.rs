//! What a start opens: the durable log, the lake that it streams into, and the keeper of the ledger.

use super::config::Config;
use super::consumers::Consumers;
use super::evidence::{Followed, Keeper, Known};
use super::frame::Frame;
use super::metrics::Metrics;
use crate::causes::with_causes;
use anyhow::Context;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tarn_attest::ledger::Signer;
use tarn_lake::log::files::{Bucket, Disk, Files};
use tarn_lake::log::{Log, LogOptions};
use tarn_lake::{Lake, Live, LiveOptions};
use tokio::task::JoinHandle;

/// The durable log, in `bucket` where there is one. It gives what becomes durable to `consumers`, once these are there.
///
/// **Errors**: a log that cannot be opened.
pub fn log(
    config: &Config,
    bucket: Option<Arc<Bucket>>,
    consumers: Arc<OnceLock<Consumers>>,
) -> anyhow::Result<Log<Frame>> {
    let durable = move |sequence, frame| {
        if let Some(consumers) = consumers.get() {
            consumers.durable(sequence, frame);
        }
    };
    let soft = config.log.disk_mib << 20;
    let options = LogOptions {
        segment_bytes: config.log.segment_mib << 20,
        // Findings find room where events do not any more.
        bytes_max: soft + soft / 4,
        frame_bytes_max: config.frame_bytes_max(),
        sync_wait: Duration::from_millis(config.log.group_ms),
    };
    let files: Arc<dyn Files> = match bucket {
        Some(bucket) => bucket,
        None => Arc::new(Disk::new(&config.state.join("log"))),
    };
    let log = Log::open_in(files, options, durable)?;
    if log.torn_bytes() > 0 {
        tracing::warn!(bytes = log.torn_bytes(), "an interrupted write was cut off the durable log");
    }
    Ok(log)
}

/// The way of the log's rows into the lake, and the task that commits them.
///
/// **Errors**: those of the lake.
pub async fn live(
    config: &Config,
    lake: &Lake,
    log: &Log<Frame>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<(Live, JoinHandle<()>)> {
    let options = LiveOptions {
        commit_every: Duration::from_secs(config.commit.seconds),
        commit_bytes: config.commit.mib << 20,
        ..LiveOptions::default()
    };
    let (live, committer) = Live::open(lake, &format!("log/{}", log.writer()), options).await?;
    let committing = tokio::spawn(committer.run(move |error| {
        metrics.store_failed();
        tracing::error!(error = %with_causes(error), "the lake's store failed; trying again");
    }));
    Ok((live, committing))
}

/// What keeps the lake's ledger, where there is a key to sign it with.
///
/// **Errors**: a ledger that cannot be read, or does not go on from what is known of it.
pub async fn keeper(
    config: &Config,
    signer: Option<Signer>,
    lake: &Lake,
    followed: Followed,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Option<Keeper>> {
    let Some(signer) = signer else { return Ok(None) };
    let keeper = Keeper::open(lake.clone(), signer, Known::new(&config.state), followed, metrics).await;
    keeper.context("evidence.ledger_key").map(Some)
}
