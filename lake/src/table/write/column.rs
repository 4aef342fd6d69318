//! One column of a file: its rows, in order, to the chunks of its row groups.

use super::grams::GRAMS;
use super::lz4::{Chunk, Lz4};
use super::members::is_of_files;
use super::pages::Pages;
use super::{CHUNK_ROWS, Layout};
use crate::error::LakeError;
use crate::table::ARRIVAL;
use crate::table::schema::{RAW_DATA, UID, has_statistics, is_bulk};
use crate::table::stats::Gathered;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use std::io::sink;
use std::sync::Arc;

/// Rows of a row group: small enough that its statistics prune.
const ROW_GROUP_ROWS: usize = 65_536;

/// In a short file a column of fewer bytes is not compressed: setting up its compressor takes longer than all else that
/// is done with it, and saves next to nothing.
const COMPRESSED_BYTES_MIN: usize = 8 << 10;

/// A page that compression makes no smaller than this share of it is stored as it is.
const COMPRESSED_TO_MAX: f64 = 0.85;

/// The same of texts that have a dictionary: their pages are its values' numbers, which take longer to decompress than to read.
const NUMBERS_COMPRESSED_TO_MAX: f64 = 0.5;

/// Bytes of a dictionary.
const DICTIONARY_BYTES: usize = 256 << 10;

/// Bytes of a page: it is decompressed for any of its rows, and what reads many columns holds one of each. What is encoded and
/// compressed at once stays in the processor's caches.
const PAGE_BYTES: usize = 128 << 10;

/// A page's size is looked at each time when so many rows were added; of originals, which are long, these.
const PAGE_ROWS: usize = 256;
const PAGE_ROWS_OF_ORIGINALS: usize = 16;

/// Rows of a field that are best encoded at once. Originals are the longest values by far.
pub(super) fn rows_at_once(field: &Field) -> usize {
    if field.name() == RAW_DATA { CHUNK_ROWS / 8 } else { CHUNK_ROWS }
}

/// Encodes a column of any number of files.
pub(crate) struct ColumnEncoder<'a> {
    table: &'a str,
    field: &'a FieldRef,
    /// Whether the column stays where it has no value.
    stays: bool,
    compressed: Arc<ArrowRowGroupWriterFactory>,
    plain: Arc<ArrowRowGroupWriterFactory>,
    /// What compresses it again.
    again: Option<Arc<Lz4>>,
}

/// A column of one file.
pub(crate) struct EncodedColumn {
    pub(super) field: FieldRef,
    /// The chunks of each row group, one a leaf.
    pub(super) groups: Vec<Vec<Chunk>>,
    /// Its statistics, where it gets some.
    pub(super) gathered: Option<Gathered>,
}

impl<'a> ColumnEncoder<'a> {
    pub(crate) fn new(table: &'a str, field: &'a FieldRef, layout: &Layout) -> Result<Self, LakeError> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
        let ascends = field.name() == ARRIVAL || field.name() == layout.time_column;
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(LakeError::parquet(table))?;
        let root = parquet.root_schema_ptr();
        let writers =
            |compression| writers(&schema, &root, properties(field, ascends, compression, layout)).map(Arc::new);
        let writers = |compression| writers(compression).map_err(LakeError::parquet(table));
        let compression = if field.name() == GRAMS { Compression::UNCOMPRESSED } else { layout.compression() };
        let (compressed, plain) = (writers(compression)?, writers(Compression::UNCOMPRESSED)?);
        // What hunts read again and again is quicker to read. Of other columns, numbers as texts for the most part, zstd makes half of
        // what this makes of them.
        let is_for_hunts = field.name() == RAW_DATA || (is_of_files(field.name()) && field.name() != GRAMS);
        let again = (layout.for_hunts && is_for_hunts)
            .then(|| Arc::new(Lz4 { schema: root, compressed_to_max: compressed_to_max(field, ascends) }));
        Ok(Self { table, field, stays: field.name() == layout.time_column, compressed, plain, again })
    }

    /// All `rows` of a file, which come in arrays of [`rows_at_once`], and the last one of what is left. None where none has a
    /// value.
    pub(crate) fn encode(
        &self,
        rows: usize,
        arrays: impl Iterator<Item = Result<ArrayRef, LakeError>>,
    ) -> Result<Option<EncodedColumn>, LakeError> {
        let mut writer = self.writer();
        for array in arrays {
            let array = array?;
            if rows <= CHUNK_ROWS && array.null_count() == rows && !self.stays {
                return Ok(None);
            }
            if rows <= CHUNK_ROWS && !is_large(&array) {
                (writer.factory, writer.again) = (Arc::clone(&self.plain), None);
            }
            writer.write(&array).map_err(LakeError::parquet(self.table))?;
        }
        writer.finish().map_err(LakeError::parquet(self.table))
    }

    /// Writes the column of one file, compressed.
    pub(crate) fn writer(&self) -> ColumnWriter {
        ColumnWriter {
            field: Arc::clone(self.field),
            factory: Arc::clone(&self.compressed),
            again: self.again.clone(),
            stays: self.stays,
            gathered: Gathered::of(self.field.name()),
            groups: Vec::new(),
            writers: Vec::new(),
            rows: 0,
            is_empty: true,
        }
    }
}

