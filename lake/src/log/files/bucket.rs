//! Objects below a prefix of an object store, for machines whose disks do not outlive them.
//!
//! An object cannot grow, so every group of frames is a segment of its own ([`Files::grows`]), durable once the store has
//! answered its `PUT`. **Two processes** cannot write one log: names are only created, what is there is replaced only in
//! the state in which it was last seen (`If-None-Match`, `If-Match`), and who comes late is told so. **While the store
//! fails** a write is tried again, for as long as it takes: nobody is acknowledged meanwhile.

use super::{Files, LogFile};
use crate::error::LakeError;
use crate::location::{Location, StoreOptions};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The waits between tries, which double.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A prefix of an object store.
#[derive(Debug)]
pub struct Bucket {
    objects: Arc<Objects>,
    /// Files that have no name for others yet: they need not be durable.
    staged: Mutex<HashMap<String, Arc<Mutex<Content>>>>,
    /// By name: what is known of documents.
    documents: Mutex<HashMap<String, Document>>,
}

/// What is known of a document.
#[derive(Debug, Default)]
struct Document {
    /// The state in which it was seen last, or written; none where there was none.
    version: Option<UpdateVersion>,
    /// What may have been written since: nobody answered.
    unanswered: Option<Vec<u8>>,
}

impl Bucket {
    /// The prefix of a URL (`s3://bucket/prefix`).
    ///
    /// **Errors**: [`LakeError::Location`] for what is no URL of a store, or a folder, which [`super::Disk`] is for;
    /// [`LakeError::Stopped`] without a thread to be had.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self, LakeError> {
        let location = Location::parse(url, options)?;
        if location.folder.is_some() {
            let reason = "expected the URL of an object store".to_owned();
            return Err(LakeError::Location { location: url.to_owned(), reason });
        }
        Self::new(location.root, location.prefix, url)
    }

    /// A prefix of any store, which errors call `name`.
    ///
    /// **Errors**: [`LakeError::Stopped`] without a thread to be had.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, name: &str) -> Result<Self, LakeError> {
        // Of its own: the log's callers block, and must not wait for each other.
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("tarn-log-store").enable_all().build();
        let runtime = Some(runtime.map_err(|_| LakeError::Stopped)?);
        let objects = Arc::new(Objects { store, prefix, name: name.trim_end_matches('/').to_owned(), runtime });
        Ok(Self { objects, staged: Mutex::default(), documents: Mutex::default() })
    }

    /// Keeps a document that is no segment, whole, in place of the one that [`Bucket::kept`] gave, or that was kept here
    /// since.
    ///
    /// **Errors**: the store's, after its own tries; that another process has kept one since.
    pub fn keep(&self, name: &str, document: Vec<u8>) -> io::Result<()> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let known = documents.entry(name.to_owned()).or_default();
        if let Some(sent) = &known.unanswered {
            if let Some((there, version)) = self.objects.find(name)?
                && there == *sent
            {
                known.version = Some(version);
            }
            known.unanswered = None;
        }
        match self.objects.put(name, &document, known.version.clone()) {
            Ok(version) => known.version = Some(version),
            Err(Refused::ForGood(error)) => return Err(error),
            Err(Refused::ForNow(error)) => {
                known.unanswered = Some(document);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The document of that name, if it was ever kept.
    ///
    /// **Errors**: the store's.
    pub fn kept(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (document, version) = self.objects.find(name)?.unzip();
        let known = Document { version, unanswered: None };
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), known);
        Ok(document)
    }

    fn staged(&self) -> MutexGuard<'_, HashMap<String, Arc<Mutex<Content>>>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Bucket {
    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send>>> {
        // A lock would outlive its machine; the conditions of each write stand in for it.
        Ok(Some(Box::new(())))
    }

    fn grows(&self) -> bool {
        false
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let (store, prefix) = (Arc::clone(&self.objects.store), self.objects.prefix.clone());
        let list = self.objects.wait(async move { store.list_with_delimiter(Some(&prefix)).await })?;
        let objects = list.map_err(io_error)?.objects;
        Ok(objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let content = Arc::new(Mutex::new(Content::default()));
        self.staged().insert(name.to_owned(), Arc::clone(&content));
        Ok(Box::new(Object { objects: Arc::clone(&self.objects), content, at: 0 }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let (bytes, version) = self.objects.read(name)?;
        let content = Content { name: Some(name.to_owned()), bytes, version: Some(version) };
        Ok(Box::new(Object { objects: Arc::clone(&self.objects), content: Arc::new(Mutex::new(content)), at: 0 }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let content = self.staged().remove(from).ok_or(io::ErrorKind::NotFound)?;
        let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
        content.version = Some(self.objects.write(to, &content.bytes, None)?);
        content.name = Some(to.to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.staged().remove(name).is_some() {
            return Ok(());
        }
        let (store, path) = self.objects.at(name);
        self.objects.wait(async move { store.delete(&path).await })?.map_err(io_error)
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        let prefix = &self.objects.name;
        PathBuf::from(if name.is_empty() { prefix.clone() } else { format!("{prefix}/{name}") })
    }
}

/// The store, and a thread that talks to it.
struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    name: String,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Where blocking is not allowed, too.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Objects {
    fn at(&self, name: &str) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.store), self.prefix.clone().join(name))
    }

    /// Blocks until it is done, on whatever thread this is.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        let stopped = || io::Error::other("the store's thread has stopped");
        let (give, given) = mpsc::channel();
        self.runtime.as_ref().ok_or_else(stopped)?.spawn(async move { give.send(work.await) });
        given.recv().map_err(|_| stopped())
    }

    fn read(&self, name: &str) -> io::Result<(Vec<u8>, UpdateVersion)> {
        let (store, path) = self.at(name);
        let read = async move {
            let read = store.get(&path).await?;
            let version = UpdateVersion { e_tag: read.meta.e_tag.clone(), version: read.meta.version.clone() };
            Ok((read.bytes().await?.to_vec(), version))
        };
        self.wait(read)?.map_err(io_error)
    }

    /// The object, if there is one.
    fn find(&self, name: &str) -> io::Result<Option<(Vec<u8>, UpdateVersion)>> {
        match self.read(name) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Objects::put`], tried again for as long as the store fails.
    fn write(&self, name: &str, bytes: &[u8], version: Option<UpdateVersion>) -> io::Result<UpdateVersion> {
        let mut pause = WAITS.0;
        loop {
            let failed = match self.put(name, bytes, version.clone()) {
                Ok(version) => return Ok(version),
                Err(Refused::ForGood(error)) => return Err(error),
                Err(Refused::ForNow(error)) => error,
            };
            tracing::warn!(file = %self.prefix.clone().join(name), error = %failed, "the log's store failed; trying again");
            std::thread::sleep(pause);
            pause = (pause * 2).min(WAITS.1);
        }
    }

    /// Creates the object or, where a version is given, replaces that one.
    fn put(&self, name: &str, bytes: &[u8], version: Option<UpdateVersion>) -> Result<UpdateVersion, Refused> {
        let mode = version.map_or(PutMode::Create, PutMode::Update);
        let ((store, path), payload) = (self.at(name), PutPayload::from(bytes.to_vec()));
        let put = async move { store.put_opts(&path, payload, PutOptions::from(mode)).await };
        match self.wait(put).map_err(Refused::ForGood)? {
            Ok(done) => Ok(UpdateVersion { e_tag: done.e_tag, version: done.version }),
            // An earlier try may have come through although its answer did not.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.read(name) {
                Ok((there, version)) if there == bytes => Ok(version),
                Ok(_) => {
                    let other = io::Error::new(io::ErrorKind::AlreadyExists, "another process writes this log");
                    Err(Refused::ForGood(other))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refused::ForGood(error)),
                Err(error) => Err(Refused::ForNow(error)),
            },
            Err(error @ Error::Generic { .. }) => Err(Refused::ForNow(io_error(error))),
            Err(error) => Err(Refused::ForGood(io_error(error))),
        }
    }
}

/// Why an object was not written.
enum Refused {
    /// It may be tried again.
    ForNow(io::Error),
    /// It never will be.
    ForGood(io::Error),
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            io::Error::new(io::ErrorKind::PermissionDenied, error)
        }
        _ => io::Error::other(error),
    }
}

/// What an object has, or is to have.
#[derive(Debug, Default)]
struct Content {
    /// None while it is staged.
    name: Option<String>,
    bytes: Vec<u8>,
    /// The state in which the store has it.
    version: Option<UpdateVersion>,
}

/// An object that is read, or whose content is gathered for the next sync.
#[derive(Debug)]
struct Object {
    objects: Arc<Objects>,
    content: Arc<Mutex<Content>>,
    at: u64,
}

impl Object {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the content as to a file that stands where this one does.
    fn with<T>(&mut self, change: impl FnOnce(&mut Cursor<&mut Vec<u8>>) -> io::Result<T>) -> io::Result<T> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cursor = Cursor::new(&mut content.bytes);
        cursor.set_position(self.at);
        let result = change(&mut cursor);
        self.at = cursor.position();
        result
    }
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|content| content.read(buffer))
    }
}

impl Write for Object {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|content| content.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Object {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.with(|content| content.seek(to))
    }
}

impl LogFile for Object {
    fn length(&self) -> io::Result<u64> {
        Ok(self.content().bytes.len() as u64)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.content().bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut content = self.content();
        let Some(name) = content.name.clone() else { return Ok(()) };
        content.version = Some(self.objects.write(&name, &content.bytes, content.version.clone())?);
        Ok(())
    }
}
