//! Upkeep changes files and no answers, whoever else is at the table and wherever it stops.

use crate::crash::{lines, open};
use crate::events::{DAY, START, batch, ingest_text, number, session, small, table};
use crate::faulty::{Fate, Faulty};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tarn_lake::upkeep::{CompactOptions, compact, retain, vacuum};
use tarn_lake::{IngestOptions, Lake};
use tarn_schema_ocsf::record::Value;

const TABLE: &str = "api_activity";
const ALL: &str = "SELECT * FROM api_activity ORDER BY metadata.uid";
const EAGER: CompactOptions = CompactOptions { target_bytes: 128 << 20, files_min: 2, outliers: true };

/// One commit of three rows over two days: times overlap with other commits', and columns differ.
async fn append(lake: &Lake, number: i64) {
    let uids: Vec<String> = (0..3).map(|row| format!("e{number:03}-{row}")).collect();
    let text = format!("{{\"n\":{number}}}");
    let row = |row: i64| {
        let mut values = vec![("metadata.uid", Value::Text(&uids[row as usize]))];
        if number % 3 == 1 {
            values.push(("api.operation", Value::Text("GetObject")));
            values.push(("unmapped", Value::Text(&text)));
        }
        // The first comes late, the others early.
        (START + (row % 2) * DAY + if row == 0 { 1_000 - number } else { number * 7 }, values)
    };
    let rows = batch(6003, &[row(0), row(1), row(2)]);
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append(TABLE, rows).await.unwrap();
    ingest.commit().await.unwrap();
}

async fn many(lake: &Lake, commits: i64) {
    for number in 0..commits {
        append(lake, number).await;
    }
}

async fn all(lake: &Lake) -> String {
    table(&session(lake).await, ALL).await
}

async fn files(lake: &Lake) -> usize {
    lake.table(TABLE).await.unwrap().unwrap().files.len()
}

async fn stored(store: &InMemory) -> Vec<Path> {
    let listed: Vec<_> = store.list(Some(&Path::from("lake/tables"))).try_collect().await.unwrap();
    let parquet = |path: &Path| path.as_ref().ends_with(".parquet") && !path.as_ref().contains("_delta_log");
    listed.into_iter().map(|meta| meta.location).filter(parquet).collect()
}

#[tokio::test]
async fn files_become_few_and_rows_stay() {
    let store = Arc::new(InMemory::new());
    let lake = open(store.clone()).await.unwrap();
    many(&lake, 20).await;
    let (before, older) = (all(&lake).await, session(&lake).await);
    assert_eq!(files(&lake).await, 40);
    let would = compact(&lake, TABLE, &EAGER, true).await.unwrap();
    assert_eq!((would.len(), files(&lake).await), (2, 40), "a dry run");
    let done = compact(&lake, TABLE, &EAGER, false).await.unwrap();
    assert_eq!(done.iter().map(|one| (one.files, one.rows)).collect::<Vec<_>>(), [(20, 40), (20, 20)]);
    assert!(done.iter().all(|one| one.bytes_after > 0 && one.bytes_after < one.bytes_before));
    assert_eq!((files(&lake).await, all(&lake).await), (2, before.clone()));
    assert_eq!(compact(&lake, TABLE, &EAGER, false).await.unwrap(), [], "nothing is left to do");
    // In the order of time, as statistics say.
    let days = lake.table(TABLE).await.unwrap().unwrap();
    assert_eq!(days.rows(), Some(60));
    let times = "SELECT time FROM api_activity WHERE event_day = '2025-03-01'";
    let sorted = table(&session(&lake).await, &format!("{times} ORDER BY time")).await;
    assert_eq!(table(&session(&lake).await, times).await, sorted);
    // Who read an older version goes on with it.
    assert_eq!(table(&older, ALL).await, before);
    // For readers of changes, nothing changed.
    let version = days.version;
    let log = Path::from(format!("lake/tables/{TABLE}/_delta_log/{version:020}.json"));
    let log = store.get(&log).await.unwrap().bytes().await.unwrap();
    let log = String::from_utf8(log.to_vec()).unwrap();
    assert_eq!((log.matches("\"dataChange\":false").count(), log.matches("\"dataChange\":true").count()), (42, 0));
    append(&lake, 99).await;
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 63);
}

