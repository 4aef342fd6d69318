//! Small files of one day, made one.
//!
//! **Which**: from the smallest on, as long as a file is at most twice as large as those before it together, so that a row
//! is rewritten a few times in its life and not at every turn. **Order**: as the writer's, by time, so that statistics go on
//! pruning. **Shared files**: the rows of rare days share files, in the partition of no day. Merged, those of a day that has
//! become worth a file get one. What a stream committed is looked at once its file is large, or when all of it is to be. Days that
//! are over and not worth their files come to share one.

use super::merge::{Destination, merge};
use super::outliers::Times;
use crate::error::LakeError;
use crate::ingest::{PUTS_AT_ONCE, put};
use crate::lake::Lake;
use crate::table::commit::{Change, NewFile, change};
use crate::table::write::{DAY_ROWS_MIN, Layout};
use crate::table::{DataFile, TableSnapshot};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Files that are merged at once, as each is open.
const FAN_IN: usize = 64;

/// Files that are merged at once, however large: a page of each is decoded.
const OPEN_MIN: usize = 8;

/// Bytes of files up to which more are merged at once.
const OPEN_BYTES: u64 = 16 << 20;

/// How much larger than all before it together a file may be.
const GROWTH: u64 = 2;

/// A table with more files than this is merged by [`FEW`]: every commit and query looks at each.
const MANY: usize = 1024;

/// Days not worth their files that come to share one, where none is shared yet.
const DAYS_MIN: usize = 8;

/// Days before the last true one, which is yet to come, that may still be going on.
const DAYS_OPEN: i64 = 4;

/// Files of a day that are worth a merge where a table has [`MANY`].
const FEW: usize = 3;

/// When files are worth merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactOptions {
    /// Bytes that a merged file has at most, and half of which make a file large enough.
    pub target_bytes: u64,
    /// Files of a day that are worth a merge, and days not worth theirs, where others share one.
    pub files_min: usize,
    /// Whether all that a stream committed of rare days is looked at, also small files.
    pub outliers: bool,
}

impl Default for CompactOptions {
    /// 128 MiB, 8 files, all outliers.
    fn default() -> Self {
        Self { target_bytes: 128 << 20, files_min: 8, outliers: true }
    }
}

/// A merge that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The partition of what was merged, days since 1970; 0 where days came to share a file.
    pub day: i32,
    /// Files that went.
    pub files: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of the files that have their rows; 0 in a dry run.
    pub bytes_after: u64,
    /// Rows.
    pub rows: u64,
}

/// Merges small files of a table, day by day, until nothing is worth it. With `dry_run`, says what the first turn would do.
///
/// **Errors**: the store's; what is done by then stays done. **Bounds**: a merge has [`CompactOptions::target_bytes`] of new
/// files in memory, as many of old ones where they are not on a local disk, and a page of one column of each of up to 64 old ones.
pub async fn compact(
    lake: &Lake,
    table: &str,
    options: &CompactOptions,
    dry_run: bool,
) -> Result<Vec<Compacted>, LakeError> {
    let mut done = Vec::new();
    let mut first = true;
    loop {
        let Some(snapshot) = lake.table(table).await? else { return Ok(done) };
        // Rows go home in the first turn: what is left then has no day to go to.
        let groups = groups(&snapshot, options, first);
        if dry_run {
            return Ok(groups.iter().map(Group::described).collect());
        }
        let before = done.len();
        for groups in commits(groups, options) {
            // None where another writer was first, or the files are not ours to sort.
            done.extend(rewrite(lake, &snapshot, &groups).await?);
        }
        if done.len() == before {
            return Ok(done);
        }
        first = false;
    }
}

/// Files that are rewritten together.
struct Group {
    files: Vec<Arc<DataFile>>,
    /// Whether rows go to their days, where these are worth a file.
    home: bool,
}

