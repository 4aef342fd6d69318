//! `tarn bench`: measurements that others can repeat.

mod lane;

use clap::{Args as ClapArgs, Subcommand};
use std::process::ExitCode;

/// Measure Tarn, and write the input for measuring others
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Lane(lane::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Lane(args) => args.run(),
        }
    }
}