/// A stream's commits put rare days into shared files, where SQL finds them by their day; a day that has become worth a file
/// gets one.
#[tokio::test]
async fn rare_days_share_files_until_they_are_worth_one() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    for commit in 0..3 {
        let uids: Vec<String> = (0..600).map(|row| format!("e{commit}-{row}")).collect();
        let rows_of = |day: i64, rows: usize| {
            let rows = uids[..rows].iter().zip(0..);
            rows.map(move |(uid, at)| (START + day * DAY + at, vec![("metadata.uid", Value::Text(uid))]))
        };
        let mut rows: Vec<_> =
            rows_of(0, 600).chain(rows_of(1, 400)).chain(rows_of(2, 3)).chain(rows_of(3, 2)).collect();
        // Two whose times cannot be true.
        rows.push((7, rows[0].1.clone()));
        rows.push((START + 100_000 * DAY, rows[0].1.clone()));
        let options = IngestOptions { days_max: 1, for_hunts: false, ..IngestOptions::default() };
        let mut ingest = lake.ingest(options).await.unwrap();
        ingest.append(TABLE, batch(6003, &rows)).await.unwrap();
        ingest.commit().await.unwrap();
    }
    let rows = "SELECT metadata.uid, time FROM api_activity ORDER BY 1, 2";
    let of_days = "SELECT event_day, count(*) FROM api_activity GROUP BY 1 ORDER BY 1";
    let before = (table(&session(&lake).await, rows).await, table(&session(&lake).await, of_days).await);
    let of_day = |day: i64| format!("SELECT count(*) FROM api_activity WHERE event_day = DATE '2025-03-01' + {day}");
    for (day, rows) in [(0, 1800), (1, 1200), (2, 9), (3, 6), (4, 0)] {
        assert_eq!(number(&lake, &of_day(day)).await, rows);
    }
    assert_eq!(files(&lake).await, 6);
    let done = compact(&lake, TABLE, &EAGER, false).await.unwrap();
    assert_eq!(done.iter().map(|one| (one.files, one.rows)).collect::<Vec<_>>(), [(3, 1221), (3, 1800)]);
    let days = lake.table(TABLE).await.unwrap().unwrap().files.iter().map(|file| file.event_day).collect::<Vec<_>>();
    let day = i32::try_from(START / DAY).unwrap();
    assert_eq!(days, [Some(0), Some(0), Some(day), Some(day + 1)]);
    let after = (table(&session(&lake).await, rows).await, table(&session(&lake).await, of_days).await);
    assert_eq!(after, before);
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity WHERE event_day = '1970-01-01'").await, 6);
    assert_eq!(compact(&lake, TABLE, &EAGER, false).await.unwrap(), [], "what is left is worth no file");
}

/// A day that is over is not worth a file for a few rows, as a table that gets a few a day has hundreds of them.
#[tokio::test]
async fn days_of_few_rows_come_to_share_a_file() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    for day in 0..9 {
        let rows = if day == 4 { 1_024 } else { 3 };
        let rows: Vec<_> =
            (0..rows).map(|row| (START + day * DAY + row, vec![("message", Value::Text("m"))])).collect();
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        ingest.append(TABLE, batch(6003, &rows)).await.unwrap();
        ingest.commit().await.unwrap();
    }
    let of_days = "SELECT event_day, count(*), min(time), max(time) FROM api_activity GROUP BY 1 ORDER BY 1";
    let before = table(&session(&lake).await, of_days).await;
    let done = compact(&lake, TABLE, &EAGER, false).await.unwrap();
    assert_eq!(done.iter().map(|one| (one.day, one.files, one.rows)).collect::<Vec<_>>(), [(0, 8, 24)]);
    assert_eq!((files(&lake).await, table(&session(&lake).await, of_days).await), (2, before));
    // What is going on keeps its days.
    let now = Utc::now().timestamp_micros();
    for day in 0..4 {
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        ingest.append(TABLE, batch(6003, &[(now - day * DAY, vec![("message", Value::Text("m"))])])).await.unwrap();
        ingest.commit().await.unwrap();
    }
    assert_eq!(compact(&lake, TABLE, &EAGER, false).await.unwrap(), []);
    assert_eq!(files(&lake).await, 6);
    // Once days share a file, fewer join them: these, and the first of those before, which is over.
    for day in 20..22 {
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        ingest.append(TABLE, batch(6003, &[(START + day * DAY, vec![("message", Value::Text("m"))])])).await.unwrap();
        ingest.commit().await.unwrap();
    }
    assert_eq!(compact(&lake, TABLE, &CompactOptions { files_min: 4, ..EAGER }, false).await.unwrap(), []);
    let done = compact(&lake, TABLE, &EAGER, false).await.unwrap();
    assert_eq!((done[0].day, done[0].files, done[0].rows), (0, 3, 3));
    assert_eq!(files(&lake).await, 5, "what is shared is one file");
}

