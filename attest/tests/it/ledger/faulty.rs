//! A store whose writes fail as told, one fate after the other.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Works,
    /// Nothing came through.
    Lost,
    /// It came through, and its answer did not.
    Unanswered,
    /// It came through, its answer did not, and the store's client sends it again.
    Repeated,
    /// This and all after it are lost: the process died.
    Dies,
}

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<InMemory>,
    fates: Mutex<VecDeque<Put>>,
}

impl Faulty {
    /// Writes meet these fates in turn; those after the last go well.
    pub fn new(inner: Arc<InMemory>, fates: impl IntoIterator<Item = Put>) -> Arc<Self> {
        Arc::new(Self { inner, fates: Mutex::new(fates.into_iter().collect()) })
    }

    fn fate(&self) -> Put {
        let mut fates = self.fates.lock().unwrap();
        if fates.front() == Some(&Put::Dies) { Put::Dies } else { fates.pop_front().unwrap_or(Put::Works) }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty")
    }
}

fn no_answer() -> Error {
    Error::Generic { store: "faulty", source: "no answer".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fate = self.fate();
        if matches!(fate, Put::Lost | Put::Dies) {
            return Err(no_answer());
        }
        let done = self.inner.put_opts(location, payload.clone(), options.clone()).await;
        match fate {
            Put::Unanswered => Err(no_answer()),
            Put::Repeated => self.inner.put_opts(location, payload, options).await,
            _ => done,
        }
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        panic!("a ledger deletes nothing")
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("a ledger copies nothing")
    }
}
