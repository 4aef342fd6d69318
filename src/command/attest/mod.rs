//! `tarn attest`: was this signed, by whom, and what did they say of it?

mod admission;
mod conformance;
mod image;
mod ingest;
mod keep;
mod source;
mod verify;

use super::Usage;
use super::named_file::NamedFile;
use crate::output::{Format, print_rows};
use crate::trust;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use tarn_attest::{
    Artifact, Attestation, Digest, Outcome, Policies, Record, TrustPolicy, Verification, json as bounds,
};

/// Verify signatures, provenance and attestations
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(Box<verify::Args>),
    Ingest(Box<ingest::Args>),
    Admission(Box<admission::Args>),
    Conformance(conformance::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Verify(args) => args.run(),
            Command::Ingest(args) => args.run(),
            Command::Admission(args) => args.run(),
            Command::Conformance(args) => args.run(),
        }
    }
}

/// Files up to this size are read whole: some signatures can only be checked over all bytes.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// What was signed, as the user names it.
enum Signed {
    Bytes(Vec<u8>),
    Digest(Digest),
    Large(File),
}

impl Signed {
    /// A digest (`sha256:…`), else a file.
    ///
    /// **Errors**: [`Usage`] for what is neither.
    fn named(name: &str) -> anyhow::Result<Self> {
        if let Ok(digest) = name.parse() {
            return Ok(Self::Digest(digest));
        }
        let wrong = |error: std::io::Error| Usage(format!("{name}: {error}; expected a file or a digest, sha256:…"));
        let mut file = File::open(name).map_err(wrong)?;
        let metadata = file.metadata().map_err(wrong)?;
        if metadata.is_dir() {
            return Err(Usage(format!("{name}: is a folder")).into());
        }
        if metadata.len() > WHOLE_BYTES_MAX {
            return Ok(Self::Large(file));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        Ok(Self::Bytes(bytes))
    }

    fn artifact(&mut self) -> Artifact<'_> {
        match self {
            Self::Bytes(bytes) => Artifact::Bytes(bytes),
            Self::Digest(digest) => Artifact::Digest(digest.clone()),
            Self::Large(file) => Artifact::Reader(file),
        }
    }
}

/// A document's bytes; of one that is too large, as many as it takes for the verifier to say so.
///
/// **Errors**: [`Usage`] when it cannot be read.
fn document(given: NamedFile<'_>) -> Result<Vec<u8>, Usage> {
    given.head(bounds::DOCUMENT.bytes_max as u64 + 1)
}

/// The policy file of `--policies`.
///
/// **Errors**: [`Usage`], which says what is wrong with it.
fn policies(path: &Path) -> anyhow::Result<Policies> {
    trust::policies(path, None).map_err(|e| Usage(format!("--policies: {e}")).into())
}

/// The policy of a name, or the only one.
///
/// **Errors**: [`Usage`], which says which there are.
fn choose<'a>(policies: &'a Policies, name: Option<&str>) -> anyhow::Result<&'a TrustPolicy> {
    let chosen = match name {
        Some(name) => policies.named(name),
        None => policies.only(),
    };
    chosen.ok_or_else(|| {
        let names = policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ");
        let what = name.map_or("--policy is needed".to_owned(), |name| format!("no policy is named {name:?}"));
        Usage(format!("{what}; the file has {names}")).into()
    })
}

/// Prints the checks, and says what came of them.
fn report(verification: &Verification<Attestation>, format: Option<Format>) -> anyhow::Result<ExitCode> {
    let record = verification.record();
    print_rows(&rows(record), Format::or_default(format))?;
    match record.reason {
        None => {
            let artifact = record.digests.artifact.first().map(|d| format!(": {d}")).unwrap_or_default();
            eprintln!("verified{artifact}");
            Ok(ExitCode::SUCCESS)
        }
        Some(reason) => {
            eprintln!("not verified: {reason}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn rows(record: &Record) -> Vec<Map<String, Value>> {
    let row = |(i, step): (usize, &tarn_attest::Step)| {
        let (outcome, reason) = match step.outcome {
            Outcome::Passed => ("passed", Value::Null),
            Outcome::Failed(reason) => ("failed", json!(reason)),
            Outcome::NotReached => ("not_reached", Value::Null),
        };
        let cells = [
            ("step", json!(i + 1)),
            ("check", json!(step.check)),
            ("outcome", json!(outcome)),
            ("reason", reason),
            ("detail", json!(step.detail)),
        ];
        cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    record.steps.iter().enumerate().map(row).collect()
}
