//! `tarn enclave measure`: what a policy asks for.

use crate::command::Usage;
use clap::Args as ClapArgs;
use sha2::{Digest as _, Sha384};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the measurement that the simulated enclave of `tarn enclave unseal` has
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  tarn enclave measure ./tarn")]
pub struct Args {
    /// The file that is measured; this program by default
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        use std::io::Write as _;
        writeln!(std::io::stdout(), "PCR0={}", hex::encode(of(self.file.as_deref())?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// SHA-384 of a file, or of this program: PCR0 of the simulated enclave.
///
/// **Errors**: [`Usage`] when it cannot be read.
pub(super) fn of(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?,
    };
    let wrong = |error: std::io::Error| Usage(format!("{}: {error}", path.display()));
    let mut digest = Sha384::new();
    std::io::copy(&mut File::open(&path).map_err(wrong)?, &mut digest).map_err(wrong)?;
    Ok(digest.finalize().to_vec())
}
