//! The log in an object store that fails: what was acknowledged is there for the next machine, and two machines never both
//! write.

use super::{append, read};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use proptest::prelude::*;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tarn_lake::log::files::{Bucket, Files};
use tarn_lake::log::{Log, LogError, LogOptions};

const OPTIONS: LogOptions =
    LogOptions { segment_bytes: 600, bytes_max: 100_000, frame_bytes_max: 300, sync_wait: Duration::ZERO };

/// What happens to a `PUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Works,
    /// Nothing came through.
    Lost,
    /// It came through, and its answer did not.
    Unanswered,
}

/// A store whose next `PUT`s go as was said; then all work.
#[derive(Debug, Default)]
struct Flaky {
    inner: InMemory,
    next: Mutex<Vec<Put>>,
    puts: AtomicUsize,
}

impl Flaky {
    fn will(&self, next: Vec<Put>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let put = self.next.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(Put::Works);
        let cut_off = || Error::Generic { store: "flaky", source: "connection reset".into() };
        if put == Put::Lost {
            return Err(cut_off());
        }
        let done = self.inner.put_opts(location, payload, options).await?;
        if put == Put::Unanswered { Err(cut_off()) } else { Ok(done) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn bucket(store: &Arc<Flaky>) -> Arc<Bucket> {
    let store: Arc<dyn ObjectStore> = store.clone();
    Arc::new(Bucket::new(store, Path::from("log"), "memory://log").unwrap())
}

fn open(store: &Arc<Flaky>) -> Result<Log<()>, LogError> {
    Log::open_in(bucket(store), OPTIONS, |_, ()| {})
}

fn texts(log: &Log<()>) -> Vec<(u64, String)> {
    read(log, 0).unwrap()
}

#[test]
fn the_next_machine_goes_on_where_the_lost_one_was() {
    let store = Arc::new(Flaky::default());
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
    let store = Arc::new(Flaky::default());
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
    let store = Arc::new(Flaky::default());
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
    let store = Arc::new(Flaky::default());
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

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let put = prop::sample::select(vec![Put::Works, Put::Works, Put::Lost, Put::Unanswered]);
    prop::collection::vec(put, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Appends, cuts and new machines, while the store fails.
    #[test]
    fn what_was_acknowledged_is_there(steps in prop::collection::vec((0..5_u8, puts()), 1..12)) {
        let store = Arc::new(Flaky::default());
        let mut log = open(&store).unwrap();
        let (mut there, mut last) = (Vec::new(), 0);
        for (step, puts) in steps {
            store.will(puts);
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
        store.will(Vec::new());
        prop_assert_eq!(&texts(&open(&store).unwrap()), &there);
    }
}
