//! `tarn rules coverage`: which techniques the rules cover, and which of them the telemetry lets them see.

use crate::command::arguments::{LakeArgs, PlaceholderArgs, SourcesArgs, ThreadsArg, key_value, load_and_report};
use crate::command::block_on;
use crate::coverage::{Coverage, Technique, Telemetry, navigator};
use crate::output::{Format, print_rows};
use anyhow::Context;
use chrono::Utc;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::source::Sources;
use tarn_lake::SqlOptions;
use tarn_rules::attack;

/// Say which ATT&CK and ATLAS techniques the rules cover
///
/// With --lake, a rule counts only when events of its log source are in the lake; without, every rule that can run here
/// does. A row for each tactic and for each technique that a rule names: how many rules name it, how many can run, how
/// many count. Gaps have the status `no telemetry`, `not evaluable` or `nothing`; --gaps prints only these.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn rules coverage
  tarn rules coverage my-rules/ --lake ./lake --days 7
  tarn rules coverage --lake s3://bucket/lake --gaps --format csv > gaps.csv
  tarn rules coverage my-rules/ --navigator layer.json")]
pub struct Args {
    /// Rules: files or folders [default: the rules that come with Tarn]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same, for who names rules so elsewhere
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "paths")]
    rules: Vec<PathBuf>,
    /// Count rules only whose telemetry is in this lake: a folder, or a URL (file://, s3://, gs://, az://)
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// An option of the object store, such as aws_region=eu-north-1
    #[arg(long = "store-option", value_name = "KEY=VALUE", value_parser = key_value, requires = "lake")]
    store_options: Vec<(String, String)>,
    /// Days of the lake that are looked at, up to now
    #[arg(long, value_name = "N", default_value_t = 30, requires = "lake")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Print only what is not covered
    #[arg(long)]
    gaps: bool,
    /// Write an ATT&CK Navigator layer (format 4.5) to this file
    #[arg(long, value_name = "FILE")]
    navigator: Option<PathBuf>,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    #[command(flatten)]
    threads: ThreadsArg,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

type Row = Map<String, Value>;

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let set = match (self.paths.as_slice(), self.rules.as_slice()) {
            ([], []) => tarn_rules::pack(),
            ([], paths) => load_and_report(paths, &self.placeholders).context("--rules")?,
            (paths, _) => load_and_report(paths, &self.placeholders)?,
        };
        let sources = self.sources.load()?;
        let (engine, reports) = Engine::new(sources.clone(), set.clone());
        let telemetry = match &self.lake {
            Some(lake) => Some(block_on(self.telemetry(lake.clone(), &engine))??),
            None => None,
        };
        let coverage = Coverage::new(&set, &reports, &sources, telemetry.as_ref());
        let over = match (&self.lake, &telemetry) {
            (Some(lake), Some(seen)) => format!("{} rows of the last {} days in {lake}", seen.rows, self.days),
            _ => "all log sources: no lake was looked at".to_owned(),
        };
        if let Some(file) = &self.navigator {
            let layer = serde_json::to_vec_pretty(&navigator::layer(&coverage, &over))?;
            std::fs::write(file, layer).with_context(|| format!("--navigator: cannot write {}", file.display()))?;
        }
        let format = Format::or_default(self.format);
        let mut rows = rows(&coverage, format);
        rows.retain(|row| !self.gaps || row["status"] != "covered");
        print_rows(&rows, format)?;
        report(&coverage, &over, telemetry.as_ref(), &sources);
        Ok(ExitCode::SUCCESS)
    }

    async fn telemetry(&self, lake: String, engine: &Engine) -> anyhow::Result<Telemetry> {
        let lake = LakeArgs { lake, store_options: self.store_options.clone() }.open().await?;
        let options = SqlOptions { partitions: self.threads.count(), ..SqlOptions::default() };
        Telemetry::of_lake(&lake.sql(&options).await?, engine, self.days, Utc::now()).await
    }
}

