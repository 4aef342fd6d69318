//! Detection behind the log: every frame meets every rule, in order, and what is found goes into the log as well.
//!
//! **Once**: a frame of findings says through which frame it speaks. After a crash the state of correlations is that of
//! the last checkpoint; frames from there to what was spoken for are seen again in silence, and findings that are in the
//! log already are known by their uids. **Rules** change between two frames, all or nothing.
//! **Bounds**: a few megabytes of findings are under way; then detection waits for the log, and the log's events for it.

use super::checkpoint::Checkpoint;
use super::consumers::Input;
use super::crash;
use super::frame::{Frame, Kind, Logged};
use super::intake::Room;
use super::metrics::Metrics;
use super::traces::TARGET;
use crate::causes::with_causes;
use crate::detection::Lane;
use crate::findings::Writer;
use anyhow::Context;
use chrono::Utc;
use chrono_tz::Tz;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlated, Correlator, Limits, Revised};
use tarn_ingest::container::Block;
use tarn_lake::log::{Log, LogError};

/// Findings that are written at once, in bytes.
const FINDINGS_BYTES: usize = 8 << 20;
/// Memory for telling correlations as soon as they are true, in bytes.
const EARLY_BYTES: usize = 32 << 20;
/// Findings of one frame, in bytes, unless one alone has more.
const PIECE_BYTES: usize = 32 << 20;
/// The longest that findings wait for more of them.
const SPEAK_AFTER: Duration = Duration::from_millis(50);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Without a frame for so long, the clock of correlations goes on by itself.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// How long to wait when the log is full.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// How correlations of a stream are bounded.
pub fn limits(config: &super::config::Detection) -> Limits {
    let lateness_us = Some(i64::from(config.late_seconds) * 1_000_000);
    Limits { lateness_us, early_bytes_max: EARLY_BYTES, ..Limits::default() }
}

/// What is known of findings before a start.
#[derive(Debug, Default)]
pub struct Spoken {
    /// Frames up to this one were spoken for.
    pub through: u64,
    /// Uids of findings in the log.
    pub uids: HashSet<String>,
    /// Uids of those of correlations, and when their last events were, microseconds.
    pub correlated: Vec<(String, i64)>,
    /// The last frame that was in the log at the start.
    pub last: u64,
}

/// Rules at work on a log.
pub struct Detector {
    pub engine: Arc<Engine>,
    pub limits: Limits,
    pub correlator: Correlator,
    pub log: Log<Frame>,
    pub room: Room,
    pub checkpoint: Checkpoint,
    pub spoken: Spoken,
    pub metrics: Arc<Metrics>,
}

/// What changes from frame to frame.
struct Work {
    lane: Lane,
    writer: Writer,
    correlated: Vec<Correlated>,
    revised: Vec<Revised>,
    /// All frames up to this one were seen.
    seen: u64,
    /// Of which the findings are in the log.
    written: u64,
    checkpointed: (u64, Instant),
    last_frame: Instant,
}

impl Detector {
    /// Sees frames until [`Input::Stop`], then leaves a checkpoint.
    ///
    /// **Errors**: a log or a disk that fails; of a log that takes nothing more not before [`Input::Stop`], as the daemon
    /// goes on to say so.
    pub fn run(self, inputs: &Receiver<Input>, from: u64) -> anyhow::Result<()> {
        let metrics = self.metrics.clone();
        let result = self.follow(inputs, from);
        if let Err(error) = &result
            && let Some(LogError::Poisoned { .. }) = error.downcast_ref()
        {
            metrics.log_failed();
            tracing::error!(error = with_causes(error.as_ref()), "detection has ended");
            while !matches!(inputs.recv(), Ok(Input::Stop) | Err(_)) {}
        }
        result
    }

