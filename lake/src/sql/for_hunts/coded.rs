//! Texts of a column chunk as its pages have them: numbers of a dictionary's values stay numbers.
//!
//! What a matcher thinks of a value it can keep by the value's number, and go on from row to row without looking at texts.
//! **In**: chunks of texts that are not nested ([`can_be`]), pages of either version. **Out**: arrays of [`coded`]. Rows of
//! pages without a dictionary number their values one by one.
//! **Errors**: pages that are cut short, or that name values which are not there.

use super::delta::lengths;
use super::hybrid::Hybrid;
use super::pages::{Pages, Unpack};
use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanBufferBuilder, DictionaryArray, PrimitiveArray, StringViewArray,
    StringViewBuilder, make_view,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use arrow::util::bit_chunk_iterator::UnalignedBitChunk;
use arrow::util::bit_iterator::BitIndexIterator;
use bytes::{Buf, Bytes};
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use simdutf8::basic::from_utf8;
use std::ops::Range;
use std::sync::Arc;

/// The type of texts that are read as numbers in a list of values.
///
/// **Shape**: `Dictionary(Int32, Utf8View)`. Arrays whose rows are all of one page's dictionary share their values.
pub(super) fn coded() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View))
}

/// What becomes of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// [`coded`].
    Coded,
    /// `BinaryView`: their bytes, which nobody has checked yet. Of few rows they are texts again.
    Bytes,
}

impl Form {
    /// The form of a type; none where texts do not become that.
    pub(super) fn of(asked: &DataType) -> Option<Self> {
        match asked {
            DataType::BinaryView => Some(Self::Bytes),
            asked if *asked == coded() => Some(Self::Coded),
            _ => None,
        }
    }

    /// Texts of any origin in that form, each a value of its own.
    pub(super) fn with(self, texts: StringViewArray) -> Result<ArrayRef, ArrowError> {
        if self == Self::Bytes {
            return Ok(Arc::new(texts.to_binary_view()));
        }
        let numbers = (0..texts.len() as i32).collect();
        let keys = PrimitiveArray::<Int32Type>::try_new(numbers, texts.nulls().cloned())?;
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(texts))?))
    }
}

/// The leaf of a column that can be read as coded texts.
pub(in crate::sql) fn leaf(footer: &ParquetMetaData, column: usize) -> Option<usize> {
    let schema = footer.file_metadata().schema_descr();
    let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == column)?;
    can_be(footer, leaf).then_some(leaf)
}

/// Rows of the longest row group that is read so: what is made of a page may be as large, however short the page is.
const GROUP_ROWS_MAX: i64 = 1 << 22;

