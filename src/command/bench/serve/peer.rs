//! rsigma's daemon under the same load: it takes events over HTTP and matches them. It acknowledges what is in its memory,
//! and stores nothing.

use super::super::program::Rsigma;
use super::http::{Connection, Method};
use super::load::{Lane, Target};
use crate::report::peak_memory_of;
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(120);
/// How long it may take to match what it has acknowledged.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// It takes no larger bodies than 2 MB; the last line of one may be long.
pub const BODY_BYTES: usize = 1 << 20;

/// A child that is killed with this.
pub struct Peer {
    child: Child,
    address: SocketAddr,
}

/// What was measured.
pub struct Outcome {
    /// Until the last acknowledgement.
    pub seconds: f64,
    /// Until all of it had met every rule.
    pub through_seconds: f64,
    pub idle_bytes: Option<u64>,
    pub peak_bytes: Option<u64>,
    pub findings: u64,
}

impl Peer {
    /// Starts one, and waits until it serves.
    ///
    /// **Errors**: it does not start; its last words.
    pub fn start(rsigma: &Rsigma, rules: &Path, folder: &Path) -> anyhow::Result<Self> {
        let findings = folder.join("rsigma.ndjson");
        let mut command = rsigma.command();
        command.args(["engine", "daemon", "--logsource-routing", "--input", "http", "--api-addr", "127.0.0.1:0", "-r"]);
        command.arg(rules).arg("--output").arg(format!("file://{}", findings.display())).current_dir(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let (send, told) = mpsc::channel();
        // Read to its end, for it to be able to write.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
        let deadline = Instant::now() + START_MAX;
        let mut words = String::new();
        while let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let fields = &said["fields"];
            if fields["message"].as_str().is_some_and(|words| words.starts_with("API server listening"))
                && let Some(address) = fields["addr"].as_str().and_then(|text| text.parse().ok())
            {
                return Ok(Self { child, address });
            }
            words = line;
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("rsigma did not start: {words}")
    }

    /// Sends it the lane over so many connections, and waits until all of it was matched.
    ///
    /// **Errors**: it does not answer, or takes too long.
    pub fn load(self, lane: &Lane, connections: u16) -> anyhow::Result<Outcome> {
        let idle_bytes = peak_memory_of(self.child.id());
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let send = || lane.send(Target { address: self.address, path: "/api/v1/events" }, None);
            let senders: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
            senders.into_iter().try_for_each(|sender| {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked")).and_then(|sent| sent)
            })
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let sent = lane.sent.events.load(Ordering::Relaxed);
        while self.metric("rsigma_events_processed_total")? < sent {
            anyhow::ensure!(
                begun.elapsed().as_secs_f64() - seconds < CATCH_UP_MAX.as_secs_f64(),
                "rsigma has not matched everything after {CATCH_UP_MAX:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Outcome {
            seconds,
            through_seconds: begun.elapsed().as_secs_f64(),
            idle_bytes,
            peak_bytes: peak_memory_of(self.child.id()),
            findings: self.metric("rsigma_detection_matches_total")?
                + self.metric("rsigma_correlation_matches_total")?,
        })
    }

    fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let answer = Connection::open(self.address)?.ask(Method::Get, "/metrics", &[])?;
        let text = String::from_utf8_lossy(&answer.body);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|value| value.parse::<f64>().ok());
        Ok(value.with_context(|| format!("no {name} in rsigma's /metrics"))? as u64)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
