//! What the broker is given of the rest of Tarn: the lake's evidence ledger, and which evidence passed for an image.

use super::small_file;
use crate::command::Usage;
use async_trait::async_trait;
use chrono::Utc;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, LedgerError, Outcome, Signer};
use tarn_enclave::broker::{Attempt, Passed, Provenance, Recorder, RecorderError};
use tarn_lake::Lake;
use tokio::sync::{mpsc, oneshot};

/// Records that wait for the ledger, and the most that are appended at once.
const WAITING_MAX: usize = 256;

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<(), RecorderError>>,
}

/// The lake's ledger: a record is a leaf, under a signed checkpoint, before `record` returns. Attempts that come together are
/// appended together.
pub(super) struct LedgerRecorder {
    queue: mpsc::Sender<Waiting>,
}

impl LedgerRecorder {
    /// Opens the ledger, or begins it.
    ///
    /// **Errors**: as [`Ledger::open`].
    pub(super) async fn open(lake: &Lake, signer: Signer) -> Result<Self, LedgerError> {
        let prefix = object_store::path::Path::from(LAKE_PREFIX);
        let ledger = Ledger::open(lake.store().clone(), &prefix, signer).await?;
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(append(ledger, waiting));
        Ok(Self { queue })
    }
}

async fn append(mut ledger: Ledger, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(WAITING_MAX);
    while queue.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let (entries, answers): (Vec<_>, Vec<_>) = waiting.drain(..).map(|one| (one.entry, one.answer)).unzip();
        let mut appended = ledger.append(&entries, Utc::now().timestamp_millis()).await;
        if appended.is_err() {
            // Another writer may have been first, and a record that is there already is not appended again.
            appended = ledger.append(&entries, Utc::now().timestamp_millis()).await;
        }
        let failed = appended.as_ref().err().map(|error| RecorderError(error.to_string()));
        let outcomes = appended.unwrap_or_default();
        for (number, answer) in answers.into_iter().enumerate() {
            let result = match (outcomes.get(number), &failed) {
                (Some(Outcome::Appended(_) | Outcome::Already(_)), _) => Ok(()),
                (Some(Outcome::Conflict(leaf)), _) => Err(RecorderError(format!("leaf {leaf} has this uid"))),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => Err(RecorderError("the ledger did not say what became of it".to_owned())),
            };
            // Nobody waits when the broker is ending.
            let _ = answer.send(result);
        }
    }
}

#[async_trait]
impl Recorder for LedgerRecorder {
    async fn record(&self, attempt: &Attempt) -> Result<(), RecorderError> {
        let failed = |error: &dyn std::fmt::Display| RecorderError(error.to_string());
        let raw = attempt.document.clone().map(Into::into);
        let entry = Entry::from_canonical(&attempt.uid, attempt.to_canonical()?.into(), raw).map_err(|e| failed(&e))?;
        let (answer, result) = oneshot::channel();
        self.queue.send(Waiting { entry, answer }).await.map_err(|e| failed(&e))?;
        result.await.map_err(|e| failed(&e))?
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
