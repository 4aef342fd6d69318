//! Sorted files into one sorted file, a piece of each at a time.

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::DataFile;
use crate::table::schema;
use crate::table::write::{CHUNK_ROWS, Encoded, FileEncoder, Layout, conform_batch, encode, times};
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

/// The rows of all files of one day, by time, in one file. None where a file is not one of ours.
///
/// **Errors**: a file that cannot be read, or is not in order. **Bounds**: the files as they are stored, and a piece of
/// each decoded.
pub(super) async fn merge(lake: &Lake, table: &str, files: &[&DataFile]) -> Result<Option<Encoded>, LakeError> {
    let stored = stored(lake, files).await?;
    let (table, day) = (table.to_owned(), files.first().and_then(|file| file.event_day).unwrap_or(0));
    let merging = move || merge_stored(&table, stored, day);
    tokio::task::spawn_blocking(merging).await.map_err(|_| LakeError::Stopped)?
}

/// The rows of all files, each in a file of its day. None where a file is not one of ours.
///
/// **Errors**: a file that cannot be read. **Bounds**: all of it is in memory.
pub(super) async fn to_their_days(lake: &Lake, table: &str, files: &[&DataFile]) -> Result<Vec<Encoded>, LakeError> {
    let (table, stored) = (table.to_owned(), stored(lake, files).await?);
    let sorting = move || {
        let parquet = LakeError::parquet(&table);
        let mut rows = Vec::new();
        for file in open(stored, &table)?.unwrap_or_default() {
            let pieces = file.build().map_err(&parquet)?;
            rows.extend(pieces.collect::<Result<Vec<_>, _>>().map_err(LakeError::arrow(&table))?);
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        encode(&table, &rows, &Layout::of(&table, Utc::now())).map(|(_, files)| files)
    };
    tokio::task::spawn_blocking(sorting).await.map_err(|_| LakeError::Stopped)?
}

async fn stored(lake: &Lake, files: &[&DataFile]) -> Result<Vec<Bytes>, LakeError> {
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

fn merge_stored(table: &str, stored: Vec<Bytes>, day: i32) -> Result<Option<Encoded>, LakeError> {
    let parquet = LakeError::parquet(table);
    let Some(opened) = open(stored, table)? else { return Ok(None) };
    let mut union = Schema::empty();
    for file in &opened {
        union = schema::merge(&union, file.schema())?;
    }
    let schema = Arc::new(union);
    let layout = Layout::of(table, Utc::now());
    let mut merging = Merging {
        table,
        file: FileEncoder::new(table, &schema, &layout, None)?,
        schema,
        layout,
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
    merging.file.finish(day).map(Some)
}

struct Merging<'a> {
    table: &'a str,
    schema: SchemaRef,
    layout: Layout,
    file: FileEncoder,
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
        while let Some(Reverse((time, at))) = self.heads.pop() {
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
                self.write()?;
            }
        }
        self.write()
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

    /// Writes what was picked, and lets go of pieces that are through.
    fn write(&mut self) -> Result<(), LakeError> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let pieces: Vec<&RecordBatch> = self.pieces.iter().collect();
        let sorted = interleave_record_batch(&pieces, &self.picks).map_err(LakeError::arrow(self.table))?;
        self.file.write(&sorted)?;
        self.picks.clear();
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.row < cursor.times.len()) {
            kept.push(self.pieces[cursor.slot].clone());
            cursor.slot = kept.len() - 1;
        }
        self.pieces = kept;
        Ok(())
    }
}

impl Cursor {
    fn time(&self) -> Option<i64> {
        self.times.is_valid(self.row).then(|| self.times.value(self.row))
    }
}