#[tokio::test]
async fn a_large_file_of_rare_days_does_not_wait() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let options = IngestOptions { days_max: 1, for_hunts: false, ..IngestOptions::default() };
    let mut ingest = lake.ingest(options).await.unwrap();
    let of_days: Vec<_> = (0..3).map(|day| (START + day * DAY, vec![("metadata.uid", Value::Text("e"))])).collect();
    ingest.append(TABLE, batch(6003, &of_days)).await.unwrap();
    ingest.commit().await.unwrap();
    let small = CompactOptions { outliers: false, ..EAGER };
    assert_eq!(compact(&lake, TABLE, &small, false).await.unwrap(), [], "one file alone");
    let large = CompactOptions { target_bytes: 2, ..small };
    let done = compact(&lake, TABLE, &large, false).await.unwrap();
    assert_eq!(done.iter().map(|one| (one.day, one.files, one.rows)).collect::<Vec<_>>(), [(0, 1, 2)]);
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity WHERE event_day > DATE '2025-03-01'").await, 2);
    assert_eq!(compact(&lake, TABLE, &large, false).await.unwrap(), [], "it was looked at");
}

/// Of a file that days share, those that are too old go.
#[tokio::test]
async fn old_days_of_a_shared_file_go() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let mut ingest = lake.ingest(IngestOptions { days_max: 1, ..IngestOptions::default() }).await.unwrap();
    let uids: Vec<String> = (0..8).map(|day| format!("e{day}")).collect();
    let mut of_days: Vec<_> = uids
        .iter()
        .zip(0..)
        .flat_map(|(uid, day)| vec![(START + day * DAY, vec![("metadata.uid", Value::Text(uid))]); 2])
        .collect();
    of_days.push((7, of_days[0].1.clone()));
    ingest.append(TABLE, batch(6003, &of_days)).await.unwrap();
    ingest.commit().await.unwrap();
    assert_eq!(files(&lake).await, 2);
    let now = DateTime::<Utc>::from_timestamp_micros(START + 8 * DAY).unwrap();
    let would = retain(&lake, TABLE, 5, now, true).await.unwrap();
    assert_eq!((would.files, would.rows, number(&lake, "SELECT count(*) FROM api_activity").await), (1, 6, 17));
    let done = retain(&lake, TABLE, 5, now, false).await.unwrap();
    assert_eq!((done.files, done.rows), (would.files, would.rows));
    let left = "SELECT min(metadata.uid), max(metadata.uid), count(*) FROM api_activity WHERE time > '1990-01-01'";
    assert!(
        table(&session(&lake).await, left)
            .await
            .contains("| e3                             | e7                             | 10 ")
    );
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity WHERE event_day = '1970-01-01'").await, 1);
    assert_eq!(retain(&lake, TABLE, 5, now, false).await.unwrap().files, 0);
}

/// A file's age is that of rows without a true time alone: one that was written long ago may have rows that are to stay.
#[tokio::test]
async fn an_old_file_keeps_days_that_are_not() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    let now = Utc::now();
    let at = |days: i64| (now.timestamp_micros() + days * DAY, vec![("metadata.uid", Value::Text("e"))]);
    let mut ingest = lake.ingest(IngestOptions { days_max: 1, ..IngestOptions::default() }).await.unwrap();
    ingest.append(TABLE, batch(6003, &[at(-50), at(-50), at(-100), at(1)])).await.unwrap();
    ingest.commit().await.unwrap();
    let later = now + chrono::TimeDelta::days(10);
    assert_eq!(retain(&lake, TABLE, 9, later, true).await.unwrap().rows, 3);
    assert_eq!(retain(&lake, TABLE, 9, later, false).await.unwrap().rows, 3);
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity WHERE time > now()").await, 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_other_compactions_go_on() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    many(&lake, 4).await;
    let writing = tokio::spawn({
        let lake = lake.clone();
        async move {
            for number in 4..40 {
                append(&lake, number).await;
            }
        }
    });
    let compacting = |lake: Lake| async move {
        for _ in 0..12 {
            compact(&lake, TABLE, &EAGER, false).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(compacting(lake.clone()), compacting(lake.clone()));
    writing.await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 120);
    assert_eq!(number(&lake, "SELECT count(DISTINCT metadata.uid) FROM api_activity").await, 120);
}