/// A column of one file, as its rows come.
pub(crate) struct ColumnWriter {
    field: FieldRef,
    factory: Arc<ArrowRowGroupWriterFactory>,
    again: Option<Arc<Lz4>>,
    stays: bool,
    gathered: Option<Gathered>,
    groups: Vec<Vec<Chunk>>,
    writers: Vec<ArrowColumnWriter>,
    rows: usize,
    /// Whether no row has a value so far.
    is_empty: bool,
}

impl ColumnWriter {
    /// The column.
    pub(crate) fn field(&self) -> &Field {
        &self.field
    }

    /// The next rows: arrays of one length, which a row group is a multiple of, and the last one.
    pub(crate) fn write(&mut self, array: &ArrayRef) -> Result<(), ParquetError> {
        self.is_empty &= array.null_count() == array.len();
        if let Some(gathered) = &mut self.gathered {
            gathered.add(array);
        }
        if self.rows.is_multiple_of(ROW_GROUP_ROWS) {
            self.close_group()?;
            self.writers = self.factory.create_column_writers(self.groups.len())?;
        }
        self.rows += array.len();
        write(&mut self.writers, &self.field, array)
    }

    /// The column; none where no row has a value.
    pub(crate) fn finish(mut self) -> Result<Option<EncodedColumn>, ParquetError> {
        self.close_group()?;
        let column = EncodedColumn { field: self.field, groups: self.groups, gathered: self.gathered };
        Ok((!self.is_empty || self.stays).then_some(column))
    }

    /// Keeps what was written of a row group, if there is one.
    fn close_group(&mut self) -> Result<(), ParquetError> {
        let chunks = self.writers.drain(..).map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        if !chunks.is_empty() {
            self.groups.push(match &self.again {
                Some(again) => again.again(chunks)?,
                None => chunks.into_iter().map(Chunk::Written).collect(),
            });
        }
        Ok(())
    }
}

/// Makes the column's writers for one row group after the other.
fn writers(
    schema: &SchemaRef,
    root: &TypePtr,
    properties: WriterProperties,
) -> Result<ArrowRowGroupWriterFactory, ParquetError> {
    // Nothing is written there: the columns of a file come together in `assemble`.
    let file = SerializedFileWriter::new(sink(), Arc::clone(root), Arc::new(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema)).with_page_store_factory(Arc::new(Pages)))
}

/// Of a column whose values ascend, for the most part, or of another one.
fn properties(field: &Field, ascends: bool, compression: Compression, layout: &Layout) -> WriterProperties {
    // Finding the least text compares all of them, which is not worth it for a file that is soon merged.
    let statistics = match (has_statistics(field.name()), is_bulk(field) || is_of_files(field.name())) {
        (true, _) => EnabledStatistics::Page,
        (false, false) if layout.for_hunts => EnabledStatistics::Chunk,
        (false, _) => EnabledStatistics::None,
    };
    // Pages of the first version are put together before they are compressed, and what they are compressed to is moved twice.
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_data_page_v2_compression_ratio_threshold(compressed_to_max(field, ascends))
        .set_encoding(encoding(field, ascends))
        .set_compression(compression)
        .set_statistics_enabled(statistics)
        .set_dictionary_enabled(has_dictionary(field, ascends))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(if field.name() == RAW_DATA { PAGE_ROWS_OF_ORIGINALS } else { PAGE_ROWS })
        .build()
}

fn encoding(field: &Field, ascends: bool) -> Encoding {
    match field.name().as_str() {
        // Differences of what ascends take bits.
        _ if ascends => Encoding::DELTA_BINARY_PACKED,
        // Between digits, lengths are what zstd finds again: each costs more time than the digits of a uid.
        UID => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        _ => Encoding::PLAIN,
    }
}

fn has_dictionary(field: &Field, ascends: bool) -> bool {
    !is_bulk(field) && !ascends && field.name() != GRAMS
}

fn compressed_to_max(field: &Field, ascends: bool) -> f64 {
    match has_dictionary(field, ascends) && *field.data_type() == DataType::Utf8 {
        true => NUMBERS_COMPRESSED_TO_MAX,
        false => COMPRESSED_TO_MAX,
    }
}

fn write(writers: &mut [ArrowColumnWriter], field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
    let leaves = compute_leaves(field, array)?;
    writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))
}

fn is_large(column: &ArrayRef) -> bool {
    column.to_data().get_slice_memory_size().is_ok_and(|bytes| bytes >= COMPRESSED_BYTES_MIN)
}
