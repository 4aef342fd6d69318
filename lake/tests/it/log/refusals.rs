//! A log that takes no more: full, poisoned, or asked for too much.

use super::{SMALL, append, open, read};
use bytes::Bytes;
use tarn_lake::log::files::{Call, Memory};
use tarn_lake::log::{Limit, Log, LogError};

#[test]
fn a_full_log_takes_more_once_it_is_cut() {
    let log = open(Memory::new(1, usize::MAX).process()).unwrap();
    let text = "x".repeat(100);
    let error = loop {
        match append(&log, &text) {
            Ok(_) => assert!(log.bytes() <= SMALL.bytes_max),
            Err(error) => break error,
        }
    };
    let expected = Limit::Bytes { bytes_max: SMALL.bytes_max };
    assert!(matches!(error, LogError::Full { limit, .. } if limit == expected), "{error}");
    assert!(error.is_retryable() && log.last() > 3);
    // A smaller one still fits.
    let last = append(&log, "").unwrap();
    log.cut(last - 1).unwrap();
    assert_eq!(append(&log, &text).unwrap(), last + 1);
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let memory = Memory::new(1, 44 + 28 + 10);
    let log = open(memory.process()).unwrap();
    assert_eq!(append(&log, "0123456789").unwrap(), 1);
    let error = append(&log, "more").unwrap_err();
    assert!(matches!(error, LogError::Full { limit: Limit::Disk, .. }), "{error}");
    assert_eq!(read(&log, 0).unwrap(), [(1, "0123456789".to_owned())]);
    // No room for a new segment either: the cut does nothing, and may be repeated.
    assert!(matches!(log.cut(1), Err(LogError::Io { .. })));
    assert_eq!((log.first(), log.last()), (1, 1));
    memory.resize(1000);
    assert_eq!(append(&log, "more").unwrap(), 2);
    log.cut(2).unwrap();
    assert_eq!((log.first(), log.last()), (3, 2));
    let memory = Memory::new(1, 0);
    assert!(matches!(open(memory.process()), Err(LogError::Io { .. })));
}

/// Whichever call failed, nothing is acknowledged from there on, not even what waits; until the log is opened anew.
#[test]
fn a_failure_is_for_ever() {
    for (call, room) in [(Call::Write, 1000), (Call::Sync, 1000), (Call::Truncate, 100), (Call::Sync, 100)] {
        let memory = Memory::new(1, room);
        let log = open(memory.process()).unwrap();
        assert_eq!(append(&log, "first").unwrap(), 1);
        memory.fail(call, 0);
        let waiting: Vec<_> = (0..9).map(|_| log.append(vec![Bytes::from_static(&[b'x'; 30])], ())).collect();
        for answer in waiting {
            let error = futures::executor::block_on(answer).unwrap_err();
            assert!(matches!(&error, LogError::Poisoned { file, .. } if file.ends_with("00000000000000000001.seg")));
            assert!(!error.is_retryable());
        }
        memory.resize(1000);
        assert!(matches!(append(&log, "later"), Err(LogError::Poisoned { .. })));
        assert!(matches!(log.cut(1), Err(LogError::Poisoned { .. })));
        assert_eq!(read(&log, 0).unwrap(), [(1, "first".to_owned())], "what was acknowledged is there");
        log.close();
        let log = open(memory.process()).unwrap();
        assert_eq!(read(&log, 0).unwrap()[0], (1, "first".to_owned()));
        append(&log, "again").unwrap();
    }
}

/// When no new segment can be made the present one goes on.
#[test]
fn a_segment_that_cannot_be_created_is_no_failure() {
    for call in [Call::Create, Call::Rename] {
        let memory = Memory::new(1, 1000);
        let log = open(memory.process()).unwrap();
        append(&log, &"x".repeat(150)).unwrap();
        memory.fail(call, 0);
        append(&log, "beyond").unwrap();
        assert!(memory.bytes("00000000000000000002.seg").is_none());
        append(&log, "beyond").unwrap();
        assert!(memory.bytes("00000000000000000003.seg").is_some());
        assert_eq!(read(&log, 0).unwrap().len(), 3);
    }
}

#[test]
fn a_frame_that_never_fits_is_refused_for_what_it_is() {
    let log = open(Memory::new(1, usize::MAX).process()).unwrap();
    assert_eq!(append(&log, &"x".repeat(300)).unwrap(), 1);
    let error = append(&log, &"x".repeat(301)).unwrap_err();
    assert!(matches!(error, LogError::TooLarge { bytes: 301, bytes_max: 300 }), "{error}");
    assert!(!error.is_retryable());
    let options = tarn_lake::log::LogOptions { bytes_max: 200, ..SMALL };
    let log = Log::open_in(Memory::new(1, usize::MAX).process(), options, |_, ()| {}).unwrap();
    let most = log.payload_bytes_max() as usize;
    assert!(matches!(append(&log, &"x".repeat(most + 1)), Err(LogError::TooLarge { .. })));
    for _ in 0..3 {
        append(&log, &"x".repeat(most)).unwrap();
        log.cut(log.last()).unwrap();
    }
}
