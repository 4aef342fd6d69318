//! `tarn rules`: what becomes of rules here.

mod backtest;
mod check;
mod coverage;
mod explain;
mod lint;
mod test;

use clap::{Args as ClapArgs, Subcommand};
use std::process::ExitCode;

/// Lint, check, test, explain and back-test Sigma rules, and say what they cover
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Lint(lint::Args),
    Check(check::Args),
    Test(test::Args),
    Explain(explain::Args),
    Backtest(backtest::Args),
    Coverage(coverage::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Lint(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Test(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Backtest(args) => args.run(),
            Command::Coverage(args) => args.run(),
        }
    }
}
