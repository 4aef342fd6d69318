//! `tarn simulate labelled`: rules against labelled records.

use super::score::percent;
use crate::command::Usage;
use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_and_report, report_engine};
use crate::command::named_file::NamedFile;
use crate::output::{Format, print_rows};
use anyhow::Context as _;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_simulations::labelled::{Judge, Service, Table, TableError, Verdict};
use tarn_simulations::score::wilson::Share;

/// Check rules against labelled records: true ones have to fire, benign look-alikes must not alarm
///
/// Records are one JSON object a line: behaviour, name, expected (whether it shows the behaviour), log (as its vendor writes
/// it). A table says which rules stand for a behaviour, and which records no rule can decide. A true record fires at any
/// level; a benign one is a false alarm at medium or above. Exit code 1 when there is one.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate labelled --logs labelled-logs/
  tarn simulate labelled --logs AWS.CloudTrail.ndjson --rules my-rules/ --table my-tables/ --all --format csv
  tarn simulate labelled --logs labelled-logs/ --fail-under 75")]
pub struct Args {
    /// Labelled records: a file, or a folder of *.ndjson
    #[arg(long, value_name = "PATH")]
    logs: PathBuf,
    /// Rules: files or folders, Tarn's own by default
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Tables of behaviours and rules: a folder of *.yml, or a file; Tarn's own by default
    #[arg(long, value_name = "PATH")]
    table: Option<PathBuf>,
    #[command(flatten)]
    sources: SourcesArgs,
    /// Print a row for every record of a mapped behaviour
    #[arg(long)]
    all: bool,
    /// Exit code 1 when fewer of the true records fire, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let table = match &self.table {
            None => Table::builtin()?,
            Some(path) => Table::read(path).map_err(usage)?,
        };
        let rules = match self.rules.as_slice() {
            [] => tarn_rules::pack(),
            paths => load_and_report(paths, &PlaceholderArgs { placeholders: Vec::new() }).context("--rules")?,
        };
        for rule in table.missing(&rules) {
            eprintln!("warning: the table names a rule that is not there: {rule}.yml");
        }
        let (engine, reports) = Engine::new(self.sources.load()?, rules.clone());
        report_engine(&engine, &reports)?;
        let mut judge = Judge::new(Arc::new(engine), &rules, &table, chrono::Utc::now().timestamp_micros());
        let mut rows = Vec::new();
        let mut all = Service::default();
        for file in logs(&self.logs)? {
            let text = std::fs::read_to_string(&file).map_err(|e| Usage(format!("{}: {e}", file.display())))?;
            let service =
                judge.file(&text).map_err(|(line, why)| Usage(format!("{}:{line}: {why}", file.display())))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match self.all {
                true => rows.extend(records(&name, &service)),
                false => rows.push(summary(&name, &service)),
            }
            all.records.extend(service.records);
        }
        if !self.all {
            rows.push(summary("all", &all));
        }
        print_rows(&rows, Format::or_default(self.format))?;
        self.verdict(&all)
    }

    fn verdict(&self, all: &Service) -> anyhow::Result<ExitCode> {
        let (fired, alarms): (Share, usize) = (all.fired(), all.count(Verdict::False));
        eprintln!("{} behaviours mapped; true records that fire: {fired}; {alarms} false alarms", all.mapped());
        if !self.all && (alarms > 0 || fired.count < fired.of) {
            eprintln!("--all names the records");
        }
        let is_under = self.fail_under.is_some_and(|least| fired.percent.unwrap_or(0.0) < least);
        Ok(if is_under || alarms > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn usage(error: TableError) -> anyhow::Error {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Usage(format!("--table: {error}{cause}")).into()
}

/// The files of labelled records, by name.
fn logs(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let error = |e: std::io::Error| NamedFile::by("--logs", path).wrong(e);
    if !std::fs::metadata(path).map_err(error)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(error)?.collect();
    let mut files: Vec<PathBuf> = entries.map_err(error)?.into_iter().map(|e| e.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "ndjson"));
    files.sort();
    match files.is_empty() {
        true => Err(Usage(format!("no *.ndjson in {}", path.display())).into()),
        false => Ok(files),
    }
}

fn row(cells: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn summary(name: &str, service: &Service) -> Map<String, Value> {
    let fired = service.fired();
    row([
        ("service", json!(name)),
        ("behaviours", json!(service.behaviours())),
        ("mapped", json!(service.mapped())),
        ("true", json!(fired.of)),
        ("fired", json!(fired.count)),
        ("percent", json!(fired.percent)),
        ("benign", json!(service.count(Verdict::Quiet) + service.count(Verdict::False))),
        ("false_alarms", json!(service.count(Verdict::False))),
        ("left_out", json!(service.count(Verdict::LeftOut))),
    ])
}

fn records(name: &str, service: &Service) -> Vec<Map<String, Value>> {
    let of_mapped = service.records.iter().filter(|r| r.verdict != Verdict::NotMapped);
    let record = |r: &tarn_simulations::labelled::Judged| {
        row([
            ("verdict", json!(r.verdict)),
            ("service", json!(name)),
            ("behaviour", json!(r.behaviour)),
            ("name", json!(r.name)),
            ("rules", json!(r.rules.join("; "))),
            ("others", json!(r.others.join("; "))),
        ])
    };
    of_mapped.map(record).collect()
}
