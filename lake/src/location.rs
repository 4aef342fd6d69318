//! A lake's location, a folder or a URL, and the store behind it.

use crate::durable::DurableLocal;
use crate::error::LakeError;
use object_store::ObjectStore;
use object_store::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// Options of a cloud store, named as `object_store` names them (`aws_region`, `aws_endpoint`, …).
#[derive(Clone, Debug, Default)]
pub struct StoreOptions(Vec<(String, String)>);

impl StoreOptions {
    /// Options by name; names that the location's store does not know are ignored.
    pub fn new(options: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(options.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect())
    }
}

/// An opened location.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    /// Ends in `/`.
    pub(crate) url: Url,
    /// The whole bucket or filesystem.
    pub(crate) root: Arc<dyn ObjectStore>,
    /// Where in `root` the lake is.
    pub(crate) prefix: Path,
    /// The folder, when it is one.
    pub(crate) folder: Option<PathBuf>,
}

impl Location {
    pub(crate) fn parse(location: &str, options: &StoreOptions) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Location { location: location.to_owned(), reason };
        let url = if location.contains("://") {
            let mut url = Url::parse(location).map_err(|e| wrong(e.to_string()))?;
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            url
        } else {
            let folder = std::path::absolute(location).map_err(|e| wrong(e.to_string()))?;
            Url::from_directory_path(&folder).map_err(|()| wrong("not a folder's path".to_owned()))?
        };
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| wrong("not a local path".to_owned()))?;
            let prefix = Path::from_absolute_path(&folder).map_err(|e| wrong(e.to_string()))?;
            return Ok(Self { url, root: Arc::new(DurableLocal::new()), prefix, folder: Some(folder) });
        }
        let pairs = options.0.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let (root, prefix) = object_store::parse_url_opts(&url, pairs).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { url, root: Arc::from(root), prefix, folder: None })
    }
}