/// Whether a leaf can be read so, in all row groups of its file.
fn can_be(file: &ParquetMetaData, leaf: usize) -> bool {
    let of_numbers = [Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
    let of_texts = [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY];
    file.row_groups().iter().map(|group| (group.num_rows(), group.column(leaf))).all(|(rows, column)| {
        let levels = (column.column_descr().max_rep_level(), column.column_descr().max_def_level());
        let is_flat = matches!(levels, (0, 0 | 1));
        let is_known = |own| of_numbers.contains(&own) || of_texts.contains(&own);
        let is_bounded = (0..=GROUP_ROWS_MAX).contains(&rows);
        is_flat && is_bounded && column.column_type() == Type::BYTE_ARRAY && column.encodings().all(is_known)
    })
}

/// Where a chunk is in its file.
///
/// **Errors**: numbers of the footer that cannot be.
pub(in crate::sql) fn range(column: &ColumnChunkMetaData) -> Result<Range<u64>, ParquetError> {
    let (start, bytes) =
        (column.dictionary_page_offset().unwrap_or(column.data_page_offset()), column.compressed_size());
    let place = u64::try_from(start).ok().zip(u64::try_from(bytes).ok());
    let range = place.and_then(|(start, bytes)| Some(start..start.checked_add(bytes)?));
    range.ok_or_else(|| ParquetError::General(format!("a column chunk of {bytes} bytes at {start}")))
}

/// The rows of one chunk, one after the other.
pub(super) struct Texts {
    pages: Pages,
    form: Form,
    is_optional: bool,
    dictionary: Option<Arc<StringViewArray>>,
    page: Option<PageAtHand>,
    /// Rows of pages that are still to come.
    left: usize,
    /// Scratch: numbers of rows that have a value.
    numbers: Vec<i32>,
}

impl Texts {
    /// Of a chunk of so many rows, whose bytes are those of its [`range`].
    pub(super) fn new(
        column: &ColumnChunkMetaData,
        bytes: Bytes,
        rows: usize,
        form: Form,
    ) -> Result<Self, ParquetError> {
        Ok(Self {
            pages: Pages::new(column, bytes, rows)?,
            form,
            is_optional: column.column_descr().max_def_level() > 0,
            dictionary: None,
            page: None,
            left: rows,
            numbers: Vec::new(),
        })
    }

    /// The next `rows` rows.
    pub(super) fn next(&mut self, rows: usize, unpack: &mut Unpack) -> Result<ArrayRef, ParquetError> {
        let mut out = Out::of(rows);
        while out.keys.len() < rows {
            let left = rows - out.keys.len();
            match &mut self.page {
                Some(page) if page.rows > 0 => page.take(left, &mut self.numbers, &mut out)?,
                _ => self.page = Some(self.next_page(unpack)?),
            }
        }
        let dictionary = self.dictionary.as_ref();
        Ok(match self.form {
            Form::Coded => out.finish(dictionary)?,
            Form::Bytes => out.bytes(dictionary)?,
        })
    }

    fn next_page(&mut self, unpack: &mut Unpack) -> Result<PageAtHand, ParquetError> {
        loop {
            let page = self.stored()?;
            if let Some(page) = self.open(page, unpack)? {
                return Ok(page);
            }
        }
    }

    /// The next page as it is stored.
    ///
    /// **Errors**: pages of more or fewer rows than the row group has: what is made of them is as large.
    fn stored(&mut self) -> Result<Page, ParquetError> {
        let page = self.pages.stored()?;
        let page = page.ok_or_else(|| ParquetError::EOF("a column chunk has fewer rows than its row group".into()))?;
        // A dictionary has no rows.
        let left = self.left.checked_sub(if page.is_data_page() { page.num_values() as usize } else { 0 });
        let more = || ParquetError::General("a column chunk has more rows than its row group".into());
        self.left = left.ok_or_else(more)?;
        Ok(page)
    }

    /// The rows of a stored page; none where it is the dictionary, which is kept.
    fn open(&mut self, page: Page, unpack: &mut Unpack) -> Result<Option<PageAtHand>, ParquetError> {
        match self.pages.decompressed(page, unpack)? {
            Page::DictionaryPage { buf, num_values, .. } => {
                let (mut texts, mut views) = (ByteArrays::plain(buf), Vec::new());
                for _ in 0..num_values {
                    views.push(texts.view(0)?);
                }
                let values = StringViewArray::try_new(views.into(), vec![texts.bytes], None)?;
                self.dictionary = Some(Arc::new(values));
                Ok(None)
            }
            Page::DataPage { mut buf, num_values, encoding, def_level_encoding, .. } => {
                let levels = match (self.is_optional, def_level_encoding) {
                    (false, _) => None,
                    (true, Encoding::RLE) => {
                        let bytes = split(&mut buf, 4)?.get_u32_le() as usize;
                        Some(split(&mut buf, bytes)?)
                    }
                    (true, other) => return Err(ParquetError::NYI(format!("levels in the encoding {other}"))),
                };
                PageAtHand::new(num_values, levels, buf, encoding).map(Some)
            }
            Page::DataPageV2 { mut buf, num_values, encoding, num_nulls, def_levels_byte_len, .. } => {
                let levels = split(&mut buf, def_levels_byte_len as usize)?;
                let levels = (self.is_optional && num_nulls > 0).then_some(levels);
                PageAtHand::new(num_values, levels, buf, encoding).map(Some)
            }
        }
    }
}

/// Picks rows of one chunk. Pages that have none of them are not decompressed.
pub(in crate::sql) struct Picker {
    texts: Texts,
    rows: usize,
}

impl Picker {
    /// For a chunk of so many rows, whose bytes are those of its [`range`].
    pub(in crate::sql) fn new(column: &ColumnChunkMetaData, bytes: Bytes, rows: usize) -> Result<Self, ParquetError> {
        Ok(Self { texts: Texts::new(column, bytes, rows, Form::Bytes)?, rows })
    }

    /// Adds the texts of rows, told by their places in the chunk, ascending, all behind those that were picked before: page by
    /// page, until these are so many bytes. How many of the rows it were.
    ///
    /// **Errors**: as reading all of them; a text that is no UTF-8.
    pub(in crate::sql) fn pick(
        &mut self,
        places: &[usize],
        enough: usize,
        unpack: &mut Unpack,
        found: &mut StringViewBuilder,
    ) -> Result<usize, ParquetError> {
        let (mut left, mut bytes) = (places, 0);
        while let Some(next) = left.first().filter(|_| bytes < enough) {
            let first = self.rows - self.texts.left;
            let page = self.texts.stored()?;
            let end = self.rows - self.texts.left;
            if page.is_data_page() && end <= *next {
                continue;
            }
            let Some(page) = self.texts.open(page, unpack)? else { continue };
            let (here, behind) = left.split_at(left.partition_point(|place| *place < end));
            let here = here.iter().map(|place| place - first);
            bytes += page.pick(here, &mut self.texts.numbers, self.texts.dictionary.as_deref(), found)?;
            left = behind;
        }
        Ok(places.len() - left.len())
    }
}

/// A page's rows that are still to come.
struct PageAtHand {
    rows: usize,
    /// Which rows have a value; none where all have.
    levels: Option<Hybrid>,
    values: Values,
}

/// Values of a page, those of rows that have one.
enum Values {
    /// Numbers in the dictionary.
    Numbers(Hybrid),
    /// Texts.
    Plain(ByteArrays),
}

impl PageAtHand {
    fn new(rows: u32, levels: Option<Bytes>, mut values: Bytes, encoding: Encoding) -> Result<Self, ParquetError> {
        let values = match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                // Where no row has a value there may be no width.
                let width = if values.is_empty() { 0 } else { values.get_u8() };
                Values::Numbers(Hybrid::new(values, width)?)
            }
            Encoding::PLAIN => Values::Plain(ByteArrays::plain(values)),
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let lengths = lengths(&mut values, rows as usize)?;
                Values::Plain(ByteArrays { lengths: Some(lengths.into_iter()), ..ByteArrays::plain(values) })
            }
            other => return Err(ParquetError::NYI(format!("texts in the encoding {other}"))),
        };
        let levels = levels.map(|levels| Hybrid::new(levels, 1)).transpose()?;
        Ok(Self { rows: rows as usize, levels, values })
    }

    /// Gives out the page's next rows, up to `rows` of them.
    fn take(&mut self, rows: usize, numbers: &mut Vec<i32>, out: &mut Out) -> Result<(), ParquetError> {
        let rows = rows.min(self.rows);
        self.rows -= rows;
        let first = out.keys.len();
        match &mut self.levels {
            Some(levels) => levels.bits(rows, &mut out.valid)?,
            None => out.valid.append_n(rows, true),
        }
        let with_value = UnalignedBitChunk::new(out.valid.as_slice(), first, rows).count_ones();
        numbers.clear();
        match &mut self.values {
            Values::Numbers(hybrid) => hybrid.numbers(with_value, numbers)?,
            Values::Plain(texts) => {
                out.buffers.push(texts.bytes.clone());
                out.rows_of_plain.push(first..first + rows);
                out.plain.reserve(with_value);
                for _ in 0..with_value {
                    numbers.push(out.plain.len() as i32);
                    // The first buffer is the dictionary's.
                    out.plain.push(texts.view(out.buffers.len() as u32)?);
                }
            }
        }
        if with_value == rows {
            out.keys.extend_from_slice(numbers);
            return Ok(());
        }
        out.keys.resize(first + rows, 0);
        let with_value = BitIndexIterator::new(out.valid.as_slice(), first, rows);
        with_value.zip(numbers).for_each(|(row, number)| out.keys[first + row] = *number);
        Ok(())
    }

    /// Adds some rows of a page that was not begun, ascending; how many bytes these are.
    fn pick(
        mut self,
        rows: impl Iterator<Item = usize>,
        numbers: &mut Vec<i32>,
        dictionary: Option<&StringViewArray>,
        found: &mut StringViewBuilder,
    ) -> Result<usize, ParquetError> {
        let mut valid = BooleanBufferBuilder::new(self.rows);
        match &mut self.levels {
            Some(levels) => levels.bits(self.rows, &mut valid)?,
            None => valid.append_n(self.rows, true),
        }
        let values = |rows: Range<usize>| UnalignedBitChunk::new(valid.as_slice(), rows.start, rows.len()).count_ones();
        numbers.clear();
        if let Values::Numbers(hybrid) = &mut self.values {
            hybrid.numbers(values(0..self.rows), numbers)?;
        }
        // The first row, and the first value, that was not looked at.
        let (mut row_at, mut value_at, mut bytes) = (0, 0, 0);
        for row in rows {
            let skipped = values(row_at..row);
            (row_at, value_at) = (row, value_at + skipped);
            match &mut self.values {
                Values::Numbers(_) if valid.get_bit(row) => {
                    let number = numbers.get(value_at).map(|number| *number as usize);
                    let text = number.zip(dictionary).filter(|(number, all)| *number < all.len());
                    let (number, all) = text.ok_or_else(no_value)?;
                    bytes += all.value(number).len();
                    found.append_value(all.value(number));
                }
                Values::Plain(texts) => {
                    for _ in 0..skipped {
                        texts.next()?;
                    }
                    if valid.get_bit(row) {
                        let text = texts.next()?;
                        let text = from_utf8(&texts.bytes[text]).map_err(|e| ParquetError::External(e.into()))?;
                        bytes += text.len();
                        found.append_value(text);
                        (row_at, value_at) = (row + 1, value_at + 1);
                    } else {
                        found.append_null();
                    }
                }
                Values::Numbers(_) => found.append_null(),
            }
        }
        Ok(bytes)
    }
}

