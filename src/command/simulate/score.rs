//! What becomes of a scorecard: rows on stdout, totals on stderr, files on request, and the exit code.

use crate::output::{Format, print_rows};
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_simulations::score::Scorecard;
use tarn_simulations::score::render::{json, junit, markdown, navigator, table};

/// Where a score goes, and what it has to be.
#[derive(Args, Clone, Debug)]
pub struct ScoreArgs {
    /// Exit code 1 when fewer techniques than this are detected: of those that ran, in percent, by a rule that names the
    /// technique, at medium or above
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_under: Option<f64>,
    /// Write the whole score as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write JUnit XML, for CI: a case a technique
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a report in Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write an ATT&CK Navigator layer (format 4.5)
    #[arg(long, value_name = "FILE")]
    pub layer: Option<PathBuf>,
    /// How to print the row of each technique
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

/// Reads a percentage.
pub fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse().ok().filter(|p| (0.0..=100.0).contains(p));
    percent.ok_or_else(|| format!("expected a number from 0 to 100, got {text:?}"))
}

impl ScoreArgs {
    /// Prints and writes a score, and says whether it is good enough.
    ///
    /// **Errors**: a file that cannot be written.
    pub fn finish(&self, card: &Scorecard) -> anyhow::Result<ExitCode> {
        let write = |option, path: &Option<PathBuf>, text: &dyn Fn() -> anyhow::Result<String>| match path {
            Some(path) => write(path, &text()?).context(option),
            None => Ok(()),
        };
        write("--json", &self.json, &|| Ok(json::document(card)?))?;
        write("--junit", &self.junit, &|| Ok(junit::document(card)?))?;
        write("--markdown", &self.markdown, &|| Ok(markdown::report(card)))?;
        write("--layer", &self.layer, &|| Ok(serde_json::to_string_pretty(&navigator::layer(card))?))?;
        print_rows(&table::rows(card), Format::or_default(self.format))?;
        eprintln!("{}", table::summary(card));
        match self.fail_under {
            Some(percent) if card.is_under(percent) => {
                eprintln!("error: fewer than {percent} % were detected");
                Ok(ExitCode::FAILURE)
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
