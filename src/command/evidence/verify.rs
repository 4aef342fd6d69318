//! `tarn evidence verify`: proof files, checked with a public key and nothing else.

use super::{KeyArg, WitnessArgs, rfc3339};
use crate::command::named_file::NamedFile;
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_attest::ledger::{Cosignature, PROOF_BYTES_MAX, Proven, Reason, verify_witnessed};

/// Check proof files offline, with the ledger's public key
///
/// A file that holds shows that the record and its raw document, byte for byte, are in the ledger that the key signs, at
/// this leaf. Exit code 1 when a file does not hold; the row says why.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence verify proof.json --key evidence.pub
  tarn evidence verify *.json --key evidence.pub --witness w1.pub --witness w2.pub --need 1 --format json")]
pub struct Args {
    /// Proof files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    key: KeyArg,
    #[command(flatten)]
    witnesses: WitnessArgs,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (key, witnesses) = (self.key.load()?, self.witnesses.load()?);
        let (mut rows, mut failed) = (Vec::new(), 0);
        for path in &self.files {
            let outcome = verify_witnessed(&NamedFile::argument(path).bytes(PROOF_BYTES_MAX as u64)?, &key, &witnesses);
            if let Err(reason) = &outcome {
                failed += 1;
                eprintln!("{}: {reason}", path.display());
            }
            rows.push(row(path, outcome));
        }
        print_rows(&rows, Format::or_default(self.format))?;
        eprintln!("{} proofs, {failed} do not hold", rows.len());
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn row(path: &Path, outcome: Result<Proven, Reason>) -> Map<String, Value> {
    let reason = outcome.as_ref().err();
    let proven = outcome.as_ref().ok();
    let seen = |c: &Cosignature| {
        let time = i64::try_from(c.time_s).ok().and_then(|s| s.checked_mul(1000)).map_or_else(String::new, rfc3339);
        format!("{} {time}", c.witness)
    };
    let cells = [
        ("file", json!(path.display().to_string())),
        ("holds", json!(proven.is_some())),
        ("uid", json!(proven.map(|p| p.leaf().uid.clone()))),
        ("logged_at", json!(proven.map(|p| rfc3339(p.leaf().logged_at)))),
        ("leaf", json!(proven.map(Proven::index))),
        ("leaves", json!(proven.map(|p| p.checkpoint().size()))),
        ("root", json!(proven.map(|p| hex::encode(p.checkpoint().root())))),
        ("record_sha256", json!(proven.map(|p| hex::encode(p.leaf().record.sha256)))),
        ("raw_sha256", json!(proven.and_then(|p| p.leaf().raw).map(|raw| hex::encode(raw.sha256)))),
        ("witnesses", json!(proven.map(|p| p.cosignatures().iter().map(seen).collect::<Vec<_>>().join(", ")))),
        ("reason", json!(reason.map(Reason::kind))),
        ("message", json!(reason.map(ToString::to_string))),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
