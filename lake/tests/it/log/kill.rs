//! A process that appends, killed at random moments: what it reported as acknowledged is there.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_lake::log::{Log, LogOptions};

const ROUNDS: u64 = 25;
const TASKS: u64 = 8;
const FOLDER: &str = "TARN_LOG_KILL_FOLDER";
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 200_000,
    bytes_max: 4 << 20,
    frame_bytes_max: 1 << 20,
    sync_wait: Duration::from_micros(200),
};

/// A payload that says what it has to be: of 0 to 20,000 bytes after its name.
fn payload(name: &str) -> Bytes {
    let seed = crc32fast::hash(name.as_bytes());
    let mut bytes = format!("{name} ").into_bytes();
    bytes.extend((0..seed % 20_000).map(|n| (seed.wrapping_mul(n | 1) >> 13) as u8));
    bytes.into()
}

/// The process that is killed. It appends until then, and cuts what is half a megabyte old.
fn append_until_killed(folder: &Path) -> ! {
    let log = Log::open(folder, OPTIONS, |_, ()| {}).unwrap();
    let begun = log.last();
    let say = Arc::new(|line: String| writeln!(std::io::stdout().lock(), "\n{line}").unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for task in 0..TASKS {
        let (log, say) = (log.clone(), say.clone());
        runtime.spawn(async move {
            for n in 0.. {
                let name = format!("{begun}-{task}-{n}");
                let sequence = log.append(vec![payload(&name)], ()).await.unwrap();
                say(format!("acknowledged {sequence} {name}"));
            }
        });
    }
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let through = log.last().saturating_sub(50);
        // Before: once it begins, that may be gone.
        say(format!("cut {through}"));
        log.cut(through).unwrap();
    }
}

/// The test runs itself as the process that is killed, which is told so by a variable.
#[test]
fn what_a_killed_process_acknowledged_is_there() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        append_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut cut) = (BTreeMap::new(), 0);
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["what_a_killed_process_acknowledged_is_there", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (started, life) = (Instant::now(), Duration::from_micros(round * 7919 % 61_000));
        let mut reported = 0;
        for line in lines.map(Result::unwrap) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["acknowledged", sequence, name] => {
                    let before = acknowledged.insert(sequence.parse::<u64>().unwrap(), payload(name));
                    assert!(before.is_none(), "sequence {sequence} came twice");
                    reported += 1;
                }
                ["cut", through] => cut = cut.max(through.parse().unwrap()),
                _ => {}
            }
            // The rest of what it said is read after its end.
            if reported > 0 && started.elapsed() >= life {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(reported > 0, "it was killed, and did not fail by itself");
        check(folder.path(), &acknowledged, cut);
    }
    assert!(cut > 0 && acknowledged.len() > 100);
}

fn check(folder: &Path, acknowledged: &BTreeMap<u64, Bytes>, cut: u64) {
    let log: Log<()> = Log::open(folder, OPTIONS, |_, ()| {}).unwrap();
    let frames: BTreeMap<u64, Bytes> = log.read_after(0).unwrap().map(Result::unwrap).collect();
    let (first, last) = (log.first(), log.last());
    assert!(frames.keys().copied().eq(first..=last) && first <= cut + 1, "{first} to {last}, cut at {cut}");
    for (sequence, frame) in acknowledged.range(cut + 1..) {
        assert!(frames.get(sequence) == Some(frame), "frame {sequence} of {first} to {last}");
    }
    for (sequence, frame) in frames {
        let name = String::from_utf8_lossy(frame.split(|byte| *byte == b' ').next().unwrap()).into_owned();
        assert_eq!(frame, payload(&name), "frame {sequence} is whole");
    }
    log.close();
}
