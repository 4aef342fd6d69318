//! Rows beyond an age, by the day: their files go from the table.

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::commit::{Change, change};
use crate::table::{DataFile, TableSnapshot};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;

/// What went, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Files.
    pub files: usize,
    /// Their rows, as far as the log says.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes the days that ended more than `days` before `now`. Rows of no true time go by the age of their file.
/// The files stay in the store until [`super::vacuum`]. With `dry_run`, only says what would go.
///
/// **Errors**: the store's; nothing went then.
pub async fn retain(
    lake: &Lake,
    table: &str,
    days: u32,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Retained, LakeError> {
    // Again, where another writer removed some of them first.
    loop {
        let Some(snapshot) = lake.table(table).await? else { return Ok(Retained::default()) };
        let old = old(&snapshot, now - TimeDelta::days(i64::from(days)));
        let retained = Retained {
            files: old.len(),
            rows: old.iter().filter_map(|file| file.stats.rows).sum(),
            bytes: old.iter().map(|file| file.size).sum(),
        };
        let gone = old.iter().map(|file| file.path.clone()).collect();
        if dry_run
            || old.is_empty()
            || change(lake, &Change { table: table.to_owned(), gone, instead: Vec::new() }).await?
        {
            return Ok(retained);
        }
    }
}

fn old(table: &TableSnapshot, since: DateTime<Utc>) -> Vec<&Arc<DataFile>> {
    let first = since.timestamp().div_euclid(86_400);
    let is_old = |file: &&Arc<DataFile>| match file.event_day {
        // The partition of times that cannot be true.
        Some(0) => file.modified_ms < since.timestamp_millis(),
        Some(day) => i64::from(day) < first,
        None => false,
    };
    table.files.iter().filter(is_old).collect()
}
