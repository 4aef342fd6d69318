//! The order of the rows of sorted files, told by their time column.

use super::{Destination, Half, Opened};
use crate::error::LakeError;
use crate::table::write::{CHUNK_ROWS, DAY_ROWS_MIN, Layout, times};
use arrow::array::{Array, TimestampMicrosecondArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A file to be, of one partition.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Its partition, days since 1970.
    pub(super) day: i32,
    pub(super) rows: usize,
    /// Its rows, [`CHUNK_ROWS`] at a time.
    pub(super) chunks: Vec<Chunk>,
}

/// Rows that come together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Files of which the next piece is read, and its rows: they go behind the pieces that are held.
    pub(super) reads: Vec<(usize, usize)>,
    /// The rows: which piece of those held, and which of its rows.
    pub(super) picks: Vec<(usize, usize)>,
    /// The pieces that are held on, in the order that they have then.
    pub(super) kept: Vec<usize>,
}

/// Where a file is at: the piece that is held at `slot`, from `row` on.
struct Cursor {
    pieces: ParquetRecordBatchReader,
    times: TimestampMicrosecondArray,
    slot: usize,
    row: usize,
}

/// All rows by time, and by file and place where that is equal.
///
/// **Errors**: a file without times, or not sorted by them.
pub(super) fn order(table: &str, files: &[Opened], layout: &Layout, to: Destination) -> Result<Vec<Sorted>, LakeError> {
    let (cursors, heads) = (Vec::with_capacity(files.len()), BinaryHeap::with_capacity(files.len()));
    let (chunk, done) = (Chunk::default(), Vec::new());
    let mut ordering = Ordering { table, layout, cursors, heads, held: 0, chunk, done, left_out: 0 };
    for (at, file) in files.iter().enumerate() {
        let pieces = file.times(table, layout)?;
        ordering.cursors.push(Cursor { pieces, times: TimestampMicrosecondArray::new_null(0), slot: 0, row: 0 });
        ordering.read_on(at, None)?;
    }
    let homes = if to == Destination::Days { homes(table, files, layout)? } else { BTreeMap::new() };
    ordering.run(to, &homes)?;
    let stored = files.iter().map(|file| file.footer.metadata().file_metadata().num_rows());
    let sorted = ordering.done.iter().map(|file| file.rows).sum::<usize>() + ordering.left_out;
    if sorted as i64 != stored.sum::<i64>() {
        return Err(LakeError::Unsorted { table: table.to_owned() });
    }
    Ok(ordering.done)
}

/// Where the rows of each day go: to a file of its own where it is worth one, or where it alone is not between two that are; else to
/// the partition of no day, to share one with those before and after it.
fn homes(table: &str, files: &[Opened], layout: &Layout) -> Result<BTreeMap<i32, i32>, LakeError> {
    let mut rows_of: BTreeMap<i32, usize> = BTreeMap::new();
    for file in files {
        for piece in file.times(table, layout)? {
            let piece = piece.map_err(LakeError::arrow(table))?;
            for day in layout.days(times(table, &piece, layout)?).values() {
                *rows_of.entry(*day).or_default() += 1;
            }
        }
    }
    let days: Vec<(i32, usize)> = rows_of.into_iter().filter(|(day, _)| *day != 0).collect();
    let is_worth = |(_, rows): &(i32, usize)| *rows >= DAY_ROWS_MIN;
    let run = |run: &[(i32, usize)]| {
        let shares = run.len() > 1 && !is_worth(&run[0]);
        run.iter().map(|(day, _)| (*day, if shares { 0 } else { *day })).collect::<Vec<_>>()
    };
    Ok(days.chunk_by(|a, b| is_worth(a) == is_worth(b)).flat_map(run).collect())
}

struct Ordering<'a> {
    table: &'a str,
    layout: &'a Layout,
    cursors: Vec<Cursor>,
    /// The next time of each file, none first, and which file it is.
    heads: BinaryHeap<Reverse<(Option<i64>, usize)>>,
    /// Pieces that are held.
    held: usize,
    chunk: Chunk,
    done: Vec<Sorted>,
    /// Rows that go to no file.
    left_out: usize,
}

impl Ordering<'_> {
    fn run(&mut self, to: Destination, homes: &BTreeMap<i32, i32>) -> Result<(), LakeError> {
        while let Some(Reverse((time, at))) = self.heads.pop() {
            let own = || time.map_or(0, |micros| self.layout.day(micros));
            let day = match to {
                Destination::Day(day) => Some(day),
                Destination::Days => Some(homes.get(&own()).copied().unwrap_or(0)),
                Destination::Half(first, half) => ((1..first).contains(&own()) == (half == Half::Before)).then_some(0),
            };
            if let Some(day) = day.filter(|day| self.done.last().is_none_or(|file| file.day != *day)) {
                self.end_chunk();
                self.done.push(Sorted { day, ..Sorted::default() });
            }
            let cursor = &mut self.cursors[at];
            match day {
                Some(_) => self.chunk.picks.push((cursor.slot, cursor.row)),
                None => self.left_out += 1,
            }
            cursor.row += 1;
            match cursor.row < cursor.times.len() {
                true => self.head(at, time)?,
                false => self.read_on(at, Some(time))?,
            }
            if self.chunk.picks.len() == CHUNK_ROWS {
                self.end_chunk();
            }
        }
        self.end_chunk();
        Ok(())
    }

    /// Puts a file's next row among the others. **Errors**: it comes before the one before it.
    fn head(&mut self, at: usize, before: Option<i64>) -> Result<(), LakeError> {
        let cursor = &self.cursors[at];
        let next = cursor.times.is_valid(cursor.row).then(|| cursor.times.value(cursor.row));
        if next < before {
            return Err(LakeError::Unsorted { table: self.table.to_owned() });
        }
        self.heads.push(Reverse((next, at)));
        Ok(())
    }

    /// Takes a file's next piece, if it has one. `before` is the time of its last row.
    fn read_on(&mut self, at: usize, before: Option<Option<i64>>) -> Result<(), LakeError> {
        let cursor = &mut self.cursors[at];
        let piece = cursor.pieces.next().transpose().map_err(LakeError::arrow(self.table))?;
        let Some(piece) = piece.filter(|piece| piece.num_rows() > 0) else { return Ok(()) };
        cursor.times = times(self.table, &piece, self.layout)?.clone();
        (cursor.slot, cursor.row) = (self.held, 0);
        self.held += 1;
        self.chunk.reads.push((at, cursor.times.len()));
        self.head(at, before.flatten())
    }

    /// Gives the rows so far to the file that is being made; pieces that are through are held no longer.
    fn end_chunk(&mut self) {
        let Some(file) = self.done.last_mut().filter(|_| !self.chunk.picks.is_empty()) else { return };
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.row < cursor.times.len()) {
            self.chunk.kept.push(cursor.slot);
            cursor.slot = self.chunk.kept.len() - 1;
        }
        self.held = self.chunk.kept.len();
        file.rows += self.chunk.picks.len();
        file.chunks.push(std::mem::take(&mut self.chunk));
    }
}
