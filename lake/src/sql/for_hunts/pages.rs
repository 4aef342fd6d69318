//! Pages of a column chunk, one after the other.
//!
//! What undoes zstd is made once a file, not once a chunk as Parquet's own reader does: that costs as much as a small page. Blocks of LZ4
//! go to the library in C, which takes half the time of the one that Parquet's reader has.
//! **Errors**: pages that are cut short, or are not what the chunk says that they are.

use super::coded::{range, split};
use bytes::{Buf, Bytes};
use lz4::block::decompress_to_buffer;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// The longest page that is read, decompressed.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// Room for a decompressed page, to begin with.
const ROOM_BYTES: usize = 256 << 10;
/// Rooms that wait for a page, and bytes of the longest of them.
const ROOMS_MAX: usize = 4;
const ROOM_BYTES_MAX: usize = 1 << 20;

/// A byte of LZ4 stands for no more than so many.
const LZ4_BYTES_MAX: usize = 255;

/// Undoes compression.
#[derive(Default)]
pub(in crate::sql) struct Unpack {
    zstd: Option<Decompressor<'static>>,
    /// Whether pages go before the next one is asked for: they need no memory of their own.
    are_short_lived: bool,
}

/// Memory of pages that are no more. Blocks of LZ4 do not say how long they become.
static ROOMS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn take_room() -> Vec<u8> {
    let room = ROOMS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    room.unwrap_or_else(|| vec![0; ROOM_BYTES])
}

fn give_back(room: Vec<u8>) {
    let mut rooms = ROOMS.lock().unwrap_or_else(PoisonError::into_inner);
    if rooms.len() < ROOMS_MAX && room.len() <= ROOM_BYTES_MAX {
        rooms.push(room);
    }
}

/// A page that gives its room back.
struct InRoom {
    room: Vec<u8>,
    length: usize,
}

impl AsRef<[u8]> for InRoom {
    fn as_ref(&self) -> &[u8] {
        &self.room[..self.length]
    }
}

impl Drop for InRoom {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.room));
    }
}

/// What is undone here.
#[derive(Clone, Copy)]
enum Codec {
    Zstd,
    Lz4,
}

impl Codec {
    fn of(compression: Compression) -> Option<Self> {
        match compression {
            Compression::ZSTD(_) => Some(Self::Zstd),
            Compression::LZ4_RAW => Some(Self::Lz4),
            _ => None,
        }
    }
}

impl Unpack {
    /// For pages of which each goes before the next one is asked for.
    pub(in crate::sql) fn of_short_lived() -> Self {
        Self { are_short_lived: true, ..Self::default() }
    }

    /// A page of which all but the first `plain` bytes are compressed.
    fn decompressed(&mut self, codec: Codec, page: &Bytes, plain: usize) -> Result<Bytes, ParquetError> {
        let (before, block) = page.split_at_checked(plain).ok_or_else(|| broken("its levels are cut short"))?;
        // Of no values there is nothing to compress.
        if block.is_empty() {
            return Ok(page.clone());
        }
        match codec {
            Codec::Zstd => self.of_zstd(before, block),
            Codec::Lz4 => self.of_lz4(before, block),
        }
    }

    fn of_zstd(&mut self, before: &[u8], frame: &[u8]) -> Result<Bytes, ParquetError> {
        let length = get_frame_content_size(frame).ok().flatten().map(|length| length as usize);
        let length = length.filter(|length| *length <= PAGE_BYTES_MAX);
        let length = length.ok_or_else(|| broken("it says no length, or one of more than 256 MiB"))?;
        let mut out = Vec::with_capacity(before.len() + length);
        out.extend_from_slice(before);
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(broken)?),
        };
        let mut behind = Cursor::new(&mut out);
        behind.set_position(before.len() as u64);
        zstd.decompress_to_buffer(frame, &mut behind).map_err(broken)?;
        Ok(out.into())
    }

    fn of_lz4(&mut self, before: &[u8], block: &[u8]) -> Result<Bytes, ParquetError> {
        let most = block.len().saturating_mul(LZ4_BYTES_MAX).min(PAGE_BYTES_MAX);
        let mut room = take_room();
        loop {
            room.resize(room.len().max(before.len() + ROOM_BYTES), 0);
            let (levels, behind) = room.split_at_mut(before.len());
            match decompress_to_buffer(block, i32::try_from(behind.len()).ok(), behind) {
                Ok(length) if length <= behind.len() => {
                    levels.copy_from_slice(before);
                    let length = before.len() + length;
                    if self.are_short_lived {
                        return Ok(Bytes::from_owner(InRoom { room, length }));
                    }
                    let page = Bytes::copy_from_slice(&room[..length]);
                    give_back(room);
                    return Ok(page);
                }
                Ok(_) => return Err(broken("it is longer than its room")),
                // It may only lack room, which the library does not tell from damage.
                Err(_) if behind.len() < most => room.resize((room.len() * 2).min(before.len() + most), 0),
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

fn broken(why: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("a page cannot be decompressed: {why}"))
}

/// The pages of one chunk.
pub(super) struct Pages {
    pages: SerializedPageReader<Chunk>,
    codec: Option<Codec>,
}

impl Pages {
    /// Of a chunk of so many rows, whose bytes are those of its [`range`].
    pub(super) fn new(column: &ColumnChunkMetaData, bytes: Bytes, rows: usize) -> Result<Self, ParquetError> {
        let chunk = Arc::new(Chunk { start: range(column)?.start, bytes });
        let codec = Codec::of(column.compression());
        let pages = if codec.is_some() {
            let as_stored = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
            SerializedPageReader::new(chunk, &as_stored, rows, None)?
        } else {
            SerializedPageReader::new(chunk, column, rows, None)?
        };
        Ok(Self { pages, codec })
    }

    /// The next page as it is stored, if [`Unpack`] undoes that; none at the end.
    pub(super) fn stored(&mut self) -> Result<Option<Page>, ParquetError> {
        self.pages.get_next_page()
    }

    /// A stored page, decompressed.
    pub(super) fn decompressed(&self, mut page: Page, unpack: &mut Unpack) -> Result<Page, ParquetError> {
        if let Some(codec) = self.codec {
            match &mut page {
                Page::DictionaryPage { buf, .. } | Page::DataPage { buf, .. } => {
                    *buf = unpack.decompressed(codec, buf, 0)?
                }
                Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
                    let plain = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                    *buf = unpack.decompressed(codec, buf, plain)?;
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
