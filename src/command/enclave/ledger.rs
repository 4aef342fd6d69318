//! What the broker is given of the rest of Tarn: the lake's evidence ledger, and which evidence passed for an image.

use super::small_file;
use crate::command::Usage;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use tarn_attest::ledger::Entry;
use tarn_enclave::broker::{Attempt, Passed, Provenance, Recorder, RecorderError};

/// The lake's ledger and tables: a record is a leaf, under a signed checkpoint, before `record` returns.
pub(super) struct LedgerRecorder(pub(super) crate::recording::Recorder);

#[async_trait]
impl Recorder for LedgerRecorder {
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError> {
        let failed = |error: &dyn std::fmt::Display| RecorderError(error.to_string());
        let raw = attempt.document.clone().map(Into::into);
        let entry = Entry::from_canonical(&attempt.uid, attempt.to_canonical()?.into(), raw).map_err(|e| failed(&e))?;
        self.0.record(entry).await.map_err(RecorderError)
    }
}

/// Evidence that passed, from a file: `{"sha256:…": [{"kind": "…", "uid": "…"}]}`.
#[derive(Default)]
pub(super) struct EvidenceFile(HashMap<String, Vec<Known>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
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
