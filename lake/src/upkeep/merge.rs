//! Sorted files into one sorted file, a piece of each at a time.

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::DataFile;
use crate::table::schema;
use crate::table::write::{CHUNK_ROWS, Encoded, FileEncoder, Layout, conform_batch, held, times};
use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Rows that are read of a file at once.
const PIECE_ROWS: usize = 1024;
/// Files that are read at once.
const READS_AT_ONCE: usize = 8;
/// What our files say they were made by begins with this; others' need not be sorted.
const OURS: &str = "tarn ";

/// Where a file is at: rows of the piece in `slot`, from `row` on.
struct Cursor {
    rows: ParquetRecordBatchReader,
    slot: usize,
    row: usize,
    times: TimestampMicrosecondArray,
}

/// The rows of all files, by time: in one file of their day or, with `by_day`, in a file for each day that they have. None where a
/// file is not one of ours.
///
/// **Errors**: a file that cannot be read, or is not in order. **Bounds**: the files as they are stored, old and new, and a piece of
/// each old one decoded.
pub(super) async fn merge(
    lake: &Lake,
    table: &str,
    files: &[Arc<DataFile>],
    by_day: bool,
) -> Result<Option<Vec<Encoded>>, LakeError> {
    let stored = stored(lake, files).await?;
    let (table, day) = (table.to_owned(), files.first().and_then(|file| file.event_day).unwrap_or(0));
    let merging = move || merge_stored(&table, stored, (!by_day).then_some(day));
    tokio::task::spawn_blocking(merging).await.map_err(|_| LakeError::Stopped)?
}

async fn stored(lake: &Lake, files: &[Arc<DataFile>]) -> Result<Vec<Bytes>, LakeError> {
    let paths = files.iter().map(|file| file.path.clone());
    let reads = paths.map(|path| read(Arc::clone(lake.store()), path)).collect::<Vec<_>>();
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

async fn read(store: Arc<dyn ObjectStore>, path: Path) -> Result<Bytes, LakeError> {
    let read = store.get(&path).await.map_err(LakeError::store(&path))?;
    read.bytes().await.map_err(LakeError::store(&path))
}

type Opened = ParquetRecordBatchReaderBuilder<Bytes>;

/// The files; none where one is not ours.
fn open(stored: Vec<Bytes>, table: &str) -> Result<Option<Vec<Opened>>, LakeError> {
    let opens = stored.into_iter().map(Opened::try_new);
    let opened: Vec<_> = opens.collect::<Result<_, _>>().map_err(LakeError::parquet(table))?;
    let made_by = |file: &Opened| file.metadata().file_metadata().created_by().map(str::to_owned);
    let ours = opened.iter().all(|file| made_by(file).is_some_and(|by| by.starts_with(OURS)));
    Ok(ours.then_some(opened))
}

fn merge_stored(table: &str, stored: Vec<Bytes>, day: Option<i32>) -> Result<Option<Vec<Encoded>>, LakeError> {
    let parquet = LakeError::parquet(table);
    let Some(opened) = open(stored, table)? else { return Ok(None) };
    let mut union = Schema::empty();
    for file in &opened {
        union = schema::merge(&union, file.schema())?;
    }
    let schema = Arc::new(union);
    let mut merging = Merging {
        table,
        schema,
        layout: Layout::of(table, Utc::now()),
        day,
        file: None,
        done: Vec::new(),
        pieces: Vec::new(),
        picks: Vec::with_capacity(CHUNK_ROWS),
        cursors: Vec::with_capacity(opened.len()),
        heads: BinaryHeap::with_capacity(opened.len()),
    };
    for file in opened {
        let rows = file.with_batch_size(PIECE_ROWS).build().map_err(&parquet)?;
        let times = TimestampMicrosecondArray::new_null(0);
        merging.cursors.push(Cursor { rows, slot: 0, row: 0, times });
        merging.read_on(merging.cursors.len() - 1, None)?;
    }
    merging.run()?;
    Ok(Some(merging.done))
}

struct Merging<'a> {
    table: &'a str,
    schema: SchemaRef,
    layout: Layout,
    /// The day of all rows; without it, each is of its own.
    day: Option<i32>,
    /// What is being written.
    file: Option<FileEncoder>,
    done: Vec<Encoded>,
    /// Pieces that rows are picked from.
    pieces: Vec<RecordBatch>,
    /// Pieces and rows, in their order.
    picks: Vec<(usize, usize)>,
    cursors: Vec<Cursor>,
    /// The next time of each file, none first, and which file it is.
    heads: BinaryHeap<Reverse<(Option<i64>, usize)>>,
}

