//! The log in an object store that fails: what was acknowledged is there for the next machine, and two machines never both
//! write.

use super::{append, read};
use crate::faulty::{Fate, Faulty, Put};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use proptest::prelude::*;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_lake::log::files::{Bucket, Files};
use tarn_lake::log::{Log, LogError, LogOptions};

const OPTIONS: LogOptions =
    LogOptions { segment_bytes: 600, bytes_max: 100_000, frame_bytes_max: 300, sync_wait: Duration::ZERO };

/// A store whose next writes go as is said.
fn flaky() -> Arc<Faulty> {
    let fate = Fate::Flaky(Mutex::default());
    Arc::new(Faulty { inner: Arc::new(InMemory::new()), writes_left: AtomicI64::new(0), fate })
}

fn will(store: &Faulty, next: Vec<Put>) {
    if let Fate::Flaky(puts) = &store.fate {
        *puts.lock().unwrap() = next;
    }
}

fn bucket(store: &Arc<Faulty>) -> Arc<Bucket> {
    let store: Arc<dyn ObjectStore> = store.clone();
    Arc::new(Bucket::new(store, Path::from("log"), "memory://log").unwrap())
}

fn open(store: &Arc<Faulty>) -> Result<Log<()>, LogError> {
    Log::open_in(bucket(store), OPTIONS, |_, ()| {})
}

fn texts(log: &Log<()>) -> Vec<(u64, String)> {
    read(log, 0).unwrap()
}

#[test]
fn the_next_machine_goes_on_where_the_lost_one_was() {
    let store = flaky();
    let log = open(&store).unwrap();
    let writer = log.writer();
    assert_eq!((append(&log, "a").unwrap(), append(&log, "b").unwrap()), (1, 2));

    let next = open(&store).unwrap();
    assert_eq!(next.writer(), writer);
    assert_eq!(texts(&next), [(1, "a".into()), (2, "b".into())]);
    assert_eq!(append(&next, "c").unwrap(), 3);
    next.cut(3).unwrap();
    assert_eq!(append(&open(&store).unwrap(), "d").unwrap(), 4, "sequences do not come again");
}

#[test]
fn who_comes_late_writes_nothing_any_more() {
    let store = flaky();
    let old = open(&store).unwrap();
    append(&old, "a").unwrap();
    let new = open(&store).unwrap();
    append(&new, "b").unwrap();
    for _ in 0..2 {
        let error = append(&old, "lost").unwrap_err();
        assert!(matches!(error, LogError::Poisoned { .. }), "{error:?}");
    }
    append(&new, "c").unwrap();
    assert_eq!(texts(&new), [(1, "a".into()), (2, "b".into()), (3, "c".into())]);
}

#[test]
fn both_of_two_that_start_at_once_never_write() {
    let store = flaky();
    drop(open(&store).unwrap());
    let logs = [open(&store).unwrap(), open(&store).unwrap()];
    // Which one it is, is up to the store: an unchanged object may have a new ETag, or not.
    let wrote: Vec<_> = logs.iter().filter(|log| append(log, "a").is_ok()).collect();
    let [winner] = wrote[..] else { panic!("{} of two wrote", wrote.len()) };
    assert_eq!(append(winner, "b").unwrap(), 2);
    assert_eq!(texts(&open(&store).unwrap()), [(1, "a".into()), (2, "b".into())]);
}

#[test]
fn a_document_is_kept_beside_the_segments() {
    let store = flaky();
    let files = bucket(&store);
    assert_eq!(files.kept("state").unwrap(), None);
    files.keep("state", b"1".to_vec()).unwrap();
    files.keep("state", b"2".to_vec()).unwrap();
    let log = open(&store).unwrap();
    append(&log, "a").unwrap();
    log.cut(1).unwrap();
    assert_eq!(files.kept("state").unwrap().as_deref(), Some(b"2".as_slice()));
    assert!(files.names().unwrap().contains(&"state".to_owned()));
}

#[test]
fn a_document_of_another_process_is_not_replaced() {
    let store = flaky();
    let (old, new) = (bucket(&store), bucket(&store));
    assert_eq!(old.kept("state").unwrap(), None);
    old.keep("state", b"1".to_vec()).unwrap();
    assert_eq!(new.kept("state").unwrap().as_deref(), Some(b"1".as_slice()));
    new.keep("state", b"2".to_vec()).unwrap();
    let error = old.keep("state", b"3".to_vec()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    // Whether it came through or not, who has sent one may send the next.
    for put in [Put::Lost, Put::Unanswered] {
        will(&store, vec![put]);
        assert!(new.keep("state", b"4".to_vec()).is_err());
        new.keep("state", b"5".to_vec()).unwrap();
        assert_eq!(new.kept("state").unwrap().as_deref(), Some(b"5".as_slice()));
    }
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let put = prop::sample::select(vec![Put::Works, Put::Works, Put::Lost, Put::Unanswered]);
    prop::collection::vec(put, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Appends, cuts and new machines, while the store fails.
    #[test]
    fn what_was_acknowledged_is_there(steps in prop::collection::vec((0..5_u8, puts()), 1..12)) {
        let store = flaky();
        let mut log = open(&store).unwrap();
        let (mut there, mut last) = (Vec::new(), 0);
        for (step, puts) in steps {
            will(&store, puts);
            match step {
                0 => log = open(&store).unwrap(),
                1 => {
                    let through = last / 2;
                    log.cut(through).unwrap();
                    let first = log.first();
                    prop_assert!(first <= through + 1);
                    there.retain(|(sequence, _)| *sequence >= first);
                }
                _ => {
                    let text = format!("frame {last}");
                    last += 1;
                    prop_assert_eq!(append(&log, &text).unwrap(), last);
                    there.push((last, text));
                }
            }
            prop_assert_eq!(&texts(&log), &there);
        }
        will(&store, Vec::new());
        prop_assert_eq!(&texts(&open(&store).unwrap()), &there);
    }
}
