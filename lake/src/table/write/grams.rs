//! Which short texts are in a block of rows: what lets a hunt for keywords leave out most of a file.
//!
//! A block is [`BLOCK_ROWS`] rows. All its texts but `raw_data`, also those in lists and in lists of objects, are taken apart,
//! in lower case, into texts of four bytes, each of which sets one of [`BITS`] bits. A text that lacks a bit is in no value of
//! the block. Four hexadecimal digits or dashes set no bit: numbers and identifiers are of all kinds, and would set them all.
//! The column [`GRAMS`] has the bits, in the first row of each block.

use super::members::UNMAPPED;
use super::{CHUNK_ROWS, ColumnEncoder, EncodedColumn, Layout};
use crate::error::LakeError;
use crate::table::schema::RAW_DATA;
use ahash::{AHashSet, RandomState};
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use std::sync::Arc;

/// The column of the bits.
pub(crate) const GRAMS: &str = "grams{}";
/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 1024;

const BITS_LOG: u32 = 17;
/// Bits of a block.
const BITS: usize = 1 << BITS_LOG;
/// Bytes that make a gram.
const GRAM: u32 = 4;
/// The one character beyond ASCII whose lower case is within.
const KELVIN: char = '\u{212a}';

/// The bits of a file's blocks, as its columns go by.
pub(crate) struct Grams {
    rows: usize,
    blocks: Vec<Box<[u64]>>,
    /// Hashes, by a key of chance, of the values of the column and block at hand.
    seen: AHashSet<u64>,
    state: RandomState,
    /// Scratch.
    text: Vec<u8>,
}

impl Grams {
    pub(crate) fn new(rows: usize) -> Self {
        let block = || vec![0; BITS / 64].into_boxed_slice();
        Self {
            rows,
            blocks: std::iter::repeat_with(block).take(rows.div_ceil(BLOCK_ROWS)).collect(),
            seen: AHashSet::new(),
            state: RandomState::new(),
            text: Vec::new(),
        }
    }

    /// Takes rows of a column from `first` on.
    pub(crate) fn add(&mut self, field: &Field, first: usize, array: &ArrayRef) {
        if matches!(field.name().as_str(), RAW_DATA | UNMAPPED) {
            return;
        }
        match array.data_type() {
            DataType::Utf8 => self.texts(first, array.as_string(), |row| row),
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let starts = lists.value_offsets();
                let row = |element: usize| starts.partition_point(|start| *start as usize <= element).saturating_sub(1);
                let values = lists.values();
                let children = values.as_struct_opt().map_or_else(|| vec![values], |of| of.columns().iter().collect());
                for texts in children.into_iter().filter_map(|child| child.as_string_opt()) {
                    self.texts(first, texts, row);
                }
            }
            _ => {}
        }
    }

    fn texts(&mut self, first: usize, texts: &StringArray, row: impl Fn(usize) -> usize) {
        let mut block = usize::MAX;
        for (at, text) in texts.iter().enumerate() {
            let Some(text) = text.filter(|text| text.len() >= GRAM as usize) else { continue };
            let of = (first + row(at)) / BLOCK_ROWS;
            if of != block {
                self.seen.clear();
                block = of;
            }
            let Some(bits) = self.blocks.get_mut(of) else { continue };
            if self.seen.insert(self.state.hash_one(text)) {
                grams(text.as_bytes(), &mut |bit| bits[bit / 64] |= 1 << (bit % 64));
                // As it is read where it is JSON.
                if unescaped(text, &mut self.text) {
                    grams(&self.text, &mut |bit| bits[bit / 64] |= 1 << (bit % 64));
                }
            }
        }
    }

    /// The column.
    pub(crate) fn finish(self, table: &str, layout: &Layout) -> Result<Option<EncodedColumn>, LakeError> {
        let field: FieldRef = Arc::new(Field::new(GRAMS, DataType::Binary, true));
        let mut writer = ColumnEncoder::new(table, &field, layout)?.writer();
        let mut left = self.rows;
        for blocks in self.blocks.chunks(CHUNK_ROWS / BLOCK_ROWS) {
            let mut values = BinaryBuilder::new();
            for block in blocks {
                let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
                values.append_value(&bytes);
                let rows = left.min(BLOCK_ROWS);
                values.append_nulls(rows.saturating_sub(1));
                left -= rows;
            }
            let values: ArrayRef = Arc::new(values.finish());
            writer.write(&values).map_err(LakeError::parquet(table))?;
        }
        writer.finish().map_err(LakeError::parquet(table))
    }
}

