//! `tarn evidence prove`: a record's proof file.

use super::{place, told};
use crate::command::arguments::LakeArgs;
use crate::command::block_on;
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use clap::Args as ClapArgs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_attest::ledger::{Checkpoint, LedgerError, Log};

/// Write one file that holds a record, its raw document, the proof that it is in the ledger, and the checkpoint
///
/// Whoever has the public key checks the file with tarn evidence verify, without this lake and without a network.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence prove --lake ./lake 4be1f2c0-admission -o proof.json
  tarn evidence prove --lake s3://bucket/lake 4be1f2c0-admission | jq -r .record
  tarn evidence prove --lake ./lake 4be1f2c0-admission --checkpoint cosigned -o proof.json")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The record's metadata.uid
    #[arg(value_name = "UID")]
    uid: String,
    /// A checkpoint that was kept, which the proof is to carry: witnesses' cosignatures on it go with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
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
            let Some(path) = &self.checkpoint else { return log.prove(&self.uid).await.map_err(told) };
            let kept = NamedFile::by("--checkpoint", path);
            let checkpoint = Checkpoint::verify(&kept.bytes(SMALL_BYTES_MAX)?, log.key()).map_err(|e| kept.wrong(e))?;
            let size = checkpoint.size();
            log.at(checkpoint).await?.prove(&self.uid).await.map_err(|error| match error {
                LedgerError::Unknown { uid } => kept
                    .wrong(format_args!("its {size} leaves have no record with uid {uid:?}; take a later one"))
                    .into(),
                other => told(other),
            })
        })??;
        match &self.output {
            Some(path) => std::fs::write(path, file).map_err(|e| NamedFile::by("--output", path).wrong(e))?,
            None => std::io::stdout().write_all(&file)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
