//! From the log to the ledger: every evidence record is a leaf, in the log's order, once its row is committed.
//!
//! The ledger reads the log itself, up to what the lake has committed, so nothing waits for it in memory. It takes a uid
//! once, so that reading a frame again changes nothing: a start begins with the first frame that the log still has, and
//! the log is not cut before what the ledger has. **While the ledger's store fails** it is tried again; what cannot ever
//! be a leaf is counted and told.

use super::super::crash;
use super::super::frame::Frame;
use super::super::metrics::Metrics;
use super::known::Known;
use super::records::{Marks, Piece, read};
use crate::causes::with_causes;
use crate::recording::append_all;
use anyhow::Context;
use object_store::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tarn_attest::ledger::{LAKE_PREFIX, Ledger, LedgerError, Outcome, Signer};
use tarn_ingest::source::Sources;
use tarn_lake::Lake;
use tarn_lake::log::{Frames, Log};
use tarn_schema_ocsf::ClassUid;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the last records may take when the daemon stops.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// How long a ledger that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What is followed.
pub struct Followed {
    /// The durable log.
    pub log: Log<Frame>,
    /// Log sources, which say what came as OCSF, and what is made of all else.
    pub sources: Arc<Sources>,
    /// The frame up to which the lake has committed rows.
    pub committed: watch::Receiver<u64>,
    /// Classes that are evidence beside those that always are.
    pub classes: Vec<ClassUid>,
}

/// Keeps the ledger up with the log.
pub struct Keeper {
    lake: Lake,
    signer: Signer,
    /// None until it could be opened.
    ledger: Option<Ledger>,
    known: Known,
    log: Log<Frame>,
    sources: Arc<Sources>,
    marks: Marks,
    /// The frame up to which the lake has committed rows.
    committed: watch::Receiver<u64>,
    metrics: Arc<Metrics>,
    /// All evidence up to this frame is in the ledger.
    reached: u64,
}

impl Keeper {
    /// Opens the lake's ledger, or begins it. A store that fails is no error here: it is tried again.
    ///
    /// **Errors**: a ledger of another key.
    pub async fn open(
        lake: Lake,
        signer: Signer,
        known: Known,
        followed: Followed,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let Followed { log, sources, committed, classes } = followed;
        let marks = Marks::new(log.last(), &classes, &sources);
        metrics.ledgered(0);
        let mut keeper =
            Self { lake, signer, ledger: None, known, log, sources, marks, committed, metrics, reached: 0 };
        match keeper.ledger().await {
            Ok(_) => Ok(keeper),
            Err(error) if matches!(error.downcast_ref(), Some(LedgerError::OtherLedger { .. })) => Err(error),
            Err(error) => {
                keeper.failed(error.as_ref());
                Ok(keeper)
            }
        }
    }

    /// What says which frames are worth reading.
    pub fn marks(&self) -> Marks {
        self.marks.clone()
    }

    /// Follows the log until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            let until = *self.committed.borrow_and_update();
            let followed = tokio::select! {
                () = stop.cancelled() => break,
                followed = self.follow(until) => followed,
            };
            if let Err(error) = followed {
                self.failed(error.as_ref());
                // Opened again, it is held against the checkpoint that is known.
                self.ledger = None;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                changed = self.committed.changed() => if changed.is_err() { return self },
            }
        }
        self
    }

    /// The frames that are left, to be read when the log is closed; see [`Self::finish`].
    pub fn rest(&self) -> Option<Frames> {
        self.log.read_after(self.reached).ok()
    }

    /// Appends what was committed last, out of frames that were left. What fails now, the next start does.
    pub async fn finish(mut self, rest: Option<Frames>) {
        let until = *self.committed.borrow();
        let Some(frames) = rest.filter(|_| self.marks.last() > self.reached) else { return };
        let appended = tokio::time::timeout(FINISH_MAX, self.append_all(frames, until)).await;
        if let Err(error) = appended.context("the store does not answer").and_then(|appended| appended) {
            self.failed(error.as_ref());
        }
    }

    async fn follow(&mut self, until: u64) -> anyhow::Result<()> {
        if until <= self.reached {
            return Ok(());
        }
        if self.marks.last() <= self.reached {
            self.reach(until);
            return Ok(());
        }
        let frames = self.log.read_after(self.reached)?;
        self.append_all(frames, until).await
    }

    async fn append_all(&mut self, mut frames: Frames, until: u64) -> anyhow::Result<()> {
        while self.reached < until {
            let (sources, writer, from) = (self.sources.clone(), self.log.writer(), self.reached);
            let marks = self.marks.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let piece = read(&mut frames, &marks, &sources, writer, from..until);
                (frames, piece)
            });
            let (rest, piece) = reading.await?;
            frames = rest;
            let piece = piece?;
            self.append(&piece).await?;
            self.reach(piece.through);
        }
        Ok(())
    }

    async fn append(&mut self, piece: &Piece) -> anyhow::Result<()> {
        if piece.entries.is_empty() {
            self.metrics.appended(0, piece.refused);
            return Ok(());
        }
        crash::point("before-ledger");
        let ledger = self.ledger().await?;
        let outcomes = append_all(ledger, &piece.entries).await?;
        let checkpoint = ledger.checkpoint().await?;
        crash::point("after-ledger");
        if let Some(Err(error)) = checkpoint.map(|checkpoint| self.known.write(&checkpoint)) {
            tracing::warn!(error = with_causes(error.as_ref()), "the ledger's checkpoint could not be kept");
        }
        let (mut leaves, mut refused) = (0, piece.refused);
        for (entry, outcome) in piece.entries.iter().zip(outcomes) {
            match outcome {
                Outcome::Appended(_) => leaves += 1,
                Outcome::Already(_) => {}
                Outcome::Conflict(leaf) => {
                    refused += 1;
                    tracing::warn!(uid = entry.uid(), leaf, "another record has this uid: it is no leaf of the ledger");
                }
            }
        }
        self.metrics.appended(leaves, refused);
        Ok(())
    }

    async fn ledger(&mut self) -> anyhow::Result<&mut Ledger> {
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => {
                let store = self.lake.store().clone();
                let mut ledger = Ledger::open(store, &Path::from(LAKE_PREFIX), self.signer.clone()).await?;
                if let Some(known) = self.known.read(self.signer.public())? {
                    ledger.confirm(&known).await?;
                }
                ledger
            }
        };
        Ok(self.ledger.insert(ledger))
    }

    fn reach(&mut self, sequence: u64) {
        self.reached = sequence;
        self.metrics.ledgered(sequence);
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        self.metrics.ledger_failed();
        tracing::error!(error = with_causes(error), reached = self.reached, "the evidence ledger failed; trying again");
    }
}
