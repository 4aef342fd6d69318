//! A container that is in memory as a whole, such as a request's body: one block, all or nothing.
//!
//! The bytes of JSON become the block's text as they are, without a copy. Compression is not undone here: who has the
//! bytes has the limits on them.

use super::{Block, Blocks, ContainerError, Input, Limits, State};

impl Blocks {
    /// All that `bytes` hold, as one block; empty for nothing but white space.
    ///
    /// **Bounds**: `limits.block_bytes` and `limits.block_records` are what the block may hold, not about how much.
    /// **Errors**: [`ContainerError::MoreThanABlock`] beyond them; a Parquet footer that does not parse.
    pub fn whole(bytes: Vec<u8>, limits: Limits) -> Result<Block, ContainerError> {
        let reader = Box::new(std::io::empty());
        let input = Input { reader, compressed: false, broken: None, ended: true };
        let mut blocks = Self { input, format: None, limits, state: State::default(), spare: Block::default() };
        blocks.format = Some(blocks.format_of(bytes)?);
        let block = blocks.next_block()?.unwrap_or_default();
        let within =
            block.size() <= limits.block_bytes && block.records.len() + block.dead.len() <= limits.block_records;
        if within && blocks.next_block()?.is_none() {
            return Ok(block);
        }
        Err(ContainerError::MoreThanABlock { records: limits.block_records, bytes: limits.block_bytes })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &[u8]) -> (Block, Block) {
        let limits = Limits::default();
        let mut blocks = Blocks::open(Cursor::new(bytes.to_vec()), limits).unwrap();
        (Blocks::whole(bytes.to_vec(), limits).unwrap(), blocks.next_block().unwrap().unwrap_or_default())
    }

    #[test]
    fn a_whole_reads_as_a_stream_does() {
        let texts: [&[u8]; 9] = [
            b"",
            b" \n ",
            b"{\"a\":1}\n{\"b\":2}\n",
            b"\xef\xbb\xbf[{\"a\":1},{\"b\":[{}]}]",
            b"{\"Records\":[{\"a\":1},{\"b\":2}]}",
            b"{\"a\":1}\nbroken\n{\"b\":2}\n{\"c\":",
            b"<34>Oct 11 22:14:15 mymachine su: no\nnonsense\n",
            b"\xff\xfe{\0}\0",
            b"ElfFile\0",
        ];
        for bytes in texts {
            let (whole, stream) = read(bytes);
            let records = |b: &Block| -> Vec<(u64, String, String)> {
                b.records.iter().map(|r| (r.number, b.json(r).into(), b.original(r).into())).collect()
            };
            assert_eq!(records(&whole), records(&stream), "{bytes:?}");
            assert_eq!((whole.dead, whole.origin), (stream.dead, stream.origin), "{bytes:?}");
        }
    }

    #[test]
    fn json_is_not_copied() {
        let bytes = "{\"a\":1}\n".repeat(100).into_bytes();
        let at = bytes.as_ptr();
        let block = Blocks::whole(bytes, Limits::default()).unwrap();
        assert_eq!((block.records.len(), block.json.as_ptr()), (100, at));
    }

    #[test]
    fn more_than_a_block_is_an_error() {
        let few = Limits { block_records: 3, ..Limits::default() };
        for text in ["{}", "1\n", "Oct 11 22:14:15 mymachine su: no\n"] {
            assert!(Blocks::whole(text.repeat(3).into_bytes(), few).is_ok(), "{text}");
            let refused = Blocks::whole(text.repeat(4).into_bytes(), few);
            assert!(matches!(refused, Err(ContainerError::MoreThanABlock { records: 3, .. })), "{text}");
        }
        let short = Limits { block_bytes: 20, ..Limits::default() };
        assert!(Blocks::whole(b"{\"a\":1} {\"a\":2}".to_vec(), short).is_ok());
        assert!(Blocks::whole(b"{\"a\":1} {\"a\":2} {\"a\":3} {}".to_vec(), short).is_err());
    }
}
