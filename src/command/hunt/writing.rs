//! Findings on their way out: hits go in groups, of which originals are fetched and findings rendered while scans go on, and
//! come out in order.
//!
//! **Bounds**: one group a thread, and no more than [`GROUPS_MAX`], is under way, of whose findings [`PIECES`] pieces wait.

use crate::hunting::{Days, Hit, Hunt};
use crate::output::Printer;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_engine::Engine;
use tarn_engine::correlation::Correlated;
use tarn_engine::finding::{Evidence, Findings};
use tarn_ingest::fields::Identity;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// About how many bytes of findings are printed at once.
const PIECE_BYTES: usize = 256 << 10;
/// Groups under way, however many threads there are: each has its originals in memory.
const GROUPS_MAX: usize = 4;
/// Pieces of a group that wait to be printed.
const PIECES: usize = 8;

/// What is written together: hits of some days, then what correlations found.
pub struct Group {
    /// The days.
    pub days: Days,
    /// What rules found.
    pub hits: Vec<Hit>,
    /// What correlations found.
    pub correlated: Vec<Correlated>,
}

impl Group {
    /// Nothing yet.
    pub fn of(days: &Days) -> Self {
        Self { days: days.clone(), hits: Vec::new(), correlated: Vec::new() }
    }

    /// How many findings these are.
    pub fn len(&self) -> usize {
        self.hits.len() + self.correlated.len()
    }
}

/// Renders findings.
pub struct Renderer {
    /// The rules.
    pub engine: Arc<Engine>,
    /// Canonical OCSF only.
    pub ocsf: bool,
    /// The time of findings, milliseconds since 1970.
    pub now_ms: i64,
    /// What is known of the rules.
    pub findings: Findings,
    /// Memory of pieces that were printed.
    pub spare: Mutex<Vec<Vec<u8>>>,
}

impl Renderer {
    /// Sends the findings of a group; how many they were. It ends early when nobody receives them.
    async fn render(self: Arc<Self>, hunt: Arc<Hunt>, group: Group, pieces: Sender<Vec<u8>>) -> anyhow::Result<u64> {
        let (mut lines, mut count) = (self.room(), 0);
        let mut events = hunt.events(&group.days, &group.hits).await?;
        for hit in &group.hits {
            let identity = Identity { uid: hit.uid.to_string(), time: Some(hit.time) };
            let event = events.get(hit).await?.unwrap_or("null".into());
            let evidence = Evidence { event: &event, identity: &identity, time_ms: self.now_ms, file: None, record: 0 };
            match self.ocsf {
                true => self.findings.ocsf(hit.rule, &evidence, &mut lines)?,
                false => self.findings.line(hit.rule, &evidence, &mut lines)?,
            }
            count += 1;
            if !self.send_full(&mut lines, &pieces).await {
                return Ok(count);
            }
        }
        for found in group.correlated.iter().filter(|c| self.engine.is_correlation_shown(c.correlation)) {
            match self.ocsf {
                true => self.findings.correlated_ocsf(found, self.now_ms, &mut lines)?,
                false => self.findings.correlated_line(found, self.now_ms, &mut lines)?,
            }
            count += 1;
            if !self.send_full(&mut lines, &pieces).await {
                return Ok(count);
            }
        }
        let _ = pieces.send(lines).await;
        Ok(count)
    }

    /// Sends the lines once they are enough for a piece; false when nobody receives them.
    async fn send_full(&self, lines: &mut Vec<u8>, pieces: &Sender<Vec<u8>>) -> bool {
        lines.len() < PIECE_BYTES || pieces.send(std::mem::replace(lines, self.room())).await.is_ok()
    }

    /// Memory for a piece.
    fn room(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8))
    }

    /// Takes a piece back.
    fn give_back(&self, mut piece: Vec<u8>) {
        piece.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < PIECES && piece.capacity() < 2 * PIECE_BYTES {
            spare.push(piece);
        }
    }
}

/// A group whose findings come.
struct UnderWay {
    pieces: Receiver<Vec<u8>>,
    count: BoxFuture<'static, anyhow::Result<u64>>,
}

/// Writes findings.
pub struct Writing {
    renderer: Arc<Renderer>,
    hunt: Arc<Hunt>,
    printer: Printer,
    /// Groups under way at most; a single one is rendered as it is printed.
    at_once: usize,
    under_way: VecDeque<UnderWay>,
    count: u64,
}

impl Writing {
    /// For hits of a hunt.
    pub fn new(renderer: Renderer, hunt: Arc<Hunt>, printer: Printer, threads: usize) -> Self {
        let at_once = threads.clamp(1, GROUPS_MAX);
        Self { renderer: Arc::new(renderer), hunt, printer, at_once, under_way: VecDeque::new(), count: 0 }
    }

    /// How many findings were printed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes what is next.
    ///
    /// **Errors**: originals that cannot be read, findings that cannot be printed; also of groups before.
    pub async fn push(&mut self, group: Group) -> anyhow::Result<()> {
        let (send, pieces) = channel(PIECES);
        let count = Arc::clone(&self.renderer).render(Arc::clone(&self.hunt), group, send);
        let count = match self.at_once {
            1 => count.boxed(),
            _ => tokio::spawn(count).map(|count| count?).boxed(),
        };
        self.under_way.push_back(UnderWay { pieces, count });
        while self.under_way.len() >= self.at_once {
            self.print_next().await?;
        }
        Ok(())
    }

    async fn print_next(&mut self) -> anyhow::Result<()> {
        let Some(UnderWay { mut pieces, count }) = self.under_way.pop_front() else { return Ok(()) };
        let (printer, renderer) = (&mut self.printer, &self.renderer);
        let printed = async {
            while let Some(piece) = pieces.recv().await {
                printer.print(&piece)?;
                renderer.give_back(piece);
            }
            Ok(())
        };
        let (count, ()) = try_join(count, printed).await?;
        self.count += count;
        Ok(())
    }

    /// All that was taken is out.
    ///
    /// **Errors**: as [`Writing::push`].
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        while !self.under_way.is_empty() {
            self.print_next().await?;
        }
        self.printer.flush()
    }

    /// Ends what was flushed; how many findings there were.
    ///
    /// **Errors**: findings that cannot be printed.
    pub fn finish(self) -> anyhow::Result<u64> {
        self.printer.finish()?;
        Ok(self.count)
    }
}