/// Rows as they are put together.
struct Out {
    keys: Vec<i32>,
    valid: BooleanBufferBuilder,
    /// Values of pages without a dictionary, what they point into, and their rows.
    plain: Vec<u128>,
    buffers: Vec<Buffer>,
    rows_of_plain: Vec<Range<usize>>,
}

impl Out {
    fn of(rows: usize) -> Self {
        Self {
            keys: Vec::with_capacity(rows),
            valid: BooleanBufferBuilder::new(rows),
            plain: Vec::new(),
            buffers: Vec::new(),
            rows_of_plain: Vec::new(),
        }
    }

    fn finish(mut self, dictionary: Option<&Arc<StringViewArray>>) -> Result<ArrayRef, ArrowError> {
        let values: ArrayRef = match dictionary {
            Some(values) if self.rows_of_plain.is_empty() => Arc::<StringViewArray>::clone(values),
            _ => {
                let (views, buffers) = self.values(dictionary);
                Arc::new(StringViewArray::try_new(views.into(), buffers, None)?)
            }
        };
        let nulls = self.nulls();
        let keys = PrimitiveArray::<Int32Type>::try_new(self.keys.into(), nulls)?;
        Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
    }

    fn bytes(mut self, dictionary: Option<&Arc<StringViewArray>>) -> Result<ArrayRef, ArrowError> {
        let (views, buffers) = self.values(dictionary);
        let nulls = self.nulls();
        let is_plain = nulls.is_none() && views.len() == self.keys.len() && dictionary.is_none();
        let is_null = |row| nulls.as_ref().is_some_and(|nulls: &NullBuffer| nulls.is_null(row));
        let of_row = |(row, key): (usize, &i32)| match views.get(*key as usize) {
            Some(view) => Ok(*view),
            None if is_null(row) => Ok(0),
            None => Err(ArrowError::from(no_value())),
        };
        let of_rows = match is_plain {
            true => views,
            false => self.keys.iter().enumerate().map(of_row).collect::<Result<_, _>>()?,
        };
        Ok(Arc::new(BinaryViewArray::try_new(of_rows.into(), buffers, nulls)?))
    }

