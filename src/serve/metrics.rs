//! What the daemon counts, and how Prometheus reads it.

use super::consumers::Positions;
use chrono::Utc;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use tarn_connectors::intake::Refused;
use tarn_connectors::sink::outbox::{SinkStatus, Status};

/// Counts since the start, and where detection is.
#[derive(Debug, Default)]
pub struct Metrics {
    records: AtomicU64,
    dead_letters: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    repeats: AtomicU64,
    broken: AtomicBool,
    findings: AtomicU64,
    store_failures: AtomicU64,
    detected: AtomicU64,
    /// When the frame that detection saw last came in, microseconds since 1970.
    detected_time: AtomicI64,
    spoken: AtomicU64,
    waiting: AtomicU64,
    checkpointed: AtomicU64,
    offered: AtomicU64,
    copied: AtomicU64,
    ledger: Ledger,
    stopped: AtomicBool,
}

/// Counts of the evidence ledger.
#[derive(Debug, Default)]
struct Ledger {
    reached: AtomicU64,
    leaves: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
}

impl Metrics {
    /// Where consumers are at a start. There are no alerts, no copy and no ledger unless something says so later.
    pub fn begin(&self, had: Positions) {
        self.detected(had.detected, 0);
        self.checkpointed(had.detected);
        self.offered(had.taken.unwrap_or(u64::MAX));
        self.copied(u64::MAX);
        self.ledgered(u64::MAX);
    }

