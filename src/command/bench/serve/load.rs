//! The load: connections that send a lane's lines, each body once the one before it was acknowledged.

use super::http::{Connection, Method};
use super::marks::Marks;
use anyhow::bail;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a sender waits after a refusal.
const PAUSE: Duration = Duration::from_millis(50);

/// How the lane is sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub body_bytes: usize,
    /// Bytes a second of all connections together; none for as many as are acknowledged.
    pub bytes_per_second: Option<f64>,
    /// The lane is sent again from its beginning until then; none for once.
    pub until: Option<Instant>,
    /// What a byte counts, as one of the lane that this one was made of.
    pub original: f64,
}

/// Where the lane is sent to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub path: &'static str,
}

/// What was sent until now.
#[derive(Debug, Default)]
pub struct Sent {
    pub bytes: AtomicU64,
    pub events: AtomicU64,
    pub refused: AtomicU64,
    pub rounds: AtomicU64,
}

/// The lane, as its connections share it.
pub struct Lane {
    lines: Mutex<BufReader<File>>,
    begun: Instant,
    planned: AtomicU64,
    pace: Pace,
    over: AtomicBool,
    pub sent: Sent,
}

impl Lane {
    /// **Errors**: the file cannot be read.
    pub fn open(path: &Path, pace: Pace) -> anyhow::Result<Self> {
        Ok(Self {
            lines: Mutex::new(BufReader::with_capacity(1 << 20, File::open(path)?)),
            begun: Instant::now(),
            planned: AtomicU64::new(0),
            pace,
            over: AtomicBool::new(false),
            sent: Sent::default(),
        })
    }

    /// Sends bodies until the lane is over. **Errors**: an answer that is neither an acknowledgement nor to come again.
    pub fn send(&self, to: Target, marks: Option<&Marks>) -> anyhow::Result<()> {
        let mut connection = Connection::open(to.address)?;
        let mut body = Vec::with_capacity(self.pace.body_bytes + (64 << 10));
        while let Some(events) = self.fill(&mut body)? {
            let bytes = body.len() as u64;
            self.wait(bytes);
            let mark = marks.and_then(|marks| marks.add(&mut body));
            loop {
                let answer = connection.ask(Method::Post, to.path, &body)?;
                match answer.status() {
                    200 => break,
                    429 | 503 => {
                        self.sent.refused.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(PAUSE);
                    }
                    _ => bail!("{}: {}", answer.first, String::from_utf8_lossy(&answer.body)),
                }
            }
            if let Some((marks, mark)) = marks.zip(mark) {
                marks.acknowledged(mark);
            }
            self.sent.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.sent.events.fetch_add(events, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The next body's lines; none when the lane is over.
    fn fill(&self, body: &mut Vec<u8>) -> anyhow::Result<Option<u64>> {
        body.clear();
        let mut events = 0;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while body.len() < self.pace.body_bytes && !self.over.load(Ordering::Relaxed) {
            if self.pace.until.is_some_and(|until| Instant::now() >= until) {
                self.over.store(true, Ordering::Relaxed);
            } else if lines.read_until(b'\n', body)? > 0 {
                events += 1;
            } else if self.pace.until.is_some() {
                self.sent.rounds.fetch_add(1, Ordering::Relaxed);
                lines.seek(SeekFrom::Start(0))?;
            } else {
                self.over.store(true, Ordering::Relaxed);
            }
        }
        Ok((events > 0).then_some(events))
    }

    /// Waits until it is the body's turn.
    fn wait(&self, bytes: u64) {
        let before = self.planned.fetch_add(bytes, Ordering::Relaxed);
        if let Some(rate) = self.pace.bytes_per_second {
            let due = self.begun + Duration::from_secs_f64(before as f64 * self.pace.original / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
