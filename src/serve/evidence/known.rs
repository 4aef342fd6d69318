//! The newest checkpoint of the ledger that this daemon saw, in its state folder: a store that was rolled back meanwhile
//! is not taken for one that is as it was left, and no second history is signed.

use anyhow::Context;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tarn_attest::ledger::{Checkpoint, PublicKey};

const FILE: &str = "ledger.checkpoint";
/// Bytes of a checkpoint with its cosignatures.
const BYTES_MAX: u64 = 64 << 10;

/// Where it is.
#[derive(Clone, Debug)]
pub struct Known {
    path: PathBuf,
}

impl Known {
    /// In the folder of the daemon's state.
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(FILE) }
    }

    /// Reads it; none where there was never one.
    ///
    /// **Errors**: the disk's; what this key did not sign.
    pub fn read(&self, key: &PublicKey) -> anyhow::Result<Option<Checkpoint>> {
        let named = || self.path.display().to_string();
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.with_context(named)?,
        };
        let mut note = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut note).with_context(named)?;
        Checkpoint::verify(&note, key).map(Some).with_context(named)
    }

    /// Replaces it, whole.
    ///
    /// **Errors**: the disk's; the one before is still there then.
    pub fn write(&self, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        let named = || self.path.display().to_string();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).with_context(named)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(named)?;
        file.write_all(checkpoint.note()).with_context(named)?;
        file.as_file().sync_all().with_context(named)?;
        file.persist(&self.path).with_context(named)?;
        Ok(())
    }
}
