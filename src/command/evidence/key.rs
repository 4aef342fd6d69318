//! `tarn evidence key`: signing keys of ledgers.

use crate::command::{Usage, block_on, ledger_key};
use clap::{Args as ClapArgs, Subcommand};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_attest::ledger::Signer;

/// Make signing keys, and show their public halves
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
    Public(Public),
}

/// Make a signing key: FILE gets the secret, readable by its owner alone; the public key is printed
///
/// The name is the ledger's origin and stands in every checkpoint; it cannot be changed later. Give the public key to
/// whoever is to check proofs, by another way than the lake.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  tarn evidence key new /etc/tarn/evidence.key --name lake.example.com/evidence > evidence.pub")]
struct New {
    /// Where the secret goes; never an existing file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The ledger's name: a domain of yours and a path, without spaces and plus
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Print the public key of a signing key
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence key public /etc/tarn/evidence.key > evidence.pub
  tarn evidence key public 'awskms:///alias/evidence?name=lake.example.com/evidence' > evidence.pub")]
struct Public {
    /// The signing key: a file, or one of AWS KMS, awskms:///KEY?name=NAME
    #[arg(value_name = "FILE_OR_KMS_KEY")]
    key: String,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::New(args) => args.run(),
            Command::Public(args) => args.run(),
        }
    }
}

impl New {
    fn run(self) -> anyhow::Result<ExitCode> {
        let signer = Signer::generate(&self.name).map_err(|e| Usage(format!("--name: {e}")))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.file).map_err(|e| Usage(format!("{}: {e}", self.file.display())))?;
        file.write_all(signer.secret_text().unwrap_or_default().as_bytes())?;
        file.sync_all()?;
        writeln!(std::io::stdout(), "{}", signer.public())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Public {
    fn run(self) -> anyhow::Result<ExitCode> {
        let signer = block_on(ledger_key::signer(&self.key))??;
        writeln!(std::io::stdout(), "{}", signer.public())?;
        Ok(ExitCode::SUCCESS)
    }
}