/// The store dies at every write there is; what is there then is what was there before.
#[tokio::test]
async fn any_write_may_be_the_last() {
    for answer_lost in [false, true] {
        for writes in 0..6 {
            let inner = Arc::new(InMemory::new());
            let lake = open(inner.clone()).await.unwrap();
            many(&lake, 6).await;
            let before = all(&lake).await;
            let fate = if answer_lost { Fate::AnswerLost } else { Fate::Dies };
            let faulty = Faulty { inner: inner.clone(), writes_left: AtomicI64::new(writes), fate };
            let dying = open(Arc::new(faulty)).await.unwrap();
            let _ = compact(&dying, TABLE, &EAGER, false).await;
            let lake = open(inner).await.unwrap();
            assert_eq!(all(&lake).await, before, "{writes} writes, {answer_lost}");
            compact(&lake, TABLE, &EAGER, false).await.unwrap();
            assert_eq!((files(&lake).await, all(&lake).await), (2, before));
        }
    }
}

#[tokio::test]
async fn old_days_go() {
    let lake = open(Arc::new(InMemory::new())).await.unwrap();
    small(&lake).await;
    // A time that cannot be true is no age.
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append(TABLE, batch(6003, &[(1, vec![("metadata.uid", Value::Text("e4"))])])).await.unwrap();
    ingest.commit().await.unwrap();
    let at = |day: i64| DateTime::<Utc>::from_timestamp_micros(START + day * DAY + 60_000_000).unwrap();
    let uids = "SELECT string_agg(metadata.uid, ',' ORDER BY metadata.uid) FROM api_activity";
    let left = async || {
        let table = table(&session(&lake).await, uids).await;
        table.lines().nth(3).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let would = retain(&lake, TABLE, 2, at(3), true).await.unwrap();
    assert_eq!((would.files, would.rows), (1, 1));
    assert_eq!(retain(&lake, TABLE, 3, at(3), false).await.unwrap().files, 0, "a day is kept to its end");
    assert_eq!(retain(&lake, TABLE, 2, at(3), false).await.unwrap(), would);
    assert_eq!(left().await, "e2,e3,e4");
    retain(&lake, TABLE, 0, Utc::now() + chrono::TimeDelta::days(1), false).await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 0);
    assert_eq!(number(&lake, "SELECT count(*) FROM authentication").await, 2, "another table");
    assert_eq!(retain(&lake, "no_such_table", 1, Utc::now(), false).await.unwrap().files, 0);
}

#[tokio::test]
async fn files_go_when_nobody_needs_them() {
    let store = Arc::new(InMemory::new());
    let lake = open(store.clone()).await.unwrap();
    many(&lake, 6).await;
    compact(&lake, TABLE, &EAGER, false).await.unwrap();
    let before = all(&lake).await;
    let litter = Path::from(format!("lake/tables/{TABLE}/event_day=2025-03-01/part-litter.zstd.parquet"));
    store.put(&litter, "of a writer that was killed".into()).await.unwrap();
    assert_eq!(stored(&store).await.len(), 15);
    assert_eq!(vacuum(&lake, TABLE, 24, false).await.unwrap().files.len(), 0, "none is a day old");
    assert_eq!(vacuum(&lake, TABLE, 0, true).await.unwrap().files.len(), 13);
    assert_eq!(stored(&store).await.len(), 15, "a dry run");
    assert_eq!(vacuum(&lake, TABLE, 0, false).await.unwrap().files.len(), 13);
    assert_eq!((stored(&store).await.len(), all(&lake).await), (2, before));
    append(&lake, 50).await;
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 21);
}

/// A group that was logged when its writer died is committed before anything is thrown away; and content that was
/// ingested is still known.
#[tokio::test]
async fn what_is_logged_is_needed() {
    for writes in 0..10 {
        let inner = Arc::new(InMemory::new());
        let ingest = async |store: Arc<dyn ObjectStore>| {
            let lake = open(store).await?;
            let mut ingest = lake.ingest(IngestOptions::default()).await?;
            ingest_text(&mut ingest, "first", &lines(1001, 0, 6, "a"), 2).await?;
            ingest.commit().await
        };
        open(inner.clone()).await.unwrap();
        let faulty = Faulty { inner: inner.clone(), writes_left: AtomicI64::new(writes), fate: Fate::Dies };
        let _ = ingest(Arc::new(faulty)).await;
        let lake = open(inner.clone()).await.unwrap();
        vacuum(&lake, "class_1001", 0, false).await.unwrap();
        compact(&lake, "class_1001", &EAGER, false).await.unwrap();
        vacuum(&lake, "class_1001", 0, false).await.unwrap();
        ingest(inner).await.unwrap();
        assert_eq!(number(&lake, "SELECT count(*) FROM class_1001").await, 6, "{writes} writes");
    }
}