impl Group {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The partition of all files; that of no day where they are of several.
    fn day(&self) -> i32 {
        let first = self.files.first().and_then(|file| file.event_day);
        first.filter(|_| self.files.iter().all(|file| file.event_day == first)).unwrap_or(0)
    }

    fn described(&self) -> Compacted {
        Compacted {
            day: self.day(),
            files: self.files.len(),
            bytes_before: self.bytes(),
            bytes_after: 0,
            rows: self.files.iter().filter_map(|file| file.stats.rows).sum(),
        }
    }
}

/// Files that are worth rewriting with each other.
fn groups(table: &TableSnapshot, options: &CompactOptions, home: bool) -> Vec<Group> {
    let files_min = if table.files.len() > MANY { options.files_min.min(FEW) } else { options.files_min };
    let options = &CompactOptions { files_min, ..*options };
    let layout = &Layout::of(&table.name, Utc::now());
    let days = || table.files.chunk_by(|a, b| a.event_day == b.event_day);
    let poor: Vec<_> = days().filter(|day| is_poor(day, layout)).collect();
    let is_shared = table.files.iter().any(|file| file.event_day == Some(0));
    let days_min = if is_shared { options.files_min } else { DAYS_MIN };
    let poor = if poor.len() < days_min { Vec::new() } else { poor.concat() };
    let mut groups = homeward(poor.clone(), options);
    groups.retain(|group| group.files.len() > 1);
    for day in days().filter(|day| poor.is_empty() || !is_poor(day, layout)) {
        match day.first().and_then(|file| file.event_day) {
            None => {}
            Some(0) => {
                let of = |times| day.iter().filter(move |file| Times::of(file, layout) == times).cloned();
                // Apart from those that may go home, so that these are not asked again and again.
                groups.extend(merges(of(Times::Before).collect(), options));
                groups.extend(merges(of(Times::After).collect(), options));
                let goes = |file: &Arc<DataFile>| {
                    home && file.is_as_committed() && (options.outliers || is_large(file, options))
                };
                let (go, stay) = of(Times::Within).partition(goes);
                groups.extend(homeward(go, options));
                groups.extend(merges(stay, options).into_iter().map(|group| Group { home: true, ..group }));
            }
            Some(_) => groups.extend(merges(day.to_vec(), options)),
        }
    }
    groups
}

/// Whether this is a day that is over, and had less rows than are worth a file.
fn is_poor(day: &[Arc<DataFile>], layout: &Layout) -> bool {
    let is_over = |day| (1..layout.last_day - DAYS_OPEN).contains(&i64::from(day));
    let rows = day.iter().map(|file| file.stats.rows).sum::<Option<u64>>();
    day.first().and_then(|file| file.event_day).is_some_and(is_over)
        && rows.is_some_and(|rows| rows < DAY_ROWS_MIN as u64)
}

fn is_large(file: &DataFile, options: &CompactOptions) -> bool {
    file.size >= options.target_bytes / 2
}

/// Small files of one partition.
fn merges(files: Vec<Arc<DataFile>>, options: &CompactOptions) -> Vec<Group> {
    let mut small: Vec<_> = files.into_iter().filter(|file| !is_large(file, options)).collect();
    small.sort_by_key(|file| file.size);
    let sizes: Vec<u64> = small.iter().map(|file| file.size).collect();
    let group = |range: Range<usize>| Group { files: small[range].to_vec(), home: false };
    worth(&sizes, options).into_iter().map(group).collect()
}

/// All of these, as many at once as may be.
fn homeward(files: Vec<Arc<DataFile>>, options: &CompactOptions) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for file in files {
        let room = |group: &&mut Group| {
            let (files, bytes) = (group.files.len(), group.bytes() + file.size);
            files < FAN_IN && bytes <= options.target_bytes && (files < OPEN_MIN || bytes <= OPEN_BYTES)
        };
        match groups.last_mut().filter(room) {
            Some(group) => group.files.push(file),
            None => groups.push(Group { files: vec![file], home: true }),
        }
    }
    groups
}

