//! `tarn enclave authority`: a simulated root of trust, for machines without hardware.

use crate::command::named_file::NamedFile;
use chrono::Utc;
use clap::Args as ClapArgs;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_enclave::simulated::SimulatedAuthority;

/// Make a simulated root of trust: its key attests software as if it were an enclave, and every record says so
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  tarn enclave authority --out authority.txt --root root.txt")]
pub struct Args {
    /// Where the root goes with its key, for `tarn enclave unseal`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the root goes alone, for `tarn enclave broker --simulated-root`
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let authority = SimulatedAuthority::generate(Utc::now())?;
        create("--out", &self.out, authority.to_text().as_bytes())?;
        create("--root", &self.root, authority.root().to_text().as_bytes())?;
        eprintln!(
            "a simulated root in {}; whoever has {} can attest anything",
            self.root.display(),
            self.out.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a new file for its owner alone.
fn create(option: &'static str, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let named = |error| NamedFile::by(option, path).wrong(error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(named)?;
    Ok(file.write_all(bytes).and_then(|()| file.sync_all()).map_err(named)?)
}
