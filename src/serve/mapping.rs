//! From the log to the lake: frames become rows, in order, as soon as they are on disk.

use super::frame::{Kind, Logged};
use crate::mapping::Mapping;
use anyhow::Context;
use chrono::DateTime;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tarn_ingest::source::Sources;
use tarn_lake::dead_letter;
use tarn_lake::{Chunk, Live};
use tarn_schema_ocsf::Schema;

/// Bytes of text that make a chunk; with fewer, the queue's end does.
const CHUNK_BYTES: usize = 8 << 20;

/// Maps frames until there are no more.
///
/// **Errors**: rows that the lake does not take, which would be a defect of ours.
pub fn run(frames: &Receiver<Logged>, mut mapping: Mapping, sources: &Sources, live: &Live) -> anyhow::Result<()> {
    while let Ok(first) = frames.recv() {
        let mut rows = Vec::new();
        let mut through = 0;
        let mut next = Some(first);
        while let Some(logged) = next {
            through = logged.sequence;
            map(&mut mapping, sources, &logged, &mut rows)?;
            next = if mapping.pending_bytes() < CHUNK_BYTES { frames.try_recv().ok() } else { None };
        }
        for (class, batch) in mapping.drain()? {
            let table = Schema::v1_8().class(class).with_context(|| format!("no class {class}"))?.table();
            rows.push((table.to_string(), batch));
        }
        live.push_blocking(Chunk { through, rows })?;
    }
    Ok(())
}

fn map(
    mapping: &mut Mapping,
    sources: &Sources,
    logged: &Logged,
    rows: &mut Vec<(String, arrow::array::RecordBatch)>,
) -> anyhow::Result<()> {
    let frame = Arc::as_ref(&logged.frame);
    let (source, sender) = match &frame.kind {
        Kind::Events { source, sender } => (source.as_deref(), sender.as_deref()),
        Kind::Findings { .. } | Kind::Updates { .. } | Kind::Idle { .. } => (None, None),
    };
    let only = source.and_then(|name| sources.named(name)).map(|source| source.id);
    mapping.push_arrived(&frame.block, only, frame.time, logged.arrival);
    if frame.block.dead.is_empty() {
        return Ok(());
    }
    let container = format!("{}#{}", sender.unwrap_or("log"), logged.sequence);
    let reasons: Vec<String> = frame.block.dead.iter().map(|letter| letter.reason.to_string()).collect();
    let letters = frame.block.dead.iter().zip(&reasons).map(|(letter, reason)| dead_letter::DeadLetter {
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