    /// All values, the dictionary's first if any row has one of them, and what they point into.
    fn values(&mut self, dictionary: Option<&Arc<StringViewArray>>) -> (Vec<u128>, Vec<Buffer>) {
        let is_all = self.rows_of_plain.iter().map(Range::len).sum::<usize>() == self.keys.len();
        let before = dictionary.map_or(&[][..], |values| if is_all { &[] } else { values.views() });
        for row in self.rows_of_plain.drain(..).flatten() {
            self.keys[row] += before.len() as i32;
        }
        let none = Buffer::from(&[]);
        let first = dictionary.and_then(|values| values.data_buffers().first().cloned()).unwrap_or(none);
        let buffers = std::iter::once(first).chain(self.buffers.drain(..)).collect();
        (before.iter().copied().chain(self.plain.drain(..)).collect(), buffers)
    }

    fn nulls(&mut self) -> Option<NullBuffer> {
        Some(NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0)
    }
}

fn no_value() -> ParquetError {
    ParquetError::General("a page has the number of a value that its dictionary has not".into())
}

/// Texts one behind the other.
struct ByteArrays {
    bytes: Buffer,
    /// Where the next one begins.
    at: usize,
    /// The lengths of those that are still to come, where each is not in front of its text.
    lengths: Option<std::vec::IntoIter<i32>>,
}

