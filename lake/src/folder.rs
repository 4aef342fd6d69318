//! Folders of the local filesystem whose names survive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes names that were created, renamed or removed in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates `folder` and its missing parents; each new name is synced.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        sync_folder(parent)?;
    }
    Ok(())
}
