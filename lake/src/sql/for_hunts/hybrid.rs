//! Numbers as Parquet's encoding RLE has them: runs of one number, and groups of eight in as few bits as they take.
//!
//! **Spec**: Apache Parquet, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)". **Errors**: fewer numbers than are asked for.

use arrow::array::BooleanBufferBuilder;
use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;

/// Numbers that are read one after the other.
pub(super) struct Hybrid {
    bytes: Bytes,
    width: usize,
    run: Run,
}

enum Run {
    /// The number, and how often it still comes.
    Same(i32, usize),
    /// Numbers in bits: the next one, and how many there are.
    Packed { bytes: Bytes, at: usize, of: usize },
}

impl Hybrid {
    /// Numbers of `width` bits each.
    pub(super) fn new(bytes: Bytes, width: u8) -> Result<Self, ParquetError> {
        match width {
            0..=32 => Ok(Self { bytes, width: usize::from(width), run: Run::Same(0, 0) }),
            _ => Err(ParquetError::General(format!("numbers of {width} bits, of at most 32"))),
        }
    }

    /// Appends the next `count` numbers.
    pub(super) fn numbers(&mut self, count: usize, out: &mut Vec<i32>) -> Result<(), ParquetError> {
        out.reserve(count);
        let end = out.len() + count;
        while out.len() < end {
            let wanted = end - out.len();
            let width = self.width;
            match &mut self.run {
                Run::Same(_, 0) => self.next_run()?,
                Run::Packed { at, of, .. } if at == of => self.next_run()?,
                Run::Same(number, left) => {
                    let some = wanted.min(*left);
                    *left -= some;
                    out.resize(out.len() + some, *number);
                }
                Run::Packed { bytes, at, of } => {
                    let some = *at..*at + wanted.min(*of - *at);
                    *at = some.end;
                    unpack(bytes, width, some, out);
                }
            }
        }
        Ok(())
    }

    /// Appends the next `count` numbers, of one bit each.
    pub(super) fn bits(&mut self, count: usize, out: &mut BooleanBufferBuilder) -> Result<(), ParquetError> {
        let end = out.len() + count;
        while out.len() < end {
            let wanted = end - out.len();
            match &mut self.run {
                Run::Same(_, 0) => self.next_run()?,
                Run::Packed { at, of, .. } if at == of => self.next_run()?,
                Run::Same(number, left) => {
                    let some = wanted.min(*left);
                    *left -= some;
                    out.append_n(some, *number != 0);
                }
                Run::Packed { bytes, at, of } => {
                    let some = *at..*at + wanted.min(*of - *at);
                    *at = some.end;
                    out.append_packed_range(some, bytes);
                }
            }
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<(), ParquetError> {
        let cut = || ParquetError::EOF("a page has fewer numbers than rows".into());
        let head = varint(&mut self.bytes).ok_or_else(cut)?;
        let count = (head >> 1) as usize;
        let bytes = self.width.div_ceil(8);
        self.run = match head & 1 {
            0 if self.bytes.len() < bytes => return Err(cut()),
            0 => {
                let mut number = [0; 4];
                self.bytes.copy_to_slice(&mut number[..bytes]);
                Run::Same(i32::from_le_bytes(number), count)
            }
            _ => {
                // The last group may be cut, behind the numbers that count.
                let packed = self.bytes.split_to(self.bytes.len().min(count.saturating_mul(self.width)));
                let of = count.saturating_mul(8);
                let held = (packed.len() * 8).checked_div(self.width).unwrap_or(of);
                Run::Packed { bytes: packed, at: 0, of: of.min(held) }
            }
        };
        Ok(())
    }
}

/// Appends the numbers of these places.
pub(super) fn unpack(bytes: &[u8], width: usize, places: std::ops::Range<usize>, out: &mut Vec<i32>) {
    let mask = (1_u64 << width) - 1;
    let number = |place: usize| {
        let bit = place * width;
        let rest = &bytes[bit / 8..];
        let word = rest.first_chunk().map_or_else(
            || {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(last)
            },
            |word| u64::from_le_bytes(*word),
        );
        (word >> (bit % 8) & mask) as i32
    };
    out.extend(places.map(number));
}

/// An unsigned LEB128 number of at most 32 bits.
pub(super) fn varint(bytes: &mut Bytes) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
