//! `tarn simulate stratus`: Stratus Red Team's techniques, run for real.

use super::score::ScoreArgs;
use super::target::TargetArgs;
use crate::command::named_file::NamedFile;
use crate::command::{Usage, block_on};
use chrono::Utc;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tarn_simulations::daemon::Watch;
use tarn_simulations::score::{self, Run, Scorecard, Trial, record};
use tarn_simulations::stratus::{self, Binary, Detonation, Patience, Stop, Technique};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use uuid::Uuid;

/// Run techniques of Stratus Red Team for real, and score what is detected of them
///
/// Drives the stratus binary, which has to be installed and signed in to an account, cluster or project that is yours to
/// attack: each technique is warmed up, detonated, reverted and cleaned up, also after a failure and when you interrupt.
/// Then the daemon's lake is watched for what the detonations left in the logs (the daemon has to be fed from there): their
/// calls have a tag of their own in the user agent. Latency is from the call on, with the cloud's own delay.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate stratus --to http://127.0.0.1:4318 aws.defense-evasion.cloudtrail-stop
  tarn simulate stratus --to http://127.0.0.1:4318 --platform aws --longest 3600 --junit junit.xml")]
pub struct Args {
    /// Techniques (tarn simulate list has them)
    #[arg(value_name = "TECHNIQUE", required_unless_present = "platform")]
    techniques: Vec<String>,
    /// All techniques of a platform, such as aws
    #[arg(long, value_name = "NAME", conflicts_with = "techniques")]
    platform: Option<String>,
    /// The stratus binary [default: stratus, where it is on the path]
    #[arg(long, value_name = "FILE")]
    stratus: Option<PathBuf>,
    /// The longest wait for logs to come in, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1_800)]
    longest: u64,
    /// Once each technique has records: how long without a new one, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    quiet: u64,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    score: ScoreArgs,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if self.target.to.is_none() {
            let why = "give the daemon that gets this account's logs with --to URL; one that is started now would not";
            return Err(Usage(why.into()).into());
        }
        let (techniques, rules) = (self.chosen()?, self.target.ruleset()?);
        let trials: Vec<Trial> = techniques.iter().map(|technique| technique.trial(&rules)).collect();
        let path = self.stratus.clone().unwrap_or_else(|| "stratus".into());
        let install = "it does not run: install it (https://stratus-red-team.cloud), or name another";
        let binary = Binary::find(Some(&path)).ok_or_else(|| NamedFile::by("--stratus", &path).wrong(install))?;
        let (card, is_clean) = block_on(self.detonate(&binary, trials))??;
        let code = self.score.finish(&card)?;
        Ok(if is_clean { code } else { ExitCode::FAILURE })
    }

    fn chosen(&self) -> anyhow::Result<Vec<Technique>> {
        let table = stratus::table()?;
        if let Some(platform) = &self.platform {
            let chosen: Vec<Technique> =
                table.iter().filter(|t| t.platform.eq_ignore_ascii_case(platform)).cloned().collect();
            let mut names: Vec<&str> = table.iter().map(|t| t.platform.as_str()).collect();
            names.dedup();
            return match chosen.is_empty() {
                true => Err(Usage(format!("no technique of {platform:?}; there are {}", names.join(", "))).into()),
                false => Ok(chosen),
            };
        }
        let of = |id: &String| {
            let known = table.iter().find(|t| t.id == *id).cloned();
            known.ok_or_else(|| Usage(format!("no technique {id:?}; `tarn simulate list` has them")).into())
        };
        self.techniques.iter().map(of).collect()
    }

    async fn detonate(&self, binary: &Binary, mut trials: Vec<Trial>) -> anyhow::Result<(Scorecard, bool)> {
        let target = self.target.open().await?;
        let client = &target.client;
        // Before anything is changed: does the daemon answer, and to us?
        let mut watch = Watch::begin(client.clone()).await?;
        let started = Utc::now();
        let stop = interrupted()?;
        let mut detonations: Vec<Detonation> = Vec::new();
        for trial in &trials {
            if *stop.borrow() {
                break;
            }
            detonations.push(stratus::detonate(binary, &trial.id, &stop, &mut |step| eprintln!("{step}")).await);
        }
        let failures = || detonations.iter().flat_map(|d| d.failures.iter().map(move |f| (&d.technique, f)));
        for (technique, failure) in failures() {
            eprintln!("error: {technique}: {failure}");
        }
        let is_clean = failures().count() == 0;
        let patience = Patience { longest: Duration::from_secs(self.longest), quiet: Duration::from_secs(self.quiet) };
        if detonations.iter().any(|d| d.detonated) && !*stop.borrow() {
            eprintln!("waiting for logs, at most {} s", self.longest);
        }
        let records = stratus::wait(client, &mut watch, &detonations, patience, &stop).await?;
        watch.settle(self.target.watch()).await?;
        for (trial, (detonation, uids)) in trials.iter_mut().zip(detonations.iter().zip(records)) {
            (trial.ran, trial.records, trial.uids) = (detonation.detonated, uids.len(), uids);
            trial.skipped = detonation.failures.first().cloned();
        }
        for trial in trials.iter_mut().skip(detonations.len()) {
            trial.skipped = Some("interrupted before it began".into());
        }
        let run = Run { id: Uuid::new_v4().to_string(), kind: "stratus".into(), started, ended: Utc::now() };
        let card = score::score(run, &trials, watch.findings(), None);
        client.ingest(Some("ocsf"), &record::lines(&card)).await?;
        target.close().await?;
        Ok((card, is_clean))
    }
}

/// Says when somebody interrupts. The second time, everything ends at once.
fn interrupted() -> anyhow::Result<Stop> {
    let (say, stop) = watch::channel(false);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            if say.send_replace(true) {
                eprintln!("stopped at once; `stratus status` says what is left");
                std::process::exit(1);
            }
            eprintln!("interrupted: the step that runs is waited for, then all is cleaned up; again to stop at once");
        }
    });
    Ok(stop)
}
