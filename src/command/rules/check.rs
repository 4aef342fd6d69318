//! `tarn rules check`: can each rule run here, and if not, why?

use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_rules};
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_engine::{Engine, Report, Verdict};
use tarn_rules::{LoadError, Ruleset};

/// Say of every rule whether it can run here, and if not, why
///
/// A rule runs where a log source has its events and its fields. Exit code 1 when one cannot. Without --all, only
/// rules with something to say are printed.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn rules check sigma/rules
  tarn rules check --all --format csv my-rules/ > rules.csv")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print rules that run as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

type Row = Map<String, Value>;

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let set = load_rules(&self.paths, &self.placeholders)?;
        let mut rows: Vec<Row> = set.errors.iter().map(not_loaded).collect();
        let (errors, correlations) = (set.errors.len(), set.correlations.len());
        let of_correlations = set.correlations.iter().map(|_| "(correlations)".to_owned());
        let products: Vec<String> = set.rules.iter().map(|r| product(&r.logsource)).chain(of_correlations).collect();
        let abouts = set.rules.iter().map(|r| &r.about).chain(set.correlations.iter().map(|c| &c.about));
        let warned: Vec<Vec<String>> = abouts.clone().map(|a| a.warnings.clone()).collect();
        let ids: Vec<(String, usize)> = abouts.map(|a| (a.id.clone(), a.line)).collect();
        for filter in set.filters.iter().filter(|f| !f.unknown.is_empty()) {
            let why = format!("the filter names rules that are not there: {}", filter.unknown.join(", "));
            rows.push(row("warning", "", &filter.title, &filter.file, &why));
        }
        for filter in set.filters.iter().filter(|f| !f.negates) {
            rows.push(row("warning", "", &filter.title, &filter.file, crate::report::keeps_only()));
        }
        let set = Ruleset { rules: set.rules, correlations: set.correlations, ..Ruleset::default() };
        let (_, reports) = Engine::new(self.sources.load()?, set);
        let mut uses: BTreeMap<&str, Uses> = BTreeMap::new();
        let mut runs = 0;
        for (i, report) in reports.iter().enumerate() {
            let of = uses.entry(&products[i]).or_default();
            of.add(report);
            runs += usize::from(matches!(report.verdict, Verdict::Evaluable { .. }));
            rows.extend(reported(report, &warned[i], ids[i].1).filter(|r| self.all || r["status"] != "runs"));
        }
        print_rows(&rows, Format::or_default(self.format))?;
        let total = reports.len() + errors;
        eprintln!("{runs} of {total} rules run; {errors} do not load, {correlations} of all are correlations");
        eprintln!("{:24} {:>6} {:>6} {:>12} {:>12} {:>8}", "product", "rules", "run", "field uses", "unknown", "%");
        for (product, uses) in uses {
            let share = 100.0 * uses.unknown as f64 / uses.fields.max(1) as f64;
            let (rules, run) = (uses.rules, uses.run);
            eprintln!("{product:24} {rules:>6} {run:>6} {:>12} {:>12} {share:>8.2}", uses.fields, uses.unknown);
        }
        Ok(if runs == total { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[derive(Default)]
struct Uses {
    rules: usize,
    run: usize,
    fields: usize,
    unknown: usize,
}

impl Uses {
    fn add(&mut self, report: &Report) {
        self.rules += 1;
        self.run += usize::from(matches!(report.verdict, Verdict::Evaluable { .. }));
        self.fields += report.field_uses;
        self.unknown += report.unknown_uses;
    }
}

fn product(logsource: &tarn_rules::Logsource) -> String {
    logsource.product.clone().or_else(|| logsource.category.clone()).unwrap_or_else(|| logsource.to_string())
}

fn row(status: &str, id: &str, title: &str, file: &std::path::Path, why: &str) -> Row {
    let cells = [
        ("status", json!(status)),
        ("file", json!(file.display().to_string())),
        ("title", json!(title)),
        ("id", json!(id)),
        ("why", json!(why)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn not_loaded(error: &LoadError) -> Row {
    let line = error.line.map(|l| format!(" (line {l})")).unwrap_or_default();
    let title = error.title.as_deref().unwrap_or_default();
    row("does not load", "", title, &error.file, &format!("{}{line}", error.reason))
}

fn reported(report: &Report, warned: &[String], line: usize) -> impl Iterator<Item = Row> {
    let one = |status, why: &str| {
        let mut row = row(status, &report.id, &report.title, &report.file, why);
        row.insert("line".into(), line.into());
        row
    };
    let made = match &report.verdict {
        Verdict::NotEvaluable(why) => one("not evaluable", why),
        Verdict::Evaluable { sources, warnings } if warnings.is_empty() && warned.is_empty() => {
            one("runs", &format!("over {}", sources.join(", ")))
        }
        Verdict::Evaluable { warnings, .. } => {
            let unknown = (!warnings.is_empty()).then(|| format!("unknown fields: {}", warnings.join(", ")));
            let all: Vec<String> = unknown.into_iter().chain(warned.iter().cloned()).collect();
            one("warning", &all.join("; "))
        }
    };
    std::iter::once(made)
}
