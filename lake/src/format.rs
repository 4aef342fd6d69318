//! `tarn.json`: that this is a lake, and of which format.

use crate::error::LakeError;
use crate::lake::Lake;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// The newest format that this release reads. Raise it when an older release could not read what is written.
///
/// 2 has the positions of durable logs in its ingest log, which a release of format 1 would forget in a checkpoint.
const NEWEST: u32 = 2;
/// The format of a new lake, which stays until something needs more.
const FIRST: u32 = 1;

const FILE: &str = "tarn.json";

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    #[serde(default)]
    written_by: String,
}

/// Whether a lake is there. **Errors**: it is there in a newer format, or damaged.
pub(crate) async fn check(store: &dyn ObjectStore, location: &str) -> Result<bool, LakeError> {
    let bytes = match store.get(&Path::from(FILE)).await {
        Ok(found) => found.bytes().await.map_err(LakeError::store(FILE))?,
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(source) => return Err(LakeError::Store { path: FILE.to_owned(), source }),
    };
    let format: Format =
        serde_json::from_slice(&bytes).map_err(|source| LakeError::Damaged { path: FILE.to_owned(), source })?;
    if format.format > NEWEST {
        return Err(LakeError::NewerFormat { location: location.to_owned(), found: format.format, supported: NEWEST });
    }
    Ok(true)
}

/// Makes the lake one of the newest format, before anything is written that needs it.
pub(crate) async fn raise(lake: &Lake) -> Result<(), LakeError> {
    if lake.is_newest().swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let put = lake.store().put(&Path::from(FILE), text(NEWEST).into()).await;
    put.map(drop).map_err(|source| {
        lake.is_newest().store(false, Ordering::Relaxed);
        LakeError::Store { path: FILE.to_owned(), source }
    })
}

fn text(version: u32) -> String {
    let format = serde_json::json!({ "format": version, "written_by": concat!("tarn ", env!("CARGO_PKG_VERSION")) });
    format!("{format:#}\n")
}

/// Writes `tarn.json`; another process may have done so just before.
pub(crate) async fn create(store: &dyn ObjectStore, location: &str) -> Result<(), LakeError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&Path::from(FILE), text(FIRST).into(), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(source) => Err(LakeError::Unwritable { location: location.to_owned(), source }),
    }
}
