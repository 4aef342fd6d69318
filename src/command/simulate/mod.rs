//! `tarn simulate`: which attacks would be seen?

mod labelled;
mod list;
mod replay;
mod score;
mod stratus;
mod target;

use clap::{Args as ClapArgs, Subcommand};
use std::process::ExitCode;

/// Replay or run attacks, and score what is detected of them, by technique
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate list
  tarn simulate replay recordings/ --background 60 --fail-under 80 --junit junit.xml
  tarn simulate labelled --logs labelled-logs/ --all

docs/simulate.md says how the score is computed.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Replay(replay::Args),
    Stratus(stratus::Args),
    Labelled(labelled::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(args) => args.run(),
            Command::Replay(args) => args.run(),
            Command::Stratus(args) => args.run(),
            Command::Labelled(args) => args.run(),
        }
    }
}
