//! Ranges of local files, in memory that is used again: a scan reads as much as a table has, and memory that is new costs
//! more than the reading.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that wait to be used again, at most.
const IDLE_BYTES_MAX: usize = 32 << 20;

/// Ranges of which buffers are used again; shorter ones are cheap, and longer ones are rare.
const BYTES: Range<usize> = 32 << 10..8 << 20;

/// Bytes between two ranges that are read rather than left out.
const GAP: u64 = 16 << 10;

/// Whether a range begins where another ends, or close behind.
fn follows(before: &Range<u64>, after: &Range<u64>) -> bool {
    before.start <= before.end
        && after.start <= after.end
        && (before.end..=before.end.saturating_add(GAP)).contains(&after.start)
}

/// How many of these are read together: no more than [`BYTES`], as who holds one holds all.
fn together(ranges: &[Range<u64>]) -> usize {
    let follows =
        |pair: &&[Range<u64>]| follows(&pair[0], &pair[1]) && pair[1].end - ranges[0].start < BYTES.end as u64;
    1 + ranges.windows(2).take_while(follows).count()
}

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

/// A buffer in use, given back when it is dropped.
struct Used {
    buffer: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Used {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

impl Buffers {
    /// Ranges of a file. Those that follow each other are read together.
    ///
    /// **Errors**: reading fails, or the file ends before a range does.
    pub(crate) fn read(self: &Arc<Self>, file: &mut File, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let length = file.metadata()?.len();
        let (mut out, mut rest) = (Vec::with_capacity(ranges.len()), ranges);
        while let Some(first) = rest.first() {
            let (run, others) = rest.split_at(together(rest));
            let whole = first.start..run.last().map_or(first.end, |last| last.end);
            let bytes = self.one(file, length, &whole)?;
            let part = |range: &Range<u64>| (range.start - whole.start) as usize..(range.end - whole.start) as usize;
            out.extend(run.iter().map(|range| bytes.slice(part(range))));
            rest = others;
        }
        Ok(out)
    }

    fn one(self: &Arc<Self>, file: &mut File, of: u64, range: &Range<u64>) -> io::Result<Bytes> {
        if range.start > range.end || range.end > of {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("no bytes {range:?} in it")));
        }
        file.seek(SeekFrom::Start(range.start))?;
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        if !BYTES.contains(&length) {
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut used = Used { buffer: self.take(length), length, home: Arc::clone(self) };
        file.read_exact(&mut used.buffer[..length])?;
        Ok(Bytes::from_owner(used))
    }

    /// A buffer of at least so many bytes, and of no more than four times as many.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = idle.iter().enumerate().filter(|(_, buffer)| (length..=4 * length).contains(&buffer.len()));
        match fits.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at) {
            Some(at) => idle.swap_remove(at),
            None => vec![0; length.next_power_of_two()],
        }
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(buffer);
        while idle.iter().map(Vec::len).sum::<usize>() > IDLE_BYTES_MAX {
            idle.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::Write;

    #[test]
    fn ranges_are_those_of_the_file_and_buffers_are_used_again() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let buffers = Arc::new(Buffers::default());
        let one = |file: &mut File, range| buffers.read(file, &[range]).unwrap().remove(0);
        let idle = || buffers.idle.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>();
        for range in [0..3_000_000, 5..5, 17..40_017, 2_999_999..3_000_000, 0..100_000] {
            assert_eq!(one(&mut file, range.clone()), bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        assert_eq!(idle(), [4_194_304, 65_536, 131_072]);
        let (held, again) = (one(&mut file, 0..40_000), one(&mut file, 1_000..41_000));
        assert_eq!((held, idle()), (Bytes::copy_from_slice(&bytes[..40_000]), vec![4_194_304]));
        assert_eq!(again, bytes[1_000..41_000]);
        drop(again);
        let many = buffers.read(&mut file, &vec![0..3_000_000; 20]).unwrap();
        drop(many);
        assert!(idle().iter().sum::<usize>() <= IDLE_BYTES_MAX, "{:?}", idle());
    }

    #[test]
    fn ranges_that_follow_each_other_are_read_together() {
        let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let buffers = Arc::new(Buffers::default());
        let far = 2 * GAP;
        let ranges: Vec<Range<u64>> = vec![
            10..20,
            20..50_000,
            50_000..50_000,
            50_000 + GAP..90_000,
            90_000 + far..200_000,
            100_000..150_000,
            30..40,
            1_000_000..6_000_000,
            6_000_000..11_000_000,
            11_000_000..11_000_010,
            11_000_020..20_000_000,
        ];
        let read = buffers.read(&mut file, &ranges).unwrap();
        assert_eq!(read.len(), ranges.len());
        for (read, range) in read.iter().zip(&ranges) {
            assert_eq!(read, &bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        let at = |n: usize| (read[n].as_ptr() as usize).wrapping_sub(ranges[n].start as usize);
        let together = |a: usize, b: usize| at(a) == at(b);
        assert!(together(0, 1) && together(1, 3) && together(8, 9));
        // So many ranges that no buffer has all of them.
        assert!(!together(7, 8));
    }

    #[test]
    fn what_a_file_does_not_have_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100]).unwrap();
        let buffers = Arc::new(Buffers::default());
        for range in [0..101, 200..300, 50..u64::MAX, Range { start: 9, end: 8 }] {
            let error = buffers.read(&mut file, &[0..100, range.clone()]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{range:?}");
        }
    }
}
