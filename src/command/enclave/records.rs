//! What the broker is given of the rest of Tarn: where its records go, and which evidence passed for an image.

use super::small_file;
use crate::command::Usage;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_enclave::broker::{Attempt, Passed, Provenance, Recorder, RecorderError};

/// A file of canonical JSON, one record a line, on disk before `record` returns. A ledger takes its place where there is one.
pub(super) struct RecordFile {
    /// `None` after a write that failed: what the file ends with is not known then, and nothing more is released.
    file: Arc<Mutex<Option<File>>>,
}

impl RecordFile {
    /// Opens the file, or makes it.
    ///
    /// **Errors**: [`Usage`] when it cannot be opened.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let wrong = |error: std::io::Error| Usage(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(wrong)?;
        let whole = file.seek(SeekFrom::End(-1)).is_err() || {
            let mut last = [0];
            file.read_exact(&mut last).map_err(wrong)?;
            last == *b"\n"
        };
        // A line that a crash cut off stays a line of its own.
        if !whole {
            file.write_all(b"\n").map_err(wrong)?;
        }
        Ok(Self { file: Arc::new(Mutex::new(Some(file))) })
    }
}

#[async_trait]
impl Recorder for RecordFile {
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError> {
        let mut line = attempt.to_canonical()?;
        line.push(b'\n');
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            let mut guard = file.lock().unwrap_or_else(PoisonError::into_inner);
            let file =
                guard.as_mut().ok_or_else(|| RecorderError("an earlier record could not be written".to_owned()))?;
            let written = file.write_all(&line).and_then(|()| file.sync_data());
            written.map_err(|error| {
                *guard = None;
                RecorderError(error.to_string())
            })
        });
        written.await.map_err(|error| RecorderError(error.to_string()))?
    }
}

/// Evidence that passed, from a file: `{"sha256:…": [{"kind": "…", "uid": "…"}]}`.
#[derive(Default)]
pub(super) struct EvidenceFile(HashMap<String, Vec<Entry>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: String,
    uid: String,
}

impl EvidenceFile {
    /// Reads the file.
    ///
    /// **Errors**: [`Usage`] when it cannot be read, or has another form.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = |error: serde_json::Error| Usage(format!("{}: {error}", path.display()));
        Ok(Self(serde_json::from_slice(&small_file(path)?).map_err(wrong)?))
    }
}

#[async_trait]
impl Provenance for EvidenceFile {
    async fn passed(&self, digest: &str) -> Result<Vec<Passed>, String> {
        let entries = self.0.get(digest).map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().map(|entry| Passed { kind: entry.kind.clone(), uid: entry.uid.clone() }).collect())
    }
}
