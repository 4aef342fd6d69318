//! `tarn rules explain`: how a rule runs here.

use crate::command::arguments::{PlaceholderArgs, SourcesArgs, load_rules};
use clap::Args as ClapArgs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Explain how rules run here: condition, fields, classes and plan
///
/// Shows each rule's condition, the log sources and OCSF classes that it is bound to, the columns that its fields are
/// read from, and the plan over each class table.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  tarn rules explain rules/sigma/aws/aws_root_account_used.yml")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let set = load_rules(&self.paths, &self.placeholders)?;
        crate::report::report_load(&set);
        let sources = self.sources.load()?;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for (i, rule) in set.rules.iter().enumerate() {
            if i > 0 {
                out.write_all(b"\n")?;
            }
            out.write_all(tarn_engine::lower::explain(&sources, rule).as_bytes())?;
        }
        out.flush()?;
        Ok(if set.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
