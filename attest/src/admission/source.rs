//! Where the evidence of an image comes from.

use super::reference::Reference;
use crate::digest::Digest;
#[cfg(feature = "registry")]
use crate::oci::registry::{Access, Registry};
use crate::oci::{self, Attached, Layout};
use async_trait::async_trait;
#[cfg(feature = "registry")]
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
#[cfg(feature = "registry")]
use std::sync::{Arc, PoisonError, RwLock};

/// Why it cannot be told what is attached to an image.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// What gives the documents that are attached to an image.
#[async_trait]
pub trait Source: Send + Sync {
    /// The documents that are attached to the image of a digest, under a name; none, where there are none.
    ///
    /// **Errors**: it cannot be told. Nothing is known of the image then.
    async fn attached(&self, image: &Reference, digest: &Digest) -> Result<Vec<Attached>, SourceError>;
}

/// Image layouts on disk: one for all images, or a folder with one for each repository, at
/// `<folder>/<registry>/<repository>`. They are read anew each time.
pub struct Layouts {
    folder: PathBuf,
}

/// What is no folder of layouts.
#[derive(Debug, thiserror::Error)]
#[error("{}: expected a folder: an OCI image layout, or one for each repository (registry/repository) in it", .0.display())]
pub struct NoFolder(PathBuf);

impl Layouts {
    /// Those under a folder.
    ///
    /// **Errors**: no folder.
    pub fn open(folder: &Path) -> Result<Self, NoFolder> {
        let layouts = Self { folder: folder.to_owned() };
        layouts.check().map(|()| layouts)
    }

    fn check(&self) -> Result<(), NoFolder> {
        if self.folder.is_dir() { Ok(()) } else { Err(NoFolder(self.folder.clone())) }
    }

    /// The layout that a repository's images are in, if there is one.
    fn of(&self, name: &str) -> Result<Option<PathBuf>, SourceError> {
        // A folder that has gone is no folder without evidence.
        self.check()?;
        if self.folder.join("oci-layout").exists() {
            return Ok(Some(self.folder.clone()));
        }
        // Names are the API server's: none leads out of the folder.
        let within = name.split('/').all(|part| !part.is_empty() && part.chars().any(|c| c != '.'));
        let folder = self.folder.join(name);
        Ok((within && folder.is_dir()).then_some(folder))
    }
}

#[async_trait]
impl Source for Layouts {
    async fn attached(&self, image: &Reference, digest: &Digest) -> Result<Vec<Attached>, SourceError> {
        let Some(folder) = self.of(&image.name)? else { return Ok(Vec::new()) };
        let layout = tokio::task::spawn_blocking(move || Layout::open(&folder)).await??;
        Ok(oci::attached(&layout, digest).await?)
    }
}

/// Registries, by their hosts as images name them (`registry.example:5000`). No other is asked, whatever a workload names.
#[cfg(feature = "registry")]
pub struct Registries(RwLock<Arc<HashMap<String, Access>>>);

/// A registry that is not asked.
#[cfg(feature = "registry")]
#[derive(Debug, thiserror::Error)]
#[error("the registry {0} is not asked: it is none of those that were named")]
pub struct OtherRegistry(String);

#[cfg(feature = "registry")]
impl Registries {
    /// These.
    pub fn new(registries: HashMap<String, Access>) -> Self {
        Self(RwLock::new(Arc::new(registries)))
    }

    /// Asks these from the next image on, all at once: an image whose documents are being read is read to its end by the former.
    pub fn replace(&self, registries: HashMap<String, Access>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registries);
    }
}

#[cfg(feature = "registry")]
#[async_trait]
impl Source for Registries {
    async fn attached(&self, image: &Reference, digest: &Digest) -> Result<Vec<Attached>, SourceError> {
        let host = Registry::host(image);
        let registries = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let access = registries.get(host).ok_or_else(|| OtherRegistry(host.to_owned()))?;
        let registry = Registry::new(image.clone(), access.clone())?;
        Ok(oci::attached(&registry, digest).await?)
    }
}
