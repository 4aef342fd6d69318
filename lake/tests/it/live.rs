//! Rows that stream in: seen at once and once only, whatever commits meanwhile; and once after every crash.

use crate::crash::open;
use crate::events::{START, batch, number};
use crate::faulty::{Fate, Faulty};
use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use tarn_lake::{Chunk, Lake, Live, LiveOptions, SqlOptions};
use tarn_schema_ocsf::record::Value;

const LOG: &str = "log-1";

fn event(number: u64) -> RecordBatch {
    let uid = format!("e{number}");
    // A column that only some chunks have.
    let mut row = vec![("metadata.uid", Value::Text(uid.as_str()))];
    if number % 3 == 1 {
        row.push(("api.operation", Value::Text("GetObject")));
    }
    batch(6003, &[(START + number as i64, row)])
}

fn chunk(number: u64) -> Chunk {
    Chunk { through: number, rows: vec![("api_activity".to_owned(), event(number))] }
}

async fn push(live: &Live, numbers: std::ops::RangeInclusive<u64>) {
    let live = live.clone();
    let pushed = tokio::task::spawn_blocking(move || numbers.map(chunk).try_for_each(|c| live.push_blocking(c)));
    pushed.await.unwrap().unwrap();
}

async fn seen(live: &Live, sql: &str) -> Vec<i64> {
    let session = live.sql(&SqlOptions::default()).unwrap();
    let found: Vec<RecordBatch> = session.query(sql).await.unwrap().try_collect().await.unwrap();
    found[0].columns().iter().map(|c| c.as_primitive::<arrow::datatypes::Int64Type>().value(0)).collect()
}

const COUNTS: &str = "SELECT count(*), count(DISTINCT metadata.uid), count(api.operation),
    count(*) FILTER (WHERE event_day = '2025-03-01') FROM api_activity";

fn options(commit_every: Duration) -> LiveOptions {
    LiveOptions { commit_every, ..LiveOptions::default() }
}

async fn started(lake: &Lake, options: LiveOptions) -> (Live, tokio::task::JoinHandle<()>) {
    let (live, committer) = Live::open(lake, LOG, options).await.unwrap();
    (live, tokio::spawn(committer.run(|_| ())))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_seen_at_once_and_once_only() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let (live, committing) = started(&lake, options(Duration::from_millis(30))).await;
    push(&live, 1..=1).await;
    assert_eq!(seen(&live, COUNTS).await, [1, 1, 1, 1], "a table that has no file yet");
    for number in 2..=60 {
        push(&live, number..=number).await;
        let n = number as i64;
        assert_eq!(seen(&live, COUNTS).await, [n, n, (n + 2) / 3, n]);
    }
    assert!(*live.committed().borrow() > 0, "none of it was committed meanwhile");
    drop(live);
    committing.await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 60);
    let (live, _) = Live::open(&lake, LOG, LiveOptions::default()).await.unwrap();
    assert_eq!(*live.committed().borrow(), 60);
    let (other, _) = Live::open(&lake, "log-2", LiveOptions::default()).await.unwrap();
    assert_eq!(*other.committed().borrow(), 0, "each log has its own position");
}

/// What other processes commit becomes visible, too, while rows of our own wait for their commit.
#[tokio::test(flavor = "multi_thread")]
async fn other_writers_are_seen_in_time() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let never = Duration::from_secs(3600);
    let quick = LiveOptions { refresh_every: Duration::from_millis(20), ..options(never) };
    let (live, _committing) = started(&lake, quick).await;
    push(&live, 1..=1).await;
    crate::events::small(&lake).await;
    let mut rows = 0;
    for _ in 0..3000 {
        rows = seen(&live, COUNTS).await[0];
        if rows == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rows, 4);
}

