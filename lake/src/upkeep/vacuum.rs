//! Files in the store that nobody needs any more: of older versions, and of writers that did not come to their end.

use crate::error::LakeError;
use crate::ingest::IngestOptions;
use crate::lake::Lake;
use chrono::TimeDelta;
use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;

/// The fewest hours without force: for as long may a writer be about to commit a file, or a reader be at it.
pub const HOURS_MIN: u32 = 24;

/// What went, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files, from the table's root.
    pub files: Vec<String>,
}

/// Deletes the files of a table that no version of the last `hours` has, and that are as old themselves. Finishes first
/// what a writer had logged. With `dry_run`, only says what would go.
///
/// **Errors**: the store's; what is gone by then is gone.
pub async fn vacuum(lake: &Lake, table: &str, hours: u32, dry_run: bool) -> Result<Vacuumed, LakeError> {
    let delta = LakeError::delta(table);
    // A file of a commit group that is logged and in no table yet is needed.
    lake.ingest(IngestOptions::default()).await?;
    let committer = lake.committer(table);
    let _only_one = committer.lock().await;
    let log = lake.log_store(table)?;
    if !log.is_delta_table_location().await.map_err(&delta)? {
        return Ok(Vacuumed::default());
    }
    let vacuum = DeltaTable::new(log)
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(TimeDelta::hours(i64::from(hours)))
        .with_enforce_retention_duration(false)
        .with_dry_run(dry_run);
    let (_, metrics) = vacuum.await.map_err(&delta)?;
    Ok(Vacuumed { files: metrics.files_deleted })
}
