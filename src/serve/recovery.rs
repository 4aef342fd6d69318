//! What a start does with a log that is there: each consumer gets the frames that it does not have.

use super::consumers::{Consumers, Positions};
use super::detection::Spoken;
use super::frame::{Frame, Kind};
use super::intake::Room;
use super::repeats::Repeats;
use anyhow::Context;
use std::time::Instant;
use tarn_lake::log::Log;

/// What findings the log has beyond frame `detected`.
///
/// **Errors**: a log that cannot be read.
pub fn spoken(log: &Log<Frame>, detected: u64) -> anyhow::Result<Spoken> {
    let mut spoken = Spoken { through: detected, last: log.last(), ..Spoken::default() };
    for read in log.read_after(detected)? {
        let (sequence, bytes) = read?;
        let frame = decode(sequence, &bytes)?;
        if let Kind::Findings { through } = frame.kind {
            spoken.through = spoken.through.max(through);
            frame.block.records.iter().for_each(|record| spoken.add(frame.block.json(record)));
        }
    }
    Ok(spoken)
}

/// Gives consumers what they do not have, with no more frames in memory than `room` has place for. Returns how many
/// frames that were.
///
/// **Errors**: a log that cannot be read.
pub async fn replay(
    log: &Log<Frame>,
    consumers: &Consumers,
    room: &Room,
    repeats: Option<&Repeats>,
    had: Positions,
) -> anyhow::Result<u64> {
    let mut given = had.mapped.min(had.detected).min(had.taken.unwrap_or(u64::MAX));
    let mut frames = 0;
    loop {
        for read in log.read_after(given)? {
            let (sequence, bytes) = read?;
            let frame = decode(sequence, &bytes)?;
            if let Some(repeats) = repeats {
                repeats.remember_frame(&frame, Instant::now());
            }
            let permit = room.take(frame.size()).await.context("no room")?;
            consumers.give(sequence, frame.with_room(permit), had);
            given = sequence;
            frames += 1;
        }
        // Detection has written meanwhile.
        if consumers.caught_up(given) {
            return Ok(frames);
        }
    }
}

fn decode(sequence: u64, bytes: &[u8]) -> anyhow::Result<Frame> {
    Frame::decode(bytes).with_context(|| format!("frame {sequence} of the durable log"))
}
