//! The local filesystem as an object store whose writes survive a power cut.
//!
//! `object_store` 0.13 does not fsync. A Delta commit that exists but is empty after a power cut breaks its table, so
//! here a file is complete on the disk before its name appears, and its folder is synced before `put` returns.

use crate::buffers::Buffers;
use crate::folder::{create_folder, sync_folder};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

/// Object-store access to the whole local filesystem, with fsync.
#[derive(Debug)]
pub(crate) struct DurableLocal {
    inner: LocalFileSystem,
    buffers: Arc<Buffers>,
}

impl DurableLocal {
    pub(crate) fn new() -> Self {
        Self { inner: LocalFileSystem::new(), buffers: Arc::default() }
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableLocal")
    }
}

fn io_error(path: &FsPath, source: io::Error) -> Error {
    let (name, kind) = (path.display().to_string(), source.kind());
    match kind {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: name, source: Box::new(source) },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::PermissionDenied { path: name, source: Box::new(source) }
        }
        io::ErrorKind::NotFound => Error::NotFound { path: name, source: Box::new(source) },
        _ => Error::Generic { store: "local", source: Box::new(source) },
    }
}

fn write_file(path: &FsPath, payload: &PutPayload, only_new: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(FsPath::new("/"));
    create_folder(folder)?;
    // Names that end in `#` and digits are invisible to LocalFileSystem's listings.
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    let staged = PathBuf::from(staged);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&staged)?;
        for chunk in payload.iter() {
            file.write_all(chunk)?;
        }
        file.sync_all()?;
        if only_new { fs::hard_link(&staged, path) } else { fs::rename(&staged, path) }
    })();
    if only_new || written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written?;
    sync_folder(folder)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Generic { store: "local", source: Box::new(e) })?
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || {
            let folder = path.parent().unwrap_or(FsPath::new("/"));
            File::open(&path)
                .and_then(|f| f.sync_all())
                .and_then(|()| sync_folder(folder))
                .map_err(|e| io_error(&path, e))
        })
        .await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let only_new = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || write_file(&path, &payload, only_new).map_err(|e| io_error(&path, e))).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        Ok(Box::new(DurableUpload { inner: self.inner.put_multipart_opts(location, opts).await?, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (path, buffers, ranges) =
            (self.inner.path_to_filesystem(location)?, Arc::clone(&self.buffers), ranges.to_vec());
        blocking(move || {
            let read = File::open(&path).and_then(|mut file| buffers.read(&mut file, &ranges));
            read.map_err(|e| io_error(&path, e))
        })
        .await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
