//! `tarn rules backtest`: what rules would have found, before they are shipped.

use crate::backtest::{Data, Files, LakeSpan, Pass, Tried, Version, Weights, rows};
use crate::command::arguments::{
    LakeArgs, PlaceholderArgs, SourceArg, SourcesArgs, SpanArgs, ThreadsArg, ZoneArg, key_value, load_and_report,
    report_engine,
};
use crate::command::{Usage, block_on};
use crate::hunting::Span;
use crate::input;
use crate::output::{Format, print_rows};
use anyhow::Context as _;
use chrono::Utc;
use clap::{ArgGroup, Args as ClapArgs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_ingest::source::Sources;
use tarn_lake::SqlOptions;

/// Replay rules over a lake or log files, and say what each would have found
///
/// A row a rule, those with most findings first: findings and their days (UTC), the most frequent users, hosts, addresses
/// and processes of the events, and what the rule costs: its tests, its fields, and its share of the matching time, each
/// rule alone on a sample. Correlations are rules as well. Exit code 1 when --fail-above says so, or a file cannot be read.
#[derive(ClapArgs)]
#[command(group(ArgGroup::new("data").required(true).args(["lake", "events"])))]
// A lake's times have their zone.
#[command(mut_arg("zone", |zone| zone.conflicts_with("lake")))]
#[command(after_help = "Examples:
  tarn rules backtest new-rule.yml --lake ./lake --since 2026-11-01
  tarn rules backtest rules/ --events logs/ --events archive.ndjson.gz --format json
  tarn rules backtest rules/ --lake s3://bucket/lake --against released-rules/ --examples 10
  tarn rules backtest rules/ --lake ./lake --fail-above 50 --format csv > rules.csv")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required = true, value_name = "RULES")]
    rules: Vec<PathBuf>,
    /// Replay over this lake: a folder, or a URL (file://, s3://, gs://, az://)
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// An option of the object store, such as aws_region=eu-north-1
    #[arg(long = "store-option", value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "events")]
    store_options: Vec<(String, String)>,
    #[command(flatten)]
    span: SpanArgs,
    /// Replay over these logs: files or folders; repeat it for more
    #[arg(long, value_name = "PATH")]
    events: Vec<PathBuf>,
    /// The versions before: a file or folder; rules are compared by id
    #[arg(long, value_name = "OLD_RULES")]
    against: Option<PathBuf>,
    /// Uids of events that are named for what --against gains and loses, each
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Fail when a rule has more findings than this on any day
    #[arg(long, value_name = "N")]
    fail_above: Option<u64>,
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
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if self.span.is_given() && !self.events.is_empty() {
            return Err(Usage("--since and --until are for --lake: files are replayed whole".into()).into());
        }
        let span = self.span.span()?;
        let sources = self.sources.load()?;
        let new = self.version(&sources, &self.rules)?;
        report_engine(&new.engine, &new.reports)?;
        let old = self.against.as_ref().map(|path| self.version(&sources, std::slice::from_ref(path)));
        let old = old.transpose().context("--against")?;
        block_on(async {
            let data = self.data(&sources, span).await?;
            let pass = if old.is_some() { Pass::New } else { Pass::Only };
            let new = Tried { tallies: data.replay(&new.engine, pass).await?, version: new };
            let old = match old {
                Some(old) => Some(Tried { tallies: data.replay(&old.engine, Pass::Old).await?, version: old }),
                None => None,
            };
            let weights = data.weigh(&new.version.engine).await?;
            self.print(&new, old.as_ref(), &weights)
        })?
    }

    fn version(&self, sources: &Arc<Sources>, paths: &[PathBuf]) -> anyhow::Result<Version> {
        Ok(Version::new(sources.clone(), load_and_report(paths, &self.placeholders)?))
    }

    async fn data(&self, sources: &Sources, span: Span) -> anyhow::Result<Data> {
        let (threads, now) = (self.threads.count(), Utc::now());
        let Some(lake) = &self.lake else {
            if self.events.iter().any(|path| path.as_os_str() == "-") {
                return Err(
                    Usage("--events - cannot be: standard input is read once, and this reads twice".into()).into()
                );
            }
            let (source, inputs) = (self.source.resolve(sources)?, input::expand(&self.events).context("--events")?);
            let now = now.timestamp_micros();
            return Ok(Data::Files(Files { inputs, source, zone: self.zone.zone, now, threads }));
        };
        if self.source.source.is_some() {
            return Err(Usage("--source is for --events: a lake's records have their sources".into()).into());
        }
        let lake = LakeArgs { lake: lake.clone(), store_options: self.store_options.clone() };
        let lake = lake.open().await?;
        let options = SqlOptions { partitions: threads, ..SqlOptions::default() };
        Ok(Data::Lake(LakeSpan { session: Arc::new(lake.sql(&options).await?), span, today: now.date_naive() }))
    }

    fn print(&self, new: &Tried, old: Option<&Tried>, weights: &Weights) -> anyhow::Result<ExitCode> {
        let rows = rows(new, old, weights, self.examples);
        let format = Format::or_default(self.format);
        print_rows(&rows.iter().map(|row| row.print(format)).collect::<Vec<_>>(), format)?;
        eprintln!(
            "{} rules: {} findings; each rule alone timed on {} events",
            rows.len(),
            new.tallies.findings(),
            weights.rows
        );
        let limit = self.fail_above.unwrap_or(u64::MAX);
        let above: Vec<_> = rows.iter().filter(|row| row.is_above(limit)).collect();
        for row in &above {
            let (title, findings) = row.busiest();
            eprintln!("too noisy: {title:?} has {findings} findings on its busiest day, more than {limit}");
        }
        Ok(if above.is_empty() && !new.tallies.incomplete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
