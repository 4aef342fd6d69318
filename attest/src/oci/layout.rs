//! An image layout on disk: `oci-layout`, `index.json` and `blobs/`. Specification: OCI image 1.1, "Image Layout".
//!
//! Nothing is read but what the index leads to, by digest.

use super::attached::Found;
use super::error::OciError;
use super::manifest::{Descriptor, MANIFEST, Manifest};
use super::repository::{COSIGN_SUFFIXES, Candidate, Repository, fallback_tag, manifest, within};
use crate::digest::Digest;
use crate::json::{self, Limits};
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// `oci-layout` is one short object.
const MARKER: Limits = Limits { bytes_max: 4 << 10, depth_max: 4, values_max: 64 };

/// An image layout.
///
/// Attached to an image may be, in the order of the index: manifests in it or in the list that is tagged `sha256-<hex>`;
/// those tagged `sha256-<hex>.sig`, `.att` and `.sbom`; and those that `cosign save` marked.
pub struct Layout {
    root: PathBuf,
    index: Manifest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Opens a layout's folder.
    ///
    /// **Errors**: what is no layout of version 1.0.0 with an index.
    pub fn open(root: &Path) -> Result<Self, OciError> {
        let marker = root.join("oci-layout");
        let bytes = file(&marker, MARKER.bytes_max as u64)?;
        let what = marker.display().to_string();
        let marker: Marker = json::read(&bytes, MARKER).map_err(|source| OciError::Json { what, source })?;
        if marker.image_layout_version != "1.0.0" {
            return Err(OciError::Version(marker.image_layout_version.chars().take(160).collect()));
        }
        let path = root.join("index.json");
        let index = Manifest::read(&path.display().to_string(), &file(&path, MANIFEST.bytes_max as u64)?)?;
        Ok(Self { root: root.to_owned(), index })
    }

    /// The one image: what is attached to something is none.
    async fn only(&self) -> Result<Digest, OciError> {
        let mut images = BTreeSet::new();
        for descriptor in self.listed()? {
            let attached = descriptor.is_saved_by_cosign() || descriptor.tag().is_some_and(is_attachment_tag);
            if !attached && manifest(self, &descriptor.digest, Some(descriptor.size)).await?.subject.is_none() {
                images.insert(&descriptor.digest);
            }
        }
        match images.first() {
            Some(image) if images.len() == 1 => Ok((*image).clone()),
            _ => Err(OciError::Ambiguous(images.len())),
        }
    }

    fn listed(&self) -> Result<&[Descriptor], OciError> {
        within("index.json", self.index.manifests().len())?;
        Ok(self.index.manifests())
    }
}

#[async_trait]
impl Repository for Layout {
    async fn resolve(&self, name: Option<&str>) -> Result<Digest, OciError> {
        let Some(name) = name else { return self.only().await };
        if let Ok(digest) = name.parse() {
            return Ok(digest);
        }
        let named = self.index.manifests().iter().find(|descriptor| descriptor.is_named(name));
        Ok(named.ok_or_else(|| OciError::Absent(name.chars().take(160).collect()))?.digest.clone())
    }

    async fn manifest(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError> {
        self.blob(digest, bytes_max).await
    }

    async fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError> {
        let path = self.root.join("blobs").join(digest.algorithm().as_str()).join(digest.to_hex());
        let broken = |source: tokio::task::JoinError| OciError::Read { path: path.clone(), source: source.into() };
        let read = path.clone();
        tokio::task::spawn_blocking(move || file(&read, bytes_max)).await.map_err(broken)?
    }

    async fn candidates(&self, image: &Digest) -> Result<Vec<Candidate>, OciError> {
        let base = fallback_tag(image);
        let mut candidates = Vec::new();
        let candidate = |descriptor: &Descriptor, found| Candidate {
            digest: descriptor.digest.clone(),
            size: Some(descriptor.size),
            found,
        };
        for descriptor in self.listed()? {
            let suffix = descriptor.tag().and_then(|tag| tag.strip_prefix(base.as_str()));
            if suffix.is_some_and(|suffix| COSIGN_SUFFIXES.contains(&suffix)) || descriptor.is_saved_by_cosign() {
                candidates.push(candidate(descriptor, Found::Tag));
            } else if suffix == Some("") {
                let list = manifest(self, &descriptor.digest, Some(descriptor.size)).await?;
                within(&base, list.manifests().len())?;
                candidates.extend(list.manifests().iter().map(|listed| candidate(listed, Found::Referrer)));
            } else if descriptor.digest != *image {
                candidates.push(candidate(descriptor, Found::Referrer));
            }
        }
        within("the layout", candidates.len())?;
        Ok(candidates)
    }
}

/// Whether a tag is of the fallback for referrers or of cosign: a digest, and `.sig`, `.att`, `.sbom` or nothing.
fn is_attachment_tag(tag: &str) -> bool {
    let base = tag.split_once('.').map_or(tag, |(base, _)| base);
    base.split_once('-').is_some_and(|(name, hex)| format!("{name}:{hex}").parse::<Digest>().is_ok())
}

/// A file's bytes, if it is a file and not larger than this.
fn file(path: &Path, max: u64) -> Result<Vec<u8>, OciError> {
    let wrong = |source| OciError::Read { path: path.to_owned(), source };
    // Before opening, as opening a pipe waits for its writer.
    if !std::fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(OciError::NoFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(wrong)?.take(max + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > max {
        return Err(OciError::TooMuch { what: path.display().to_string(), max, unit: "bytes" });
    }
    Ok(bytes)
}
