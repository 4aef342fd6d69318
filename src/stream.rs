//! The streaming path: every block is mapped and matched at once, findings become records, and all rows go to the lake.
//!
//! ```text
//! bytes ─► blocks ─┬─► mapping ──────────────► rows ─┐
//!                  └─► detection ─► findings ─► rows ─┴─► lake
//! ```
//!
//! **Bounds**: a few blocks and batches are under way between the threads; the slowest sets the pace.

use crate::detection::Lane;
use crate::findings::{Alert, Writer};
use crate::mapping::Mapping;
use crate::report::report_exceptions;
use anyhow::Context;
use arrow::array::RecordBatch;
use chrono_tz::Tz;
use std::io::Read;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlator, Limits as Bounds};
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::Sources;
use tarn_lake::{Clock, Ingest};
use tarn_schema_ocsf::{ClassUid, Schema};
use tokio::sync::mpsc;

/// Blocks under way to each lane.
const BLOCKS_MAX: usize = 4;
/// Batches under way to the lake.
const BATCHES_MAX: usize = 4;
/// Mapped text that makes a batch, bytes.
const BATCH_BYTES: usize = 8 << 20;

/// How late an event may be for correlations, seconds of event time.
pub const LATENESS_S: u32 = 300;
/// The same in microseconds.
pub const LATENESS_US: i64 = LATENESS_S as i64 * 1_000_000;

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
        alert: impl FnMut(Alert<'_>) + Send,
        seen: impl Fn(&Totals) + Send,
    ) -> anyhow::Result<Totals> {
        let (rows, mut batches) = mpsc::channel(BATCHES_MAX);
        let (to_map, map) = std::sync::mpsc::sync_channel::<Arc<Block>>(BLOCKS_MAX);
        let (to_match, matching) = std::sync::mpsc::sync_channel::<Arc<Block>>(BLOCKS_MAX);
        let sources = self.engine.sources().clone();
        let options = MapOptions { ingest_time: self.now.timestamp_micros(), ..MapOptions::default() };
        let (clock, of_findings) = (ingest.clock(), ingest.clock());
        let mut totals = Totals::default();
        std::thread::scope(|scope| {
            let found = rows.clone();
            let (mapped_options, mapped_sources) = (options.clone(), sources.clone());
            let mapping = scope.spawn(move || {
                let mut lane = MapLane::new(mapped_sources, mapped_options, clock, rows);
                map.iter().try_for_each(|block| lane.push(&block))?;
                lane.finish()
            });
            let findings = MapLane::new(sources, options, of_findings, found);
            let detecting = scope.spawn(move || self.detect(&matching, findings, alert));
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
        mut alert: impl FnMut(Alert<'_>),
    ) -> anyhow::Result<u64> {
        let engine = &self.engine;
        let limits = Bounds { lateness_us: Some(LATENESS_US), ..Bounds::default() };
        let (mut lane, mut correlator) = (Lane::new(engine, None, Tz::UTC), Correlator::new(engine.clone(), limits));
        let (mut writer, now) = (Writer::new(engine.clone()), self.now);
        let mut correlated = Vec::new();
        for block in blocks {
            for found in lane.see("stream", &block) {
                if let Some(taken) = found.taken(engine, now.timestamp_micros()) {
                    correlator.push(taken, &mut correlated);
                }
                if engine.is_shown(found.rule) {
                    writer.found(&found, now.timestamp_micros())?;
                    let event_time = found.identity(now.timestamp_micros()).time;
                    alert(Alert { about: &engine.rule(found.rule).about, event_time });
                }
            }
            writer.correlated(&mut correlated, now.timestamp_micros(), &mut alert)?;
            findings.push(&writer.take())?;
        }
        correlator.finish(&mut correlated);
        writer.correlated(&mut correlated, now.timestamp_micros(), &mut alert)?;
        findings.push(&writer.take())?;
        findings.finish()?;
        report_exceptions(engine, &mut correlator);
        Ok(writer.total())
    }
}

/// Maps blocks and sends their rows on.
struct MapLane {
    mapping: Mapping,
    rows: Batches,
}

impl MapLane {
    fn new(sources: Arc<Sources>, options: MapOptions, clock: Arc<Clock>, rows: Batches) -> Self {
        Self { mapping: Mapping::new(sources, options, clock), rows }
    }

    fn push(&mut self, block: &Block) -> anyhow::Result<()> {
        self.mapping.push(block, None);
        if self.mapping.pending_bytes() > BATCH_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        self.mapping
            .drain()?
            .into_iter()
            .try_for_each(|b| self.rows.blocking_send(b).context("the lake takes no more rows"))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.send()
    }
}
