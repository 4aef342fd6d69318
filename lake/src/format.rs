//! `tarn.json`: that this is a lake, and of which format.

use crate::error::LakeError;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};

/// The format this release writes. Raise it when an older release could not read what is written.
pub(crate) const VERSION: u32 = 1;

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
    if format.format > VERSION {
        return Err(LakeError::NewerFormat { location: location.to_owned(), found: format.format, supported: VERSION });
    }
    Ok(true)
}

/// Writes `tarn.json`; another process may have done so just before.
pub(crate) async fn create(store: &dyn ObjectStore, location: &str) -> Result<(), LakeError> {
    let format = serde_json::json!({ "format": VERSION, "written_by": concat!("tarn ", env!("CARGO_PKG_VERSION")) });
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&Path::from(FILE), format!("{format:#}\n").into(), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(source) => Err(LakeError::Unwritable { location: location.to_owned(), source }),
    }
}
