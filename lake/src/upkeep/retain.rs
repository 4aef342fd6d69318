//! Rows beyond an age, by the day: their files go from the table. In files that days share they are set apart first.

use super::merge::{Destination, Half, merge};
use crate::error::LakeError;
use crate::ingest::put;
use crate::lake::Lake;
use crate::table::commit::{Change, change};
use crate::table::{DataFile, TableSnapshot};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
use std::slice;

/// What went, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Files, or what was of them.
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
    let since = now - TimeDelta::days(i64::from(days));
    // Again, where another writer removed some of them first.
    loop {
        let Some(snapshot) = lake.table(table).await? else { return Ok(Retained::default()) };
        let mut retained = Retained::default();
        let mut gone = BTreeSet::new();
        let mut apart = Change { table: table.to_owned(), gone: BTreeSet::new(), instead: Vec::new() };
        for file in &snapshot.files {
            let (rows, bytes) = match age(&snapshot, file, since, now) {
                Age::New => continue,
                Age::Old => (file.stats.rows.unwrap_or(0), file.size),
                Age::Both(first) => {
                    let half = |half| merge(lake, table, slice::from_ref(file), Destination::Half(first, half));
                    let Some(before) = half(Half::Before).await?.filter(|before| !before.is_empty()) else { continue };
                    let size = before.iter().map(|one| (one.rows, one.bytes.content_length() as u64));
                    let size = size.fold((0, 0), |(rows, bytes), one| (rows + one.0, bytes + one.1));
                    if !dry_run {
                        for one in before.into_iter().chain(half(Half::Others).await?.unwrap_or_default()) {
                            apart.instead.push(put(lake.clone(), table.to_owned(), one).await?);
                        }
                        apart.gone.insert(file.path.clone());
                    }
                    size
                }
            };
            retained =
                Retained { files: retained.files + 1, rows: retained.rows + rows, bytes: retained.bytes + bytes };
            gone.insert(file.path.clone());
        }
        if dry_run || gone.is_empty() {
            return Ok(retained);
        }
        // What readers of changes see are rows that go, and none that come: first the old ones get files of their own.
        if !apart.gone.is_empty() {
            change(lake, &apart).await?;
            continue;
        }
        if change(lake, &Change { gone, ..apart }).await? {
            return Ok(retained);
        }
    }
}

/// Of what age a file's rows are.
enum Age {
    Old,
    New,
    /// Some may be of days before this one, days since 1970.
    Both(i32),
}

fn age(table: &TableSnapshot, file: &DataFile, since: DateTime<Utc>, now: DateTime<Utc>) -> Age {
    let first = i32::try_from(since.timestamp().div_euclid(86_400)).unwrap_or(i32::MAX);
    let Some(days) = table.days(file, now) else { return Age::New };
    let (start, end) = days.into_inner();
    // Rows of no true time go with their file.
    let none_stays = start > 0 || file.modified_ms < since.timestamp_millis();
    match () {
        () if end < first && none_stays => Age::Old,
        () if file.is_shared() && start < first && end > 0 => Age::Both(first),
        () => Age::New,
    }
}
