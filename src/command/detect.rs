//! `tarn detect`: events in, findings out, no lake.

use super::arguments::{PlaceholderArgs, SourceArg, SourcesArgs, ThreadsArg, ZoneArg, load_and_report, report_engine};
use crate::detection::{Detection, Seen};
use crate::output::{Format, Printer};
use crate::report::{DeadLetters, Stats, report_exceptions};
use crate::{input, progress};
use anyhow::Context as _;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlated, Correlator, Limits};
use tarn_engine::finding::{Evidence, Findings};

/// Run Sigma rules over logs and print one finding a line
///
/// Inputs are files and folders (EVTX, JSON, NDJSON, CloudTrail, audit and syslog lines, Parquet; gzip and zstd too),
/// or - for standard input. Each record's log source is recognised.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn detect --rules sigma/rules evidence/
  zcat events.json.gz | tarn detect --rules my-rule.yml - | jq .rule.title
  tarn detect --rules rules/sigma --ocsf logs/ > findings.ndjson")]
pub struct Args {
    /// Rules: files or folders; repeat it for more
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Logs: files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    #[command(flatten)]
    zone: ZoneArg,
    #[command(flatten)]
    threads: ThreadsArg,
    /// Print counts, rates and peak memory on stderr at the end
    #[arg(long)]
    stats: bool,
    /// Print canonical OCSF only: the event in `evidences`, no `rule`, `file`, `record` and `event` members
    #[arg(long, conflicts_with = "format")]
    ocsf: bool,
    /// How to print findings [default: ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write what is no record to this file, one JSON object a line with its bytes in base64
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let inputs = input::expand(&self.paths)?;
        let sources = self.sources.load()?;
        let source = self.source.resolve(&sources)?;
        let (engine, reports) =
            Engine::new(sources, load_and_report(&self.rules, &self.placeholders).context("--rules")?);
        let runs = report_engine(&engine, &reports)?;
        let mut dead = DeadLetters::new(self.dead_letters.as_deref())?;
        let mut stats = Stats::new(runs, input::size(&inputs));
        let engine = Arc::new(engine);
        let threads = self.threads.count();
        let now = chrono::Utc::now();
        let (zone, micros) = (self.zone.zone, now.timestamp_micros());
        let detection = Detection { engine: engine.clone(), source, zone, now: micros, threads };
        let findings = Findings::new(engine.clone());
        let render = |found: &crate::detection::Found<'_>, out: &mut Vec<u8>| {
            let evidence = Evidence {
                event: found.block.json(found.record),
                identity: found.identity(micros),
                time_ms: now.timestamp_millis(),
                file: Some(found.input),
                record: found.record.number,
            };
            match self.ocsf {
                true => findings.ocsf(found.rule, &evidence, out),
                false => findings.line(found.rule, &evidence, out),
            }
        };
        let bar = progress::bytes(input::size(&inputs));
        let mut printer = Printer::new(self.format.unwrap_or(Format::Ndjson));
        let mut correlator = Correlator::new(engine.clone(), Limits::default());
        let write = |correlated: &[Correlated], out: &mut Vec<u8>| {
            let shown = correlated.iter().filter(|c| engine.is_correlation_shown(c.correlation));
            shown.into_iter().try_fold(0, |count, correlated| {
                match self.ocsf {
                    true => findings.correlated_ocsf(correlated, now.timestamp_millis(), out)?,
                    false => findings.correlated_line(correlated, now.timestamp_millis(), out)?,
                }
                std::io::Result::Ok(count + 1)
            })
        };
        let unreadable = detection.run(&inputs, &bar, &render, &mut |seen: &mut Seen| {
            let mut correlated = Vec::new();
            seen.matches.drain(..).for_each(|found| correlator.push(found, &mut correlated));
            seen.findings += write(&correlated, &mut seen.output)?;
            stats.count(seen);
            bar.set_message(format!("{} findings", stats.findings));
            dead.take(&seen.input, &seen.dead)?;
            printer.print(&seen.output)
        })?;
        let (mut correlated, mut lines) = (Vec::new(), Vec::new());
        correlator.finish(&mut correlated);
        stats.findings += write(&correlated, &mut lines)?;
        printer.print(&lines)?;
        bar.finish_and_clear();
        report_exceptions(&engine, &mut correlator);
        printer.finish()?;
        dead.finish()?;
        for failed in &unreadable {
            eprintln!("error: {}: {:#}", failed.input, failed.error);
        }
        if self.stats {
            stats.print(threads, inputs.len());
        }
        Ok(if unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
