//! Small files of one day, made one.
//!
//! **Which**: from the smallest on, as long as a file is at most twice as large as those before it together, so that a row
//! is rewritten a few times in its life and not at every turn. **Order**: as the writer's, by time, so that statistics go on
//! pruning. **Outliers**: a stream's commit puts the rows of rare days into the outlier partition; here they come to their
//! days.

use super::merge;
use crate::error::LakeError;
use crate::ingest::put;
use crate::lake::Lake;
use crate::table::commit::{Change, change};
use crate::table::{DataFile, TableSnapshot};
use std::ops::Range;

/// Files that are merged at once, as each is open.
const FAN_IN: usize = 64;

/// Bytes of files of the outlier partition that are sorted to their days at once; in memory they are some twenty times that.
const OUTLIER_BYTES: u64 = 8 << 20;

/// How much larger than all before it together a file may be.
const GROWTH: u64 = 2;

/// When files are worth merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactOptions {
    /// Bytes that a merged file has at most, and half of which make a file large enough.
    pub target_bytes: u64,
    /// Files of a day that are worth a merge.
    pub files_min: usize,
}

impl Default for CompactOptions {
    /// 128 MiB, 8 files.
    fn default() -> Self {
        Self { target_bytes: 128 << 20, files_min: 8 }
    }
}

/// A merge that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The day, days since 1970.
    pub day: i32,
    /// Files that went.
    pub files: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of the file that has their rows; 0 in a dry run.
    pub bytes_after: u64,
    /// Rows.
    pub rows: u64,
}

/// Merges small files of a table, day by day, until nothing is worth it. With `dry_run`, says what the first turn would do.
///
/// **Errors**: the store's; what is done by then stays done. **Bounds**: a merge has [`CompactOptions::target_bytes`] of the new
/// file in memory, and a piece of each of up to 64 old ones.
pub async fn compact(
    lake: &Lake,
    table: &str,
    options: &CompactOptions,
    dry_run: bool,
) -> Result<Vec<Compacted>, LakeError> {
    let mut done = Vec::new();
    loop {
        let Some(snapshot) = lake.table(table).await? else { return Ok(done) };
        let groups = groups(&snapshot, options);
        if dry_run {
            return Ok(groups.iter().map(|group| described(group, 0)).collect());
        }
        let before = done.len();
        for group in groups {
            // None where another writer was first, or the files are not ours to sort.
            done.extend(rewrite(lake, &snapshot, &group).await?);
        }
        if done.len() == before {
            return Ok(done);
        }
    }
}

fn described(group: &[&DataFile], bytes_after: u64) -> Compacted {
    Compacted {
        day: group.first().and_then(|file| file.event_day).unwrap_or(0),
        files: group.len(),
        bytes_before: group.iter().map(|file| file.size).sum(),
        bytes_after,
        rows: group.iter().filter_map(|file| file.stats.rows).sum(),
    }
}

/// Files that are worth merging with each other.
fn groups<'a>(table: &'a TableSnapshot, options: &CompactOptions) -> Vec<Vec<&'a DataFile>> {
    let mut groups = Vec::new();
    for day in table.files.chunk_by(|a, b| a.event_day == b.event_day) {
        if day.first().is_none_or(|file| file.event_day.is_none()) {
            continue;
        }
        let mut small: Vec<&DataFile> = day.iter().filter(|file| file.size < options.target_bytes / 2).collect();
        small.sort_by_key(|file| file.size);
        let sizes: Vec<u64> = small.iter().map(|file| file.size).collect();
        // What goes to its days is sorted in memory.
        let target_bytes = if day[0].event_day == Some(0) { OUTLIER_BYTES } else { options.target_bytes };
        let options = &CompactOptions { target_bytes: target_bytes.min(options.target_bytes), ..*options };
        groups.extend(worth(&sizes, options).into_iter().map(|range| small[range].to_vec()));
    }
    groups
}

/// Which of these sizes, the smallest first, make groups.
fn worth(sizes: &[u64], options: &CompactOptions) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    while from < sizes.len() {
        let (mut to, mut bytes) = (from, 0);
        while let Some(size) = sizes.get(to)
            && to - from < FAN_IN
            && (to == from || *size <= bytes * GROWTH && bytes + size <= options.target_bytes)
        {
            bytes += size;
            to += 1;
        }
        if to - from >= options.files_min.max(2) {
            groups.push(from..to);
        }
        from = to;
    }
    groups
}

async fn rewrite(lake: &Lake, table: &TableSnapshot, group: &[&DataFile]) -> Result<Option<Compacted>, LakeError> {
    let encoded = match group.first().and_then(|file| file.event_day) {
        Some(0) => merge::to_their_days(lake, &table.name, group).await?,
        _ => merge::merge(lake, &table.name, group).await?.into_iter().collect(),
    };
    let rows = encoded.iter().map(|file| file.rows).sum();
    let mut instead = Vec::with_capacity(encoded.len());
    for file in encoded {
        instead.push(put(lake.clone(), table.name.clone(), file).await?);
    }
    if instead.is_empty() {
        return Ok(None);
    }
    let size = instead.iter().map(|file| file.size).sum();
    let gone = group.iter().map(|file| file.path.clone()).collect();
    let committed = change(lake, &Change { table: table.name.clone(), gone, instead }).await?;
    Ok(committed.then(|| Compacted { rows, ..described(group, size) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_waits_for_others_of_its_size() {
        let options = CompactOptions { target_bytes: 100, files_min: 3 };
        let worth = |sizes: &[u64]| worth(sizes, &options).into_iter().map(|of| (of.start, of.end)).collect::<Vec<_>>();
        assert_eq!(worth(&[1, 1, 1, 1]), [(0, 4)]);
        assert!(worth(&[1, 1]).is_empty(), "too few");
        assert_eq!(worth(&[1, 1, 1, 40]), [(0, 3)], "rewriting 40 for 3");
        assert_eq!(worth(&[1, 2, 6, 18]), [(0, 4)]);
        assert_eq!(worth(&[20, 20, 20, 30, 30, 40, 45]), [(0, 4)], "90 fit, and of the rest only two go together");
        assert_eq!(worth(&[1; FAN_IN + 5]), [(0, FAN_IN), (FAN_IN, FAN_IN + 5)]);
        assert!(worth(&[]).is_empty());
    }
}
