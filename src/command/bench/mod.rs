//! `tarn bench`: measurements that others can repeat.

mod detect;
mod hints;
mod lane;
mod program;
mod query;
mod serve;
mod table;
mod variations;

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
    Detect(detect::Args),
    Lane(lane::Args),
    Query(query::Args),
    Serve(serve::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Detect(args) => args.run(),
            Command::Lane(args) => args.run(),
            Command::Query(args) => args.run(),
            Command::Serve(args) => args.run(),
        }
    }
}
