//! From the log to the lake: frames become rows as soon as they are on disk.
//!
//! Threads map at once: whichever is free takes the next frames, and rows go to the lake in the order of the log.
//! **Bounds**: a chunk a thread is under way, and as many wait for their turn.

use super::frame::{Kind, Logged};
use super::traces::TARGET;
use crate::mapping::Mapping;
use anyhow::Context;
use arrow::array::RecordBatch;
use chrono::DateTime;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use tarn_ingest::otlp::metric::table;
use tarn_ingest::source::Sources;
use tarn_ingest::{DeadLetter, Reason};
use tarn_lake::{Chunk, Live, dead_letter, with_arrival};
use tarn_schema_ocsf::Schema;

/// Bytes of frames that make a chunk; with fewer, the queue's end does.
const CHUNK_BYTES: usize = 4 << 20;

/// Threads that map, at most: each has memory for rows and for what it has learned.
const THREADS_MAX: usize = 4;

/// How many threads map.
pub fn threads() -> usize {
    available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// A chunk that is being made.
type Made = Receiver<anyhow::Result<Chunk>>;

/// Frames in order, for threads that map them.
pub struct Frames {
    frames: Receiver<Logged>,
    in_turn: SyncSender<Made>,
}

impl Frames {
    /// Frames for so many threads, and the chunks that they make of them, in order.
    pub fn new(frames: Receiver<Logged>, threads: usize) -> (Mutex<Self>, Receiver<Made>) {
        let (in_turn, made) = sync_channel(threads);
        (Mutex::new(Self { frames, in_turn }), made)
    }

    /// The next frames, and where the chunk of them goes; none when there are no more, or nobody takes chunks.
    fn next(&self) -> Option<(Vec<Logged>, SyncSender<anyhow::Result<Chunk>>)> {
        let first = self.frames.recv().ok()?;
        let mut bytes = first.frame.size();
        let mut taken = vec![first];
        while bytes < CHUNK_BYTES
            && let Ok(next) = self.frames.try_recv()
        {
            bytes += next.frame.size();
            taken.push(next);
        }
        let (chunk, made) = sync_channel(1);
        self.in_turn.send(made).ok()?;
        Some((taken, chunk))
    }
}

/// Maps frames until there are no more. One a thread.
pub fn run(frames: &Mutex<Frames>, mut mapping: Mapping, sources: &Sources) {
    loop {
        let next = frames.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((taken, made)) = next else { return };
        // Who takes chunks may have failed, of which the daemon hears.
        let _ = made.send(chunk(taken, &mut mapping, sources));
    }
}

/// Gives chunks to the lake, in order, until there are no more.
///
/// **Errors**: rows that the lake does not take, or that are no table's, which would be a defect of ours.
pub fn push(made: &Receiver<Made>, live: &Live) -> anyhow::Result<()> {
    while let Ok(next) = made.recv() {
        live.push_blocking(next.recv().context("a thread that mapped has ended")??)?;
    }
    Ok(())
}

fn chunk(frames: Vec<Logged>, mapping: &mut Mapping, sources: &Sources) -> anyhow::Result<Chunk> {
    let first = frames.first().map_or(0, |logged| logged.sequence);
    let through = frames.last().map_or(0, |logged| logged.sequence);
    let _span = tracing::info_span!(target: TARGET, "map", first).entered();
    let (mut rows, mut points) = (Vec::new(), Points::default());
    for logged in frames {
        match &logged.frame.kind {
            Kind::Metrics { .. } => points.push(&logged, &mut rows)?,
            _ => map(mapping, sources, &logged, &mut rows)?,
        }
    }
    for (class, batch) in mapping.drain()? {
        let table = Schema::v1_8().class(class).with_context(|| format!("no class {class}"))?.table();
        rows.push((table.to_string(), batch));
    }
    rows.extend(points.finish()?);
    Ok(Chunk { through, rows })
}

fn map(
    mapping: &mut Mapping,
    sources: &Sources,
    logged: &Logged,
    rows: &mut Vec<(String, RecordBatch)>,
) -> anyhow::Result<()> {
    let frame = Arc::as_ref(&logged.frame);
    let only = frame.source(sources).map(|source| source.id);
    mapping.push_arrived(&frame.block, only, frame.time, logged.arrival);
    dead_letters(logged, &frame.block.dead, rows)
}

/// Data points for their table.
#[derive(Default)]
struct Points {
    rows: table::Rows,
    arrivals: Vec<i64>,
}

impl Points {
    fn push(&mut self, logged: &Logged, rows: &mut Vec<(String, RecordBatch)>) -> anyhow::Result<()> {
        let frame = Arc::as_ref(&logged.frame);
        let mut dead = frame.block.dead.clone();
        for (i, record) in frame.block.records.iter().enumerate() {
            let text = frame.block.json(record);
            match self.rows.push(&frame.block, record, frame.time) {
                Ok(()) => self.arrivals.push(logged.arrival + i as i64),
                Err(error) => dead.push(DeadLetter {
                    number: record.number,
                    offset: None,
                    bytes: text.as_bytes().to_vec(),
                    reason: Reason::Decoder(format!("no data point: {error}")),
                }),
            }
        }
        dead_letters(logged, &dead, rows)
    }

    fn finish(mut self) -> anyhow::Result<Option<(String, RecordBatch)>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rows = with_arrival(&self.rows.finish()?, self.arrivals)?;
        Ok(Some((table::TABLE.to_owned(), rows)))
    }
}

