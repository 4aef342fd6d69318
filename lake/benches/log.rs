//! How fast the durable log takes frames: `cargo bench -p tarn-lake --bench log [-- FOLDER]`.
//!
//! Each line is one kind of load: so many tasks, each of which appends its next frame when the one before is on disk.
//! The folder should be on the disk that is meant; without one it is the temporary folder, which may be memory.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use bytes::Bytes;
use std::path::Path;
use std::time::{Duration, Instant};
use tarn_lake::log::{Log, LogOptions};

const LOADS: [(usize, usize); 7] =
    [(1, 1 << 10), (16, 1 << 10), (256, 1 << 10), (2048, 1 << 10), (1, 1 << 20), (8, 1 << 20), (4, 16 << 20)];
const EACH: Duration = Duration::from_secs(4);

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    // Cargo passes `--bench`.
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = given.map_or_else(|| temporary.path().to_owned(), Into::into);
    println!("{:>6} {:>9} {:>10} {:>8} {:>9} {:>9}", "tasks", "bytes", "frames/s", "MB/s", "p50 ms", "p99 ms");
    for (tasks, bytes) in LOADS {
        let mut latencies = load(&folder.join(format!("{tasks}-{bytes}")), tasks, bytes);
        latencies.sort_unstable();
        let rate = latencies.len() as f64 / EACH.as_secs_f64();
        let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        let megabytes = rate * bytes as f64 / 1e6;
        println!("{tasks:>6} {bytes:>9} {rate:>10.0} {megabytes:>8.0} {:>9.2} {:>9.2}", at(0.5), at(0.99));
    }
}

/// What each append took.
fn load(folder: &Path, tasks: usize, bytes: usize) -> Vec<Duration> {
    let log = Log::open(folder, LogOptions::default(), |_, ()| {}).unwrap();
    let payload = Bytes::from((0..bytes).map(|n| ((n * 31) >> 3) as u8).collect::<Vec<_>>());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let end = Instant::now() + EACH;
    let appending: Vec<_> = (0..tasks)
        .map(|_| {
            let (log, payload) = (log.clone(), payload.clone());
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    log.append(vec![payload.clone()], ()).await.unwrap();
                    latencies.push(begun.elapsed());
                }
                latencies
            })
        })
        .collect();
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        log.cut(log.last()).unwrap();
    }
    let latencies = appending.into_iter().flat_map(|task| runtime.block_on(task).unwrap()).collect();
    log.close();
    std::fs::remove_dir_all(folder).unwrap();
    latencies
}
