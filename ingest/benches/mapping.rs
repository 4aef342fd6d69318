//! How fast records become rows: `cargo bench --workspace --bench mapping -- FILE [RUNS]`, FILE as the daemon would get it.
//!
//! On one thread, from memory to batches: the scan that finds and checks records, and the mapper apart from it. Batches are
//! taken whenever this many bytes wait, as they are by a lake that others write to.
#![allow(clippy::print_stdout)]

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_ingest::container::{Block, Blocks, ContainerError, Limits};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;

const PENDING_BYTES: usize = 16 << 20;

fn scan(bytes: &[u8]) -> Result<Vec<Block>, ContainerError> {
    let mut blocks = Blocks::open(Cursor::new(bytes.to_vec()), Limits::default())?;
    std::iter::from_fn(|| blocks.next_block().transpose()).collect()
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

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let file = arguments.next().ok_or("expected a file of events: --bench mapping -- FILE [RUNS]")?;
    let runs = arguments.next().unwrap_or_else(|| "5".to_owned());
    let runs: usize = runs.parse().map_err(|e| format!("{runs}: expected a number of runs: {e}"))?;
    let bytes = std::fs::read(&file).map_err(|e| format!("{file}: {e}"))?;
    let sources = Arc::new(Sources::builtin().map_err(|e| e.to_string())?);
    let rate = |took: Duration| bytes.len() as f64 / took.as_secs_f64() / 1e6;
    for _ in 0..runs {
        let (blocks, scanned) = timed(|| scan(&bytes));
        let blocks = blocks.map_err(|e| format!("{file}: {e}"))?;
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
    Ok(())
}
