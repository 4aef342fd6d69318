//! Rules over log files.
//!
//! Records that rules fire on are mapped, as `tarn ingest` maps them, for the columns of their entities. **Bounds**:
//! [`PENDING_BYTES_MAX`] of mapped text.

use super::cost::{self, Sample, Weights};
use super::{ENTITIES, Pass, Tallies};
use crate::detection::{Detection, Found};
use crate::input::{self, Input};
use crate::progress;
use crate::report::DeadLetters;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::container::{Block, RecordSpan};
use tarn_ingest::fields::FieldReader;
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::SourceId;

/// Mapped text that waits to be counted.
const PENDING_BYTES_MAX: usize = 4 << 20;
/// Inputs whose beginnings are in a sample, at most.
const SAMPLED_MAX: usize = 200;

/// Log files that rules are replayed over.
pub struct Files {
    /// The files.
    pub inputs: Vec<Input>,
    /// The source of all records, where it is known.
    pub source: Option<SourceId>,
    /// What bare times are in.
    pub zone: Tz,
    /// The time of events without one, microseconds since 1970.
    pub now: i64,
    /// Threads that match.
    pub threads: usize,
}

impl Files {
    /// See [`super::Data::replay`].
    pub fn replay(&self, engine: &Arc<Engine>, pass: Pass) -> anyhow::Result<Tallies> {
        let Self { source, zone, now, threads, .. } = *self;
        let detection = Detection { engine: engine.clone(), source, zone, now, threads };
        let bar = progress::bytes(input::size(&self.inputs));
        let options = MapOptions { ingest_time: now, zone, coverage: false };
        let counting = Mutex::new(Counting {
            tallies: Tallies::new(engine.clone(), pass),
            mapper: Mapper::new(engine.sources().clone(), options),
            hits: HashMap::new(),
        });
        let lock = || counting.lock().unwrap_or_else(PoisonError::into_inner);
        let render = |found: &Found<'_>, _: &mut Vec<u8>| lock().hit(found, source, now).map_err(std::io::Error::other);
        let (mut dead, mut letters) = (DeadLetters::new(None)?, 0);
        let unreadable = detection.run(&self.inputs, &bar, &render, &mut |seen| {
            let mut counting = lock();
            seen.matches.drain(..).for_each(|matched| counting.tallies.take(matched));
            bar.set_message(format!("{} findings", counting.tallies.findings()));
            letters += seen.dead.len();
            if pass == Pass::Old { Ok(()) } else { dead.take(&seen.input, &seen.dead) }
        })?;
        bar.finish_and_clear();
        if pass != Pass::Old {
            unreadable.iter().for_each(|failed| eprintln!("error: {}: {:#}", failed.input, failed.error));
            if letters > 0 {
                eprintln!("{letters} dead letters in all");
            }
        }
        let mut counting = counting.into_inner().unwrap_or_else(PoisonError::into_inner);
        counting.drain()?;
        counting.tallies.incomplete = !unreadable.is_empty();
        Ok(counting.tallies.finish())
    }

    /// See [`super::Data::weigh`]. The sample is the beginnings of some of the files.
    pub fn weigh(&self, engine: &Arc<Engine>) -> anyhow::Result<Weights> {
        let step = self.inputs.len().div_ceil(SAMPLED_MAX).max(1);
        let each = cost::sample_rows(engine) / self.inputs.len().div_ceil(step).max(1);
        let mut sample = Block::default();
        for input in self.inputs.iter().step_by(step) {
            // What cannot be read was named when it was replayed.
            let Ok(mut blocks) = input.blocks(&indicatif::ProgressBar::hidden()) else { continue };
            let mut wanted = each.max(1);
            while wanted > 0
                && let Ok(Some(block)) = blocks.next_block()
            {
                block.records.iter().take(wanted).for_each(|record| copy(&block, record, &mut sample));
                wanted -= wanted.min(block.records.len());
            }
        }
        let mut reader = FieldReader::new(engine.sources().clone(), engine.request()).in_zone(self.zone);
        reader.read(&sample, self.source);
        Ok(cost::weigh(engine, &[Sample { rows: reader.rows(), rules: None }]))
    }
}

struct Counting {
    tallies: Tallies,
    mapper: Mapper,
    /// Rules that fired on records which the mapper has, by uid.
    hits: HashMap<Arc<str>, Vec<RuleIx>>,
}

impl Counting {
    fn hit(&mut self, found: &Found<'_>, source: Option<SourceId>, now: i64) -> anyhow::Result<()> {
        let identity = found.identity(now);
        let uid: Arc<str> = identity.uid.as_str().into();
        self.tallies.hit(found.rule, &uid, identity.time.unwrap_or(now));
        let rules = self.hits.entry(uid).or_default();
        rules.push(found.rule);
        if rules.len() > 1 {
            return Ok(());
        }
        let mut block = Block::default();
        block.origin = found.block.origin;
        copy(found.block, found.record, &mut block);
        self.mapper.push(&block, source);
        if self.mapper.pending_bytes() > PENDING_BYTES_MAX { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let (batches, _) = self.mapper.drain();
        for (_, batch) in &batches {
            self.entities(batch)?;
        }
        self.hits.clear();
        Ok(())
    }

    fn entities(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let texts = |name: &str| {
            let column = batch.column_by_name(name).map(|c| arrow::compute::cast(c, &DataType::Utf8));
            column.transpose()
        };
        let Some(uids) = texts("metadata.uid")? else { return Ok(()) };
        let uids = uids.as_string::<i32>();
        for name in ENTITIES {
            let Some(values) = texts(name)? else { continue };
            let values = values.as_string::<i32>();
            for row in (0..batch.num_rows()).filter(|row| values.is_valid(*row)) {
                for rule in self.hits.get(uids.value(row)).into_iter().flatten() {
                    self.tallies.entity(*rule, name, values.value(row));
                }
            }
        }
        Ok(())
    }
}

/// Adds a block's record to another block.
fn copy(from: &Block, record: &RecordSpan, to: &mut Block) {
    let (json, original) = (from.json(record), from.original(record));
    match record.original {
        Some(_) => to.push_with_original(record.number, json, original),
        None => to.push(record.number, json),
    }
}