    /// A delivery that is on disk.
    pub fn accepted(&self, records: u64, dead_letters: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.dead_letters.fetch_add(dead_letters, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A delivery that was not taken.
    pub fn refused(&self, refused: &Refused) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if *refused == Refused::Broken {
            self.log_failed();
        }
    }

    /// The log takes nothing more.
    pub fn log_failed(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Records that are on disk from before.
    pub fn repeated(&self, records: usize) {
        self.repeats.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Whether the log failed for good.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Findings that are on disk.
    pub fn found(&self, findings: u64) {
        self.findings.fetch_add(findings, Ordering::Relaxed);
    }

    /// Detection has seen a frame that came in at `time`, microseconds since 1970.
    pub fn detected(&self, sequence: u64, time: i64) {
        self.detected.store(sequence, Ordering::Release);
        self.detected_time.store(time, Ordering::Relaxed);
    }

    /// What detection found up to this frame is in the log; so many matches wait for correlations to take them.
    pub fn spoken(&self, sequence: u64, waiting: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.spoken.store(sequence, Ordering::Release);
    }

    /// The last frame that detection has seen.
    pub fn seen(&self) -> u64 {
        self.detected.load(Ordering::Acquire)
    }

    /// Detection's state up to this frame is on disk.
    pub fn checkpointed(&self, sequence: u64) {
        self.checkpointed.store(sequence, Ordering::Relaxed);
    }

    /// Detection has left its last checkpoint.
    pub fn stopped(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Whether it has.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The last frame of a checkpoint.
    pub fn checkpoint(&self) -> u64 {
        self.checkpointed.load(Ordering::Relaxed)
    }

    /// The outbox has all findings up to this frame.
    pub fn offered(&self, sequence: u64) {
        self.offered.store(sequence, Ordering::Relaxed);
    }

    /// The last frame that the outbox is through with.
    pub fn taken(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }

    /// The copy of the outbox has all findings up to this frame.
    pub fn copied(&self, sequence: u64) {
        self.copied.store(sequence, Ordering::Relaxed);
    }

    /// The last frame that alerts do not need any more.
    pub fn alerted(&self) -> u64 {
        self.taken().min(self.copied.load(Ordering::Relaxed))
    }

    /// The ledger has all evidence up to this frame.
    pub fn ledgered(&self, sequence: u64) {
        self.ledger.reached.store(sequence, Ordering::Relaxed);
    }

    /// The last frame that the ledger is through with.
    pub fn ledger(&self) -> u64 {
        self.ledger.reached.load(Ordering::Relaxed)
    }

    /// So many records became leaves; so many never will, as they have no canonical form or another has their uid.
    pub fn appended(&self, leaves: u64, refused: u64) {
        self.ledger.leaves.fetch_add(leaves, Ordering::Relaxed);
        self.ledger.refused.fetch_add(refused, Ordering::Relaxed);
    }

    /// The ledger failed once; it is tried again.
    pub fn ledger_failed(&self) {
        self.ledger.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The lake's store failed once.
    pub fn store_failed(&self) {
        self.store_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds that detection is behind `last`, the log's last frame.
    pub fn lag_seconds(&self, last: u64) -> f64 {
        let time = self.detected_time.load(Ordering::Relaxed);
        if self.seen() >= last || time == 0 { 0.0 } else { (Utc::now().timestamp_micros() - time) as f64 / 1e6 }
    }
}

/// What is read where it is kept, at the moment of a scrape.
#[derive(Debug, Default)]
pub struct Gauges {
    /// The log's last frame.
    pub log_last: u64,
    /// Bytes of log on disk.
    pub log_bytes: u64,
    /// Frames up to this one are visible to SQL.
    pub visible: u64,
    /// Frames up to this one are committed.
    pub committed: u64,
    /// Rows in memory and not committed.
    pub fresh_rows: usize,
    /// Their bytes.
    pub fresh_bytes: usize,
    /// Bytes of frames under way.
    pub frames_bytes: usize,
    /// Rules that run.
    pub rules: usize,
    /// Queries that run.
    pub queries: usize,
    /// How often the outbox failed and, where it does not now, what is in it; where there is one.
    pub outbox: Option<(u64, Option<Status>)>,
}

/// All of it in Prometheus' text format.
pub fn render(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut text = Text(String::new());
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.add("tarn_records_total", "counter", "Records that were acknowledged", count(&metrics.records));
    text.add("tarn_dead_letters_total", "counter", "What was no record, kept as such", count(&metrics.dead_letters));
    text.add("tarn_record_bytes_total", "counter", "Bytes of their JSON", count(&metrics.bytes));
    text.add("tarn_deliveries_refused_total", "counter", "Deliveries that were not taken", count(&metrics.refused));
    text.add("tarn_repeats_total", "counter", "Records among them that were on disk before", count(&metrics.repeats));
    text.add("tarn_findings_total", "counter", "Findings that are on disk", count(&metrics.findings));
    let failures = count(&metrics.store_failures);
    text.add("tarn_store_failures_total", "counter", "Failures of the lake's store", failures);
    text.add("tarn_log_last_sequence", "gauge", "The last frame of the durable log", gauges.log_last);
    text.add("tarn_log_bytes", "gauge", "Bytes of the durable log on disk", gauges.log_bytes);
    text.add("tarn_visible_sequence", "gauge", "Frames up to this one are visible to SQL", gauges.visible);
    text.add("tarn_committed_sequence", "gauge", "Frames up to this one are committed", gauges.committed);
    text.add("tarn_detected_sequence", "gauge", "Frames up to this one met every rule", metrics.seen());
    let spoken = metrics.spoken.load(Ordering::Acquire);
    text.add("tarn_spoken_sequence", "gauge", "What was found in frames up to this one is in the log", spoken);
    let waiting = count(&metrics.waiting);
    text.add("tarn_correlation_matches_waiting", "gauge", "Matches that correlations have not taken yet", waiting);
    let lag = metrics.lag_seconds(gauges.log_last);
    text.add("tarn_detection_lag_seconds", "gauge", "Age of what detection sees, while it is behind", lag);
    text.add("tarn_fresh_rows", "gauge", "Rows in memory and not committed", gauges.fresh_rows);
    text.add("tarn_fresh_bytes", "gauge", "Their bytes", gauges.fresh_bytes);
    text.add("tarn_frames_bytes", "gauge", "Bytes of frames under way", gauges.frames_bytes);
    text.add("tarn_rules", "gauge", "Rules that run", gauges.rules);
    text.add("tarn_queries_running", "gauge", "SQL queries that run", gauges.queries);
    // Without a ledger nothing waits for it.
    if metrics.ledger() != u64::MAX {
        let ledger = &metrics.ledger;
        text.add("tarn_ledger_sequence", "gauge", "Evidence up to this frame is in the ledger", metrics.ledger());
        text.add("tarn_ledger_leaves_total", "counter", "Records that were appended to it", count(&ledger.leaves));
        text.add("tarn_ledger_failures_total", "counter", "Tries that failed", count(&ledger.failures));
        text.add("tarn_ledger_refused_total", "counter", "Records that it does not take", count(&ledger.refused));
    }
    if let Some((failures, status)) = &gauges.outbox {
        let taken = metrics.taken();
        text.add("tarn_alerts_sequence", "gauge", "What was found up to this frame is in the outbox", taken);
        text.add(
            "tarn_alerts_outbox_failures_total",
            "counter",
            "Times that it could not be read or written",
            failures,
        );
        if count(&metrics.copied) != u64::MAX {
            let copied = metrics.alerted();
            text.add("tarn_alerts_copied_sequence", "gauge", "And in its copy beside the log", copied);
        }
        status.iter().for_each(|status| text.sinks(status));
    }
    if let Some(bytes) = resident_bytes() {
        text.add("process_resident_memory_bytes", "gauge", "Memory of the process", bytes);
    }
    text.0
}

struct Text(String);

impl Text {
    fn add(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }

    fn sinks(&mut self, outbox: &Status) {
        type Of = fn(&SinkStatus) -> u64;
        let all: [(&str, &str, &str, Of); 7] = [
            ("waiting", "gauge", "Messages that wait for a try", |s| s.waiting),
            ("oldest_waiting_ms", "gauge", "How long the oldest has waited", |s| {
                s.oldest_waiting_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
            }),
            ("delivered_total", "counter", "Messages that the receiver has", |s| s.delivered),
            ("retried_total", "counter", "Tries that failed and were followed by another", |s| s.retried),
            ("dead", "gauge", "Messages that could not be delivered", |s| s.dead),
            ("throttled_total", "counter", "Alerts that throttling held back", |s| s.throttled),
            ("dropped_total", "counter", "Alerts that were dropped because the outbox was full", |s| s.dropped),
        ];
        for (name, kind, help, of) in all {
            let _ = writeln!(self.0, "# HELP tarn_alerts_{name} {help}\n# TYPE tarn_alerts_{name} {kind}");
            for (sink, status) in &outbox.sinks {
                let _ = writeln!(self.0, "tarn_alerts_{name}{{sink={sink:?}}} {}", of(status));
            }
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
