//! `tarn enclave seal`: a file under a new key, and the key into the store.

use super::store::data_key;
use crate::command::named_file::NamedFile;
use crate::command::{Usage, block_on};
use anyhow::Context;
use clap::Args as ClapArgs;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_enclave::Secret;
use tarn_enclave::keys::KeyName;
use tarn_enclave::keys::local::{LocalError, LocalStore};
use tarn_enclave::keys::wrapped::{WrappedError, WrappedKeys};
use tarn_enclave::sealed::{KEY_BYTES, seal};
use tempfile::NamedTempFile;

/// Seal a file, such as a model, under a new key that the broker releases
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  tarn enclave seal model.bin --key models/scorer/weights --out model.sealed --store keys.json --wrapping-key wrapping.key\n  tarn enclave seal model.bin --key models/scorer/weights --out model.sealed --store kms.json --kms-key alias/models"
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
    #[arg(long, value_name = "FILE", required_unless_present = "kms_key")]
    wrapping_key: Option<PathBuf>,
    /// Have AWS KMS make the key and wrap it by this one (an ARN, an id or an alias); the store has it wrapped only
    #[arg(long, value_name = "ARN", conflicts_with = "wrapping_key")]
    kms_key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let input = NamedFile::argument(&self.file).open()?;
        let bytes = match (&self.kms_key, &self.wrapping_key) {
            (Some(kms_key), _) => self.with_kms(input, kms_key)?,
            (None, Some(wrapping_key)) => self.with_local(input, wrapping_key)?,
            (None, None) => return Err(Usage("give a --wrapping-key or a --kms-key".to_owned()).into()),
        };
        eprintln!("{bytes} bytes sealed under {}", self.key);
        Ok(ExitCode::SUCCESS)
    }

    fn with_local(&self, input: File, wrapping_key: &Path) -> anyhow::Result<u64> {
        if !self.store.exists() && !wrapping_key.exists() {
            LocalStore::create_wrapping_key(wrapping_key)?;
        }
        let mut store = LocalStore::open(&self.store, wrapping_key)?;
        // Before the work: a name keeps its key.
        if store.names().any(|name| name == self.key.as_str()) {
            return Err(LocalError::Exists(self.key.clone()).into());
        }
        let key = Secret::random(KEY_BYTES).context("the operating system gave no randomness")?;
        self.seal(input, &key, || Ok(store.add(&self.key, &key)?))
    }

    fn with_kms(&self, input: File, kms_key: &str) -> anyhow::Result<u64> {
        let mut store = WrappedKeys::open(&self.store).map_err(|error| Usage(error.to_string()))?;
        if store.keys().contains_key(&self.key) {
            return Err(WrappedError::Exists(self.key.clone()).into());
        }
        let (key, wrapped) = block_on(data_key(kms_key, &self.key))??;
        self.seal(input, &key, || Ok(store.add(&self.key, wrapped)?))
    }

    /// Seals, keeps the key, and only then puts the file where it goes: a file without its key is lost, a key without its
    /// file is not.
    fn seal(&self, input: File, key: &Secret, keep: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let mut output = beside(&self.out)?;
        let bytes = seal(BufReader::new(input), BufWriter::new(&mut output), &self.key, key)?;
        keep()?;
        place(output, &self.out)?;
        Ok(bytes)
    }
}

/// A new file beside where it goes, for its owner alone.
pub(super) fn beside(path: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).with_context(|| format!("--out: {}", folder.display()))
}

/// Puts a whole file where it goes.
pub(super) fn place(file: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("--out: {}", path.display()))?;
    Ok(())
}
