//! `tarn rules lint`: what is wrong or odd about rules as they are written.

use crate::command::Usage;
use crate::command::arguments::{PlaceholderArgs, SourcesArgs, rules_are_there};
use crate::output::{Format, print_rows};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::source::Sources;
use tarn_rules::lint::{self, Finding, Linted, OF_SOURCES, Severity};
use tarn_rules::{About, Logsource, Ruleset};

/// Say what is wrong or odd about rules, with file, line and a hint
///
/// Duplicates, conditions that can never or always hold, filters that swallow what they filter, costly patterns, missing
/// metadata, revoked ATT&CK ids, fields that the log source does not have, and more: --checks lists them, docs/rules.md
/// says what each means. Exit code 1 when a finding is at least as bad as --fail-on.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn rules lint my-rules/
  tarn rules lint --fail-on warning --skip test-events --format csv my-rules/ > findings.csv
  tarn rules lint --checks")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required_unless_present = "checks", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Exit with 1 from this severity on
    #[arg(long, value_enum, default_value = "error", value_name = "SEVERITY")]
    fail_on: FailOn,
    /// A check that does not run; repeat it for more
    #[arg(long, value_name = "CHECK")]
    skip: Vec<String>,
    /// List the checks instead
    #[arg(long)]
    checks: bool,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Note,
    Warning,
    Error,
}

type Row = Map<String, Value>;

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let format = Format::or_default(self.format);
        if self.checks {
            let rows: Vec<Row> = lint::checks()
                .map(|c| row(&[("check", c.name), ("severity", &c.severity.to_string()), ("finds", c.about)]))
                .collect();
            print_rows(&rows, format)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(unknown) = self.skip.iter().find(|name| lint::checks().all(|c| c.name != *name)) {
            return Err(Usage(format!("there is no check {unknown:?}: `tarn rules lint --checks` lists them")).into());
        }
        rules_are_there(&self.paths)?;
        let mut linted = lint::lint(&self.paths, &self.placeholders.options(), &self.skip);
        let rules = linted.ruleset.rules.len() + linted.ruleset.correlations.len();
        if rules == 0 && linted.findings.is_empty() {
            return Err(Usage("no Sigma rule (*.yml, *.yaml) there".into()).into());
        }
        let mut findings = std::mem::take(&mut linted.findings);
        findings.extend(of_sources(&mut linted, self.sources.load()?, &self.skip));
        findings.sort_by(|a, b| (&a.file, a.line, a.check).cmp(&(&b.file, b.line, b.check)));
        print_rows(&findings.iter().map(found).collect::<Vec<_>>(), format)?;
        let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
        findings.iter().for_each(|f| *counts.entry(f.severity).or_default() += 1);
        let count = |severity| counts.get(&severity).copied().unwrap_or(0);
        let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
        eprintln!("{rules} rules: {errors} errors, {warnings} warnings, {notes} notes");
        let limit = match self.fail_on {
            FailOn::Note => Severity::Note,
            FailOn::Warning => Severity::Warning,
            FailOn::Error => Severity::Error,
        };
        let failed = findings.iter().any(|f| f.severity >= limit);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}

fn found(finding: &Finding) -> Row {
    let mut row = row(&[("severity", &finding.severity.to_string()), ("file", &finding.file.display().to_string())]);
    row.insert("line".into(), finding.line.into());
    row.insert("id".into(), finding.id.clone().into());
    row.insert("check".into(), finding.check.into());
    row.insert("message".into(), finding.message.clone().into());
    row.insert("hint".into(), finding.hint.clone().into());
    row
}

const LOGSOURCE: &str = "logsource:";

/// What the rules' log sources lack here.
fn of_sources(linted: &mut Linted, sources: Arc<Sources>, skip: &[String]) -> Vec<Finding> {
    let set = std::mem::take(&mut linted.ruleset);
    let rules: Vec<(About, Logsource)> = set.rules.iter().map(|r| (r.about.clone(), r.logsource.clone())).collect();
    let only = Ruleset { rules: set.rules, ..Ruleset::default() };
    let (_, reports) = Engine::new(sources.clone(), only);
    let [unknown_field, no_log_source] = OF_SOURCES else { return Vec::new() };
    let mut out = Vec::new();
    for ((about, logsource), report) in rules.iter().zip(reports) {
        let finding = |check: &'static lint::Check, text: &str, message: String, hint: String| Finding {
            file: about.file.clone(),
            line: {
                let detection = linted.line_of(&about.file, about.line, "detection:");
                linted.line_of(&about.file, if text == LOGSOURCE { about.line } else { detection }, text)
            },
            id: about.id.clone(),
            check: check.name,
            severity: check.severity,
            message,
            hint,
        };
        let Logsource { product, category, service } = logsource;
        let bound = sources.bind(product.as_deref(), category.as_deref(), service.as_deref()).len();
        if bound == 0 {
            let hint = "`tarn sources list` has those there are; docs/mapping.md says how to add one".to_owned();
            let message = format!("no mapping here writes {logsource}");
            out.push(finding(no_log_source, LOGSOURCE, message, hint));
        }
        let mut by_field: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for unknown in report.unknown {
            by_field.entry(unknown.field).or_default().push(unknown.source);
        }
        let all = matches!(report.verdict, tarn_engine::Verdict::NotEvaluable(_));
        // What one of several sources has is a field of the log source.
        for (field, names) in by_field.into_iter().filter(|(_, names)| names.len() == bound) {
            let hint = match nearest(&sources, &names, &field) {
                Some(near) if near == field => {
                    "other events of the source have it, those of this log source do not".into()
                }
                Some(near) => format!("write `{near}`, if that is meant"),
                None => "`tarn sources explain` shows what a source's records hold".to_owned(),
            };
            let so = if all { "; the rule cannot run" } else { "" };
            let message = format!("{} has no field {field:?}{so}", names.join(", "));
            out.push(finding(unknown_field, &field, message, hint));
        }
    }
    out.retain(|f| !skip.iter().any(|s| s == f.check));
    out
}

/// The field of these sources that is nearest to a name, if it is near.
fn nearest(sources: &Sources, names: &[String], field: &str) -> Option<String> {
    let fields = names.iter().filter_map(|name| sources.named(name)).flat_map(|s| s.field_names());
    let far = (field.len() / 4).max(1);
    let measured = fields.map(|f| (lint::distance(&f.to_ascii_lowercase(), &field.to_ascii_lowercase()), f));
    measured.filter(|(distance, _)| *distance <= far).min().map(|(_, f)| f.clone())
}