impl ByteArrays {
    /// Each behind its length.
    fn plain(bytes: Bytes) -> Self {
        Self { bytes: bytes.into(), at: 0, lengths: None }
    }

    /// Where the next one is.
    #[inline]
    fn next(&mut self) -> Result<Range<usize>, ParquetError> {
        let (start, length) = match &mut self.lengths {
            Some(lengths) => (self.at, lengths.next().map(|length| length as usize)),
            None => {
                let length = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
                (self.at + 4, length.map(|length| u32::from_le_bytes(*length) as usize))
            }
        };
        let end = length.and_then(|length| start.checked_add(length)).filter(|end| *end <= self.bytes.len());
        self.at = end.ok_or_else(|| ParquetError::EOF("a page ends within its texts".into()))?;
        Ok(start..self.at)
    }

    /// The view of the next one, in the buffer of this number.
    #[inline]
    fn view(&mut self, buffer: u32) -> Result<u128, ParquetError> {
        let text = self.next()?;
        Ok(make_view(&self.bytes[text.clone()], buffer, text.start as u32))
    }
}

/// The first `bytes`, which are taken off.
pub(super) fn split(page: &mut Bytes, bytes: usize) -> Result<Bytes, ParquetError> {
    if bytes > page.len() {
        return Err(ParquetError::EOF(format!("{bytes} bytes of a page where only {} are left", page.len())));
    }
    Ok(page.split_to(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, RecordBatch, StringArray};
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use proptest::prelude::*;

    /// How a column is written.
    #[derive(Clone, Debug)]
    struct Written {
        version: WriterVersion,
        dictionary_bytes: Option<usize>,
        page_rows: usize,
        group_rows: usize,
        is_optional: bool,
        encoding: Encoding,
        compression: Compression,
    }

    fn written() -> impl Strategy<Value = Written> {
        let version = prop_oneof![Just(WriterVersion::PARQUET_1_0), Just(WriterVersion::PARQUET_2_0)];
        let dictionary = proptest::option::of(prop_oneof![Just(64_usize), Just(1 << 20)]);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let compression = prop_oneof![
            Just(Compression::UNCOMPRESSED),
            Just(Compression::SNAPPY),
            Just(Compression::LZ4_RAW),
            Just(zstd),
        ];
        let encoding = prop_oneof![Just(Encoding::PLAIN), Just(Encoding::DELTA_LENGTH_BYTE_ARRAY)];
        (version, dictionary, 1_usize..300, 1_usize..700, any::<bool>(), encoding, compression).prop_map(
            |(version, dictionary_bytes, page_rows, group_rows, is_optional, encoding, compression)| Written {
                version,
                dictionary_bytes,
                page_rows,
                group_rows,
                is_optional,
                encoding,
                compression,
            },
        )
    }

    /// Runs of few values, of none, and of values that do not come again.
    fn texts() -> impl Strategy<Value = Vec<Option<String>>> {
        let run = (0_u8..4, 1_usize..200, "[a-cé]{0,20}");
        proptest::collection::vec(run, 0..12).prop_map(|runs| {
            let run = |(at, (kind, rows, text)): (usize, (u8, usize, String))| {
                let text = move |row: usize| match kind {
                    0 => None,
                    1 => Some(text.clone()),
                    2 => (!row.is_multiple_of(3)).then(|| format!("{text}{}", row % 5)),
                    _ => Some(format!("{text} of its own {at} {row}")),
                };
                (0..rows).map(text)
            };
            runs.into_iter().enumerate().flat_map(run).collect()
        })
    }

    fn file(texts: &[Option<String>], written: &Written) -> Result<Bytes, ParquetError> {
        let properties = WriterProperties::builder()
            .set_writer_version(written.version)
            .set_compression(written.compression)
            .set_encoding(written.encoding)
            .set_dictionary_enabled(written.dictionary_bytes.is_some())
            .set_dictionary_page_size_limit(written.dictionary_bytes.unwrap_or(1))
            .set_data_page_row_count_limit(written.page_rows)
            .set_write_batch_size(16)
            .set_max_row_group_row_count(Some(written.group_rows))
            .build();
        let text = |text: &Option<String>| {
            if written.is_optional { text.clone() } else { Some(text.clone().unwrap_or_default()) }
        };
        let column: ArrayRef = Arc::new(texts.iter().map(text).collect::<StringArray>());
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, written.is_optional)]));
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, Arc::clone(&schema), Some(properties))?;
        writer.write(&RecordBatch::try_new(schema, vec![column])?)?;
        writer.close()?;
        Ok(out.into())
    }

    /// All texts of a file, read in steps of some rows.
    fn read(file: &Bytes, step: usize) -> Result<Vec<Option<String>>, ParquetError> {
        let footer = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
        assert!(can_be(footer.metadata(), 0));
        let (mut out, mut unpack) = (Vec::new(), Unpack::default());
        for group in footer.metadata().row_groups() {
            let range = range(group.column(0))?;
            let bytes = file.slice(range.start as usize..range.end as usize);
            let mut left = group.num_rows() as usize;
            let mut texts = Texts::new(group.column(0), bytes.clone(), left, Form::Coded)?;
            let mut as_bytes = Texts::new(group.column(0), bytes, left, Form::Bytes)?;
            while left > 0 {
                let rows = texts.next(step.min(left), &mut unpack)?;
                let bytes = as_bytes.next(step.min(left), &mut unpack)?;
                let rows = rows.as_dictionary::<Int32Type>();
                left -= rows.len();
                let values = rows.downcast_dict::<StringViewArray>();
                let bytes = bytes.as_binary_view().iter();
                for (text, bytes) in values.into_iter().flatten().zip(bytes) {
                    assert_eq!(text.map(str::as_bytes), bytes);
                    out.push(text.map(str::to_owned));
                }
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(texts in texts(), written in written(), step in 1_usize..400) {
            let expected: Vec<_> = texts.iter().map(|text| if written.is_optional { text.clone() } else { Some(text.clone().unwrap_or_default()) }).collect();
            prop_assert_eq!(read(&file(&texts, &written)?, step)?, expected);
        }

        #[test]
        fn some_are_picked(texts in texts(), written in written(), chosen in proptest::collection::vec(any::<bool>(), 1..40), enough in 1_usize..2_000) {
            let file = file(&texts, &written)?;
            let all = read(&file, 100)?;
            let is_chosen = |row: &usize| chosen[row % chosen.len()];
            let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
            let (mut first, mut unpack, mut found) = (0, Unpack::of_short_lived(), StringViewBuilder::new());
            for group in footer.metadata().row_groups() {
                let rows = group.num_rows() as usize;
                let range = range(group.column(0))?;
                let places: Vec<usize> = (0..rows).filter(|place| is_chosen(&(first + place))).collect();
                let bytes = file.slice(range.start as usize..range.end as usize);
                let mut picker = Picker::new(group.column(0), bytes, rows)?;
                let mut at = 0;
                while at < places.len() {
                    let picked = picker.pick(&places[at..], enough, &mut unpack, &mut found)?;
                    prop_assert!(picked > 0);
                    at += picked;
                }
                first += rows;
            }
            let found: Vec<Option<String>> = found.finish().iter().map(|text| text.map(str::to_owned)).collect();
            let expected: Vec<_> = all.into_iter().enumerate().filter(|(row, _)| is_chosen(row)).map(|(_, text)| text).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn damaged_pages_are_errors_or_texts(
            texts in texts(),
            written in written(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = file(&texts, &written)?.to_vec();
            let footer = bytes[..bytes.len() - 4].last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
            let pages = 4..bytes.len() - 8 - footer;
            if pages.is_empty() {
                return Ok(());
            }
            for (at, byte) in damage {
                bytes[pages.start + at.index(pages.len())] = byte;
            }
            let bytes = Bytes::from(bytes);
            if let Ok(read) = read(&bytes, 100) {
                prop_assert_eq!(read.len(), texts.len());
            }
            let footer = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
            for group in footer.metadata().row_groups() {
                let (rows, mut found) = (group.num_rows() as usize, StringViewBuilder::new());
                let places: Vec<usize> = (0..rows).step_by(3).collect();
                let chunk = range(group.column(0))?;
                let chunk = bytes.slice(chunk.start as usize..chunk.end as usize);
                let picked = Picker::new(group.column(0), chunk, rows)
                    .and_then(|mut all| all.pick(&places, usize::MAX, &mut Unpack::of_short_lived(), &mut found));
                if let Ok(picked) = picked {
                    prop_assert_eq!((picked, found.finish().len()), (places.len(), places.len()));
                }
            }
        }
    }

    #[test]
    fn rows_of_a_dictionary_share_its_values() -> Result<(), ParquetError> {
        let written = Written {
            version: WriterVersion::PARQUET_2_0,
            dictionary_bytes: Some(1 << 20),
            page_rows: 10,
            group_rows: 1000,
            is_optional: true,
            encoding: Encoding::PLAIN,
            compression: Compression::ZSTD(ZstdLevel::default()),
        };
        let texts: Vec<_> = (0..100).map(|row| (row % 7 != 0).then(|| format!("text {}", row % 4))).collect();
        let file = file(&texts, &written)?;
        let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
        let column = footer.metadata().row_group(0).column(0);
        let range = range(column)?;
        let mut rows = Texts::new(column, file.slice(range.start as usize..range.end as usize), 100, Form::Coded)?;
        let unpack = &mut Unpack::default();
        let (first, second) = (rows.next(35, unpack)?, rows.next(65, unpack)?);
        let values = [&first, &second].map(|rows| Arc::clone(rows.as_dictionary::<Int32Type>().values()));
        assert!(Arc::ptr_eq(&values[0], &values[1]));
        assert_eq!(values[0].len(), 4);
        assert!(matches!(rows.next(1, unpack), Err(ParquetError::EOF(_))));
        Ok(())
    }
}
