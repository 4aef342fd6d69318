//! Objects of one ledger on a store, by their names below it, each read with a bound on its size.

use super::error::LedgerError;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::ops::Range;
use std::sync::Arc;

/// Reads and writes under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// An object that is to be written, or that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) bytes: Bytes,
}

/// What became of the creation of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It has these bytes now.
    Ours,
    /// It was there before, with other bytes.
    Others,
}

/// The place of a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Site(Arc<PrefixStore<Arc<dyn ObjectStore>>>);

fn failed(path: &str) -> impl FnOnce(Error) -> LedgerError {
    move |source| LedgerError::Store { path: path.to_owned(), source }
}

impl Site {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &Path) -> Self {
        Self(Arc::new(PrefixStore::new(store, prefix.clone())))
    }

    /// An object's bytes; `None` when it is not there.
    ///
    /// **Errors**: the store's; [`LedgerError::Corrupt`] for more than `max` bytes, which are not read.
    pub(crate) async fn read(&self, path: &str, max: usize) -> Result<Option<Bytes>, LedgerError> {
        self.read_part(path, None, max).await
    }

    async fn read_part(&self, path: &str, range: Option<Range<u64>>, max: usize) -> Result<Option<Bytes>, LedgerError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let got = match self.0.get_opts(&Path::from(path), options).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(failed(path))?,
        };
        let bytes = got.range.end - got.range.start;
        if bytes > max as u64 {
            let reason = format!("{bytes} bytes, at most {max} can be");
            return Err(LedgerError::Corrupt { path: path.to_owned(), reason });
        }
        got.bytes().await.map(Some).map_err(failed(path))
    }

    /// An object's bytes.
    ///
    /// **Errors**: as [`Self::read`], and [`LedgerError::Missing`].
    pub(crate) async fn need(&self, path: &str, max: usize) -> Result<Bytes, LedgerError> {
        self.read(path, max).await?.ok_or_else(|| LedgerError::Missing { path: path.to_owned() })
    }

    /// Whether an object is there.
    pub(crate) async fn exists(&self, path: &str) -> Result<bool, LedgerError> {
        match self.0.head(&Path::from(path)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed(path)(source)),
        }
    }

    /// A part of an object, cut at its end.
    ///
    /// **Errors**: as [`Self::need`].
    pub(crate) async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, LedgerError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (start, max) = (range.start, (range.end - range.start) as usize);
        match self.read_part(path, Some(range), max).await {
            Ok(part) => part.ok_or_else(|| LedgerError::Missing { path: path.to_owned() }),
            // Stores have no error of their own for a part that begins beyond the end.
            Err(error) => match self.0.head(&Path::from(path)).await {
                Ok(meta) if meta.size <= start => {
                    let reason = format!("it ends at byte {}", meta.size);
                    Err(LedgerError::Corrupt { path: path.to_owned(), reason })
                }
                _ => Err(error),
            },
        }
    }

    /// Writes objects, over what is there.
    pub(crate) async fn write_all(&self, objects: Vec<Object>) -> Result<(), LedgerError> {
        stream::iter(objects.into_iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |object| async move { self.write(&object.path, object.bytes).await })
            .await
    }

    /// Writes an object, over what is there.
    pub(crate) async fn write(&self, path: &str, bytes: Bytes) -> Result<(), LedgerError> {
        self.0.put(&Path::from(path), PutPayload::from(bytes)).await.map(drop).map_err(failed(path))
    }

    /// Creates an object unless there is one, atomically. A store repeats a request whose answer it did not get, so an
    /// object that is there with these bytes is ours.
    ///
    /// **Errors**: the store's. Whether the object was made is then not known.
    pub(crate) async fn create(&self, path: &str, bytes: Bytes) -> Result<Created, LedgerError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.0.put_opts(&Path::from(path), PutPayload::from(bytes.clone()), options).await {
            Ok(_) => Ok(Created::Ours),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.read(path, bytes.len()).await {
                Ok(Some(there)) if there == bytes => Ok(Created::Ours),
                Ok(_) | Err(LedgerError::Corrupt { .. }) => Ok(Created::Others),
                Err(error) => Err(error),
            },
            Err(source) => Err(failed(path)(source)),
        }
    }

    /// Reads many objects at once; the answers are in the order of the paths.
    pub(crate) async fn read_all(&self, paths: &[String], max: usize) -> Result<Vec<Option<Bytes>>, LedgerError> {
        // Owned paths: a borrowed one in the stream would tie its future to a lifetime that callers cannot name.
        let reads: Vec<_> = paths.iter().cloned().map(|path| async move { self.read(&path, max).await }).collect();
        stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }
}
