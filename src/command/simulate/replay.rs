//! `tarn simulate replay`: recorded attacks through a daemon, and what it finds.

use super::score::ScoreArgs;
use super::target::{TargetArgs, interruptible};
use crate::command::{Usage, block_on};
use crate::progress;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_ingest::source::Sources;
use tarn_simulations::daemon::Watch;
use tarn_simulations::replay::{self, Ordinary, Pace, Plan, Recording, RecordingError, Recordings};
use tarn_simulations::score::{self, Run, Scorecard, Trial, record};
use tarn_simulations::stratus;
use uuid::Uuid;

/// Replay recorded attacks through a daemon, and score what is detected of them
///
/// Records are shifted to now with their intervals kept, get fresh ids, and are sent to a daemon as its senders send them:
/// one that runs (--to), or one that is started for the run. A recording is one technique: that of Stratus Red Team which
/// its file is named after (aws.defense-evasion.cloudtrail-stop.json), or the ATT&CK id that its file or folder begins with
/// (T1059.004-shell.ndjson). The score is printed, and recorded in the lake. docs/simulate.md says how it is computed.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate replay recordings/
  tarn simulate replay recordings/ --background 60 --seed 7 --fail-under 80 --junit junit.xml
  tarn simulate replay recordings/ --rules my-rules/ --markdown report.md --layer layer.json
  tarn simulate replay recordings/ --to http://127.0.0.1:4318 --token-file token --speed 10")]
pub struct Args {
    /// Recordings: files and folders, of any form that tarn ingest reads
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Send so many times as fast as it happened; as fast as the daemon takes it by default
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Seconds between two recordings
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    gap: u32,
    /// Mix it into so many minutes of an ordinary day, and count false alarms
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=10_080))]
    background: Option<u32>,
    /// Events of a minute of the ordinary day
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    per_minute: u32,
    /// Seed of the ordinary day
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    score: ScoreArgs,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    speed.ok_or_else(|| format!("expected a number above 0, got {text:?}"))
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let sources = match &self.target.sources {
            None => Sources::builtin()?,
            Some(folder) => Sources::with_folder(folder).map_err(|e| Usage(format!("--sources: {e}")))?,
        };
        let recordings = Recordings::new(Arc::new(sources), Utc::now()).read_all(&self.paths);
        let recordings = recordings.map_err(|error| match error {
            RecordingError::Open { .. } | RecordingError::Empty(_) => {
                let cause = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
                Usage(format!("{error}{cause}")).into()
            }
            other => anyhow::Error::from(other),
        })?;
        let (rules, techniques) = (self.target.ruleset()?, stratus::table()?);
        let trials = recordings.iter().map(|recording| recording.trial(&techniques, &rules)).collect();
        let card = block_on(interruptible(self.replay(&recordings, trials)))??;
        self.score.finish(&card)
    }

    async fn replay(&self, recordings: &[Recording], trials: Vec<Trial>) -> anyhow::Result<Scorecard> {
        let target = self.target.open().await?;
        let client = &target.client;
        let (run, started) = (Uuid::new_v4(), Utc::now());
        let plan = self.plan(recordings, run, started)?;
        let mut watch = Watch::begin(client.clone()).await?;
        let bar = progress::events(plan.items.len() as u64);
        let sent = replay::send(client, &plan, &mut watch, |count| bar.set_position(count as u64)).await?;
        bar.set_message("waiting for findings");
        if !watch.settle(self.target.watch()).await? {
            eprintln!("warning: the daemon may have more to find; --wait SECONDS waits longer");
        }
        bar.finish_and_clear();
        if sent.dead_letters > 0 {
            eprintln!("warning: {} records are dead letters: the daemon could not read them", sent.dead_letters);
        }
        let attributed = replay::trials(client, (&plan, &sent), trials, watch.findings()).await?;
        let run = Run { id: run.to_string(), kind: "replay".into(), started, ended: Utc::now() };
        let card = score::score(run, &attributed.trials, watch.findings(), attributed.background.as_ref());
        client.ingest(Some("ocsf"), &record::lines(&card)).await?;
        target.close().await?;
        Ok(card)
    }

    fn plan(&self, recordings: &[Recording], run: Uuid, now: DateTime<Utc>) -> anyhow::Result<Plan> {
        let ordinary = |minutes| Ordinary { minutes, per_minute: self.per_minute, seed: self.seed };
        let pace = self.speed.map_or(Pace::Fastest, Pace::Times);
        let gap = TimeDelta::seconds(i64::from(self.gap));
        Ok(Plan::new(recordings, self.background.map(ordinary), (pace, gap), run, now)?)
    }
}
