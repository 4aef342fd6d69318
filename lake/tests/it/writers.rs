//! Several processes write one lake at once: no row is lost and none is there twice, or one of them is refused.

use crate::crash::{lines, open};
use crate::events::{START, batch, ingest_text, lake_in, number, read_text};
use crate::faulty::{Fate, Faulty};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use tarn_lake::ingest::identity::Reached;
use tarn_lake::{IngestOptions, Lake, LakeError};
use tarn_schema_ocsf::record::Value;

/// Rows of class_1001, all of which are different.
async fn rows(lake: &Lake) -> i64 {
    let count = number(lake, "SELECT count(*) FROM class_1001").await;
    assert_eq!(number(lake, "SELECT count(DISTINCT metadata.uid) FROM class_1001").await, count);
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_lake() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let writer = |number: usize, store: Arc<dyn ObjectStore>| async move {
        // A lake of its own: another process has other locks.
        let lake = open(store).await.unwrap();
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        for file in 0..4 {
            let text = lines(1001, 0, 5, &format!("w{number}f{file}n"));
            ingest_text(&mut ingest, &format!("{number}/{file}"), &text, 100).await.unwrap();
            ingest.commit().await.unwrap();
        }
    };
    let writers: Vec<_> = (0..3).map(|n| tokio::spawn(writer(n, Arc::clone(&store)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(rows(&open(store).await.unwrap()).await, 60);
}

/// In a folder, where each finds what the other has logged and not yet carried out, and adds columns to its tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let writer = |number: usize, folder: std::path::PathBuf| async move {
        let lake = lake_in(&folder).await;
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        for file in 0..10 {
            let text = lines(1001, 0, 4, &format!("w{number}f{file}n"));
            ingest_text(&mut ingest, &format!("{number}/{file}"), &text, 3).await.unwrap();
            let column = ["api.operation", "actor.user.name", "cloud.region"][(number + file) % 3];
            ingest.append("api_activity", batch(6003, &[(START, vec![(column, Value::Text("x"))])])).await.unwrap();
            ingest.commit().await.unwrap();
        }
    };
    let writers: Vec<_> = (0..2).map(|n| tokio::spawn(writer(n, folder.path().to_owned()))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let lake = lake_in(folder.path()).await;
    assert_eq!(rows(&lake).await, 80);
    let columns = "SELECT count(api.operation) + count(actor.user.name) + count(cloud.region) FROM api_activity";
    assert_eq!(number(&lake, columns).await, 20);
}

/// Two processes that read before either commits. The second is refused when both may have read the same record, and
/// ingests what is left when it begins again.
#[tokio::test]
async fn one_content_by_two_processes_at_once() {
    let text = |count: usize| lines(1001, 0, count, "line");
    let other = |count: usize| lines(1001, 0, count, "other");
    // Lines have some 15 bytes: 300 pass 4 KiB, 5,000 pass 64 KiB.
    for (grown, one, two) in [
        (true, ("f", text(5)), ("f", text(5))),
        (true, ("f", text(5)), ("copy", text(5))),
        (true, ("f", text(5)), ("f", text(7))),
        (true, ("f", text(5)), ("f", text(500))),
        (true, ("f", text(300)), ("f", text(301))),
        (true, ("f", text(300)), ("f.1", text(301))),
        (true, ("f", text(300)), ("f.1", text(5000))),
        (true, ("f", text(5000)), ("f.1", text(5001))),
        (false, ("f", text(5)), ("g", other(5))),
        (false, ("f", text(300)), ("f", other(300))),
        (false, ("f", text(300)), ("f", other(5000))),
        (false, ("f", text(5000)), ("f", text(300) + &other(5000))),
    ] {
        for ((name, first), (second_name, second)) in [(&one, &two), (&two, &one)] {
            let case = format!("{name} of {} bytes, {second_name} of {}", first.len(), second.len());
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let (a, b) = (open(Arc::clone(&store)).await.unwrap(), open(store).await.unwrap());
            let mut first_ingest = a.ingest(IngestOptions::default()).await.unwrap();
            let mut second_ingest = b.ingest(IngestOptions::default()).await.unwrap();
            ingest_text(&mut first_ingest, name, first, 100_000).await.unwrap();
            ingest_text(&mut second_ingest, second_name, second, 100_000).await.unwrap();
            first_ingest.commit().await.unwrap();
            let committed = second_ingest.commit().await;
            let all = number(&a, "SELECT count(*) FROM class_1001").await;
            if !grown {
                committed.unwrap_or_else(|e| panic!("{case}: {e}"));
                assert_eq!(all as usize, first.lines().count() + second.lines().count(), "{case}");
                continue;
            }
            assert!(matches!(committed, Err(LakeError::IngestedElsewhere { .. })), "{case}: {committed:?}");
            assert_eq!(all as usize, first.lines().count(), "{case}");
            let longest = if first.len() > second.len() { first } else { second };
            let mut again = b.ingest(IngestOptions::default()).await.unwrap();
            ingest_text(&mut again, name, longest, 100_000).await.unwrap();
            again.commit().await.unwrap();
            assert_eq!(rows(&a).await as usize, longest.lines().count(), "{case}");
        }
    }
}

/// Rows of one log by two processes at once: the second is refused, and finds in the lake how far the first came.
#[tokio::test]
async fn one_log_by_two_processes_at_once() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (a, b) = (open(Arc::clone(&store)).await.unwrap(), open(store).await.unwrap());
    let text = lines(1001, 0, 5, "x");
    let load = async |lake: &Lake, log: &str| {
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        let container = ingest.begin_stream("log", text.as_bytes());
        read_text(&mut ingest, &container, &Reached::default(), &text, 100).await.unwrap();
        ingest.reach(log, 5);
        ingest
    };
    let (mut first, mut second, mut other) = (load(&a, "one").await, load(&b, "one").await, load(&b, "two").await);
    first.commit().await.unwrap();
    let refused = second.commit().await;
    assert!(matches!(refused, Err(LakeError::IngestedElsewhere { .. })), "{refused:?}");
    assert_eq!(number(&a, "SELECT count(*) FROM class_1001").await, 5);
    let again = b.ingest(IngestOptions::default()).await.unwrap();
    assert_eq!((again.reached("one"), again.reached("two")), (5, 0));
    other.commit().await.unwrap();
    assert_eq!(number(&a, "SELECT count(*) FROM class_1001").await, 10);
}

/// What comes through standard input cannot be read again, and is new whatever it is.
#[tokio::test]
async fn streams_of_two_processes_are_both_in() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (a, b) = (open(Arc::clone(&store)).await.unwrap(), open(store).await.unwrap());
    let mut ingests =
        [a.ingest(IngestOptions::default()).await.unwrap(), b.ingest(IngestOptions::default()).await.unwrap()];
    let text = lines(1001, 0, 5, "x");
    for ingest in &mut ingests {
        let container = ingest.begin_stream("-", text.as_bytes());
        read_text(ingest, &container, &Reached::default(), &text, 100).await.unwrap();
    }
    for ingest in &mut ingests {
        ingest.commit().await.unwrap();
    }
    assert_eq!(number(&a, "SELECT count(*) FROM class_1001").await, 10);
}

/// A store repeats a write whose answer was lost, and is told that the name is taken: by itself.
#[tokio::test]
async fn a_repeated_write_is_recognised_when_others_wrote_meanwhile() {
    let inner = Arc::new(InMemory::new());
    let others = Arc::clone(&inner);
    let meanwhile = async move {
        let lake = open(others).await.unwrap();
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        ingest_text(&mut ingest, "others", &lines(1001, 0, 3, "others"), 100).await.unwrap();
        ingest.commit().await.unwrap();
    };
    let fate = Fate::Repeated(Mutex::new(Some(Box::pin(meanwhile))));
    // tarn.json and the files of three days come before the entry of the log.
    let store = Faulty { inner: Arc::clone(&inner), writes_left: AtomicI64::new(4), fate };
    let lake = open(Arc::new(store)).await.unwrap();
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest_text(&mut ingest, "ours", &lines(1001, 0, 4, "ours"), 100).await.unwrap();
    assert_eq!(ingest.commit().await.unwrap().sequence, Some(1));
    let lake = open(inner).await.unwrap();
    assert_eq!(rows(&lake).await, 7);
}
