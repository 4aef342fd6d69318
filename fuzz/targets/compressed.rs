//! gzip and zstd: what is packed reads as what it was, and a stream that is cut off says so.
#![no_main]
#![allow(clippy::unwrap_used)]

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use tarn_fuzz::container::{SMALL, blocks, cut, read};
use tarn_ingest::Reason;
use tarn_ingest::container::Limits;

fuzz_target!(|data: &[u8]| {
    let Ok(plain) = read(data, Limits::default()) else { return };
    let _ = blocks(data, SMALL);
    let packed =
        |data: &[u8]| [b"\x1f\x8b".as_slice(), b"\x28\xb5\x2f\xfd"].iter().any(|magic| data.starts_with(magic));
    if packed(data) {
        return;
    }
    let (start, end) = data.split_at(cut(data));
    let members = [gzip(start), gzip(end)].concat();
    let frames = [zstd(start), zstd(end)].concat();
    for whole in [zstd(&members), gzip(&frames), members, frames] {
        assert_eq!(read(&whole, Limits::default()).unwrap(), plain, "packing changes the records");
        let short = &whole[..cut(&whole)];
        // Short of a header, the bytes are no container.
        if packed(short)
            && short.len() < whole.len()
            && let Ok(cut_off) = read(short, Limits::default())
        {
            let told = cut_off.dead.iter().any(|(_, reason)| matches!(reason, Reason::Compression(_)));
            let at_a_boundary = short.len() == zstd(start).len() || short.len() == gzip(start).len();
            assert!(told || at_a_boundary, "a stream that is cut off reads as a whole one");
        }
    }
});

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 1).unwrap()
}
