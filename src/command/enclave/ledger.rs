//! Where the broker's records go: the lake's evidence ledger and tables.

use async_trait::async_trait;
use tarn_attest::ledger::Entry;
use tarn_enclave::broker::{Attempt, Recorder, RecorderError};

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
