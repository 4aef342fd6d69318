//! `tarn rules test`: rules on their own test events.

use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_and_report};
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_engine::testing;
use tarn_rules::{Rule, events};

/// Run rules on their own test events
///
/// The events of `<rule>.yml` stand beside it in `<rule>.events.yml`: a list of `name`, `fires` (true or false) and
/// `event`, as its vendor writes it. Exit code 1 when a rule does not do what its events say.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  tarn rules test rules/sigma")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print events that passed as well
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

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let set = load_and_report(&self.paths, &self.placeholders)?;
        let sources = self.sources.load()?;
        let (mut rows, mut passed, mut failed, mut without) = (Vec::new(), 0, 0, 0);
        for rule in &set.rules {
            let tests = match events::of_rule(&rule.about.file) {
                Ok(Some(tests)) => tests,
                Ok(None) => {
                    without += 1;
                    continue;
                }
                Err(error) => {
                    failed += 1;
                    rows.push(row(rule, "", "error", &error.to_string()));
                    continue;
                }
            };
            for outcome in testing::run(&sources, rule, &tests) {
                let said = match (&outcome.fired, outcome.expected) {
                    (Err(why), _) => why.clone(),
                    (Ok(true), true) => "fires".into(),
                    (Ok(false), false) => "does not fire".into(),
                    (Ok(true), false) => "fires, and must not".into(),
                    (Ok(false), true) => "does not fire, and must".into(),
                };
                match outcome.passed() {
                    true => passed += 1,
                    false => failed += 1,
                }
                if self.all || !outcome.passed() {
                    let status = if outcome.passed() { "passed" } else { "failed" };
                    rows.push(row(rule, &outcome.name, status, &said));
                }
            }
        }
        print_rows(&rows, Format::or_default(self.format))?;
        eprintln!("{} rules: {passed} events passed, {failed} failed; {without} rules have no events", set.rules.len());
        let good = failed == 0 && set.errors.is_empty();
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn row(rule: &Rule, event: &str, status: &str, said: &str) -> Map<String, Value> {
    let file = rule.about.file.display().to_string();
    let cells =
        [("status", status), ("file", &file), ("title", &rule.about.title), ("event", event), ("outcome", said)];
    cells.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}
