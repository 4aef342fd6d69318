//! `tarn simulate atomic`: Atomic Red Team tests in a sandbox, and what rules say of them.

mod listing;

use super::score::ScoreArgs;
use super::target::TargetArgs;
use crate::causes::with_causes;
use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_and_report, report_engine};
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::command::{Usage, block_on};
use crate::progress;
use anyhow::Context;
use chrono::Utc;
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use reqwest::Url;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tarn_engine::Engine;
use tarn_simulations::atomic::allowed::List;
use tarn_simulations::atomic::campaign::{self, Entry, Writer};
use tarn_simulations::atomic::definition::{self, Test};
use tarn_simulations::atomic::judge::Judge;
use tarn_simulations::atomic::run::{self, Run};
use tarn_simulations::atomic::spec::{Outcome, Spec};
use tarn_simulations::score::{self, Scorecard, Trial, record};

/// Run Atomic Red Team tests in a sandbox, and score what rules see of them
///
/// Only tests on the list of reviewed ones run, and only as they were reviewed: Linux, no root, no network, nothing
/// destroyed. Each has namespaces, a read-only root and a scratch home of its own; what its processes do becomes audit
/// events, and rules are tried on these. Needs unprivileged user namespaces; nothing runs without a sandbox.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate atomic --atomics atomic-red-team/atomics
  tarn simulate atomic --atomics atomics --rules rules/sigma --rules sigma/rules/linux --fail-under 40 --junit atomic.xml
  tarn simulate atomic --atomics atomics --only T1070 --write-events events.ndjson
  tarn simulate atomic --atomics atomics --list --format csv")]
pub struct Args {
    /// The folder `atomics` of a checkout of Atomic Red Team
    #[arg(long, value_name = "FOLDER")]
    atomics: PathBuf,
    /// Only tests of this technique (and those below it), or with a GUID that begins so; repeat it for more
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Rules: files or folders; repeat it for more [default: the pack that comes with Tarn]
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    /// Sandboxes at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// The longest that a command of a test may take, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=600))]
    limit: u16,
    /// Tests that you have reviewed yourself: YAML as `simulations/src/atomic/allowed.yml`, with the digests of `--list`
    #[arg(long, value_name = "FILE")]
    also_allow: Option<PathBuf>,
    /// Write the captured events, LAUREL's JSON a line, each with its test's GUID and technique
    #[arg(long, value_name = "FILE")]
    write_events: Option<PathBuf>,
    /// A daemon whose lake keeps the results, such as http://127.0.0.1:4318; the events are not sent
    #[arg(long, value_name = "URL")]
    to: Option<Url>,
    /// The file with its token; TARN_TOKEN otherwise
    #[arg(long, value_name = "FILE", requires = "to")]
    token_file: Option<PathBuf>,
    /// Run nothing: list the folder's Linux tests, and whether each may run
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    score: ScoreArgs,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let tests = definition::read(&self.atomics).map_err(|e| Usage(format!("--atomics: {}", with_causes(&e))))?;
        let atomics = self.atomics.canonicalize()?;
        let mut list = List::shipped()?;
        if let Some(path) = &self.also_allow {
            let own = NamedFile::by("--also-allow", path);
            list.extend(List::parse(&own.text(SMALL_BYTES_MAX)?).map_err(|e| own.wrong(e))?);
        }
        let wanted = |test: &Test| self.only.is_empty() || self.only.iter().any(|id| listing::is_of(test, id));
        if self.list {
            return listing::print_list(tests.iter().filter(|t| wanted(t)), &list, self.score.format);
        }
        let sources = self.sources.load()?;
        let rules = match self.rules.as_slice() {
            [] => tarn_rules::pack(),
            paths => load_and_report(paths, &self.placeholders).context("--rules")?,
        };
        let (engine, reports) = Engine::new(sources, rules);
        report_engine(&engine, &reports)?;
        let limit = Duration::from_secs(self.limit.into());
        let entries = campaign::entries(&tests, &list, &atomics, limit, &wanted);
        if entries.is_empty() {
            return Err(Usage("no reviewed test is among these: `--list` shows which are".into()).into());
        }
        self.try_all(&entries, Arc::new(engine), &atomics)
    }

    fn try_all(&self, entries: &[Entry], engine: Arc<Engine>, atomics: &Path) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe().context("cannot find the program itself")?;
        sandbox_works(&program, atomics)?;
        let started = Utc::now();
        let runnable: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].spec.is_ok()).collect();
        let specs: Vec<Spec> = entries.iter().filter_map(|e| e.spec.clone().ok()).collect();
        let skipped = |e: &Entry| e.spec.as_ref().err().map(|reason| campaign::trial(&e.test, Err(reason)));
        let mut trials: Vec<Option<Trial>> = entries.iter().map(skipped).collect();
        let mut out = self.write_events.as_deref().map(create).transpose()?;
        let (mut writer, mut judge, mut findings) = (Writer::default(), Judge::new(engine), Vec::new());
        let mut counts = Counts::default();
        let bar = progress::steps(specs.len() as u64);
        let (sender, ended) = channel();
        std::thread::scope(|scope| {
            let (program, specs) = (&program, &specs);
            scope.spawn(move || {
                // Nobody to take them: the run is being given up.
                run::run(program, specs, self.jobs.into(), &|at, run| drop(sender.send((at, run))));
            });
            // In the order in which they end, each at once: a finding is as late as its test was long.
            for (at, run) in ended {
                let Entry { test, .. } = &entries[runnable[at]];
                counts.count(test, &run, &bar);
                let lines = writer.lines(test, &specs[at].host, &run.captured);
                if let Some(out) = &mut out {
                    lines.iter().try_for_each(|line| writeln!(out, "{line}")).context("cannot write the events")?;
                }
                let judged = judge.judge(&lines, Utc::now());
                trials[runnable[at]] = Some(campaign::trial(test, Ok((&run, &judged))));
                findings.extend(judged.findings);
            }
            anyhow::Ok(())
        })?;
        bar.finish_and_clear();
        if let Some(mut out) = out {
            out.flush().context("cannot write the events")?;
        }
        let ended = Utc::now();
        let seconds = (ended - started).num_milliseconds() as f64 / 1000.0;
        let (all, Counts { ran, late, failed }) = (entries.len(), counts);
        eprintln!("{ran} of {all} reviewed tests ran in {seconds:.1} s; {late} were ended by the limit");
        let trials: Vec<Trial> = trials.into_iter().flatten().collect();
        let about = score::Run { id: uuid::Uuid::new_v4().to_string(), kind: "atomic".into(), started, ended };
        let card = score::score(about, &trials, &findings, None);
        let code = self.score.finish(&card)?;
        self.keep(&card)?;
        Ok(if failed > 0 { ExitCode::FAILURE } else { code })
    }

    /// Sends the results to the daemon that is named, if one is.
    fn keep(&self, card: &Scorecard) -> anyhow::Result<()> {
        if self.to.is_none() {
            return Ok(());
        }
        let (to, token_file) = (self.to.clone(), self.token_file.clone());
        let target = TargetArgs { to, token_file, rules: Vec::new(), sources: None, keep: None, wait: None };
        block_on(async {
            let target = target.open().await?;
            target.client.ingest(Some("ocsf"), &record::lines(card)).await?;
            target.close().await
        })?
    }
}

