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
use super::named_file::NamedFile;
use clap::{Args as ClapArgs, Subcommand};
use std::path::Path as FilePath;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_attest::ledger::{KeyError, LAKE_PREFIX, LedgerError, PublicKey, Witness, WitnessPolicy};
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

/// A key's file is a line.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// The public key that things are checked with.
#[derive(ClapArgs, Clone, Debug)]
struct KeyArg {
    /// The ledger's public key: its text (NAME+ID+BASE64), or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
}

impl KeyArg {
    fn load(&self) -> anyhow::Result<PublicKey> {
        key("--key", &self.key, PublicKey::parse)
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
        let witnesses = self.witnesses.iter().map(|given| key("--witness", given, Witness::parse));
        let witnesses = witnesses.collect::<anyhow::Result<Vec<_>>>()?;
        let need = self.need.unwrap_or(witnesses.len());
        WitnessPolicy::new(witnesses, need).map_err(|e| Usage(format!("--need: {e}")).into())
    }
}

/// A key, given as its text or as a file with it.
///
/// **Errors**: [`Usage`] for what is neither. What looks like a key's text is not repeated, as it may be a secret one.
fn key<K>(option: &'static str, given: &str, parse: impl Fn(&str) -> Result<K, KeyError>) -> anyhow::Result<K> {
    let wrong = |what: String| Usage(format!("{option}: {what}"));
    let no_key = match parse(given) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let path = FilePath::new(given);
    if !path.exists() {
        let is_text = given.split('+').count() > 2;
        let file = if is_text { "no such file".to_owned() } else { format!("{given}: no such file") };
        return Err(wrong(format!("{file}, and {no_key}, or a file with it")).into());
    }
    let file = NamedFile::by(option, path);
    parse(&file.text(KEY_BYTES_MAX)?).map_err(|e| file.wrong(e).into())
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