/// Positions without rows take no room and make no commit; the last of them is kept when all ends.
#[tokio::test(flavor = "multi_thread")]
async fn positions_alone_take_no_room() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let little = LiveOptions { commit_bytes: 4096, ..options(Duration::from_secs(3600)) };
    let (live, committing) = started(&lake, little).await;
    let pushed = tokio::task::spawn_blocking({
        let live = live.clone();
        move || (1..=5000).try_for_each(|through| live.push_blocking(Chunk { through, rows: Vec::new() }))
    });
    tokio::time::timeout(Duration::from_secs(30), pushed).await.expect("they wait").unwrap().unwrap();
    assert_eq!((live.fresh(), *live.visible().borrow(), *live.committed().borrow()), ((0, 0), 5000, 0));
    push(&live, 5001..=5001).await;
    drop(live);
    committing.await.unwrap();
    let (live, _) = Live::open(&lake, LOG, LiveOptions::default()).await.unwrap();
    assert_eq!(*live.committed().borrow(), 5001);
}

/// While the store fails, so many rows are taken and no more; when the committer has gone, whoever waits is told.
#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_for_a_store_that_fails() {
    let inner = Arc::new(InMemory::new());
    open(inner.clone()).await.unwrap();
    let faulty = Faulty { inner, writes_left: AtomicI64::new(0), fate: Fate::Dies };
    let lake = open(Arc::new(faulty)).await.unwrap();
    let bytes = event(0).get_array_memory_size();
    let little = LiveOptions { commit_bytes: 8 * bytes, ..options(Duration::from_millis(1)) };
    let (live, committing) = started(&lake, little).await;
    let pushing = tokio::task::spawn_blocking({
        let live = live.clone();
        move || (1..=1000).map(chunk).try_for_each(|c| live.push_blocking(c))
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (rows, held) = live.fresh();
    assert!(rows >= 8 && held <= 17 * bytes, "{rows} rows, {held} bytes of {bytes} each");
    assert!(!pushing.is_finished());
    committing.abort();
    let ended = tokio::time::timeout(Duration::from_secs(30), pushing).await.expect("it waits for nobody");
    assert!(ended.unwrap().is_err());
}

/// The store dies at every write there is; another process goes on from the position that the lake knows.
#[tokio::test(flavor = "multi_thread")]
async fn every_write_may_be_the_last_of_a_stream() {
    for answer_lost in [false, true] {
        for writes in 0..24 {
            let inner = Arc::new(InMemory::new());
            open(inner.clone()).await.unwrap();
            let fate = if answer_lost { Fate::AnswerLost } else { Fate::Dies };
            let faulty = Faulty { inner: inner.clone(), writes_left: AtomicI64::new(writes), fate };
            let lake = open(Arc::new(faulty)).await.unwrap();
            let (live, committing) = started(&lake, options(Duration::from_millis(1))).await;
            for number in 1..=4 {
                push(&live, number..=number).await;
                tokio::time::sleep(Duration::from_millis(4)).await;
                let n = number as i64;
                assert_eq!(seen(&live, COUNTS).await[..2], [n, n], "visible although the store is dead");
            }
            committing.abort();
            let _ = committing.await;
            let lake = open(inner).await.unwrap();
            let (live, committing) = started(&lake, LiveOptions::default()).await;
            let position = *live.committed().borrow();
            push(&live, position + 1..=8).await;
            drop(live);
            committing.await.unwrap();
            let count = number(&lake, "SELECT count(*) FROM api_activity").await;
            let distinct = number(&lake, "SELECT count(DISTINCT metadata.uid) FROM api_activity").await;
            assert_eq!((count, distinct), (8, 8), "{writes} writes, {answer_lost}, gone on after {position}");
        }
    }
}

/// A store that is cut off for a while loses nothing: the committer tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_gets_everything() {
    let inner = Arc::new(InMemory::new());
    open(inner.clone()).await.unwrap();
    let faulty = Arc::new(Faulty { inner, writes_left: AtomicI64::new(3), fate: Fate::Dies });
    let lake = open(faulty.clone()).await.unwrap();
    let (live, committing) = started(&lake, options(Duration::from_millis(1))).await;
    push(&live, 1..=4).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    faulty.writes_left.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
    push(&live, 5..=8).await;
    drop(live);
    committing.await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 8);
    assert_eq!(number(&lake, "SELECT count(DISTINCT metadata.uid) FROM api_activity").await, 8);
}
