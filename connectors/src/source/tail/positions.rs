//! Remembered positions: one JSON file, replaced as a whole.

use super::TailError;
use super::file::{Id, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format's version.
pub const VERSION: u32 = 1;

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// Where it was last.
    pub path: PathBuf,
    /// Its device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Bytes that were taken.
    pub offset: u64,
    /// Whether the next bytes are the rest of a line that was too long.
    #[serde(default)]
    pub skipping: bool,
    /// Bytes at its start that were looked at.
    pub head_bytes: usize,
    /// Their SHA-256.
    pub head_sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Positions {
    version: u32,
    files: Vec<Remembered>,
}

impl Remembered {
    /// What is to be remembered of a file.
    pub fn new(path: &Path, id: Id, position: &Position) -> Self {
        Self {
            path: path.to_owned(),
            device: id.device,
            inode: id.inode,
            offset: position.offset,
            skipping: position.skipping,
            head_bytes: position.head.len(),
            head_sha256: hex::encode(Sha256::digest(&position.head)),
        }
    }

    /// Which file it is.
    pub fn id(&self) -> Id {
        Id { device: self.device, inode: self.inode }
    }

    /// The position, if a file that begins with `head` is this one.
    pub fn position(&self, head: &[u8]) -> Option<Position> {
        let head = head.get(..self.head_bytes)?;
        let same = hex::encode(Sha256::digest(head)) == self.head_sha256;
        same.then(|| Position { offset: self.offset, skipping: self.skipping, head: head.to_vec() })
    }
}

/// Reads positions.
///
/// **Errors**: text that is none, or of another version.
pub fn parse(text: &[u8]) -> Result<Vec<Remembered>, serde_json::Error> {
    let positions: Positions = serde_json::from_slice(text)?;
    if positions.version != VERSION {
        return Err(serde::de::Error::custom(format!("version {}", positions.version)));
    }
    Ok(positions.files)
}

/// What a file remembers; nothing where there is none.
pub fn load(path: &Path) -> Result<Vec<Remembered>, TailError> {
    match fs::read(path) {
        Ok(text) => parse(&text).map_err(|source| TailError::Version { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(TailError::Positions { path: path.to_owned(), verb: "read", source }),
    }
}

/// Replaces what a file remembers; after a crash it is the old or the new.
pub fn save(path: &Path, files: &[Remembered]) -> Result<(), TailError> {
    let write = || {
        let text = serde_json::to_vec(&Positions { version: VERSION, files: files.to_vec() })?;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| TailError::Positions { path: path.to_owned(), verb: "written", source })
}
