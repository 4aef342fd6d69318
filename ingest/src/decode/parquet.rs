//! Parquet files in the layout of Amazon Security Lake: rows of nested OCSF, as one JSON object's text each.
//!
//! **In**: a file, or its bytes. **Out**: rows in file order, nulls left out, structs as objects, `timestamp_t` columns
//! that some writers store as timestamps as the milliseconds that OCSF asks for, `*_dt` as RFC 3339 in UTC; a row with
//! dotted columns (Tarn's own tables) nested back. **Fails**: a row group that does not decode is one dead letter, and
//! the reading ends there. **Bounds**: [`ROWS`] rows decoded at a time. Source: AWS, "Open Cybersecurity Schema
//! Framework (OCSF) in Security Lake"; OCSF 1.8.0 types `timestamp_t`, `datetime_t`.

use crate::container::Block;
use crate::dead_letter::{DeadLetter, Reason};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// Rows decoded at a time: nested rows of wide classes are some kilobytes each.
pub const ROWS: usize = 512;

/// Reads rows.
pub struct RowReader {
    rows: ParquetRecordBatchReader,
    left: u64,
}

impl RowReader {
    /// Opens a file by its footer.
    ///
    /// **Errors**: bytes that are no Parquet.
    pub fn open(file: impl ChunkReader + 'static) -> Result<Self, ParquetError> {
        guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let left = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
            Ok(Self { rows: builder.with_batch_size(ROWS).build()?, left })
        })
        .unwrap_or_else(|| Err(ParquetError::General(BROKEN.into())))
    }

    /// Adds the next rows to a block; false at the end.
    pub fn read(&mut self, number: &mut dyn FnMut() -> u64, block: &mut Block) -> bool {
        let batch = guarded(|| self.rows.next()).unwrap_or_else(|| Some(Err(ArrowError::ParquetError(BROKEN.into()))));
        let texts = match batch {
            None => return false,
            Some(batch) => batch.and_then(|batch| {
                self.left = self.left.saturating_sub(batch.num_rows() as u64);
                ndjson(&batch)
            }),
        };
        match texts {
            Ok(lines) => {
                lines.lines().for_each(|line| block.push(number(), line));
                true
            }
            Err(error) => {
                let why =
                    format!("Parquet: {error}; this row group and what follows it, {} rows, cannot be read", self.left);
                block.dead.push(DeadLetter {
                    number: number(),
                    offset: None,
                    bytes: Vec::new(),
                    reason: Reason::Decoder(why),
                });
                false
            }
        }
    }
}

const BROKEN: &str = "levels or sizes that contradict each other";

/// The parquet crate (59) asserts what a broken file's levels and sizes contradict, instead of refusing them.
fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

fn ndjson(batch: &RecordBatch) -> Result<String, ArrowError> {
    let mut out = Vec::new();
    if batch.schema().fields().iter().any(|f| f.name().contains('.')) {
        for row in 0..batch.num_rows() {
            let object = tarn_schema_ocsf::nest::to_json(batch, row);
            serde_json::to_writer(&mut out, &object).map_err(|e| ArrowError::JsonError(e.to_string()))?;
            out.push(b'\n');
        }
    } else {
        let mut writer = LineDelimitedWriter::new(&mut out);
        writer.write(&plain(batch)?)?;
        writer.finish()?;
    }
    String::from_utf8(out).map_err(|e| ArrowError::JsonError(e.to_string()))
}

/// The batch with its times as OCSF's JSON has them.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let mut column = column.clone();
        for step in [Step::Milliseconds, Step::Integers] {
            let wanted = retyped(field.name(), column.data_type(), step);
            if wanted != *column.data_type() {
                column = cast(&column, &wanted)?;
            }
        }
        fields.push(Arc::new(Field::new(field.name(), column.data_type().clone(), true)));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

#[derive(Clone, Copy)]
enum Step {
    /// All timestamps to milliseconds, those of `*_dt` in UTC.
    Milliseconds,
    /// Then those that are not `*_dt` to integers.
    Integers,
}

fn retyped(name: &str, data_type: &DataType, step: Step) -> DataType {
    let inner = |f: &FieldRef| -> FieldRef {
        // An array's element has its array's name.
        let name =
            if matches!(f.name().as_str(), "element" | "item" | "array_element" | "array") { name } else { f.name() };
        Arc::new(f.as_ref().clone().with_data_type(retyped(name, f.data_type(), step)))
    };
    match (data_type, step) {
        (DataType::Timestamp(..), _) if name.ends_with("_dt") => {
            DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()))
        }
        (DataType::Timestamp(_, zone), Step::Milliseconds) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        (DataType::Timestamp(..), Step::Integers) => DataType::Int64,
        (DataType::Struct(fields), _) => DataType::Struct(fields.iter().map(inner).collect::<Fields>()),
        (DataType::List(field), _) => DataType::List(inner(field)),
        (DataType::LargeList(field), _) => DataType::LargeList(inner(field)),
        (other, _) => other.clone(),
    }
}

#[cfg(test)]
mod tests;
