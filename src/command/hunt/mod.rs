//! `tarn hunt`: the rules over a lake.

mod resume;
mod writing;

use super::arguments::{LakeArgs, PlaceholderArgs, SourcesArgs, SpanArgs, ThreadsArg, load_and_report, report_engine};
use super::block_on;
use crate::command::Usage;
use crate::hunting::{Hunt, Order, Span, Unordered};
use crate::output::{Format, Printer};
use crate::progress;
use crate::report::report_exceptions;
use crate::stream::LATENESS_US;
use anyhow::Context as _;
use chrono::Utc;
use clap::Args as ClapArgs;
use futures::StreamExt;
use resume::{Resume, limits};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlator, Limits};
use tarn_engine::finding::Findings;
use tarn_lake::SqlOptions;
use tokio::task::spawn_blocking;
use writing::{Group, Renderer, Writing};

/// Run Sigma rules over a lake and print one finding a line
///
/// Finds what `tarn detect` finds on the same events, detections and correlations, with the same uids: a hunt with a new
/// rule says what it would have found. One scan of a day serves all rules.
///
/// With --order arrival the lake is replayed: hits come to correlations as their events arrived, and those that come more
/// than 300 s of event time behind the latest one are late, not correlated, and counted on stderr, as in a stream. With
/// --since or --until it is the replay of these events alone.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn hunt --lake ./lake --rules sigma/rules --since 2026-11-01
  tarn hunt --lake s3://bucket/lake --rules new-rule.yml --format table
  tarn hunt --lake ./lake --rules rules/ --since 2026-11-25T08:00:00Z --until 2026-11-25T12:00:00Z --stats
  tarn hunt --lake ./lake --rules rules/ --resume hunt.state >> findings.ndjson    # once a day
  tarn hunt --lake ./lake --rules rules/ --since 2026-11-25 --order arrival    # what a stream would have found")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// Rules: files or folders; repeat it for more
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    /// Go on where an earlier hunt with this file stopped, and remember in it where this one does. A day is done once it is
    /// over; correlations go on from day to day
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// In which order hits come to correlations
    #[arg(long, value_enum, default_value_t)]
    order: Order,
    #[command(flatten)]
    threads: ThreadsArg,
    /// Print counts and rates on stderr at the end
    #[arg(long)]
    stats: bool,
    /// Print canonical OCSF only: the event in `evidences`, no `rule` and `event` members
    #[arg(long, conflicts_with = "format")]
    ocsf: bool,
    /// How to print findings [default: ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Findings that wait: for their events, or for those of their run.
const WAITING_MAX: usize = 4_000;

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let span = self.span.span()?;
        if self.order == Order::Arrival && self.resume.is_some() {
            let why = "it goes through all days at once, and events of a day that is done may still arrive";
            return Err(Usage(format!("--order arrival has no --resume: {why}")).into());
        }
        let set = load_and_report(&self.rules, &self.placeholders).context("--rules")?;
        let (engine, reports) = Engine::new(self.sources.load()?, set);
        report_engine(&engine, &reports)?;
        block_on(self.hunt(Arc::new(engine), span))?
    }

    async fn hunt(&self, engine: Arc<Engine>, span: Span) -> anyhow::Result<ExitCode> {
        // Rules are made ready while the lake is opened.
        let ready = Arc::clone(&engine);
        let ready = spawn_blocking(move || ready.make_ready());
        let lake = self.lake.open().await?;
        let options = SqlOptions { partitions: self.threads.count(), ..SqlOptions::default() };
        let session = Arc::new(lake.sql(&options).await?);
        ready.await?;
        let hunt = Arc::new(Hunt::new(engine.clone(), session, span).await?.in_order(self.order));
        self.check_order(&hunt)?;
        let (mut resume, mut correlator) = match &self.resume {
            Some(path) => {
                let (resume, correlator) = Resume::open(path, lake.url().as_str(), &engine)?;
                (Some(resume), correlator)
            }
            None => (None, Correlator::new(engine.clone(), self.limits())),
        };
        let open = span.open(Utc::now());
        let days = hunt.days(resume.as_ref().and_then(|resume| resume.done), open);
        let bar = progress::events(days.iter().map(|(_, rows)| rows).sum());
        let renderer = Renderer {
            findings: Findings::new(engine.clone()),
            ocsf: self.ocsf,
            now_ms: Utc::now().timestamp_millis(),
            engine: engine.clone(),
            spare: Mutex::default(),
        };
        let printer = Printer::new(self.format.unwrap_or(Format::Ndjson));
        let mut out = Writing::new(renderer, Arc::clone(&hunt), printer, options.partitions);
        let started = Instant::now();
        for (days, rows) in &days {
            bar.set_message(format!("{}: {} findings", days.start(), out.count()));
            let mut group = Group::of(days);
            let mut batches = hunt.hits(days).await?;
            while let Some(batch) = batches.next().await {
                for (hit, matched) in hunt.read(&batch?)? {
                    matched.into_iter().for_each(|matched| correlator.push(matched, &mut group.correlated));
                    if engine.is_shown(hit.rule) {
                        group.hits.push(hit);
                    }
                }
                if group.len() >= WAITING_MAX {
                    out.push(std::mem::replace(&mut group, Group::of(days))).await?;
                }
            }
            out.push(group).await?;
            bar.inc(*rows);
            if let Some(resume) = resume.as_mut().filter(|_| *days.end() < open) {
                out.flush().await?;
                resume.write(*days.end(), &correlator)?;
            }
        }
        // What is still open goes on where the hunt does.
        if resume.is_none() {
            let mut last = Group::of(&(open..=open));
            correlator.finish(&mut last.correlated);
            out.push(last).await?;
        }
        out.flush().await?;
        bar.finish_and_clear();
        report_exceptions(&engine, &mut correlator);
        let count = out.finish()?;
        if self.stats {
            let seconds = started.elapsed().as_secs_f64();
            let rows: u64 = days.iter().map(|(_, rows)| rows).sum();
            eprintln!("rows       {rows}");
            eprintln!("findings   {count}");
            let rate = rows as f64 / seconds.max(1e-9);
            eprintln!("time       {seconds:.3} s with {} threads: {rate:.0} rows/s", options.partitions);
        }
        // The process ends: to take apart what is known of rules and files would only make it wait.
        std::mem::forget((hunt, engine));
        Ok(ExitCode::SUCCESS)
    }

    /// **Errors**: [`Usage`] when rows cannot be in the order that was asked for.
    fn check_order(&self, hunt: &Hunt) -> Result<(), Usage> {
        match (self.order, hunt.unordered()) {
            (Order::Arrival, Some(Unordered { table, day })) => Err(Usage(format!(
                "--order arrival: rows of {table} up to {day} do not say when they arrived, as an earlier release wrote \
                 them; hunt through later days with --since, or in the order of time"
            ))),
            _ => Ok(()),
        }
    }

    /// In the order of time nothing is late; what arrives may be, as in the stream.
    fn limits(&self) -> Limits {
        match self.order {
            Order::Time => limits(),
            Order::Arrival => Limits { lateness_us: Some(LATENESS_US), ..Limits::default() },
        }
    }
}
