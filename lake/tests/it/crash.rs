//! Killed between any two writes, run again: nothing is lost, nothing is there twice.

use crate::events::{ingest_text, number};
use crate::faulty::{Fate, Faulty};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use tarn_lake::{IngestOptions, Lake, LakeError};
use url::Url;

pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Lake, LakeError> {
    Lake::open_or_create_in(store, Url::parse("memory:///lake/").unwrap()).await
}

pub fn lines(class: u32, from: usize, to: usize, word: &str) -> String {
    (from..to).map(|i| format!("{class} {} {word}{i}\n", i % 3)).collect()
}

/// Two files of two tables, the second committed in three groups.
async fn run(store: Arc<dyn ObjectStore>) -> Result<(), LakeError> {
    let lake = open(store).await?;
    let mut ingest = lake.ingest(IngestOptions::default()).await?;
    ingest_text(&mut ingest, "first", &lines(1001, 0, 4, "a"), 100).await?;
    let second = lines(1001, 4, 8, "b") + &lines(1007, 0, 3, "c");
    ingest_text(&mut ingest, "second", &second, 3).await?;
    ingest.commit().await?;
    Ok(())
}

#[tokio::test]
async fn every_write_may_be_the_last() {
    for answer_lost in [false, true] {
        let mut survived = 0;
        for writes in 0.. {
            let inner = Arc::new(InMemory::new());
            let fate = if answer_lost { Fate::AnswerLost } else { Fate::Dies };
            let faulty = Faulty { inner: Arc::clone(&inner), writes_left: AtomicI64::new(writes), fate };
            let done = run(Arc::new(faulty)).await.is_ok();
            run(Arc::clone(&inner) as _).await.unwrap_or_else(|e| panic!("after {writes} writes: {e}"));
            let lake = open(inner).await.unwrap();
            for (table, expected) in [("class_1001", 8), ("class_1007", 3)] {
                let count = number(&lake, &format!("SELECT count(*) FROM {table}")).await;
                let distinct = number(&lake, &format!("SELECT count(DISTINCT metadata.uid) FROM {table}")).await;
                assert_eq!((count, distinct), (expected, expected), "{table} after {writes} writes, {answer_lost}");
            }
            if done {
                break;
            }
            survived += 1;
        }
        assert!(survived > 15, "only {survived} places to die at");
    }
}

/// Tables are committed side by side: one that fails drops the others' commits wherever they are.
#[tokio::test]
async fn a_table_that_fails_loses_no_rows_of_the_others() {
    const TABLES: [u32; 4] = [1001, 1007, 3002, 4001];
    for refused in ["class_1001/_delta_log", "class_1007/_delta_log", "class_3002/_delta_log", "class_4001/_delta_log"]
    {
        let fate = Fate::Refused(Mutex::default());
        let store = Arc::new(Faulty { inner: Arc::default(), writes_left: AtomicI64::new(0), fate });
        let lake = open(store.clone()).await.unwrap();
        let mut made = 0;
        for (round, expected) in [("first", 3), ("second", 6)] {
            let text: String = TABLES.iter().map(|class| lines(*class, made, made + 3, round)).collect();
            made += 3;
            let refuse = |name| {
                if let Fate::Refused(names) = &store.fate {
                    *names.lock().unwrap() = name;
                }
            };
            refuse(Some(refused));
            let failed = async {
                let mut ingest = lake.ingest(IngestOptions::default()).await?;
                ingest_text(&mut ingest, round, &text, 100).await?;
                ingest.commit().await
            };
            assert!(failed.await.is_err(), "{refused}");
            refuse(None);
            // The same process, and another one.
            for lake in [lake.clone(), open(store.inner.clone()).await.unwrap()] {
                let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
                ingest_text(&mut ingest, round, &text, 100).await.unwrap();
                ingest.commit().await.unwrap();
                for class in TABLES {
                    let count = number(&lake, &format!("SELECT count(*) FROM class_{class}")).await;
                    let uids = format!("SELECT count(DISTINCT metadata.uid) FROM class_{class}");
                    assert_eq!((count, number(&lake, &uids).await), (expected, expected), "class_{class}, {refused}");
                }
            }
        }
    }
}
