//! A file that is merged, where it is stored: what is on a local disk is read as it is needed, all other files come as a whole.

use crate::error::LakeError;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// A stored file.
#[derive(Clone)]
pub(super) enum Stored {
    /// On a local disk. Those that read it share its position: one at a time.
    Local(Arc<File>),
    /// In memory, as its store is far.
    Fetched(Bytes),
}

impl Stored {
    pub(super) async fn open(store: Arc<dyn ObjectStore>, path: Path) -> std::result::Result<Self, LakeError> {
        let found = store.get(&path).await.map_err(LakeError::store(&path))?;
        match found.payload {
            GetResultPayload::File(file, _) => Ok(Self::Local(Arc::new(file))),
            GetResultPayload::Stream(_) => Ok(Self::Fetched(found.bytes().await.map_err(LakeError::store(&path))?)),
        }
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        match self {
            Self::Local(file) => file.len(),
            Self::Fetched(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Stored {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(match self {
            Self::Local(file) => Box::new(file.get_read(start)?),
            Self::Fetched(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::Local(file) => file.get_bytes(start, length),
            Self::Fetched(bytes) => bytes.get_bytes(start, length),
        }
    }
}
