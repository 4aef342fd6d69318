//! `tarn rules test`: rules on their own test events.

use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_and_report};
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_engine::testing::{self, Outcome, Tester};
use tarn_rules::events::{self, TestCase};
use tarn_rules::{About, Ruleset};

/// Run rules on their own test events
///
/// The cases of `<rule>.yml` stand beside it in `<rule>.events.yml`: a list of `name`, `fires` (true or false) and
/// `event`, as its vendor writes it; for correlations `events`, each with `after`, `times` and `every`. Exit code 1 when
/// a rule does not do what its cases say.
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
        let mut tally = Tally { all: self.all, ..Tally::default() };
        for rule in &set.rules {
            tally.count(&rule.about, |cases| testing::run(&sources, rule, cases));
        }
        tally.strays(&set);
        if !set.correlations.is_empty() {
            let mut tester = Tester::new(sources, set.clone());
            for correlation in &set.correlations {
                tally.count(&correlation.about, |cases| tester.correlation(&correlation.about, cases));
            }
        }
        let Tally { rows, passed, failed, without, .. } = tally;
        print_rows(&rows, Format::or_default(self.format))?;
        let rules = set.rules.len() + set.correlations.len();
        eprintln!("{rules} rules: {passed} cases passed, {failed} failed; {without} rules have none");
        let good = failed == 0 && set.errors.is_empty();
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[derive(Default)]
struct Tally {
    /// Whether what passed has a row, too.
    all: bool,
    rows: Vec<Map<String, Value>>,
    passed: usize,
    failed: usize,
    /// Rules that have no case.
    without: usize,
}

impl Tally {
    /// Cases for a rule that their file does not have.
    fn strays(&mut self, set: &Ruleset) {
        let mut of_file: BTreeMap<&Path, Vec<&About>> = BTreeMap::new();
        let correlations = set.correlations.iter().map(|c| &c.about);
        for about in set.rules.iter().map(|r| &r.about).chain(correlations) {
            of_file.entry(&about.file).or_default().push(about);
        }
        for (file, abouts) in of_file {
            // What cannot be read is told with the rule.
            let cases = events::of_rule(file).ok().flatten().unwrap_or_default();
            for case in cases.iter().filter(|case| !abouts.iter().any(|about| case.is_for(about))) {
                let said = format!("no rule of the file has the id or title {:?}", case.rule.as_deref().unwrap_or(""));
                self.failed += 1;
                self.rows.push(row(abouts[0], &case.name, "error", &said));
            }
        }
    }

    fn count(&mut self, about: &About, run: impl FnOnce(&[TestCase]) -> Vec<Outcome>) {
        let cases = match events::of_rule(&about.file) {
            Ok(cases) => cases.unwrap_or_default(),
            Err(error) => {
                self.failed += 1;
                return self.rows.push(row(about, "", "error", &error.to_string()));
            }
        };
        let outcomes = run(&cases);
        self.without += usize::from(outcomes.is_empty());
        for outcome in outcomes {
            let said = match (&outcome.fired, outcome.expected) {
                (Err(why), _) => why.clone(),
                (Ok(true), true) => "fires".into(),
                (Ok(false), false) => "does not fire".into(),
                (Ok(true), false) => "fires, and must not".into(),
                (Ok(false), true) => "does not fire, and must".into(),
            };
            let status = match outcome.passed() {
                true => "passed",
                false => "failed",
            };
            self.passed += usize::from(outcome.passed());
            self.failed += usize::from(!outcome.passed());
            if self.all || !outcome.passed() {
                self.rows.push(row(about, &outcome.name, status, &said));
            }
        }
    }
}

fn row(about: &About, event: &str, status: &str, said: &str) -> Map<String, Value> {
    let file = about.file.display().to_string();
    let cells = [("status", status), ("file", &file), ("title", &about.title), ("event", event), ("outcome", said)];
    cells.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}
