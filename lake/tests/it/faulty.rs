//! A store that fails: dead after some number of writes, for a while, or with an answer that comes late.

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const A_WHILE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct Faulty {
    pub inner: Arc<InMemory>,
    pub writes_left: AtomicI64,
    /// Of the write after these.
    pub fate: Fate,
}

pub enum Fate {
    /// It fails, and so does every further one.
    Dies,
    /// It happens, and fails; every further one fails.
    AnswerLost,
    /// It happens, others do this, and it is repeated by itself; every further one goes well.
    Repeated(Mutex<Option<BoxFuture<'static, ()>>>),
    /// This becomes of it and of those after it, the last first; every further one goes well.
    Flaky(Mutex<Vec<Put>>),
    /// Writes to names with this in them fail at once, all others take a while before and after they happen.
    Refused(Mutex<Option<&'static str>>),
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Works,
    /// Nothing came through.
    Lost,
    /// It came through, and its answer did not.
    Unanswered,
}

impl std::fmt::Debug for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fate")
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty")
    }
}

fn dead() -> Error {
    Error::Generic { store: "faulty", source: "the process was killed here".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let left = self.writes_left.fetch_sub(1, Ordering::SeqCst);
        match &self.fate {
            _ if left > 0 => self.inner.put_opts(location, payload, opts).await,
            Fate::AnswerLost if left == 0 => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(dead())
            }
            Fate::Repeated(meanwhile) => {
                let meanwhile = meanwhile.lock().unwrap().take();
                if let Some(meanwhile) = meanwhile {
                    self.inner.put_opts(location, payload.clone(), opts.clone()).await?;
                    meanwhile.await;
                }
                self.inner.put_opts(location, payload, opts).await
            }
            Fate::Flaky(next) => {
                let put = next.lock().unwrap().pop().unwrap_or(Put::Works);
                if put == Put::Lost {
                    return Err(dead());
                }
                let done = self.inner.put_opts(location, payload, opts).await?;
                if put == Put::Unanswered { Err(dead()) } else { Ok(done) }
            }
            Fate::Refused(names) => {
                let refused = *names.lock().unwrap();
                let Some(name) = refused else { return self.inner.put_opts(location, payload, opts).await };
                if location.as_ref().contains(name) {
                    return Err(dead());
                }
                tokio::time::sleep(A_WHILE).await;
                let done = self.inner.put_opts(location, payload, opts).await;
                tokio::time::sleep(A_WHILE).await;
                done
            }
            Fate::Dies | Fate::AnswerLost => Err(dead()),
        }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
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
