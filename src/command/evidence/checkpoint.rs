//! `tarn evidence checkpoint`: the signed state of the ledger, to be kept elsewhere.

use super::{place, told};
use crate::command::arguments::LakeArgs;
use crate::command::block_on;
use clap::Args as ClapArgs;
use std::io::Write;
use std::process::ExitCode;
use tarn_attest::ledger::Log;

/// Print the ledger's newest checkpoint, for others to keep
///
/// A kept checkpoint is what tarn evidence audit --known finds a rolled-back or rewritten ledger with.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  tarn evidence checkpoint --lake ./lake > checkpoint-2026-11-27")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let log = block_on(async {
            let (store, prefix) = place(&self.lake.open().await?);
            Log::open_as_described(store, &prefix).await.map_err(told)
        })??;
        std::io::stdout().write_all(log.checkpoint().note())?;
        Ok(ExitCode::SUCCESS)
    }
}
