//! `tarn bench serve`: what the daemon takes, how far it falls behind, and what memory it needs.

mod curve;
mod daemon;
mod http;
mod load;
mod marks;
mod peer;

use super::lane::{Lane as Made, Log, Origin};
use super::program::Rsigma;
use super::{hints, variations};
use crate::command::named_file::NamedFile;
use crate::output::{Format, print_rows};
use anyhow::Context;
use clap::Args as ClapArgs;
use curve::Curve;
use daemon::Daemon;
use load::{Lane, Pace, Target};
use marks::Marks;
use peer::Peer;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often senders are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the daemon may take to catch up at the end.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// Measure the daemon: durable ingest over HTTP, lags, memory, and the time from acknowledgement to webhook
///
/// Starts `tarn serve` on an empty lake in a temporary folder, sends a lane to `/v1/ingest` from connections of this
/// process, and prints one row when everything is committed. Rates are of acknowledged bytes: `mb_per_s` from the first request
/// to the last answer, `through_mb_per_s` until all of it was visible to SQL and had met every rule. Lags are looked at every second. Up to ten events a second are marked: a rule is for them, and a webhook in this
/// process hears of it.
///
/// Where rsigma is installed, `rsigma engine daemon` takes the same load afterwards, without the marked events and with product, service
/// and category added for its routing; rates count the original's bytes. It acknowledges what is in its memory and stores
/// nothing, which `stores` says of each.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn bench serve --rules sigma/rules
  tarn bench serve --rules sigma/rules --lane windows.ndjson --events 1000000
  tarn bench serve --rules sigma/rules --rsigma ./rsigma --events 100000 --format table
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
    /// The rsigma to compare with [default: the one on the path, if any]
    #[arg(long, value_name = "FILE", conflicts_with = "alone")]
    rsigma: Option<PathBuf>,
    /// Measure Tarn alone
    #[arg(long)]
    alone: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if cfg!(debug_assertions) {
            eprintln!("warning: this is a debug build; `cargo build --release` makes one that is worth measuring");
        }
        let rsigma = if self.alone { None } else { Rsigma::find(self.rsigma.as_deref())? };
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
            let send = || lane.send(Target { address: daemon.address, path: "/v1/ingest" }, Some(&marks));
            let senders: Vec<_> = (0..self.connections).map(|_| scope.spawn(send)).collect();
            while !senders.iter().all(|sender| sender.is_finished()) {
                std::thread::sleep(LOOK_EVERY);
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
        let rows = match rsigma {
            Some(rsigma) => {
                let bytes = lane.sent.bytes.load(Ordering::Relaxed) as f64;
                let rates = [outcome.seconds, outcome.through_seconds].map(|seconds| bytes / 1e6 / seconds);
                self.beside(row, rates, &rsigma, folder.path(), &path)?.to_vec()
            }
            None => vec![row],
        };
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The same load into rsigma's daemon: Tarn's row, with how many times rsigma's its `rates` are, and rsigma's.
    fn beside(
        &self,
        mut tarn: Map<String, Value>,
        rates: [f64; 2],
        rsigma: &Rsigma,
        folder: &Path,
        lane: &Path,
    ) -> anyhow::Result<[Map<String, Value>; 2]> {
        eprintln!("comparing with {}, which stores nothing", rsigma.version);
        let (rules, hinted) = (folder.join("rules"), folder.join("hinted.ndjson"));
        std::fs::create_dir(&rules)?;
        variations::write(&self.rules, 1, self.seed, &rules)?;
        std::fs::write(rules.join("mark.yml"), marks::RULE)?;
        hints::write(lane, std::fs::File::create(&hinted)?)?;
        let size = |path: &Path| anyhow::Ok(std::fs::metadata(path)?.len() as f64);
        let original = size(lane)? / size(&hinted)?;
        let peer = Peer::start(rsigma, &rules, folder)?;
        let pace = self.pace(Instant::now());
        let body_bytes = pace.body_bytes.min(peer::BODY_BYTES);
        let load = Lane::open(&hinted, Pace { original, body_bytes, ..pace })?;
        let of = peer.load(&load, self.connections)?;
        let bytes = load.sent.bytes.load(Ordering::Relaxed) as f64 * original;
        let (rate, through) = (bytes / 1e6 / of.seconds, bytes / 1e6 / of.through_seconds);
        let known = json!({
            "program": rsigma.version, "stores": "nothing",
            "mb": rounded(bytes / 1e6), "events": load.sent.events.load(Ordering::Relaxed),
            "seconds": rounded(of.seconds), "mb_per_s": rounded(rate), "through_mb_per_s": rounded(through),
            "repeated": load.sent.rounds.load(Ordering::Relaxed), "refused": load.sent.refused.load(Ordering::Relaxed),
            "idle_mb": of.idle_bytes.map(|bytes| rounded(bytes as f64 / 1e6)),
            "peak_mb": of.peak_bytes.map(|bytes| rounded(bytes as f64 / 1e6)), "findings": of.findings,
        });
        for (name, own, other) in [("times_rsigma", rates[0], rate), ("through_times_rsigma", rates[1], through)] {
            tarn.insert(name.into(), json!((own / other * 1e3).round() / 1e3));
        }
        let beside = tarn.keys().map(|name| (name.clone(), known[name.as_str()].clone())).collect();
        Ok([tarn, beside])
    }

    fn lane(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        if let Some(lane) = &self.lane {
            NamedFile::by("--lane", lane).is_there()?;
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
            original: 1.0,
        }
    }

    fn configure(&self, folder: &Path, marks: &Marks) -> anyhow::Result<()> {
        std::fs::write(folder.join("mark.yml"), marks::RULE)?;
        let mut rules = vec![folder.join("mark.yml")];
        for path in &self.rules {
            rules.push(std::fs::canonicalize(path).map_err(|e| NamedFile::by("--rules", path).wrong(e))?);
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
        "program": format!("tarn {}", env!("CARGO_PKG_VERSION")), "stores": "all of it, before it acknowledges",
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
