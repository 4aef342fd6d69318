//! Inputs through the rules: threads read in turn and match at once, and findings come out in the order of the events.
//!
//! **Bounds**: a few blocks a thread are under way; what is ahead of its turn waits, and reading waits for it.

use crate::input::Input;
use chrono_tz::Tz;
use indicatif::ProgressBar;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tarn_engine::correlation::Match;
use tarn_engine::{Engine, Hit, Matcher, RuleIx};
use tarn_ingest::DeadLetter;
use tarn_ingest::container::{Block, Blocks, RecordSpan};
use tarn_ingest::fields::{FieldReader, Identity};
use tarn_ingest::source::SourceId;

/// Blocks under way, for each thread.
const BLOCKS_PER_THREAD: usize = 2;

/// Bytes of memory for findings that a block passes on to the next.
const OUTPUT_BYTES_KEPT: usize = 4 << 20;

/// How inputs are gone through.
#[derive(Clone)]
pub struct Detection {
    /// The rules.
    pub engine: Arc<Engine>,
    /// The source of all records, where it is known.
    pub source: Option<SourceId>,
    /// What bare times are in.
    pub zone: Tz,
    /// When this is, microseconds since 1970: the time of events without one.
    pub now: i64,
    /// Threads that match.
    pub threads: usize,
}

/// A block that rules have seen.
pub struct Seen {
    /// The input's name.
    pub input: Arc<str>,
    /// Rendered findings.
    pub output: Vec<u8>,
    /// What correlations take, in order.
    pub matches: Vec<Match>,
    /// How many findings.
    pub findings: u64,
    /// How many records.
    pub records: u64,
    /// What was no record.
    pub dead: Vec<DeadLetter>,
}

/// A hit and what it hit.
pub struct Found<'a> {
    /// The input's name.
    pub input: &'a str,
    /// The block that holds the record.
    pub block: &'a Block,
    /// The record.
    pub record: &'a RecordSpan,
    /// The rule.
    pub rule: RuleIx,
    row: usize,
    reader: &'a FieldReader,
    /// Worked out once for all hits of the event.
    identity: Rc<OnceCell<Identity>>,
}

impl Found<'_> {
    /// The hit as correlations take it; none where none does. An event without a time is of `now`, microseconds.
    pub fn taken(&self, engine: &Engine, now: i64) -> Option<Match> {
        let fields = engine.captures(self.rule)?;
        let values = fields.iter().map(|name| self.reader.value(self.row, name)).collect();
        let identity = self.identity(now);
        let (time, uid) = (identity.time.unwrap_or(now), identity.uid.as_str().into());
        Some(Match { rule: self.rule, time, uid, values })
    }

    /// The event's uid and time; `now`, microseconds, tells the year of times without one.
    pub fn identity(&self, now: i64) -> &Identity {
        self.identity.get_or_init(|| self.reader.identity(self.block, self.row, now))
    }
}

/// Writes a finding.
pub type Render<'r> = dyn Fn(&Found<'_>, &mut Vec<u8>) -> std::io::Result<()> + Sync + 'r;

/// An input that could not be read to its end.
pub struct Unreadable {
    /// Its name.
    pub input: Arc<str>,
    /// Why.
    pub error: anyhow::Error,
}

/// Reads and matches blocks. One a thread.
pub struct Lane {
    source: Option<SourceId>,
    reader: FieldReader,
    matcher: Matcher,
}

impl Lane {
    /// For an engine's rules.
    pub fn new(engine: &Arc<Engine>, source: Option<SourceId>, zone: Tz) -> Self {
        let reader = FieldReader::new(engine.sources().clone(), engine.request()).in_zone(zone);
        Self { source, reader, matcher: Matcher::new(engine.clone()) }
    }

    /// What rules find in a block, by record.
    pub fn see<'a>(&'a mut self, input: &'a str, block: &'a Block) -> impl Iterator<Item = Found<'a>> {
        self.see_of(input, block, self.source)
    }

    /// The same of a block whose records are of one source, where that is known.
    pub fn see_of<'a>(
        &'a mut self,
        input: &'a str,
        block: &'a Block,
        source: Option<SourceId>,
    ) -> impl Iterator<Item = Found<'a>> {
        self.reader.read(block, source);
        let hits = self.matcher.evaluate(self.reader.rows());
        let reader = &self.reader;
        let mut last: (usize, Rc<OnceCell<Identity>>) = (usize::MAX, Rc::default());
        hits.iter().map(move |Hit { row, rule }| {
            let row = *row as usize;
            if last.0 != row {
                last = (row, Rc::default());
            }
            let record = &block.records[row];
            Found { input, block, record, rule: *rule, row, reader, identity: last.1.clone() }
        })
    }

    /// The time of a record of the block that was seen last, microseconds, where it has one.
    pub fn time(&self, block: &Block, row: usize, now: i64) -> Option<i64> {
        self.reader.identity(block, row, now).time
    }

    fn render(
        &mut self,
        to: &Detection,
        input: Arc<str>,
        mut block: Block,
        render: &Render<'_>,
        mut output: Vec<u8>,
    ) -> std::io::Result<(Seen, Block)> {
        let (mut matches, mut findings) = (Vec::new(), 0);
        for found in self.see(&input, &block) {
            matches.extend(found.taken(&to.engine, to.now));
            if to.engine.is_shown(found.rule) {
                findings += 1;
                render(&found, &mut output)?;
            }
        }
        let records = block.records.len() as u64;
        let dead = std::mem::take(&mut block.dead);
        Ok((Seen { input, output, matches, findings, records, dead }, block))
    }
}