fn rows(coverage: &Coverage, format: Format) -> Vec<Row> {
    let tactics = attack::tactics().map(|(id, name)| {
        let all: Vec<&Technique> = coverage.of_tactic(id).map(|(_, technique)| technique).collect();
        let sum = |of: fn(&Technique) -> usize| all.iter().filter(|t| of(t) > 0).count();
        let (named, evaluable, counting) = (all.len(), sum(|t| t.evaluable), sum(|t| t.counting));
        let status = match (counting, evaluable, named) {
            (1.., ..) => "covered",
            (_, 1.., _) => "no telemetry",
            (_, _, 1..) => "not evaluable",
            _ => "nothing",
        };
        let level = all.iter().filter_map(|t| t.level).max();
        row("tactic", id, name, [named, evaluable, counting], level.map(|l| l.to_string()), status)
    });
    let techniques = coverage.techniques.iter().map(|(id, technique)| {
        let kind = match (id.starts_with("AML."), id.contains('.')) {
            (true, _) => "atlas",
            (false, true) => "sub-technique",
            (false, false) => "technique",
        };
        let tactics: Vec<&str> = attack::tactics_of(id).unwrap_or_default().iter().map(|(_, name)| *name).collect();
        let numbers = [technique.rules, technique.evaluable, technique.counting];
        let level = technique.level.map(|l| l.to_string());
        let mut row = row(kind, id, &tactics.join(", "), numbers, level, technique.status());
        if matches!(format, Format::Json | Format::Ndjson) {
            row.insert("counting_titles".into(), json!(technique.titles));
        }
        row.insert(
            "missing_telemetry".into(),
            match technique.counting {
                0 => technique.wanted.iter().cloned().collect::<Vec<_>>().join("; ").into(),
                _ => Value::from(""),
            },
        );
        row
    });
    tactics.chain(techniques).collect()
}

/// Of a tactic, techniques are counted; of a technique, rules.
fn row(kind: &str, id: &str, of: &str, numbers: [usize; 3], level: Option<String>, status: &str) -> Row {
    let [named, evaluable, counting] = numbers;
    let cells = [
        ("kind", json!(kind)),
        ("id", json!(id)),
        ("tactic", json!(of)),
        ("named", json!(named)),
        ("evaluable", json!(evaluable)),
        ("counting", json!(counting)),
        ("level", json!(level)),
        ("status", json!(status)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Says what there is and what is missing.
fn report(coverage: &Coverage, over: &str, telemetry: Option<&Telemetry>, sources: &Arc<Sources>) {
    eprintln!("{} of {} rules count, over {over}", coverage.counting, coverage.rules);
    if let Some(telemetry) = telemetry {
        eprintln!("{:>12}  {:20} log source", "rows", "source");
        for (source, logsource, rows) in telemetry.by_logsource(sources) {
            eprintln!("{rows:>12}  {source:20} {logsource}");
        }
    }
    let all: Vec<String> = attack::techniques().collect();
    let covered = all.iter().filter(|id| coverage.covers(id)).count();
    eprintln!("{covered} of {} techniques of ATT&CK Enterprise v{} are covered", all.len(), attack::VERSION);
    let of = |status: &str| -> Vec<&str> {
        coverage.techniques.iter().filter(|(_, t)| t.status() == status).map(|(id, _)| id.as_str()).collect()
    };
    for (status, why) in [
        ("no telemetry", "have rules, and no telemetry that these look at"),
        ("not evaluable", "have rules, and none that can run here"),
    ] {
        let ids = of(status);
        if !ids.is_empty() {
            eprintln!("{} techniques {why}: {}", ids.len(), ids.join(", "));
        }
    }
    let nothing: Vec<&str> = attack::tactics()
        .filter(|(id, _)| coverage.of_tactic(id).all(|(_, t)| t.counting == 0))
        .map(|(_, name)| name)
        .collect();
    if !nothing.is_empty() {
        eprintln!("tactics with nothing: {}", nothing.join(", "));
    }
}
