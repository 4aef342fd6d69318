//! How fast records become rows: `cargo bench -p tarn-ingest --bench mapping -- FILE [RUNS]`, FILE as the daemon would get it.
//!
//! On one thread, from memory to batches: the scan that finds and checks records, and the mapper apart from it. Batches are
//! taken whenever this many bytes wait, as they are by a lake that others write to.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_ingest::container::{Block, Blocks, Limits};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;

const PENDING_BYTES: usize = 16 << 20;

fn scan(bytes: &[u8]) -> Vec<Block> {
    let mut blocks = Blocks::open(Cursor::new(bytes.to_vec()), Limits::default()).unwrap();
    std::iter::from_fn(|| blocks.next_block().unwrap()).collect()
}

/// Rows and bytes of texts.
fn map(sources: &Arc<Sources>, blocks: &[Block]) -> (usize, usize) {
    let mut mapper = Mapper::new(sources.clone(), MapOptions::default());
    let (mut rows, mut bytes) = (0, 0);
    let mut drain = |mapper: &mut Mapper| {
        bytes += mapper.pending_bytes();
        rows += mapper.drain().0.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    };
    for block in blocks {
        mapper.push(block, None);
        if mapper.pending_bytes() > PENDING_BYTES {
            drain(&mut mapper);
        }
    }
    drain(&mut mapper);
    (rows, bytes)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let Some(file) = arguments.next() else { return println!("usage: … --bench mapping -- FILE [RUNS]") };
    let runs: usize = arguments.next().map_or(5, |runs| runs.parse().unwrap());
    let bytes = std::fs::read(file).unwrap();
    let sources = Arc::new(Sources::builtin().unwrap());
    let rate = |took: Duration| bytes.len() as f64 / took.as_secs_f64() / 1e6;
    for _ in 0..runs {
        let (blocks, scanned) = timed(|| scan(&bytes));
        let records: usize = blocks.iter().map(|block| block.records.len()).sum();
        let ((rows, texts), mapped) = timed(|| map(&sources, &blocks));
        println!(
            "{records} records: scanned at {:.0} MB/s; mapped at {:.0} MB/s, {:.1} us each, to {rows} rows and {:.1} MB of texts",
            rate(scanned),
            rate(mapped),
            mapped.as_secs_f64() * 1e6 / records.max(1) as f64,
            texts as f64 / 1e6,
        );
    }
}
