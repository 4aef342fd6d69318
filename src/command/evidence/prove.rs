//! `tarn evidence prove`: a record's proof file.

use super::{place, told};
use crate::command::arguments::LakeArgs;
use crate::command::{Usage, block_on};
use clap::Args as ClapArgs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_attest::ledger::Log;

/// Write one file that holds a record, its raw document, the proof that it is in the ledger, and the checkpoint
///
/// Whoever has the public key checks the file with tarn evidence verify, without this lake and without a network.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence prove --lake ./lake 4be1f2c0-admission -o proof.json
  tarn evidence prove --lake s3://bucket/lake 4be1f2c0-admission | jq -r .record")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The record's metadata.uid
    #[arg(value_name = "UID")]
    uid: String,
    /// Where the proof goes; standard output by default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let file = block_on(async {
            let (store, prefix) = place(&self.lake.open().await?);
            let log = Log::open_as_described(store, &prefix).await.map_err(told)?;
            log.prove(&self.uid).await.map_err(told)
        })??;
        match &self.output {
            Some(path) => std::fs::write(path, file).map_err(|e| Usage(format!("{}: {e}", path.display())))?,
            None => std::io::stdout().write_all(&file)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
