//! Inputs through the rules: one thread reads, the others match, and findings come out in the order of the events.
//!
//! **Bounds**: a few blocks a thread are under way; what is ahead of its turn waits, and reading waits for it.

use crate::input::Input;
use anyhow::Context;
use chrono_tz::Tz;
use indicatif::ProgressBar;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tarn_engine::correlation::Match;
use tarn_engine::{Engine, Hit, Matcher, RuleIx};
use tarn_ingest::DeadLetter;
use tarn_ingest::container::{Block, RecordSpan};
use tarn_ingest::fields::{FieldReader, Identity};
use tarn_ingest::source::SourceId;

/// Blocks under way, for each thread.
const BLOCKS_PER_THREAD: usize = 4;

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
        self.reader.read(block, self.source);
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

    fn render(
        &mut self,
        to: &Detection,
        input: Arc<str>,
        mut block: Block,
        render: &Render<'_>,
    ) -> std::io::Result<(Seen, Block)> {
        let (mut output, mut matches, mut findings) = (Vec::new(), Vec::new(), 0);
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
        take: &mut dyn FnMut(Seen) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Unreadable>> {
        if self.threads <= 1 {
            let mut lane = Lane::new(&self.engine, self.source, self.zone);
            return read(inputs, bar, &mut |input, block| {
                let (seen, done) = lane.render(self, input, block, render)?;
                take(seen)?;
                Ok(done)
            });
        }
        self.run_threads(inputs, bar, render, take)
    }

    fn run_threads(
        &self,
        inputs: &[Input],
        bar: &ProgressBar,
        render: &Render<'_>,
        take: &mut dyn FnMut(Seen) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Unreadable>> {
        let bound = self.threads * BLOCKS_PER_THREAD;
        let (send_block, blocks) = sync_channel::<(u64, Arc<str>, Block)>(self.threads);
        let blocks = Mutex::new(blocks);
        let (send_seen, seen) = sync_channel(bound);
        // A block is read when one of these is free, so that what waits for its turn is bounded.
        let (free, permits) = sync_channel::<Block>(bound);
        for _ in 0..bound {
            let _ = free.send(Block::default());
        }
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                let (blocks, send_seen) = (&blocks, send_seen.clone());
                scope.spawn(move || work(self, render, blocks, &send_seen));
            }
            drop(send_seen);
            let reading = scope.spawn(move || {
                let mut number = 0;
                read(inputs, bar, &mut |input, block| {
                    let done = permits.recv().context("stopped")?;
                    send_block.send((number, input, block)).context("stopped")?;
                    number += 1;
                    Ok(done)
                })
            });
            let taken = in_order(&seen, &free, take);
            // Ends the threads that still wait to send, when taking has failed.
            drop((seen, free));
            let unreadable = reading.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the reading thread stopped")));
            taken?;
            unreadable
        })
    }
}

type Numbered = (u64, std::io::Result<(Seen, Block)>);

fn work(
    detection: &Detection,
    render: &Render<'_>,
    blocks: &Mutex<Receiver<(u64, Arc<str>, Block)>>,
    send: &SyncSender<Numbered>,
) {
    let mut lane = Lane::new(&detection.engine, detection.source, detection.zone);
    loop {
        let next = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, input, block)) = next else { return };
        // A defect must not leave the others waiting for this block for ever.
        let seen = catch_unwind(AssertUnwindSafe(|| lane.render(detection, input, block, render)));
        let failed = seen.is_err();
        let seen = seen.unwrap_or_else(|_| Err(std::io::Error::other("a detection thread panicked")));
        if send.send((number, seen)).is_err() || failed {
            return;
        }
    }
}

fn in_order(
    seen: &Receiver<Numbered>,
    free: &SyncSender<Block>,
    take: &mut dyn FnMut(Seen) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut next = 0;
    let mut waiting = BTreeMap::new();
    for (number, result) in seen {
        waiting.insert(number, result);
        while let Some(result) = waiting.remove(&next) {
            let (seen, done) = result?;
            take(seen)?;
            next += 1;
            let _ = free.try_send(done);
        }
    }
    Ok(())
}

/// Reads inputs one after the other; one that fails does not stop the others. `give` gives blocks back that are done with.
fn read(
    inputs: &[Input],
    bar: &ProgressBar,
    give: &mut dyn FnMut(Arc<str>, Block) -> anyhow::Result<Block>,
) -> anyhow::Result<Vec<Unreadable>> {
    let mut unreadable = Vec::new();
    for input in inputs {
        let name: Arc<str> = input.name().into();
        let mut blocks = match input.blocks(bar) {
            Ok(blocks) => blocks,
            Err(error) => {
                unreadable.push(Unreadable { input: name, error });
                continue;
            }
        };
        loop {
            match blocks.next_block() {
                Ok(Some(block)) => {
                    let done = give(name.clone(), block)?;
                    blocks.give_back(done);
                }
                Ok(None) => break,
                Err(error) => {
                    unreadable.push(Unreadable { input: name, error: error.into() });
                    break;
                }
            }
        }
    }
    Ok(unreadable)
}
