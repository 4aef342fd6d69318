//! Sorted files into one sorted file: first the order of the rows, by the time column alone, then each column after the
//! other, so that of all the files' columns only one is being decoded at a time.

mod order;
mod stored;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::DataFile;
use crate::table::schema::{self, conform};
use crate::table::write::{Besides, ColumnEncoder, Encoded, EncodedColumn, Layout, assemble, is_of_files};
use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{FieldRef, Schema};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use order::{Chunk, order};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use std::sync::Arc;
use stored::Stored;

/// Rows that are read of a file at once.
const PIECE_ROWS: usize = 512;
/// Files that are read at once.
const READS_AT_ONCE: usize = 8;
/// What our files say they were made by begins with this; others' need not be sorted.
const OURS: &str = "tarn ";

/// Where the rows of merged files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To one file of this partition, days since 1970.
    Day(i32),
    /// To a file for each day that is worth one, and between these to files that days share.
    Days,
    /// To one file that days share: of all rows only those of true days before this one, or only the others.
    Half(i32, Half),
}

/// Rows on one side of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Those of true days before it.
    Before,
    /// All others.
    Others,
}

/// The rows of all files, by time. None where a file is not one of ours.
///
/// **Errors**: a file that cannot be read, or is not in order. **Bounds**: the new files as they will be stored, the old ones where
/// they are not on a local disk, sixteen bytes a row, and a page of one column of each old one.
pub(super) async fn merge(
    lake: &Lake,
    table: &str,
    files: &[Arc<DataFile>],
    to: Destination,
) -> Result<Option<Vec<Encoded>>, LakeError> {
    let stored = stored(lake, files).await?;
    let table = table.to_owned();
    let merging = move || merge_stored(&table, stored, to);
    tokio::task::spawn_blocking(merging).await.map_err(|_| LakeError::Stopped)?
}

async fn stored(lake: &Lake, files: &[Arc<DataFile>]) -> Result<Vec<Stored>, LakeError> {
    let paths = files.iter().map(|file| file.path.clone());
    let reads = paths.map(|path| Stored::open(Arc::clone(lake.store()), path)).collect::<Vec<_>>();
    stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

/// A file as it is stored, and what its footer says.
struct Opened {
    stored: Stored,
    footer: ArrowReaderMetadata,
}

impl Opened {
    fn new(stored: Stored) -> Result<Self, ParquetError> {
        let footer = ArrowReaderMetadata::load(&stored, ArrowReaderOptions::new())?;
        Ok(Self { stored, footer })
    }

    fn is_ours(&self) -> bool {
        let by = self.footer.metadata().file_metadata().created_by();
        by.is_some_and(|by| by.starts_with(OURS))
    }

    /// What the rows are sorted by.
    fn times(&self, table: &str, layout: &Layout) -> Result<ParquetRecordBatchReader, LakeError> {
        let missing = || LakeError::NoTime { table: table.to_owned(), column: layout.time_column.to_owned() };
        self.column(layout.time_column).map_err(LakeError::parquet(table))?.ok_or_else(missing)
    }

    /// A column in pieces of [`PIECE_ROWS`]; none where the file lacks it.
    fn column(&self, name: &str) -> Result<Option<ParquetRecordBatchReader>, ParquetError> {
        let Ok(index) = self.footer.schema().index_of(name) else { return Ok(None) };
        let column = ProjectionMask::roots(self.footer.parquet_schema(), [index]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.stored.clone(), self.footer.clone());
        reader.with_projection(column).with_batch_size(PIECE_ROWS).build().map(Some)
    }
}

fn merge_stored(table: &str, stored: Vec<Stored>, to: Destination) -> Result<Option<Vec<Encoded>>, LakeError> {
    let opened = stored.into_iter().map(Opened::new);
    let opened: Vec<Opened> = opened.collect::<Result<_, _>>().map_err(LakeError::parquet(table))?;
    if !opened.iter().all(Opened::is_ours) {
        return Ok(None);
    }
    let mut union = Schema::empty();
    for file in &opened {
        let columns = file.footer.schema().fields().iter().filter(|field| !is_of_files(field.name()));
        union = schema::merge(&union, &Schema::new(columns.cloned().collect::<Vec<_>>()))?;
    }
    let layout = Layout { for_hunts: true, ..Layout::of(table, Utc::now()) };
    let sorted = order(table, &opened, &layout, to)?;
    let mut columns: Vec<Vec<EncodedColumn>> = sorted.iter().map(|_| Vec::new()).collect();
    let besides = sorted.iter().map(|file| Besides::new(table, file.rows, &layout));
    let mut besides: Vec<Besides<'_>> = besides.collect::<Result<_, _>>()?;
    for field in union.fields() {
        let encoder = ColumnEncoder::new(table, field, &layout)?;
        let mut pieces = Pieces::new(table, field, &opened)?;
        for ((file, columns), besides) in sorted.iter().zip(&mut columns).zip(&mut besides) {
            let chunks = file.chunks.iter().map(|chunk| pieces.gather(chunk));
            columns.extend(encoder.encode(file.rows, besides.of(field, chunks))?);
        }
    }
    for (columns, besides) in columns.iter_mut().zip(besides) {
        columns.extend(besides.finish()?);
    }
    // Before there are two of the new ones, in parts and whole.
    drop(opened);
    let files = sorted.iter().zip(columns);
    let files = files.map(|(file, columns)| assemble(table, columns, file.rows, file.day, &layout));
    files.collect::<Result<_, _>>().map(Some)
}

/// The pieces of one column that rows are picked from.
struct Pieces<'a> {
    table: &'a str,
    field: &'a FieldRef,
    readers: Vec<Option<ParquetRecordBatchReader>>,
    held: Vec<ArrayRef>,
}

impl<'a> Pieces<'a> {
    fn new(table: &'a str, field: &'a FieldRef, files: &[Opened]) -> Result<Self, LakeError> {
        let readers = files.iter().map(|file| file.column(field.name()));
        let readers = readers.collect::<Result<_, _>>().map_err(LakeError::parquet(table))?;
        Ok(Self { table, field, readers, held: Vec::new() })
    }

    /// The rows of `chunk`; lets go of pieces that are through.
    fn gather(&mut self, chunk: &Chunk) -> Result<ArrayRef, LakeError> {
        for (file, rows) in &chunk.reads {
            let piece = self.read(*file, *rows)?;
            self.held.push(piece);
        }
        let held: Vec<&dyn Array> = self.held.iter().map(AsRef::as_ref).collect();
        let gathered = interleave(&held, &chunk.picks).map_err(LakeError::arrow(self.table))?;
        self.held = chunk.kept.iter().map(|slot| Arc::clone(&self.held[*slot])).collect();
        Ok(gathered)
    }

    /// The next piece of a file, which has so many rows.
    fn read(&mut self, file: usize, rows: usize) -> Result<ArrayRef, LakeError> {
        let Some(reader) = &mut self.readers[file] else { return Ok(new_null_array(self.field.data_type(), rows)) };
        let piece = reader.next().transpose().map_err(LakeError::arrow(self.table))?;
        match piece.filter(|piece| piece.num_rows() == rows) {
            Some(piece) => Ok(conform(piece.column(0), self.field.data_type())),
            None => Err(LakeError::Unsorted { table: self.table.to_owned() }),
        }
    }
}
