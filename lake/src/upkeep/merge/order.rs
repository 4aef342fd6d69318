//! The order of the rows of sorted files, told by their time column.

use super::Opened;
use crate::error::LakeError;
use crate::table::write::{CHUNK_ROWS, Layout, times};
use arrow::array::{Array, TimestampMicrosecondArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A file to be, of one day.
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

/// All rows by time, and by file and place where that is equal: as files of `day` or, without it, of the day that each row has.
///
/// **Errors**: a file without times, or not sorted by them.
pub(super) fn order(
    table: &str,
    files: &[Opened],
    layout: &Layout,
    day: Option<i32>,
) -> Result<Vec<Sorted>, LakeError> {
    let (cursors, heads) = (Vec::with_capacity(files.len()), BinaryHeap::with_capacity(files.len()));
    let mut ordering = Ordering { table, layout, cursors, heads, held: 0, chunk: Chunk::default(), done: Vec::new() };
    for (at, file) in files.iter().enumerate() {
        let missing = || LakeError::NoTime { table: table.to_owned(), column: layout.time_column.to_owned() };
        let pieces = file.column(layout.time_column).map_err(LakeError::parquet(table))?.ok_or_else(missing)?;
        ordering.cursors.push(Cursor { pieces, times: TimestampMicrosecondArray::new_null(0), slot: 0, row: 0 });
        ordering.read_on(at, None)?;
    }
    ordering.run(day)?;
    let stored = files.iter().map(|file| file.footer.metadata().file_metadata().num_rows());
    let sorted = ordering.done.iter().map(|file| file.rows as i64);
    if sorted.sum::<i64>() != stored.sum::<i64>() {
        return Err(LakeError::Unsorted { table: table.to_owned() });
    }
    Ok(ordering.done)
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
}

impl Ordering<'_> {
    fn run(&mut self, day: Option<i32>) -> Result<(), LakeError> {
        while let Some(Reverse((time, at))) = self.heads.pop() {
            let day = day.unwrap_or_else(|| time.map_or(0, |micros| self.layout.day(micros)));
            if self.done.last().is_none_or(|file| file.day != day) {
                self.end_chunk();
                self.done.push(Sorted { day, ..Sorted::default() });
            }
            let cursor = &mut self.cursors[at];
            self.chunk.picks.push((cursor.slot, cursor.row));
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
