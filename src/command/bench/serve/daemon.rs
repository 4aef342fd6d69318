//! The daemon under load: a child on a lake of its own, and what its metrics say.

use super::http::{Connection, Method};
use crate::report::peak_memory_of;
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(120);

/// A child that is killed with this, unless it was stopped.
pub struct Daemon {
    child: Child,
    /// Where it speaks HTTP.
    pub address: SocketAddr,
}

/// Its metrics at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Instant,
    /// The log's last frame, and how far mapping, commits and detection are.
    pub last: u64,
    pub visible: u64,
    pub committed: u64,
    pub detected: u64,
    pub detection_lag_s: f64,
    pub resident_bytes: u64,
    pub findings: u64,
}

impl Daemon {
    /// Starts one with the configuration `tarn.toml` in `folder`, and waits until it serves.
    ///
    /// **Errors**: it does not start; its last words.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config", "tarn.toml"]).current_dir(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let (send, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // After the start nobody listens; what goes wrong then is shown.
                if let Err(mpsc::SendError(line)) = send.send(line)
                    && (line.contains("\"ERROR\"") || line.contains("\"WARN\""))
                {
                    eprintln!("{line}");
                }
            }
        });
        let deadline = Instant::now() + START_MAX;
        let (mut address, mut words) = (None, String::new());
        while let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let fields = &said["fields"];
            if fields["protocol"] == "Http" {
                address = fields["address"].as_str().and_then(|text| text.parse().ok());
            }
            if fields["message"] == "serving"
                && let Some(address) = address
            {
                return Ok(Self { child, address });
            }
            words = line;
        }
        let _ = child.kill();
        let _ = child.wait();
        bail!("the daemon did not start: {words}")
    }

    /// What it says of itself. **Errors**: it does not answer.
    pub fn sample(&self) -> anyhow::Result<Sample> {
        let answer = Connection::open(self.address)?.ask(Method::Get, "/metrics", &[])?;
        let text = String::from_utf8_lossy(&answer.body);
        let value = |name: &str| -> anyhow::Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in /metrics"))
        };
        Ok(Sample {
            at: Instant::now(),
            last: value("tarn_log_last_sequence")? as u64,
            visible: value("tarn_visible_sequence")? as u64,
            committed: value("tarn_committed_sequence")? as u64,
            detected: value("tarn_detected_sequence")? as u64,
            detection_lag_s: value("tarn_detection_lag_seconds")?,
            resident_bytes: value("process_resident_memory_bytes")? as u64,
            findings: value("tarn_findings_total")? as u64,
        })
    }

    /// Its largest memory until now, bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        peak_memory_of(self.child.id())
    }

    /// Asks it to stop, and waits. **Errors**: it ends badly.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", "TERM", &id]).status().context("kill")?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
