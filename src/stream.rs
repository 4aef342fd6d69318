//! The streaming path: every block is mapped and matched at once, findings become records, and all rows go to the lake.
//!
//! ```text
//! bytes ─► blocks ─┬─► mapping ──────────────► rows ─┐
//!                  └─► detection ─► findings ─► rows ─┴─► lake
//! ```
//!
//! **Bounds**: a few blocks and batches are under way between the threads; the slowest sets the pace.

use crate::detection::{Found, Lane};
use anyhow::Context;
use arrow::array::RecordBatch;
use std::io::Read;
use std::sync::Arc;
use tarn_engine::finding::{Evidence, Findings};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_lake::Ingest;
use tarn_schema_ocsf::{ClassUid, Schema};
use tokio::sync::mpsc;

/// Blocks under way to each lane.
const BLOCKS_MAX: usize = 4;
/// Batches under way to the lake.
const BATCHES_MAX: usize = 4;
/// Mapped text that makes a batch, bytes.
const BATCH_BYTES: usize = 8 << 20;

/// A finding as it happens.
pub struct Alert {
    /// The rule.
    pub rule: RuleIx,
    /// The event's time, microseconds since 1970.
    pub event_time: Option<i64>,
}

/// What went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
    /// What was no record.
    pub dead: u64,
    /// Rows in the lake.
    pub rows: u64,
}

/// The rules, the sources, and the clock of a stream.
pub struct Stream {
    /// The rules.
    pub engine: Arc<Engine>,
    /// When records come in.
    pub now: chrono::DateTime<chrono::Utc>,
}

type Batches = mpsc::Sender<(ClassUid, RecordBatch)>;

impl Stream {
    /// Streams `input` into `ingest`; `alert` gets findings as they happen, `seen` the totals so far.
    ///
    /// **Errors**: reading or the lake.
    pub async fn run(
        &self,
        input: impl Read + Send + 'static,
        ingest: &mut Ingest,
        alert: impl FnMut(Alert) + Send,
        seen: impl Fn(&Totals) + Send,
    ) -> anyhow::Result<Totals> {
        let (rows, mut batches) = mpsc::channel(BATCHES_MAX);
        let (to_map, map) = std::sync::mpsc::sync_channel::<Arc<Block>>(BLOCKS_MAX);
        let (to_match, matching) = std::sync::mpsc::sync_channel::<Arc<Block>>(BLOCKS_MAX);
        let sources = self.engine.sources().clone();
        let options = MapOptions { ingest_time: self.now.timestamp_micros(), ..MapOptions::default() };
        let mut totals = Totals::default();
        std::thread::scope(|scope| {
            let found = rows.clone();
            let (mapped_options, mapped_sources) = (options.clone(), sources.clone());
            let mapping = scope.spawn(move || {
                let mut lane = MapLane::new(mapped_sources, mapped_options, rows);
                map.iter().try_for_each(|block| lane.push(&block))?;
                lane.finish()
            });
            let detecting = scope.spawn(move || self.detect(&matching, MapLane::new(sources, options, found), alert));
            let reading = scope.spawn(move || {
                let mut totals = Totals::default();
                let mut blocks = Blocks::open(input, Limits::default())?;
                while let Some(block) = blocks.next_block()? {
                    totals.records += block.records.len() as u64;
                    totals.bytes += block.json.len() as u64;
                    totals.dead += block.dead.len() as u64;
                    let block = Arc::new(block);
                    let stopped = "a lane of the stream stopped";
                    to_map.send(block.clone()).context(stopped)?;
                    to_match.send(block).context(stopped)?;
                    seen(&totals);
                }
                anyhow::Ok(totals)
            });
            let written: anyhow::Result<u64> = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let mut count = 0;
                    while let Some((class, batch)) = batches.recv().await {
                        count += batch.num_rows() as u64;
                        let table = Schema::v1_8().class(class).with_context(|| format!("no class {class}"))?.table();
                        ingest.append(&table, batch).await?;
                    }
                    ingest.commit().await?;
                    Ok(count)
                })
            });
            // Lanes that still send must not wait for a lake that has failed.
            drop(batches);
            let stopped = || anyhow::anyhow!("a lane of the stream stopped");
            let read = reading.join().map_err(|_| stopped())?;
            let mapped = mapping.join().map_err(|_| stopped())?;
            let findings = detecting.join().map_err(|_| stopped())?;
            let rows = written?;
            mapped?;
            totals = Totals { findings: findings?, rows, ..read? };
            anyhow::Ok(())
        })?;
        Ok(totals)
    }

    fn detect(
        &self,
        blocks: &std::sync::mpsc::Receiver<Arc<Block>>,
        mut findings: MapLane,
        mut alert: impl FnMut(Alert),
    ) -> anyhow::Result<u64> {
        let writer = Findings::new(&self.engine);
        let mut lane = Lane::new(&self.engine, None, chrono_tz::Tz::UTC);
        let mut total = 0;
        for block in blocks {
            let mut made = Block::default();
            let mut line = Vec::new();
            for found in lane.see("stream", &block) {
                total += 1;
                line.clear();
                let event_time = self.write(&writer, &found, &mut line)?;
                made.push(total, std::str::from_utf8(&line)?.trim_end());
                alert(Alert { rule: found.rule, event_time });
            }
            findings.push(&made)?;
        }
        findings.finish()?;
        Ok(total)
    }

    /// Writes a finding; gives the event's time.
    fn write(&self, writer: &Findings, found: &Found<'_>, out: &mut Vec<u8>) -> anyhow::Result<Option<i64>> {
        let identity = found.identity(self.now.timestamp_micros());
        let (event, time_ms) = (found.block.json(found.record), self.now.timestamp_millis());
        let evidence = Evidence { event, identity: &identity, time_ms, file: None, record: found.record.number };
        writer.ocsf(&self.engine, found.rule, &evidence, out)?;
        Ok(identity.time)
    }
}

/// Maps blocks and sends their rows on.
struct MapLane {
    mapper: Mapper,
    rows: Batches,
}

impl MapLane {
    fn new(sources: Arc<Sources>, options: MapOptions, rows: Batches) -> Self {
        Self { mapper: Mapper::new(sources, options), rows }
    }

    fn push(&mut self, block: &Block) -> anyhow::Result<()> {
        self.mapper.push(block, None);
        if self.mapper.pending_bytes() > BATCH_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let (batches, _) = self.mapper.drain();
        batches.into_iter().try_for_each(|b| self.rows.blocking_send(b).context("the lake takes no more rows"))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.send()
    }
}
