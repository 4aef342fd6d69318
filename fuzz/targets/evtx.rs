//! EVTX: a whole file, a chunk without the file's header, or the contents of one record in a chunk that is sound.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use tarn_fuzz::container::{SMALL, blocks, read};
use tarn_ingest::container::Limits;

const HEADER_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNK_HEADER_BYTES: usize = 512;

fuzz_target!(|data: &[u8]| {
    let file = if data.starts_with(b"ElfFile\0") {
        data.to_vec()
    } else {
        let mut file = b"ElfFile\0".to_vec();
        file.resize(HEADER_BYTES, 0);
        file.extend(if data.starts_with(b"ElfChnk\0") { data.to_vec() } else { chunk(data) });
        file.truncate(HEADER_BYTES + CHUNK_BYTES);
        file.resize(HEADER_BYTES + CHUNK_BYTES, 0);
        file
    };
    let _ = blocks(&file, SMALL);
    assert!(read(&file, Limits::default()).unwrap().dead.iter().all(|(bytes, _)| bytes.len() <= CHUNK_BYTES));
});

/// A chunk of one record whose contents these are.
fn chunk(contents: &[u8]) -> Vec<u8> {
    let size = (contents.len() + 28) as u32;
    let mut chunk = b"ElfChnk\0".to_vec();
    chunk.extend([1_u64, 1, 1, 1].iter().flat_map(|n| n.to_le_bytes()));
    let ends = [128, CHUNK_HEADER_BYTES as u32, CHUNK_HEADER_BYTES as u32 + size];
    chunk.extend(ends.iter().flat_map(|n| n.to_le_bytes()));
    chunk.resize(CHUNK_HEADER_BYTES, 0);
    chunk.extend(b"\x2a\x2a\0\0");
    chunk.extend(size.to_le_bytes());
    chunk.extend(1_u64.to_le_bytes());
    // 2026-03-17, in steps of 100 ns since 1601.
    chunk.extend(134_182_000_000_000_000_u64.to_le_bytes());
    chunk.extend(contents);
    chunk.extend(size.to_le_bytes());
    chunk
}
