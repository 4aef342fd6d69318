//! Lengths of texts as Parquet's encoding DELTA_LENGTH_BYTE_ARRAY has them in front of the texts: differences, in few bits.
//!
//! **Spec**: Apache Parquet, "Delta Encoding (DELTA_BINARY_PACKED = 5)" and "Delta-length byte array". **Errors**: lengths that are
//! cut short, more than are asked for, or below zero.

use super::hybrid::{unpack, varint};
use bytes::Bytes;
use parquet::errors::ParquetError;

/// The lengths at the beginning of a page, which are taken off: no more than `most`.
pub(super) fn lengths(page: &mut Bytes, most: usize) -> Result<Vec<i32>, ParquetError> {
    let cut = || ParquetError::EOF("a page ends within the lengths of its texts".into());
    let mut head = || varint(page).ok_or_else(cut);
    let (of_block, parts, count, first) = (head()? as usize, head()? as usize, head()? as usize, unfolded(head()?));
    if count > most {
        return Err(ParquetError::General(format!("a page has {count} lengths of at most {most} texts")));
    }
    let of_part = of_block.checked_div(parts).filter(|of_part| *of_part > 0 && of_part % 8 == 0);
    let of_part = of_part.ok_or_else(|| ParquetError::General(format!("{of_block} lengths in {parts} parts")))?;
    let (mut lengths, mut last) = (Vec::with_capacity(count), first);
    if count > 0 {
        lengths.push(first);
    }
    while lengths.len() < count {
        let least = unfolded(varint(page).ok_or_else(cut)?);
        if page.len() < parts {
            return Err(cut());
        }
        for width in page.split_to(parts) {
            let (width, begin) = (usize::from(width), lengths.len());
            let wanted = of_part.min(count - begin);
            // Parts behind the last length have no bytes; of the last part, what pads it may be left out.
            if wanted == 0 {
                break;
            }
            if width > 32 || page.len() < (wanted * width).div_ceil(8) {
                return Err(cut());
            }
            let part = page.split_to(page.len().min(of_part.saturating_mul(width) / 8));
            if (width, least) == (0, 0) {
                lengths.resize(begin + wanted, last);
                continue;
            }
            unpack(&part, width, 0..wanted, &mut lengths);
            for length in &mut lengths[begin..] {
                last = last.wrapping_add(least).wrapping_add(*length);
                *length = last;
            }
        }
    }
    match lengths.iter().find(|length| **length < 0) {
        Some(length) => Err(ParquetError::General(format!("a text of {length} bytes"))),
        None => Ok(lengths),
    }
}

/// A number whose sign is its last bit.
fn unfolded(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 128 lengths in four parts, so many lengths, the first of which is 5 (folded: 10).
    fn page(count: u8, behind: &[u8]) -> Bytes {
        [&[0x80, 1, 4, count, 10], behind].concat().into()
    }

    #[test]
    fn lengths_are_taken_off() -> Result<(), ParquetError> {
        // Each is two less than the one before (-2 is 3, folded), which takes no bits besides.
        let mut of_page = page(3, &[3, 0, 0, 0, 0, b'x']);
        assert_eq!((lengths(&mut of_page, 3)?, &of_page[..]), (vec![5, 3, 1], &b"x"[..]));
        assert_eq!(lengths(&mut page(0, &[]), 3)?, Vec::<i32>::new());
        Ok(())
    }

    #[test]
    fn what_is_no_list_of_lengths_is_an_error() {
        for (name, mut of_page, most) in [
            ("more than texts", page(100, &[0, 0, 0, 0, 0]), 99),
            ("no widths", page(3, &[0, 0]), 3),
            ("wider than a number", page(3, &[0, 33, 0, 0, 0, 1, 2, 3]), 3),
            ("no bits", page(3, &[0, 8, 0, 0, 0]), 3),
            ("below zero", page(3, &[11, 0, 0, 0, 0]), 3),
            ("no head", Bytes::new(), 3),
            ("no parts", Bytes::from_static(&[0x80, 1, 0, 3, 10]), 3),
        ] {
            assert!(lengths(&mut of_page, most).is_err(), "{name}");
        }
    }
}
