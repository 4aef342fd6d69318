//! `tarn sources`: what Tarn knows of logs.

mod explain;
mod list;
mod test;

use clap::{Args as ClapArgs, Subcommand};
use std::process::ExitCode;

/// List, test and explain log sources
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Test(test::Args),
    Explain(explain::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(args) => args.run(),
            Command::Test(args) => args.run(),
            Command::Explain(args) => args.run(),
        }
    }
}