impl Merging<'_> {
    fn run(&mut self) -> Result<(), LakeError> {
        let mut day = None;
        while let Some(Reverse((time, at))) = self.heads.pop() {
            let next = self.day.unwrap_or_else(|| time.map_or(0, |micros| self.layout.day(micros)));
            if let Some(before) = day.replace(next).filter(|before| *before != next) {
                self.end(before)?;
            }
            let cursor = &mut self.cursors[at];
            self.picks.push((cursor.slot, cursor.row));
            cursor.row += 1;
            if cursor.row < cursor.times.len() {
                let next = cursor.time();
                self.head(at, time, next)?;
            } else {
                self.read_on(at, Some(time))?;
            }
            if self.picks.len() >= CHUNK_ROWS {
                let sorted = self.picked()?;
                self.write(&sorted)?;
            }
        }
        day.map_or(Ok(()), |day| self.end(day))
    }

    /// Puts a file's next row among the others. **Errors**: it comes before the one before it.
    fn head(&mut self, at: usize, before: Option<i64>, next: Option<i64>) -> Result<(), LakeError> {
        if next < before {
            return Err(LakeError::Unsorted { table: self.table.to_owned() });
        }
        self.heads.push(Reverse((next, at)));
        Ok(())
    }

    /// Takes a file's next piece, if it has one. `before` is the time of its last row.
    fn read_on(&mut self, at: usize, before: Option<Option<i64>>) -> Result<(), LakeError> {
        loop {
            let cursor = &mut self.cursors[at];
            let Some(piece) = cursor.rows.next().transpose().map_err(LakeError::arrow(self.table))? else {
                return Ok(());
            };
            if piece.num_rows() == 0 {
                continue;
            }
            let piece = conform_batch(self.table, &piece, &self.schema)?;
            cursor.times = times(self.table, &piece, &self.layout)?.clone();
            (cursor.slot, cursor.row) = (self.pieces.len(), 0);
            let next = cursor.time();
            self.pieces.push(piece);
            return self.head(at, before.flatten(), next);
        }
    }

    /// The rows that were picked; lets go of pieces that are through.
    fn picked(&mut self) -> Result<RecordBatch, LakeError> {
        let pieces: Vec<&RecordBatch> = self.pieces.iter().collect();
        let sorted = interleave_record_batch(&pieces, &self.picks).map_err(LakeError::arrow(self.table))?;
        self.picks.clear();
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.row < cursor.times.len()) {
            kept.push(self.pieces[cursor.slot].clone());
            cursor.slot = kept.len() - 1;
        }
        self.pieces = kept;
        Ok(sorted)
    }

    fn write(&mut self, sorted: &RecordBatch) -> Result<(), LakeError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(FileEncoder::new(self.table, &self.schema, &self.layout, None)?),
        };
        file.write(sorted)
    }

    /// Ends the file of `day`.
    fn end(&mut self, day: i32) -> Result<(), LakeError> {
        let file = match (self.picks.is_empty(), self.file.is_some()) {
            (true, false) => return Ok(()),
            // All of a short file is here.
            (false, false) => {
                let rows = held(&self.picked()?, self.layout.time_column).map_err(LakeError::arrow(self.table))?;
                let mut file = FileEncoder::new(self.table, &rows.schema(), &self.layout, Some(&rows))?;
                file.write(&rows)?;
                Some(file)
            }
            (picked, true) => {
                if !picked {
                    let sorted = self.picked()?;
                    self.write(&sorted)?;
                }
                self.file.take()
            }
        };
        self.done.extend(file.map(|file| file.finish(day)).transpose()?);
        Ok(())
    }
}

impl Cursor {
    fn time(&self) -> Option<i64> {
        self.times.is_valid(self.row).then(|| self.times.value(self.row))
    }
}