impl Detection {
    /// Goes through `inputs`; `take` gets what was seen, in order, block by block.
    ///
    /// **Errors**: those of `take` and of rendering end the run; inputs that cannot be read are returned.
    pub fn run(
        &self,
        inputs: &[Input],
        bar: &ProgressBar,
        render: &Render<'_>,
        take: &mut dyn FnMut(&mut Seen) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Unreadable>> {
        let mut reading = Reading { inputs: inputs.iter(), bar, current: None, number: 0, unreadable: Vec::new() };
        if self.threads > 1 {
            return self.run_threads(reading, render, take);
        }
        let mut lane = Lane::new(&self.engine, self.source, self.zone);
        let (mut spare, mut output) = (Block::default(), Vec::new());
        while let Some((_, input, block)) = reading.next(spare) {
            let (mut seen, done) = lane.render(self, input, block, render, output)?;
            take(&mut seen)?;
            (spare, output) = (done, emptied(seen.output));
        }
        Ok(reading.unreadable)
    }

    fn run_threads(
        &self,
        reading: Reading<'_>,
        render: &Render<'_>,
        take: &mut dyn FnMut(&mut Seen) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Unreadable>> {
        let reading = Mutex::new(reading);
        let bound = self.threads * BLOCKS_PER_THREAD;
        let (send, seen) = sync_channel(bound);
        // A block is read for one of these, so that what waits for its turn is bounded; it takes the findings.
        let (free, permits) = sync_channel(bound);
        for _ in 0..bound {
            let _ = free.send(Vec::new());
        }
        let permits = Mutex::new(permits);
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                let work = Work { detection: self, reading: &reading, permits: &permits, render };
                let send = send.clone();
                scope.spawn(move || work.run(&send));
            }
            drop(send);
            let taken = in_order(&seen, &free, take);
            // Ends the threads that still wait, when taking has failed.
            drop((seen, free));
            taken
        })?;
        Ok(reading.into_inner().unwrap_or_else(PoisonError::into_inner).unreadable)
    }
}

type Numbered = (u64, std::io::Result<Seen>);

/// What a thread does: whichever is free reads the next block, and matches it while others read on.
struct Work<'a, 'i> {
    detection: &'a Detection,
    reading: &'a Mutex<Reading<'i>>,
    permits: &'a Mutex<Receiver<Vec<u8>>>,
    render: &'a Render<'a>,
}

impl Work<'_, '_> {
    fn run(self, send: &SyncSender<Numbered>) {
        let mut lane = Lane::new(&self.detection.engine, self.detection.source, self.detection.zone);
        let mut spare = Block::default();
        while let Ok(output) = self.permit() {
            let (number, seen) = match self.next(std::mem::take(&mut spare)) {
                Ok(None) => return,
                Ok(Some((number, input, block))) => {
                    let seen = catch_unwind(AssertUnwindSafe(|| {
                        lane.render(self.detection, input, block, self.render, output)
                    }));
                    (number, seen.unwrap_or_else(|_| Err(std::io::Error::other("a detection thread panicked"))))
                }
                Err(number) => (number, Err(std::io::Error::other("reading panicked"))),
            };
            let seen = seen.map(|(seen, done)| {
                spare = done;
                seen
            });
            let failed = seen.is_err();
            if send.send((number, seen)).is_err() || failed {
                return;
            }
        }
    }

    fn permit(&self) -> Result<Vec<u8>, RecvError> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).recv()
    }

    /// The next block. A defect takes the number of a block, so that it is told in its turn and none waits for ever.
    fn next(&self, spare: Block) -> Result<Option<(u64, Arc<str>, Block)>, u64> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(|| reading.next(spare))).map_err(|_| {
            reading.number += 1;
            reading.number - 1
        })
    }
}

fn in_order(
    seen: &Receiver<Numbered>,
    free: &SyncSender<Vec<u8>>,
    take: &mut dyn FnMut(&mut Seen) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut next = 0;
    let mut waiting = BTreeMap::new();
    for (number, result) in seen {
        waiting.insert(number, result);
        while let Some(result) = waiting.remove(&next) {
            let mut seen = result?;
            take(&mut seen)?;
            next += 1;
            let _ = free.try_send(emptied(seen.output));
        }
    }
    Ok(())
}

/// Memory for the next findings. Little is kept, as there may be many of these.
fn emptied(mut output: Vec<u8>) -> Vec<u8> {
    output.clear();
    output.shrink_to(OUTPUT_BYTES_KEPT);
    output
}

/// Inputs one after the other, block by block; one that fails does not stop the others.
struct Reading<'a> {
    inputs: std::slice::Iter<'a, Input>,
    bar: &'a ProgressBar,
    current: Option<(Arc<str>, Blocks)>,
    /// How many blocks there were.
    number: u64,
    unreadable: Vec<Unreadable>,
}

impl Reading<'_> {
    /// The next block, its number and its input's name; `spare` is one that is done with, whose memory serves it.
    fn next(&mut self, mut spare: Block) -> Option<(u64, Arc<str>, Block)> {
        loop {
            if self.current.is_none() {
                let input = self.inputs.next()?;
                let name: Arc<str> = input.name().into();
                match input.blocks(self.bar) {
                    Ok(blocks) => self.current = Some((name, blocks)),
                    Err(error) => self.unreadable.push(Unreadable { input: name, error }),
                }
            }
            let Some((name, mut blocks)) = self.current.take() else { continue };
            blocks.give_back(std::mem::take(&mut spare));
            match blocks.next_block() {
                Ok(Some(block)) => {
                    let number = self.number;
                    self.number += 1;
                    self.current = Some((name.clone(), blocks));
                    return Some((number, name, block));
                }
                Ok(None) => {}
                Err(error) => self.unreadable.push(Unreadable { input: name, error: error.into() }),
            }
        }
    }
}