fn dead_letters(logged: &Logged, dead: &[DeadLetter], rows: &mut Vec<(String, RecordBatch)>) -> anyhow::Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let frame = Arc::as_ref(&logged.frame);
    let container = format!("{}#{}", frame.sender().unwrap_or("log"), logged.sequence);
    let reasons: Vec<String> = dead.iter().map(|letter| letter.reason.to_string()).collect();
    let letters = dead.iter().zip(&reasons).map(|(letter, reason)| dead_letter::DeadLetter {
        container: &container,
        record: letter.number,
        offset: letter.offset,
        bytes: &letter.bytes,
        reason,
    });
    let time = DateTime::from_timestamp_micros(frame.time).unwrap_or_default();
    rows.push((dead_letter::TABLE.to_owned(), dead_letter::batch(letters, time)?));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::serve::frame::Frame;
    use std::sync::mpsc::channel;
    use tarn_ingest::container::Block;

    fn logged(sequence: u64, bytes: usize) -> Logged {
        let mut block = Block::default();
        block.push(1, &format!("{{\"a\":\"{}\"}}", "x".repeat(bytes)));
        let frame = Frame::new(Kind::Events { source: None, sender: None }, 0, block);
        Logged { sequence, arrival: 0, frame: Arc::new(frame) }
    }

    #[test]
    fn rows_go_on_in_the_order_of_the_log_whoever_is_done_first() {
        let (send, frames) = channel();
        let (frames, made) = Frames::new(frames, 2);
        for (sequence, bytes) in [(1, 10), (2, CHUNK_BYTES), (3, CHUNK_BYTES), (4, 10)] {
            send.send(logged(sequence, bytes)).unwrap();
        }
        drop(send);
        let next = || frames.lock().unwrap().next();
        let chunk = |frames: &[Logged]| Ok(Chunk { through: frames.last().unwrap().sequence, rows: Vec::new() });
        let ((first, to_first), (second, to_second)) = (next().unwrap(), next().unwrap());
        to_second.send(chunk(&second)).unwrap();
        to_first.send(chunk(&first)).unwrap();
        let through = || made.recv().unwrap().recv().unwrap().unwrap().through;
        assert_eq!([through(), through()], [2, 3]);
        let (last, to_last) = next().unwrap();
        to_last.send(chunk(&last)).unwrap();
        assert_eq!(through(), 4);
        assert!(next().is_none());
    }

    #[test]
    fn nobody_maps_for_a_lake_that_takes_nothing() {
        let (send, frames) = channel();
        let (frames, made) = Frames::new(frames, 1);
        send.send(logged(1, 10)).unwrap();
        drop(made);
        assert!(frames.lock().unwrap().next().is_none());
    }
}
