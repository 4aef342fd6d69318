//! The columns of a file, put together.

use super::column::EncodedColumn;
use super::members::is_of_files;
use super::{Layout, OUTLIER_DAY};
use crate::error::LakeError;
use crate::table::stats::to_json;
use crate::table::{COMMITTED, FOR_HUNTS};
use arrow::datatypes::{Date32Type, Schema};
use object_store::{PutPayload, PutPayloadMut};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};
use std::sync::Arc;

/// Bytes of a footer for each column and row group, roughly.
const FOOTER_BYTES: usize = 256;

/// Bytes of a file that lie together in memory, at most: what its columns leave as they go into it is room for the next.
const BLOCK_BYTES: usize = 1 << 20;

/// One file, encoded.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Its partition's value.
    pub(crate) day: String,
    pub(crate) bytes: PutPayload,
    pub(crate) rows: u64,
    /// What its name says of it, between the id and `.parquet`.
    pub(crate) kind: &'static str,
    /// JSON of the add action.
    pub(crate) stats: String,
}

/// The file of these columns, each of so many rows, in the partition `day`, days since 1970.
pub(crate) fn assemble(
    table: &str,
    columns: Vec<EncodedColumn>,
    rows: usize,
    day: i32,
    layout: &Layout,
) -> Result<Encoded, LakeError> {
    let stats = to_json(rows, columns.iter().filter_map(|column| column.gathered.as_ref()));
    let has_columns_for_hunts = columns.iter().any(|column| is_of_files(column.field.name()));
    let kind = match layout.compression() {
        Compression::SNAPPY => COMMITTED,
        _ if has_columns_for_hunts => FOR_HUNTS,
        _ => ".zstd",
    };
    let bytes = bytes(columns, layout).map_err(LakeError::parquet(table))?;
    let day = Date32Type::to_naive_date_opt(day).map_or_else(|| OUTLIER_DAY.to_owned(), |day| day.to_string());
    Ok(Encoded { day, bytes, rows: rows as u64, kind, stats })
}

fn bytes(columns: Vec<EncodedColumn>, layout: &Layout) -> Result<PutPayload, ParquetError> {
    let schema = Arc::new(Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
    let chunks = columns.iter().flat_map(|column| column.groups.iter().flatten());
    let sizes = chunks.map(|chunk| chunk.bytes() + FOOTER_BYTES);
    let blocks = Blocks(PutPayloadMut::new().with_block_size(BLOCK_BYTES.min(sizes.sum())));
    let properties = properties(&schema, layout);
    let (mut file, _) = ArrowWriter::try_new(blocks, schema, Some(properties))?.into_serialized_writer()?;
    let mut columns: Vec<_> = columns.into_iter().map(|column| column.groups.into_iter()).collect();
    loop {
        let chunks: Vec<_> = columns.iter_mut().filter_map(Iterator::next).collect();
        if chunks.is_empty() {
            return Ok(file.into_inner()?.0.freeze());
        }
        let mut group = file.next_row_group()?;
        for chunk in chunks.into_iter().flatten() {
            chunk.append_to(&mut group)?;
        }
        group.close()?;
    }
}

struct Blocks(PutPayloadMut);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn properties(schema: &Schema, layout: &Layout) -> WriterProperties {
    let properties = WriterProperties::builder().set_created_by(concat!("tarn ", env!("CARGO_PKG_VERSION")).to_owned());
    let order = match schema.index_of(layout.time_column) {
        Ok(index) if schema.fields()[..index].iter().all(|f| !f.data_type().is_nested()) => {
            Some(vec![SortingColumn { column_idx: index as i32, descending: false, nulls_first: true }])
        }
        _ => None,
    };
    properties.set_sorting_columns(order).build()
}
