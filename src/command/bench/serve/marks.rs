//! How long an alert takes: events that one rule is for, and a webhook that is told of them.

use super::http::Connection;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What marked events have in their command line, before their number.
const MARK: &str = "tarn-bench-mark-";
/// At most one body in so long has a marked event.
const EVERY: Duration = Duration::from_millis(100);

/// The rule that marked events are for.
pub const RULE: &str = "title: Mark Of The Load Generator
id: 2f1bd1a4-6f0e-4f0b-9d3e-0c8a3f6b7a10
status: test
description: An event of tarn bench serve. It models no technique.
logsource:
  product: windows
  category: process_creation
detection:
  mark:
    CommandLine|contains: tarn-bench-mark-
  condition: mark
level: high
";

#[derive(Debug, Default)]
struct Times {
    acknowledged: HashMap<u64, Instant>,
    alerted: HashMap<u64, Instant>,
    last: Option<Instant>,
}

/// Marked events, and when they were acknowledged and told of.
#[derive(Clone, Debug)]
pub struct Marks {
    next: Arc<AtomicU64>,
    times: Arc<Mutex<Times>>,
    /// Where the webhook listens.
    pub address: SocketAddr,
}

impl Marks {
    /// Listens on loopback. **Errors**: it cannot.
    pub fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let marks = Self { next: Arc::default(), times: Arc::default(), address };
        let told = marks.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, mut connection) = (told.clone(), Connection::accepted(stream));
                std::thread::spawn(move || {
                    while let Ok(Some(alert)) = connection.read() {
                        told.alerted(&String::from_utf8_lossy(&alert.body));
                        if connection.thank().is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Ok(marks)
    }

    /// Adds a marked event to a body, if it is time for one; its number.
    pub fn add(&self, body: &mut Vec<u8>) -> Option<u64> {
        let now = Instant::now();
        let mut times = self.times();
        if times.last.is_some_and(|last| now < last + EVERY) {
            return None;
        }
        times.last = Some(now);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let time = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.3f");
        let event = serde_json::json!({
            "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "SourceName": "Microsoft-Windows-Sysmon",
            "Hostname": "BENCH", "EventTime": time.to_string(), "UtcTime": time.to_string(), "ProcessId": "4711",
            "Image": "C:\\bench.exe", "CommandLine": format!("bench.exe {MARK}{number}."), "User": "BENCH\\load",
        });
        body.extend_from_slice(event.to_string().as_bytes());
        body.push(b'\n');
        Some(number)
    }

    /// The body with a marked event was acknowledged.
    pub fn acknowledged(&self, number: u64) {
        self.times().acknowledged.insert(number, Instant::now());
    }

    fn alerted(&self, alert: &str) {
        let now = Instant::now();
        for (at, _) in alert.match_indices(MARK) {
            let digits = alert[at + MARK.len()..].split_once('.').map(|(digits, _)| digits);
            if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
                self.times().alerted.entry(number).or_insert(now);
            }
        }
    }

    /// Milliseconds from acknowledgement to webhook, in order, and how many were never told of.
    pub fn latencies_ms(&self) -> (Vec<f64>, usize) {
        let times = self.times();
        let mut all = Vec::new();
        let mut missing = 0;
        for (number, acknowledged) in &times.acknowledged {
            match times.alerted.get(number) {
                // Told of before its sender had read the answer: no time at all.
                Some(alerted) => all.push(alerted.saturating_duration_since(*acknowledged).as_secs_f64() * 1e3),
                None => missing += 1,
            }
        }
        all.sort_by(f64::total_cmp);
        (all, missing)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
