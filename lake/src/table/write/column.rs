//! One column of a file: its rows, in order, to the chunks of its row groups.

use super::{CHUNK_ROWS, Layout};
use crate::error::LakeError;
use crate::table::ARRIVAL;
use crate::table::schema::{has_statistics, is_bulk};
use crate::table::stats::Gathered;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use std::io::sink;
use std::sync::Arc;

/// Rows of a row group: small enough that its statistics prune.
const ROW_GROUP_ROWS: usize = 65_536;

/// In a short file a column of fewer bytes is not compressed: setting up its compressor takes longer than all else that
/// is done with it, and saves next to nothing.
const COMPRESSED_BYTES_MIN: usize = 8 << 10;

/// Encodes a column of any number of files.
pub(crate) struct ColumnEncoder<'a> {
    table: &'a str,
    field: &'a FieldRef,
    /// Whether the column stays where it has no value.
    stays: bool,
    compressed: ArrowRowGroupWriterFactory,
    plain: ArrowRowGroupWriterFactory,
}

/// A column of one file.
pub(crate) struct EncodedColumn {
    pub(super) field: FieldRef,
    /// The chunks of each row group, one a leaf.
    pub(super) groups: Vec<Vec<ArrowColumnChunk>>,
    /// Its statistics, where it gets some.
    pub(super) gathered: Option<Gathered>,
}

impl<'a> ColumnEncoder<'a> {
    pub(crate) fn new(table: &'a str, field: &'a FieldRef, layout: &Layout) -> Result<Self, LakeError> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
        let writers = |compression| writers(field, &schema, compression).map_err(LakeError::parquet(table));
        let zstd = ZstdLevel::try_new(1).map_err(LakeError::parquet(table))?;
        let (compressed, plain) = (writers(Compression::ZSTD(zstd))?, writers(Compression::UNCOMPRESSED)?);
        Ok(Self { table, field, stays: field.name() == layout.time_column, compressed, plain })
    }

    /// All `rows` of a file, which come in arrays of up to [`CHUNK_ROWS`], and each but the last in one of so many. None where
    /// none has a value.
    pub(crate) fn encode(
        &self,
        rows: usize,
        arrays: impl Iterator<Item = Result<ArrayRef, LakeError>>,
    ) -> Result<Option<EncodedColumn>, LakeError> {
        let parquet = LakeError::parquet(self.table);
        let mut gathered = Gathered::of(self.field.name());
        let (mut groups, mut writers, mut nulls) = (Vec::new(), Vec::new(), 0);
        for (at, array) in arrays.enumerate() {
            let array = array?;
            nulls += array.null_count();
            if rows <= CHUNK_ROWS && nulls == rows && !self.stays {
                return Ok(None);
            }
            if let Some(gathered) = &mut gathered {
                gathered.add(&array);
            }
            if at % (ROW_GROUP_ROWS / CHUNK_ROWS) == 0 {
                groups.extend(closed(&mut writers).map_err(&parquet)?);
                let plain = rows <= CHUNK_ROWS && !is_large(&array);
                let factory = if plain { &self.plain } else { &self.compressed };
                writers = factory.create_column_writers(groups.len()).map_err(&parquet)?;
            }
            write(&mut writers, self.field, &array).map_err(&parquet)?;
        }
        groups.extend(closed(&mut writers).map_err(&parquet)?);
        let field = Arc::clone(self.field);
        Ok((nulls < rows || self.stays).then_some(EncodedColumn { field, groups, gathered }))
    }
}

/// Makes the column's writers for one row group after the other.
fn writers(
    field: &Field,
    schema: &SchemaRef,
    compression: Compression,
) -> Result<ArrowRowGroupWriterFactory, ParquetError> {
    let parquet = ArrowSchemaConverter::new().convert(schema)?;
    let properties = Arc::new(properties(field, compression));
    // Nothing is written there: the columns of a file come together in `assemble`.
    let file = SerializedFileWriter::new(sink(), parquet.root_schema_ptr(), properties)?;
    Ok(ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema)))
}

fn properties(field: &Field, compression: Compression) -> WriterProperties {
    let statistics = match (has_statistics(field.name()), is_bulk(field)) {
        (true, _) => EnabledStatistics::Page,
        (false, true) => EnabledStatistics::None,
        (false, false) => EnabledStatistics::Chunk,
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(statistics)
        .set_dictionary_enabled(!is_bulk(field) && field.name() != ARRIVAL)
        .set_dictionary_page_size_limit(256 * 1024);
    // Distinct, and mostly one more than the row before: differences take bits.
    match field.name() == ARRIVAL {
        true => properties.set_encoding(Encoding::DELTA_BINARY_PACKED).build(),
        false => properties.build(),
    }
}

fn write(writers: &mut [ArrowColumnWriter], field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
    let leaves = compute_leaves(field, array)?;
    writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))
}

/// What the writers of a row group wrote, if there are any.
fn closed(writers: &mut Vec<ArrowColumnWriter>) -> Result<Option<Vec<ArrowColumnChunk>>, ParquetError> {
    let chunks = writers.drain(..).map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
    Ok((!chunks.is_empty()).then_some(chunks))
}

fn is_large(column: &ArrayRef) -> bool {
    column.to_data().get_slice_memory_size().is_ok_and(|bytes| bytes >= COMPRESSED_BYTES_MIN)
}
