//! A log on the local filesystem.

use super::{SMALL, append, open, read};
use std::path::Path;
use std::sync::Arc;
use tarn_lake::log::files::Disk;
use tarn_lake::log::{Log, LogError};

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
    let log = open(Arc::new(Disk::new(&path))).unwrap();
    assert_eq!((log.first(), log.last(), read(&log, 0).unwrap()), (1, 0, vec![]));
    let all: Vec<(u64, String)> = (1..=9).map(|n| (n, format!("{n}").repeat(n as usize * 6))).collect();
    for (sequence, text) in &all {
        assert_eq!(append(&log, text).unwrap(), *sequence);
    }
    let (writer, bytes) = (log.writer(), log.bytes());
    assert!(segments(&path).len() > 2);
    for reopened in [false, true] {
        let log = if reopened { open(Arc::new(Disk::new(&path))).unwrap() } else { log.clone() };
        assert_eq!((log.first(), log.last(), log.writer(), log.bytes(), log.torn_bytes()), (1, 9, writer, bytes, 0));
        for after in 0..=9 {
            assert_eq!(read(&log, after).unwrap(), all[after as usize..]);
        }
        assert_eq!(read(&log, u64::MAX).unwrap(), []);
        log.close();
    }
}

#[test]
fn what_is_cut_is_gone_and_its_sequences_do_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(Arc::new(Disk::new(folder.path()))).unwrap();
    for _ in 1..=6 {
        append(&log, &"x".repeat(40)).unwrap();
    }
    // Two frames fit a segment.
    let names = |firsts: &[u64]| firsts.iter().map(|first| format!("{first:020}.seg")).collect::<Vec<_>>();
    assert_eq!(segments(folder.path()), names(&[1, 3, 5]));
    log.cut(1).unwrap();
    assert_eq!((log.first(), segments(folder.path())), (1, names(&[1, 3, 5])));
    log.cut(3).unwrap();
    assert_eq!((log.first(), segments(folder.path())), (3, names(&[3, 5])));
    // It was to begin with the second frame, and begins with what is there.
    assert_eq!(read(&log, 1).unwrap().len(), 4);
    let reader = log.read_after(0).unwrap();
    log.cut(6).unwrap();
    assert_eq!((log.first(), log.last(), segments(folder.path())), (7, 6, names(&[7])));
    assert!(matches!(reader.last().unwrap(), Err(LogError::Cut { sequence: 3 })));
    log.cut(u64::MAX).unwrap();
    let writer = log.writer();
    log.close();
    let log = open(Arc::new(Disk::new(folder.path()))).unwrap();
    assert_eq!((log.first(), log.last(), log.writer(), read(&log, 0).unwrap()), (7, 6, writer, vec![]));
    assert_eq!(append(&log, "seven").unwrap(), 7);
}

#[test]
fn one_log_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(Arc::new(Disk::new(folder.path()))).unwrap();
    let error = open(Arc::new(Disk::new(folder.path()))).unwrap_err();
    assert!(matches!(&error, LogError::Locked { folder: named } if named == folder.path()), "{error}");
    log.clone().close();
    let error = append(&log, "late").unwrap_err();
    assert!(matches!(error, LogError::Closed), "{error}");
    assert!(matches!(log.cut(1), Err(LogError::Closed)));
    open(Arc::new(Disk::new(folder.path()))).unwrap();
}

/// What waits when the last handle goes is written, and handed on.
#[tokio::test]
async fn a_dropped_log_writes_what_was_queued() {
    let folder = tempfile::tempdir().unwrap();
    let (handed_on, receiver) = std::sync::mpsc::channel();
    let log = Log::open(folder.path(), SMALL, move |sequence, item| handed_on.send((sequence, item)).unwrap()).unwrap();
    let answers: Vec<_> = (0..5_u64).map(|item| log.append(vec![], item)).collect();
    let forgotten = log.append(vec!["forgotten".into()], 5);
    drop(forgotten);
    drop(log);
    for (answer, sequence) in answers.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap(), sequence);
    }
    assert_eq!(receiver.into_iter().collect::<Vec<_>>(), (0..6).map(|item| (item + 1, item)).collect::<Vec<_>>());
    // The receiver ended with the log's thread, but the lock goes just after it.
    let log = loop {
        match open(Arc::new(Disk::new(folder.path()))) {
            Err(LogError::Locked { .. }) => std::thread::yield_now(),
            log => break log.unwrap(),
        }
    };
    assert_eq!(read(&log, 5).unwrap(), [(6, "forgotten".to_owned())]);
}