/// How the tests of a run went.
#[derive(Default)]
struct Counts {
    ran: usize,
    late: usize,
    failed: usize,
}

impl Counts {
    fn count(&mut self, test: &Test, run: &Run, bar: &ProgressBar) {
        bar.inc(1);
        bar.set_message(test.name.clone());
        match &run.outcome {
            Outcome::Ran { timed_out, cleanup, .. } => {
                self.ran += 1;
                self.late += usize::from(*timed_out);
                if let Some(reason) = cleanup {
                    bar.suspend(|| eprintln!("warning: {} {}: cleanup: {reason}", campaign::id(test), test.name));
                }
            }
            Outcome::Unmet { .. } => {}
            Outcome::Failed { reason } => {
                self.failed += 1;
                bar.suspend(|| eprintln!("error: {} {}: {reason}", campaign::id(test), test.name));
            }
        }
    }
}

/// Makes one sandbox before any test, so that a machine that cannot is told once.
fn sandbox_works(program: &Path, atomics: &Path) -> anyhow::Result<()> {
    let spec = Spec {
        atomics: atomics.to_owned(),
        shell: "/bin/sh".into(),
        host: "sandbox".into(),
        limit_ms: 10_000,
        prerequisites: Vec::new(),
        command: ":".into(),
        cleanup: None,
    };
    match run::one(program, &spec).outcome {
        Outcome::Ran { .. } => Ok(()),
        Outcome::Unmet { description: reason } | Outcome::Failed { reason } => {
            anyhow::bail!("no sandbox can be made, and no test runs without one: {reason}")
        }
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("--write-events: cannot write {}", path.display()))?))
}
