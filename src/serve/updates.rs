//! What people do with findings, into the log: a frame of its own, acknowledged once it is on disk.

use super::crash;
use super::frame::{Frame, Kind};
use super::intake::Room;
use chrono::Utc;
use std::time::Duration;
use tarn_connectors::findings::{Keep, Update};
use tarn_connectors::intake::Refused;
use tarn_ingest::container::Block;
use tarn_lake::log::{Log, LogError};

/// How long a change waits for room.
const WAIT: Duration = Duration::from_secs(10);

/// The way into `log`, for frames of at most `bytes_max`. Changes have the room of findings: they are taken where events are not any more.
pub fn keep(log: Log<Frame>, room: Room, bytes_max: usize) -> Keep {
    Keep::new(move |update| {
        let (log, room) = (log.clone(), room.clone());
        Box::pin(async move { append(&log, &room, bytes_max, update).await })
    })
}

async fn append(log: &Log<Frame>, room: &Room, limit: usize, update: Update) -> Result<(), Refused> {
    let mut block = Block::default();
    block.push(1, &update.record);
    let frame = Frame::new(Kind::Updates { by: update.by.to_string() }, Utc::now().timestamp_micros(), block);
    let (size, overloaded) = (frame.size(), Refused::Overloaded { retry_after: Duration::from_secs(1) });
    let bytes = frame.encode().map_err(|_| Refused::TooLarge { bytes: size, limit })?;
    let taken = tokio::time::timeout(WAIT, room.take(size)).await.map_err(|_| overloaded.clone())?;
    match log.append(bytes, frame.with_room(taken.ok_or(Refused::Stopping)?)).await {
        Ok(_) => {
            crash::point("before-update-answer");
            Ok(())
        }
        Err(LogError::Full { .. }) => Err(overloaded),
        Err(LogError::TooLarge { .. }) => Err(Refused::TooLarge { bytes: size, limit }),
        Err(LogError::Closed) => Err(Refused::Stopping),
        Err(_) => Err(Refused::Broken),
    }
}
