//! From receivers into the log: a delivery becomes a frame, within bounds, and is acknowledged once it is on disk.
//!
//! **Bounds**: frames in memory take room until mapping and detection are through with them. Where there is none, or the
//! log's disk is full, a delivery waits a moment and is refused with the retryable error.

use super::crash;
use super::frame::Frame;
use super::metrics::Metrics;
use super::rates::Rates;
use super::repeats::Repeats;
use chrono::Utc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_connectors::intake::{Content, Delivery, Intake, Refused};
use tarn_ingest::source::Sources;
use tarn_lake::log::{Log, LogError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room is given out in pieces of this many bytes.
const PIECE: usize = 1024;

/// Room for frames in memory.
#[derive(Clone, Debug)]
pub struct Room {
    pieces: Arc<Semaphore>,
    all: usize,
}

impl Room {
    /// Room for `bytes`.
    pub fn new(bytes: usize) -> Self {
        let all = (bytes / PIECE).clamp(1, Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { pieces: Arc::new(Semaphore::new(all)), all }
    }

    /// Takes room for `bytes`, at most all there is; waits for it. None when the server is going down.
    pub async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pieces = bytes.div_ceil(PIECE).clamp(1, self.all) as u32;
        self.pieces.clone().acquire_many_owned(pieces).await.ok()
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        (self.all - self.pieces.available_permits().min(self.all)) * PIECE
    }
}

/// What bounds the way in.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// For frames in memory.
    pub room: Room,
    /// For each sender.
    pub rates: Rates,
    /// What came in before, where that is dropped.
    pub repeats: Option<Repeats>,
    /// How long a delivery waits for room.
    pub wait: Duration,
    /// Largest delivery.
    pub delivery_bytes_max: usize,
    /// Bytes of log on disk beyond which no events are taken; what detection makes of those before still is.
    pub log_bytes_max: u64,
}

/// The way into `log`.
pub fn intake(log: Log<Frame>, sources: Arc<Sources>, bounds: Bounds, metrics: Arc<Metrics>) -> Intake {
    Intake::new(move |delivery| {
        let (log, sources, bounds, metrics) = (log.clone(), sources.clone(), bounds.clone(), metrics.clone());
        Box::pin(async move {
            let (records, dead) = (delivery.block.records.len() as u64, delivery.block.dead.len() as u64);
            let bytes = delivery.block.json.len() as u64;
            let result = take(&log, &sources, &bounds, &metrics, delivery).await;
            match &result {
                Ok(()) => metrics.accepted(records, dead, bytes),
                Err(refused) => metrics.refused(refused),
            }
            result
        })
    })
}

async fn take(
    log: &Log<Frame>,
    sources: &Sources,
    bounds: &Bounds,
    metrics: &Metrics,
    mut delivery: Delivery,
) -> Result<(), Refused> {
    if let Some(name) = delivery.source.as_ref().filter(|name| sources.named(name).is_none()) {
        return Err(Refused::UnknownSource { name: name.clone() });
    }
    let (source, sender) = (delivery.source.clone(), delivery.sender.clone());
    let repeats = bounds.repeats.as_ref().filter(|_| matches!(delivery.content, Content::Events));
    let fresh = repeats.map(|repeats| {
        let records = delivery.block.records.len();
        let fresh = repeats.drop_known(&mut delivery.block, source.as_deref(), sender.as_deref());
        metrics.repeated(records - delivery.block.records.len());
        (repeats, fresh)
    });
    if delivery.block.records.is_empty() && delivery.block.dead.is_empty() {
        return Ok(());
    }
    let frame = Frame::of(delivery, Utc::now().timestamp_micros());
    let size = frame.size();
    if size > bounds.delivery_bytes_max {
        return Err(Refused::TooLarge { bytes: size, limit: bounds.delivery_bytes_max });
    }
    let rate = bounds.rates.take(sender.as_deref(), size, Instant::now());
    rate.map_err(|retry_after| Refused::Overloaded { retry_after })?;
    let overloaded = Refused::Overloaded { retry_after: Duration::from_secs(1) };
    if log.bytes() + size as u64 > bounds.log_bytes_max {
        return Err(overloaded);
    }
    let room = tokio::time::timeout(bounds.wait, bounds.room.take(size)).await.map_err(|_| overloaded.clone())?;
    let frame = frame.with_room(room.ok_or(Refused::Stopping)?);
    let bytes = frame.encode().map_err(|_| Refused::TooLarge { bytes: size, limit: bounds.delivery_bytes_max })?;
    match log.append(bytes, frame).await {
        Ok(_) => {
            if let Some((repeats, fresh)) = fresh {
                repeats.remember(fresh, Instant::now());
            }
            crash::point("before-answer");
            Ok(())
        }
        Err(LogError::Full { .. }) => Err(overloaded),
        Err(LogError::TooLarge { .. }) => Err(Refused::TooLarge { bytes: size, limit: bounds.delivery_bytes_max }),
        Err(LogError::Closed) => Err(Refused::Stopping),
        Err(_) => Err(Refused::Broken),
    }
}
