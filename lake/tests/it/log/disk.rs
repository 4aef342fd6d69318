//! A log on the local filesystem.

use bytes::Bytes;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_lake::log::{Damage, Limit, Log, LogError, LogOptions};

fn small() -> LogOptions {
    LogOptions { segment_bytes: 200, bytes_max: 1000, frame_bytes_max: 300, sync_wait: Duration::from_millis(2) }
}

fn open(folder: &Path, options: LogOptions) -> Log<()> {
    Log::open(folder, options, |_, ()| {}).unwrap()
}

fn append(log: &Log<()>, text: &str) -> Result<u64, LogError> {
    log.append_blocking(vec![Bytes::copy_from_slice(text.as_bytes())], ())
}

fn read(log: &Log<()>, after: u64) -> Vec<(u64, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    log.read_after(after).unwrap().map(|frame| frame.map(|(n, bytes)| (n, text(bytes))).unwrap()).collect()
}

/// The segments, in order.
fn segments(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names
}

#[test]
fn frames_are_read_back_in_order_after_any_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there");
    let log = open(&path, small());
    assert_eq!((log.first(), log.last(), read(&log, 0)), (1, 0, vec![]));
    let all: Vec<(u64, String)> = (1..=9).map(|n| (n, format!("{n}").repeat(n as usize * 6))).collect();
    for (sequence, text) in &all {
        assert_eq!(append(&log, text).unwrap(), *sequence);
    }
    let (writer, bytes) = (log.writer(), log.bytes());
    assert!(segments(&path).len() > 2);
    for reopened in [false, true] {
        let log = if reopened { open(&path, small()) } else { log.clone() };
        assert_eq!((log.first(), log.last(), log.writer(), log.bytes(), log.torn_bytes()), (1, 9, writer, bytes, 0));
        for after in 0..=9 {
            assert_eq!(read(&log, after), all[after as usize..]);
        }
        assert_eq!(read(&log, u64::MAX), []);
        log.close();
    }
}