/// What one commit each rewrites: many small merges together, as a commit costs more than they do.
fn commits(groups: Vec<Group>, options: &CompactOptions) -> Vec<Vec<Group>> {
    let mut commits: Vec<Vec<Group>> = Vec::new();
    let mut bytes = 0;
    for group in groups {
        let of_group = group.bytes();
        match commits.last_mut().filter(|_| bytes + of_group <= options.target_bytes) {
            Some(commit) => commit.push(group),
            None => {
                bytes = 0;
                commits.push(vec![group]);
            }
        }
        bytes += of_group;
    }
    commits
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
            && (to - from < OPEN_MIN.max(options.files_min) || bytes + size <= OPEN_BYTES)
        {
            bytes += size;
            to += 1;
        }
        // Few are enough where they are as large together as a file may be.
        let is_full =
            bytes >= options.target_bytes / 2 && sizes.get(to).is_some_and(|size| bytes + size > options.target_bytes);
        if to - from >= if is_full { 2 } else { options.files_min.max(2) } {
            groups.push(from..to);
        }
        from = to;
    }
    groups
}

async fn rewrite(lake: &Lake, table: &TableSnapshot, groups: &[Group]) -> Result<Vec<Compacted>, LakeError> {
    let mut done = Vec::with_capacity(groups.len());
    let mut change_of = Change { table: table.name.clone(), gone: BTreeSet::new(), instead: Vec::new() };
    for group in groups {
        let to = if group.home { Destination::Days } else { Destination::Day(group.day()) };
        let Some(encoded) = merge(lake, &table.name, &group.files, to).await? else { continue };
        let rows = encoded.iter().map(|file| file.rows).sum();
        let puts = encoded.into_iter().map(|file| put(lake.clone(), table.name.clone(), file));
        let written: Vec<NewFile> = stream::iter(puts).buffered(PUTS_AT_ONCE).try_collect().await?;
        let bytes_after = written.iter().map(|file| file.size).sum();
        done.push(Compacted { rows, bytes_after, ..group.described() });
        change_of.gone.extend(group.files.iter().map(|file| file.path.clone()));
        change_of.instead.extend(written);
    }
    let committed = !done.is_empty() && change(lake, &change_of).await?;
    Ok(if committed { done } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_waits_for_others_of_its_size() {
        let options = CompactOptions { target_bytes: 100, files_min: 3, outliers: true };
        let worth = |sizes: &[u64]| worth(sizes, &options).into_iter().map(|of| (of.start, of.end)).collect::<Vec<_>>();
        assert_eq!(worth(&[1, 1, 1, 1]), [(0, 4)]);
        assert!(worth(&[1, 1]).is_empty(), "too few");
        assert_eq!(worth(&[1, 1, 1, 40]), [(0, 3)], "rewriting 40 for 3");
        assert_eq!(worth(&[1, 2, 6, 18]), [(0, 4)]);
        assert_eq!(worth(&[20, 20, 20, 30, 30, 40, 45]), [(0, 4), (4, 6)], "90 fit, and then 70");
        assert_eq!(worth(&[1; FAN_IN + 5]), [(0, FAN_IN), (FAN_IN, FAN_IN + 5)]);
        assert!(worth(&[]).is_empty());
        assert_eq!(worth(&[45, 46, 47, 48]), [(0, 2)], "two fill a file, of the rest nothing follows");
        let large = CompactOptions { target_bytes: 1 << 30, ..options };
        let mib = [8 << 20; 2 * OPEN_MIN + 1];
        let groups: Vec<_> = super::worth(&mib, &large).into_iter().map(|of| (of.start, of.end)).collect();
        assert_eq!(groups, [(0, OPEN_MIN), (OPEN_MIN, 2 * OPEN_MIN)], "a page of each is in memory");
    }
}
