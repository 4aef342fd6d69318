//! Who takes what is on disk: mapping, detection and the outbox, each in order of the log.

use super::evidence::Marks;
use super::frame::{Frame, Logged};
use chrono::Utc;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_engine::Engine;
use tarn_lake::Clock;
use uuid::Uuid;

/// What detection is given.
pub enum Input {
    /// The next frame.
    Frame(Logged),
    /// Rules to go on with, from the next frame on.
    Rules(Arc<Engine>),
    /// There will be no more.
    Stop,
}

/// The ways to the consumers. Their queues have no bound of their own: what is in them is bounded by the room that
/// frames take ([`super::intake`]).
pub struct Consumers {
    /// Which log it is.
    pub writer: Uuid,
    /// Gives records their arrival.
    pub clock: Arc<Clock>,
    /// To the lake.
    pub mapping: Sender<Logged>,
    /// To the rules.
    pub detection: Sender<Input>,
    /// To the sinks, where there are any.
    pub outbox: Option<Sender<Logged>>,
    /// What the ledger is told of frames, where there is one; it reads the log itself.
    pub evidence: Option<Marks>,
    /// Whether what is on disk already is still being given out.
    pub replay: Mutex<Replay>,
}

/// While the log is read again, what becomes durable meanwhile is left to the reading, so that order is kept.
#[derive(Clone, Copy, Debug)]
pub enum Replay {
    /// The last frame that was left.
    Reading(u64),
    /// All frames come as they become durable.
    Done,
}

/// Which consumers want a frame that is read again.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// Mapping has all up to this one.
    pub mapped: u64,
    /// Detection has.
    pub detected: u64,
    /// The outbox has; none where there is no outbox.
    pub taken: Option<u64>,
}

impl Positions {
    /// Whether a log that ends with frame `last` can be theirs.
    ///
    /// **Errors**: one of them is further, so that new frames would be taken for those that it has.
    pub fn check(&self, last: u64, state: &Path) -> anyhow::Result<()> {
        let all = [("lake", Some(self.mapped)), ("checkpoint", Some(self.detected)), ("outbox", self.taken)];
        for (who, at) in all {
            let at = at.unwrap_or(0);
            anyhow::ensure!(
                at <= last,
                "the {who} has frame {at} of the durable log in {}, which ends with frame {last}: an older copy of it was \
                 put back; move the folder away to begin with an empty log",
                state.display()
            );
        }
        Ok(())
    }
}

impl Consumers {
    /// Gives on a frame that has just become durable.
    pub fn durable(&self, sequence: u64, frame: Frame) {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *replay {
            Replay::Reading(left) => *left = sequence,
            Replay::Done => self.give(sequence, frame, Positions { mapped: 0, detected: 0, taken: Some(0) }),
        }
    }

    /// Ends the replay, if it has given all that was left to it: those up to `sequence`.
    pub fn caught_up(&self, sequence: u64) -> bool {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        if let Replay::Reading(left) = *replay
            && left > sequence
        {
            return false;
        }
        *replay = Replay::Done;
        true
    }

    /// Gives a frame to those that do not have it. A consumer that is gone ends the server by itself.
    pub fn give(&self, sequence: u64, frame: Frame, had: Positions) {
        let frame = Arc::new(frame.at(self.writer, sequence));
        let arrival = self.clock.take(frame.block.records.len(), Utc::now());
        let logged = Logged { sequence, arrival, frame };
        if let Some(evidence) = &self.evidence {
            evidence.see(sequence, &logged.frame);
        }
        if let Some(outbox) = self.outbox.as_ref().filter(|_| had.taken.is_some_and(|taken| sequence > taken)) {
            let _ = outbox.send(logged.clone());
        }
        if sequence > had.detected {
            let _ = self.detection.send(Input::Frame(logged.clone()));
        }
        if sequence > had.mapped {
            let _ = self.mapping.send(logged);
        }
    }
}
