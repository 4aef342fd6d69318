//! `tarn config`: the daemon's configuration.

use crate::serve::config::Config;
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check the daemon's configuration
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a configuration as the daemon would, without starting anything
    ///
    /// Also looks at what it refers to: rules, log sources, certificates, and the secrets of sinks. The first error
    /// names its key; exit code 2.
    #[command(after_help = "Example:\n  tarn config check tarn.toml")]
    Check {
        /// The configuration, TOML; variables TARN_SERVE__KEY__KEY go over it
        file: PathBuf,
    },
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Command::Check { file } = self.command;
        let config = Config::read(Some(&file), crate::config::serve_variables())?;
        let rules = crate::serve::check(&config)?;
        eprintln!("{}: {rules} rules, {} sinks: can be served", file.display(), config.alerts.sinks.len());
        Ok(ExitCode::SUCCESS)
    }
}