/// The bits of a text's grams.
fn grams(text: &[u8], found: &mut impl FnMut(usize)) {
    let (mut gram, mut length, mut plain) = (0_u32, 0_u32, 0_u32);
    for byte in text {
        let byte = byte.to_ascii_lowercase();
        let hex = byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-');
        gram = gram << 8 | u32::from(byte);
        length += 1;
        // How many bytes ago the last one was that is no digit.
        plain = if hex { plain.saturating_add(1) } else { 0 };
        if length >= GRAM && plain < GRAM {
            found((gram.wrapping_mul(0x9e37_79b1) >> (32 - BITS_LOG)) as usize);
        }
    }
}

/// A text with its escapes by number read, as JSON reads them; false where there are none, nor a character that is another's
/// lower case.
fn unescaped(text: &str, out: &mut Vec<u8>) -> bool {
    let kelvin = !text.is_ascii() && text.contains(KELVIN);
    if !kelvin && !text.contains("\\u") {
        return false;
    }
    out.clear();
    let mut any = kelvin;
    let mut rest = text;
    while let Some(at) = rest.find(['\\', KELVIN]) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let number = rest.strip_prefix("\\u").and_then(|r| u32::from_str_radix(r.get(..4)?, 16).ok());
        let used = match number.and_then(char::from_u32) {
            Some(char) => {
                any = true;
                out.push(match char {
                    KELVIN => b'k',
                    char => u8::try_from(char).ok().filter(u8::is_ascii).unwrap_or(b'?'),
                });
                6
            }
            None if rest.starts_with(KELVIN) => {
                out.push(b'k');
                KELVIN.len_utf8()
            }
            // The backslash of `\\\\` escapes the next, which then escapes nothing.
            None => {
                out.push(b'\\');
                1 + rest[1..].chars().next().map_or(0, char::len_utf8)
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
    any
}

/// What is looked for: all of one of these lists, each of which is texts of which one is there.
#[derive(Clone, Debug)]
pub(crate) struct Needles(Vec<Vec<Vec<Vec<usize>>>>);

impl Needles {
    /// Texts are in lower case; those that set no bit may be anywhere.
    pub(crate) fn new(sought: &[Vec<Vec<String>>]) -> Self {
        let bits = |text: &String| {
            let mut bits = Vec::new();
            grams(text.as_bytes(), &mut |bit| bits.push(bit));
            bits
        };
        let any = |texts: &Vec<String>| texts.iter().map(bits).collect();
        Self(sought.iter().map(|all| all.iter().map(any).collect()).collect())
    }

    /// Whether that may be in a block.
    pub(crate) fn may_be_in(&self, block: &[u8]) -> bool {
        let is_set = |bit: &usize| block.get(bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 == 1);
        let any = |texts: &Vec<Vec<usize>>| texts.iter().any(|bits| bits.iter().all(is_set));
        self.0.iter().any(|all| all.iter().all(any))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(texts: &[&str]) -> Vec<u8> {
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let mut grams = Grams::new(texts.len());
        grams.add(&Field::new("message", DataType::Utf8, true), 0, &array);
        grams.blocks[0].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_there_may_be_there() {
        let of = |needle: &str| Needles::new(&[vec![vec![needle.to_owned()]]]);
        let texts = [
            "run SEKURLSA::logonpasswords now",
            r#""C:\\users\\\u006d\u0069mikatz.exe""#,
            "4f1e-00aa-mimi\u{212a}atz",
            "x",
        ];
        let block = block(&texts);
        for needle in ["sekurlsa::", "mimikatz", "mikatz.exe", "users", "00aa-mimi"] {
            assert!(of(needle).may_be_in(&block), "{needle}");
        }
        for needle in ["lsadump::", "kiwi legit printer", "gentilkiwi.com"] {
            assert!(!of(needle).may_be_in(&block), "{needle}");
        }
        for needle in ["4624", "dead-beef", "abc", ""] {
            assert!(of(needle).may_be_in(&block), "{needle} sets no bit");
        }
        let all =
            |texts: &[&[&str]]| vec![texts.iter().map(|any| any.iter().map(|t| (*t).to_owned()).collect()).collect()];
        assert!(Needles::new(&all(&[&["lsadump::", "users"], &["mimikatz"]])).may_be_in(&block));
        assert!(!Needles::new(&all(&[&["lsadump::", "dpapi::"], &["mimikatz"]])).may_be_in(&block));
    }

    #[test]
    fn blocks_are_apart() {
        let texts: Vec<String> =
            (0..3000).map(|row| if row == 2500 { "lsadump::sam".into() } else { format!("row {row}") }).collect();
        let array: ArrayRef = Arc::new(StringArray::from(texts));
        let mut grams = Grams::new(3000);
        grams.add(&Field::new("message", DataType::Utf8, true), 0, &array);
        let needles = Needles::new(&[vec![vec!["lsadump::".to_owned()]]]);
        let bytes = |block: &[u64]| block.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let may: Vec<bool> = grams.blocks.iter().map(|block| needles.may_be_in(&bytes(block))).collect();
        assert_eq!(may, [false, false, true]);
    }
}
