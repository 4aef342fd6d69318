//! `tarn rules`: what becomes of rules here.

mod backtest;
mod check;
mod explain;
mod test;

use clap::{Args as ClapArgs, Subcommand};
use std::process::ExitCode;

/// Check, test, explain and back-test Sigma rules
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Test(test::Args),
    Explain(explain::Args),
    Backtest(backtest::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(args) => args.run(),
            Command::Test(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Backtest(args) => args.run(),
        }
    }
}
