//! `tarn enclave seal`: a file under a new key, and the key into the store.

use crate::command::Usage;
use anyhow::Context;
use clap::Args as ClapArgs;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_enclave::Secret;
use tarn_enclave::keys::KeyName;
use tarn_enclave::keys::local::{LocalError, LocalStore};
use tarn_enclave::sealed::{KEY_BYTES, seal};
use tempfile::NamedTempFile;

/// Seal a file, such as a model, under a new key that the broker releases
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  tarn enclave seal model.bin --key models/scorer/weights --out model.sealed --store keys.json --wrapping-key wrapping.key"
)]
pub struct Args {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The new key's name: repository/type/tag
    #[arg(long, value_name = "NAME")]
    key: KeyName,
    /// Where the sealed file goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The key store
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The store's wrapping key; both are made when neither is there
    #[arg(long, value_name = "FILE")]
    wrapping_key: PathBuf,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let wrong = |error: std::io::Error| Usage(format!("{}: {error}", self.file.display()));
        let input = File::open(&self.file).map_err(wrong)?;
        if !self.store.exists() && !self.wrapping_key.exists() {
            LocalStore::create_wrapping_key(&self.wrapping_key)?;
        }
        let mut store = LocalStore::open(&self.store, &self.wrapping_key)?;
        // Before the work: a name keeps its key.
        if store.names().any(|name| name == self.key.as_str()) {
            return Err(LocalError::Exists(self.key).into());
        }
        let key = Secret::random(KEY_BYTES).context("the operating system gave no randomness")?;
        let mut output = beside(&self.out)?;
        let bytes = seal(BufReader::new(input), BufWriter::new(&mut output), &self.key, &key)?;
        // The key first: a file without its key is lost, a key without its file is not.
        store.add(&self.key, &key)?;
        place(output, &self.out)?;
        eprintln!("{bytes} bytes sealed under {}", self.key);
        Ok(ExitCode::SUCCESS)
    }
}

/// A new file beside where it goes, for its owner alone.
pub(super) fn beside(path: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).with_context(|| format!("{}", folder.display()))
}

/// Puts a whole file where it goes.
pub(super) fn place(file: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("{}", path.display()))?;
    Ok(())
}
