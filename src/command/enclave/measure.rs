//! `tarn enclave measure`: what a policy asks for.

use crate::command::named_file::NamedFile;
use clap::Args as ClapArgs;
use sha2::{Digest as _, Sha384};
use std::path::PathBuf;
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
        writeln!(std::io::stdout(), "PCR0={}", hex::encode(of(self.file.as_deref().map(NamedFile::argument))?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// SHA-384 of a file, or of this program: PCR0 of the simulated enclave.
///
/// **Errors**: [`Usage`](crate::command::Usage) when it cannot be read.
pub(super) fn of(file: Option<NamedFile<'_>>) -> anyhow::Result<Vec<u8>> {
    let program = std::env::current_exe()?;
    let file = file.unwrap_or(NamedFile::argument(&program));
    let mut digest = Sha384::new();
    std::io::copy(&mut file.open()?, &mut digest).map_err(|error| file.wrong(error))?;
    Ok(digest.finalize().to_vec())
}
