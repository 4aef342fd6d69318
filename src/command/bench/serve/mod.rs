//! `tarn bench serve`: what the daemon takes, how far it falls behind, and what memory it needs.

mod daemon;
mod http;
mod load;
mod marks;

use super::lane::{Lane as Made, Log, Origin};
use crate::command::Usage;
use crate::output::{Format, print_rows};
use anyhow::Context;
use clap::Args as ClapArgs;
use daemon::{Daemon, Sample};
use load::{Lane, Pace};
use marks::Marks;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How long the daemon may take to catch up at the end.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// Measure the daemon: durable ingest over HTTP, lags, memory, and the time from acknowledgement to webhook
///
/// Starts `tarn serve` on an empty lake in a temporary folder, sends a lane to `/v1/ingest` from connections of this
/// process, and prints one row when everything is committed. Rates are of acknowledged bytes: `mb_per_s` from the first request
/// to the last answer, `through_mb_per_s` until all of it was visible to SQL and had met every rule. Lags are looked at every second. Up to ten events a second are marked: a rule is for them, and a webhook in this
/// process hears of it.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn bench serve --rules sigma/rules
  tarn bench serve --rules sigma/rules --lane windows.ndjson --events 1000000
  tarn bench serve --rules sigma/rules --rate 40 --seconds 1200 --curve memory.ndjson")]
