//! `tarn evidence`: what was logged, proved to others and held against what they know.

mod audit;
mod checkpoint;
mod disagreements;
mod key;
mod lineage;
mod prove;
mod reverify;
mod verify;

use super::Usage;
use clap::{Args as ClapArgs, Subcommand};
use std::io::Read;
use std::path::Path as FilePath;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_attest::ledger::{LAKE_PREFIX, LedgerError, PublicKey, Witness, WitnessPolicy};
use tarn_lake::Lake;

/// Prove evidence, check proofs, audit the ledger, verify again what passed, and show the lineage of what runs
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Prove(prove::Args),
    Verify(verify::Args),
    Audit(audit::Args),
    Reverify(reverify::Args),
    Checkpoint(checkpoint::Args),
    Key(key::Args),
    Lineage(lineage::Args),
    Disagreements(disagreements::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Prove(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Audit(args) => args.run(),
            Command::Reverify(args) => args.run(),
            Command::Checkpoint(args) => args.run(),
            Command::Key(args) => args.run(),
            Command::Lineage(args) => args.run(),
            Command::Disagreements(args) => args.run(),
        }
    }
}

/// The public key that things are checked with.
#[derive(ClapArgs, Clone, Debug)]
struct KeyArg {
    /// The ledger's public key: its text (NAME+ID+BASE64), or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
}

impl KeyArg {
    fn load(&self) -> anyhow::Result<PublicKey> {
        PublicKey::parse(&text(&self.key)?).map_err(|e| Usage(format!("--key: {e}")).into())
    }
}

/// Witnesses, and how many of them must have signed.
#[derive(ClapArgs, Clone, Debug)]
struct WitnessArgs {
    /// A witness's public key: its text, or a file with it; repeat it for more
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have signed; all by default
    #[arg(long, value_name = "N", requires = "witnesses")]
    need: Option<usize>,
}

impl WitnessArgs {
    fn load(&self) -> anyhow::Result<WitnessPolicy> {
        let read = |key: &String| -> anyhow::Result<Witness> {
            Witness::parse(&text(key)?).map_err(|e| Usage(format!("--witness: {e}")).into())
        };
        let witnesses = self.witnesses.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let need = self.need.unwrap_or(witnesses.len());
        WitnessPolicy::new(witnesses, need).map_err(|e| Usage(format!("--need: {e}")).into())
    }
}

/// A key's text, given as it is or as a file.
fn text(given: &str) -> anyhow::Result<String> {
    let is_text = given.split('+').count() > 2;
    if is_text {
        return Ok(given.to_owned());
    }
    let bytes = read(FilePath::new(given), 64 << 10)?;
    String::from_utf8(bytes).map_err(|_| Usage(format!("{given}: not the text of a key")).into())
}

/// A file's bytes.
///
/// **Errors**: [`Usage`] for one that is not there or larger than `max`.
fn read(path: &FilePath, max: usize) -> anyhow::Result<Vec<u8>> {
    let usage = |e: &dyn std::fmt::Display| Usage(format!("{}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| usage(&e))?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(|e| usage(&e))?;
    if bytes.len() > max { Err(usage(&format!("more than {max} bytes")).into()) } else { Ok(bytes) }
}

/// Where a lake's ledger is.
fn place(lake: &Lake) -> (Arc<dyn object_store::ObjectStore>, object_store::path::Path) {
    (Arc::clone(lake.store()), object_store::path::Path::from(LAKE_PREFIX))
}

/// What the caller did wrong is wrong usage, the rest an error.
fn told(error: LedgerError) -> anyhow::Error {
    match error {
        LedgerError::NoLedger | LedgerError::Unknown { .. } => Usage(error.to_string()).into(),
        other => other.into(),
    }
}

/// A time in milliseconds, as RFC 3339.
fn rfc3339(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
