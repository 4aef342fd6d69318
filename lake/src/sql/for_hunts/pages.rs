//! Pages of a column chunk, one after the other.
//!
//! What undoes zstd is made once a file, not once a chunk as Parquet's own reader does: that costs as much as a small page.
//! **Errors**: pages that are cut short, or no zstd.

use super::coded::{range, split};
use bytes::{Buf, Bytes};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::io::Cursor;
use std::sync::Arc;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// The longest page that is read, decompressed.
const PAGE_BYTES_MAX: u64 = 256 << 20;

/// Undoes zstd.
#[derive(Default)]
pub(in crate::sql) struct Zstd(Option<Decompressor<'static>>);

impl Zstd {
    /// A page of which all but the first `plain` bytes are compressed.
    fn decompressed(&mut self, page: &Bytes, plain: usize) -> Result<Bytes, ParquetError> {
        let (before, frame) = page.split_at_checked(plain).ok_or_else(|| broken("its levels are cut short"))?;
        // Of no values there is nothing to compress.
        if frame.is_empty() {
            return Ok(page.clone());
        }
        let length = get_frame_content_size(frame).ok().flatten().filter(|length| *length <= PAGE_BYTES_MAX);
        let length = length.ok_or_else(|| broken("it says no length, or one of more than 256 MiB"))? as usize;
        let mut out = Vec::with_capacity(plain + length);
        out.extend_from_slice(before);
        let zstd = match &mut self.0 {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(broken)?),
        };
        let mut behind = Cursor::new(&mut out);
        behind.set_position(plain as u64);
        zstd.decompress_to_buffer(frame, &mut behind).map_err(broken)?;
        Ok(out.into())
    }
}

fn broken(why: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("a page cannot be decompressed by zstd: {why}"))
}

/// The pages of one chunk.
pub(super) struct Pages {
    pages: SerializedPageReader<Chunk>,
    is_zstd: bool,
}

impl Pages {
    /// Of a chunk of so many rows, whose bytes are those of its [`range`].
    pub(super) fn new(column: &ColumnChunkMetaData, bytes: Bytes, rows: usize) -> Result<Self, ParquetError> {
        let chunk = Arc::new(Chunk { start: range(column)?.start, bytes });
        let is_zstd = matches!(column.compression(), Compression::ZSTD(_));
        let pages = if is_zstd {
            let as_stored = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
            SerializedPageReader::new(chunk, &as_stored, rows, None)?
        } else {
            SerializedPageReader::new(chunk, column, rows, None)?
        };
        Ok(Self { pages, is_zstd })
    }

    /// The next page as it is stored, if by zstd; none at the end.
    pub(super) fn stored(&mut self) -> Result<Option<Page>, ParquetError> {
        self.pages.get_next_page()
    }

    /// A stored page, decompressed.
    pub(super) fn decompressed(&self, mut page: Page, zstd: &mut Zstd) -> Result<Page, ParquetError> {
        if self.is_zstd {
            match &mut page {
                Page::DictionaryPage { buf, .. } | Page::DataPage { buf, .. } => *buf = zstd.decompressed(buf, 0)?,
                Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
                    let plain = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                    *buf = zstd.decompressed(buf, plain)?;
                }
                Page::DataPageV2 { .. } => {}
            }
        }
        Ok(page)
    }
}

/// A column chunk's bytes, at their place in a file.
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let at = start.checked_sub(self.start).filter(|at| *at <= self.bytes.len() as u64);
        let at = at.ok_or_else(|| ParquetError::EOF(format!("a page at {start} is not in its column chunk")))?;
        Ok(self.bytes.slice(at as usize..))
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        split(&mut self.from(start)?, length)
    }
}
