//! From the log to the lake: frames become rows, in order, as soon as they are on disk.

use super::frame::{Kind, Logged};
use super::traces::TARGET;
use crate::mapping::Mapping;
use anyhow::Context;
use arrow::array::RecordBatch;
use chrono::DateTime;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tarn_ingest::otlp::metric::table;
use tarn_ingest::source::Sources;
use tarn_ingest::{DeadLetter, Reason};
use tarn_lake::{Chunk, Live, dead_letter, with_arrival};
use tarn_schema_ocsf::Schema;

/// Bytes of text that make a chunk; with fewer, the queue's end does.
const CHUNK_BYTES: usize = 8 << 20;

/// Maps frames until there are no more.
///
/// **Errors**: rows that the lake does not take, which would be a defect of ours.
pub fn run(frames: &Receiver<Logged>, mut mapping: Mapping, sources: &Sources, live: &Live) -> anyhow::Result<()> {
    while let Ok(first) = frames.recv() {
        let _span = tracing::info_span!(target: TARGET, "map", first = first.sequence).entered();
        let mut rows = Vec::new();
        let mut points = Points::default();
        let mut through = 0;
        let mut next = Some(first);
        while let Some(logged) = next {
            through = logged.sequence;
            match &logged.frame.kind {
                Kind::Metrics { .. } => points.push(&logged, &mut rows)?,
                _ => map(&mut mapping, sources, &logged, &mut rows)?,
            }
            next = if mapping.pending_bytes() + points.bytes < CHUNK_BYTES { frames.try_recv().ok() } else { None };
        }
        for (class, batch) in mapping.drain()? {
            let table = Schema::v1_8().class(class).with_context(|| format!("no class {class}"))?.table();
            rows.push((table.to_string(), batch));
        }
        rows.extend(points.finish()?);
        live.push_blocking(Chunk { through, rows })?;
    }
    Ok(())
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
    /// Of their text.
    bytes: usize,
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
            self.bytes += text.len();
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