pub struct Args {
    /// Rules: files or folders; repeat it for more
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Events to send [default: a lane of Windows, from the seed]
    #[arg(long, value_name = "FILE")]
    lane: Option<PathBuf>,
    /// How many events: a file's are grown to as many (see `tarn bench lane --help`), or cut
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seed of what is made
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Send for so long, the lane again and again; without it, once
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Megabytes a second; without it, as many as are acknowledged
    #[arg(long, value_name = "MB")]
    rate: Option<f64>,
    /// Connections
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Size of a request's body
    #[arg(long, default_value_t = 1024, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=15360))]
    body_kib: u32,
    /// Write what was seen each second to this file, ndjson
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
    /// Where lake and log are made [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How to print the row
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if cfg!(debug_assertions) {
            eprintln!("warning: this is a debug build; `cargo build --release` makes one that is worth measuring");
        }
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        let folder = folder.context("no folder for the lake")?;
        let path = self.lane(folder.path())?;
        let marks = Marks::listen()?;
        self.configure(folder.path(), &marks)?;
        let daemon = Daemon::start(folder.path())?;
        let idle = daemon.sample()?.resident_bytes;
        let begun = Instant::now();
        let lane = Lane::open(&path, self.pace(begun))?;
        let mut curve = Curve::new(self.curve.as_deref(), begun)?;
        let seconds = std::thread::scope(|scope| -> anyhow::Result<f64> {
            let send = || lane.send(daemon.address, Some(&marks));
            let senders: Vec<_> = (0..self.connections).map(|_| scope.spawn(send)).collect();
            while !senders.iter().all(|sender| sender.is_finished()) {
                std::thread::sleep(SAMPLE_EVERY.min(Duration::from_millis(100)));
                curve.see(&daemon, &lane)?;
            }
            for sender in senders {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            Ok(begun.elapsed().as_secs_f64())
        })?;
        let last = curve.force(&daemon, &lane)?;
        let sent = Instant::now();
        let mut through = None;
        loop {
            let sample = curve.force(&daemon, &lane)?;
            if through.is_none() && sample.visible.min(sample.detected) >= last.last {
                through = Some(begun.elapsed().as_secs_f64());
            }
            if sample.committed >= last.last && through.is_some() {
                break;
            }
            anyhow::ensure!(sent.elapsed() < CATCH_UP_MAX, "not everything is in the lake after {CATCH_UP_MAX:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let outcome = Outcome {
            seconds,
            through_seconds: through.unwrap_or(seconds),
            caught_up: sent.elapsed().as_secs_f64(),
            idle_bytes: idle,
            peak_bytes: daemon.peak_bytes(),
            findings: daemon.sample()?.findings,
            latencies_ms: marks.latencies_ms(),
        };
        daemon.stop()?;
        let row = row(&lane, &curve, &outcome);
        print_rows(&[row], Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }

    fn lane(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        if let Some(lane) = &self.lane {
            std::fs::metadata(lane).map_err(|e| Usage(format!("{}: {e}", lane.display())))?;
            if self.events.is_none() && lane.extension().is_some_and(|name| name == "ndjson") {
                return Ok(lane.clone());
            }
        }
        let origin = self.lane.clone().map_or(Origin::Log(Log::Windows), Origin::Sample);
        let path = folder.join("lane.ndjson");
        Made { origin, events: self.events, seed: self.seed }.write_to(&path)?;
        Ok(path)
    }

    fn pace(&self, begun: Instant) -> Pace {
        Pace {
            body_bytes: self.body_kib as usize * 1024,
            bytes_per_second: self.rate.map(|megabytes| megabytes * 1e6),
            until: self.seconds.map(|seconds| begun + Duration::from_secs(seconds)),
        }
    }

    fn configure(&self, folder: &Path, marks: &Marks) -> anyhow::Result<()> {
        std::fs::write(folder.join("mark.yml"), marks::RULE)?;
        let mut rules = vec![folder.join("mark.yml")];
        for path in &self.rules {
            rules.push(std::fs::canonicalize(path).map_err(|e| Usage(format!("{}: {e}", path.display())))?);
        }
        let mut config = String::from("lake = 'lake'\nstate = 'state'\n");
        writeln!(config, "rules = {rules:?}")?;
        config.push_str("[listen]\nhttp = ['127.0.0.1:0']\ngrpc = []\npostgres = []\nflight_sql = []\n");
        writeln!(config, "[alerts.sinks.bench]\nkind = 'webhook'\nurl = 'http://{}/'", marks.address)?;
        config.push_str("plain_http = true\nallow_networks = ['127.0.0.0/8']\n");
        config.push_str("[[alerts.routes]]\nname = 'mark'\nrules = ['2f1bd1a4-*']\nsinks = ['bench']\n");
        config.push_str("[[alerts.routes]]\nname = 'rest'\nsinks = []\n");
        Ok(std::fs::write(folder.join("tarn.toml"), config)?)
    }
}

/// What was measured, beside what the curve saw.
struct Outcome {
    /// Until the last acknowledgement.
    seconds: f64,
    /// Until all of it was visible to SQL and had met every rule.
    through_seconds: f64,
    /// From the last acknowledgement until all of it was committed.
    caught_up: f64,
    idle_bytes: u64,
    peak_bytes: Option<u64>,
    findings: u64,
    /// In order, and how many never came.
    latencies_ms: (Vec<f64>, usize),
}

fn row(lane: &Lane, curve: &Curve, of: &Outcome) -> Map<String, Value> {
    let (bytes, events) = (lane.sent.bytes.load(Ordering::Relaxed), lane.sent.events.load(Ordering::Relaxed));
    let mb = |bytes: u64| rounded(bytes as f64 / 1e6);
    let (latencies, untold) = &of.latencies_ms;
    let at = |share: f64| latencies.get(((latencies.len() as f64 * share) as usize).min(latencies.len().max(1) - 1));
    let row = json!({
        "mb": mb(bytes), "events": events, "seconds": rounded(of.seconds),
        "mb_per_s": rounded(bytes as f64 / 1e6 / of.seconds), "through_mb_per_s": rounded(bytes as f64 / 1e6 / of.through_seconds),
        "repeated": lane.sent.rounds.load(Ordering::Relaxed), "refused": lane.sent.refused.load(Ordering::Relaxed),
        "visible_lag_s": rounded(curve.visible_lag_s), "detection_lag_s": rounded(curve.detection_lag_s),
        "lake_lag_s": rounded(curve.lake_lag_s), "caught_up_s": rounded(of.caught_up),
        "idle_mb": mb(of.idle_bytes), "peak_mb": of.peak_bytes.map(mb), "findings": of.findings,
        "alerts": latencies.len(), "untold": untold,
        "alert_p50_ms": at(0.5).map(|ms| rounded(*ms)), "alert_p99_ms": at(0.99).map(|ms| rounded(*ms)),
    });
    row.as_object().cloned().unwrap_or_default()
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// What was seen each second.
struct Curve {
    begun: Instant,
    out: Option<File>,
    /// Moments and the log's last frame then, as far back as something of it is not committed.
    frames: Vec<(Instant, u64)>,
    looked: Option<Instant>,
    visible_lag_s: f64,
    detection_lag_s: f64,
    lake_lag_s: f64,
}

impl Curve {
    fn new(path: Option<&Path>, begun: Instant) -> anyhow::Result<Self> {
        let out = path.map(File::create).transpose().context("the curve's file")?;
        let (frames, looked) = (Vec::new(), None);
        Ok(Self { begun, out, frames, looked, visible_lag_s: 0.0, detection_lag_s: 0.0, lake_lag_s: 0.0 })
    }

    fn see(&mut self, daemon: &Daemon, lane: &Lane) -> anyhow::Result<()> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= SAMPLE_EVERY) {
            self.force(daemon, lane)?;
        }
        Ok(())
    }

    fn force(&mut self, daemon: &Daemon, lane: &Lane) -> anyhow::Result<Sample> {
        let sample = daemon.sample()?;
        self.looked = Some(sample.at);
        self.frames.push((sample.at, sample.last));
        // The age of the first frame that is not there yet, as old as the look that saw it first.
        let age = |frames: &[(Instant, u64)], through: u64| {
            let first = frames.iter().find(|(_, last)| *last > through);
            first.map_or(0.0, |(at, _)| sample.at.duration_since(*at).as_secs_f64())
        };
        let (visible, lake) = (age(&self.frames, sample.visible), age(&self.frames, sample.committed));
        self.visible_lag_s = self.visible_lag_s.max(visible);
        self.lake_lag_s = self.lake_lag_s.max(lake);
        self.detection_lag_s = self.detection_lag_s.max(sample.detection_lag_s);
        self.frames.retain(|(_, last)| *last > sample.committed);
        if let Some(out) = &mut self.out {
            let line = json!({
                "second": rounded(sample.at.duration_since(self.begun).as_secs_f64()),
                "mb": rounded(lane.sent.bytes.load(Ordering::Relaxed) as f64 / 1e6),
                "resident_mb": rounded(sample.resident_bytes as f64 / 1e6),
                "visible_lag_s": rounded(visible), "lake_lag_s": rounded(lake),
                "detection_lag_s": rounded(sample.detection_lag_s), "findings": sample.findings,
            });
            writeln!(out, "{line}")?;
        }
        Ok(sample)
    }
}