    fn follow(mut self, inputs: &Receiver<Input>, from: u64) -> anyhow::Result<()> {
        for (uid, time) in std::mem::take(&mut self.spoken.correlated) {
            self.correlator.told(&uid, time);
        }
        let mut work = Work {
            lane: Lane::new(&self.engine, None, Tz::UTC),
            writer: Writer::new(self.engine.clone()),
            correlated: Vec::new(),
            revised: Vec::new(),
            seen: from,
            written: from,
            checkpointed: (from, Instant::now()),
            last_frame: Instant::now(),
        };
        loop {
            let mut input = match inputs.recv_timeout(Duration::from_secs(1)) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => {
                    self.idle(&mut work)?;
                    None
                }
                Err(RecvTimeoutError::Disconnected) => Some(Input::Stop),
            };
            let begun = Instant::now();
            let span =
                input.is_some().then(|| tracing::info_span!(target: TARGET, "detect", after = work.seen).entered());
            while let Some(next) = input {
                match next {
                    Input::Frame(logged) => self.see(&mut work, &logged)?,
                    Input::Rules(engine) => self.change(&mut work, engine)?,
                    Input::Stop => {
                        self.speak(&mut work)?;
                        self.rest(&mut work)?;
                        self.metrics.stopped();
                        return Ok(());
                    }
                }
                let more = work.writer.bytes() < FINDINGS_BYTES && begun.elapsed() < SPEAK_AFTER;
                input = if more { inputs.try_recv().ok() } else { None };
            }
            self.speak(&mut work)?;
            drop(span);
            self.metrics.spoken(work.seen, self.correlator.waiting());
            let (at, when) = work.checkpointed;
            if work.seen > at && when.elapsed() >= CHECKPOINT_EVERY {
                crash::point("before-checkpoint");
                self.rest_or_later(&mut work);
            }
        }
    }

    /// Leaves a checkpoint. What was found is in the log.
    fn rest(&self, work: &mut Work) -> anyhow::Result<()> {
        self.checkpoint.write(work.seen, &self.correlator)?;
        work.checkpointed = (work.seen, Instant::now());
        self.metrics.checkpointed(work.seen);
        Ok(())
    }

    /// Leaves a checkpoint, if the disk takes one. The one before is there otherwise, the log is not cut behind it, and what
    /// came since meets the rules of the next start.
    fn rest_or_later(&self, work: &mut Work) {
        if let Err(error) = self.rest(work) {
            tracing::warn!(error = with_causes(error.as_ref()), "no checkpoint; it is tried again");
            work.checkpointed.1 = Instant::now();
        }
    }

    fn see(&mut self, work: &mut Work, logged: &Logged) -> anyhow::Result<()> {
        let frame = Arc::as_ref(&logged.frame);
        let silent = logged.sequence <= self.spoken.through;
        match &frame.kind {
            Kind::Events { .. } | Kind::Evidence { .. } => {
                work.last_frame = Instant::now();
                let only = frame.source(self.engine.sources()).map(|source| source.id);
                for found in work.lane.see_of("log", &frame.block, only) {
                    if let Some(taken) = found.taken(&self.engine, frame.time) {
                        self.correlator.push_by(taken, frame.time, &mut work.correlated);
                    }
                    if !silent && self.engine.is_shown(found.rule) {
                        work.writer.found(&found, frame.time)?;
                    }
                }
                let last = frame.block.records.len().checked_sub(1);
                if let Some(time) = last.and_then(|row| work.lane.time(&frame.block, row, frame.time)) {
                    self.correlator.heard(time.min(frame.time), &mut work.correlated);
                }
            }
            Kind::Idle { elapsed } => self.correlator.idle(*elapsed, &mut work.correlated),
            Kind::Findings { .. } | Kind::Updates { .. } | Kind::Metrics { .. } => {}
        }
        let revised = self.correlator.revised();
        if silent {
            work.correlated.clear();
        } else {
            work.writer.correlated(&mut work.correlated, frame.time, &mut |_| ())?;
            work.revised.extend(revised);
        }
        work.seen = logged.sequence;
        self.metrics.detected(logged.sequence, frame.time);
        Ok(())
    }

    /// Writes what was found into the log.
    fn speak(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let closed = work.writer.revised(&std::mem::take(&mut work.revised), Utc::now().timestamp_micros())?;
        if !closed.records.is_empty() {
            self.append(Kind::Updates { by: "tarn".into() }, closed)?;
        }
        let mut made = work.writer.take();
        if !self.spoken.uids.is_empty() {
            made = self.unspoken(&made);
            if work.seen >= self.spoken.last {
                self.spoken.uids = HashSet::new();
            }
        }
        if made.records.is_empty() {
            return Ok(());
        }
        self.metrics.found(made.records.len() as u64);
        // In pieces that the log takes; only the last of them speaks for the frames.
        let mut piece = Block::default();
        for record in &made.records {
            if piece.json.len() + record.json.len() > PIECE_BYTES && !piece.json.is_empty() {
                self.append(Kind::Findings { through: work.written }, std::mem::take(&mut piece))?;
            }
            piece.push(record.number, made.json(record));
        }
        crash::point("before-findings");
        self.append(Kind::Findings { through: work.seen }, piece)?;
        crash::point("after-findings");
        work.written = work.seen;
        Ok(())
    }

    /// Those of the findings that are not in the log.
    fn unspoken(&self, made: &Block) -> Block {
        let mut rest = Block::default();
        for record in &made.records {
            let text = made.json(record);
            if !self.spoken.has(text) {
                rest.push(record.number, text);
            }
        }
        rest
    }

    /// Appends a frame, and waits while the log is full.
    fn append(&self, kind: Kind, block: Block) -> anyhow::Result<()> {
        let frame = Frame::new(kind, Utc::now().timestamp_micros(), block);
        let bytes = frame.encode()?;
        let mut next = Some(frame);
        loop {
            let frame = match next.take() {
                Some(frame) => frame,
                None => Frame::decode(&bytes.concat())?,
            };
            let room = futures::executor::block_on(self.room.take(frame.size())).context("no room for findings")?;
            match self.log.append_blocking(bytes.clone(), frame.with_room(room)) {
                Ok(_) => return Ok(()),
                Err(LogError::Full { .. }) => std::thread::sleep(FULL_PAUSE),
                Err(error) => return Err(error).context("what detection found cannot be written to the log"),
            }
        }
    }

    /// Time goes on, also where nothing comes in: windows close, and waiting matches are taken.
    fn idle(&self, work: &mut Work) -> anyhow::Result<()> {
        let elapsed = work.last_frame.elapsed();
        if elapsed < IDLE_AFTER || self.correlator.is_empty() {
            return Ok(());
        }
        work.last_frame = Instant::now();
        let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.append(Kind::Idle { elapsed }, Block::default())
    }

    /// Goes on with other rules. Correlations that are in both keep their state.
    fn change(&mut self, work: &mut Work, engine: Arc<Engine>) -> anyhow::Result<()> {
        self.speak(work)?;
        let mut state = Vec::new();
        self.correlator.checkpoint(&mut state)?;
        let restored = Correlator::restore(engine.clone(), self.limits, &mut state.as_slice())?;
        self.correlator = restored.correlator;
        work.lane = Lane::new(&engine, None, Tz::UTC);
        work.writer = Writer::new(engine.clone());
        self.engine = engine;
        self.rest_or_later(work);
        tracing::info!(rules = self.engine.len(), sequence = work.seen, "rules changed");
        Ok(())
    }
}

/// What is known again of a finding by its text.
#[derive(serde::Deserialize)]
struct Known {
    finding_info: Info,
    /// Only correlations' findings have one.
    count: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Info {
    uid: String,
    last_seen_time: Option<i64>,
}

impl Spoken {
    /// Adds a finding that is in the log.
    pub fn add(&mut self, text: &str) {
        let Ok(Known { finding_info: Info { uid, last_seen_time }, count }) = serde_json::from_str(text) else {
            return;
        };
        if let (Some(_), Some(last)) = (count, last_seen_time) {
            // The text has whole milliseconds.
            self.correlated.push((uid.clone(), (last + 1).saturating_mul(1_000)));
        }
        self.uids.insert(uid);
    }

    fn has(&self, text: &str) -> bool {
        serde_json::from_str::<Known>(text).is_ok_and(|known| self.uids.contains(&known.finding_info.uid))
    }
}
