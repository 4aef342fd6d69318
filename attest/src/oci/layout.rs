//! An image layout on disk: `oci-layout`, `index.json` and `blobs/`. Specification: OCI image 1.1, "Image Layout".
//!
//! Nothing is read but what the index leads to, by digest, and every byte that was read is checked by it. The image's
//! own layers are not read: whoever unpacks them checks them by the manifest, whose digest is the image's.

use super::attached::{Attached, Content, Found, Kind};
use super::error::OciError;
use super::manifest::{Descriptor, MANIFEST, Manifest};
use crate::digest::{Algorithm, Digest};
use crate::json::{self, Limits};
use serde::Deserialize;
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// `oci-layout` is one short object.
const MARKER: Limits = Limits { bytes_max: 4 << 10, depth_max: 4, values_max: 64 };
/// Manifests that are looked at for what they are attached to.
const MANIFESTS_MAX: usize = 1024;
/// Documents of one image.
const DOCUMENTS_MAX: usize = 256;
/// Bytes of all documents of one image, which are held at once.
const BYTES_MAX: u64 = 256 << 20;

/// An image layout. **Bounds**: manifests of 4 MiB and 1,024 of them; 256 documents an image, of 64 MiB each and
/// 256 MiB together.
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

    /// The digest of an image in it: of this digest, of this tag (which says only what the layout's writer called it),
    /// or the only one.
    ///
    /// **Errors**: no such image, or no name where there is not one; content that is not what its digest says.
    pub fn image(&self, name: Option<&str>) -> Result<Digest, OciError> {
        let digest = match name {
            Some(name) => match name.parse::<Digest>() {
                Ok(digest) => digest,
                Err(_) => {
                    let named = self.index.manifests().iter().find(|descriptor| descriptor.is_named(name));
                    named.ok_or_else(|| OciError::Absent(name.chars().take(160).collect()))?.digest.clone()
                }
            },
            None => self.only()?,
        };
        self.manifest(&digest, None)?;
        Ok(digest)
    }

    /// The one image: what is attached to something is none.
    fn only(&self) -> Result<Digest, OciError> {
        let mut images = BTreeSet::new();
        for descriptor in self.listed()? {
            let attached = descriptor.is_saved_by_cosign() || descriptor.tag().is_some_and(is_attachment_tag);
            if !attached && self.manifest(&descriptor.digest, Some(descriptor.size))?.subject.is_none() {
                images.insert(&descriptor.digest);
            }
        }
        match images.first() {
            Some(image) if images.len() == 1 => Ok((*image).clone()),
            _ => Err(OciError::Ambiguous(images.len())),
        }
    }

    /// The documents that are attached to an image, in the order of the index.
    ///
    /// Looked at are manifests whose `subject` is the image, in the index or in the list that is tagged
    /// `sha256-<hex>`; manifests tagged `sha256-<hex>.sig` and `.att`; and those that `cosign save` marked as either.
    ///
    /// **Errors**: what cannot be read, is over a bound, or is not what its digest says. A layout is one delivery: if a
    /// part of it was changed, nothing of it is taken.
    pub fn attached(&self, image: &Digest) -> Result<Vec<Attached>, OciError> {
        let base = format!("{}-{}", image.algorithm().as_str(), image.to_hex());
        let (signatures, attestations) = (format!("{base}.sig"), format!("{base}.att"));
        let mut found: Vec<(Digest, u64, Found)> = Vec::new();
        for descriptor in self.listed()? {
            let tag = descriptor.tag();
            let tagged = [&signatures, &attestations].iter().any(|name| tag == Some(name.as_str()));
            if tagged || descriptor.is_saved_by_cosign() {
                found.push((descriptor.digest.clone(), descriptor.size, Found::Tag));
            } else if tag == Some(base.as_str()) {
                let list = self.manifest(&descriptor.digest, Some(descriptor.size))?;
                within(&base, list.manifests().len())?;
                found.extend(list.manifests().iter().map(|d| (d.digest.clone(), d.size, Found::Referrer)));
            } else if descriptor.digest != *image {
                found.push((descriptor.digest.clone(), descriptor.size, Found::Referrer));
            }
        }
        within("the layout", found.len())?;
        let (mut documents, mut seen, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
        for (digest, size, how) in found {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let manifest = self.manifest(&digest, Some(size))?;
            let is_subject = manifest.subject.as_ref().is_some_and(|subject| subject.digest == *image);
            if how == Found::Referrer && !is_subject {
                continue;
            }
            for layer in manifest.layers() {
                documents.push(self.document(&digest, layer, how, &mut bytes)?);
                if documents.len() > DOCUMENTS_MAX {
                    let max = DOCUMENTS_MAX as u64;
                    return Err(OciError::TooMuch { what: image.to_string(), max, unit: "documents" });
                }
            }
        }
        Ok(documents)
    }

    fn document(
        &self,
        manifest: &Digest,
        layer: &Descriptor,
        found: Found,
        total: &mut u64,
    ) -> Result<Attached, OciError> {
        let content = match Kind::of(&layer.media_type) {
            Kind::Other => Content::Other,
            kind => {
                *total = total.saturating_add(layer.size);
                if *total > BYTES_MAX {
                    return Err(OciError::TooMuch { what: layer.digest.to_string(), max: BYTES_MAX, unit: "bytes" });
                }
                let bytes = self.blob(&layer.digest, Some(layer.size), json::DOCUMENT.bytes_max as u64)?;
                kind.content(bytes, layer.cosign())
            }
        };
        let media_type = layer.media_type.chars().take(160).collect();
        Ok(Attached { manifest: manifest.clone(), digest: layer.digest.clone(), media_type, found, content })
    }

    fn listed(&self) -> Result<&[Descriptor], OciError> {
        within("index.json", self.index.manifests().len())?;
        Ok(self.index.manifests())
    }

    fn manifest(&self, digest: &Digest, size: Option<u64>) -> Result<Manifest, OciError> {
        Manifest::read(&digest.to_string(), &self.blob(digest, size, MANIFEST.bytes_max as u64)?)
    }

    /// Content by its digest, checked.
    fn blob(&self, digest: &Digest, size: Option<u64>, max: u64) -> Result<Vec<u8>, OciError> {
        let hex = digest.to_hex();
        let bytes = file(&self.root.join("blobs").join(digest.algorithm().as_str()).join(hex), max)?;
        let got = bytes.len() as u64;
        if let Some(expected) = size.filter(|expected| *expected != got) {
            return Err(OciError::Size { digest: digest.clone(), expected, got });
        }
        let got = match digest.algorithm() {
            Algorithm::Sha256 => Digest::sha256(&bytes),
            Algorithm::Sha512 => Digest::new(Algorithm::Sha512, sha2::Sha512::digest(&bytes).to_vec())?,
            _ => return Err(OciError::Algorithm(digest.clone())),
        };
        if got == *digest { Ok(bytes) } else { Err(OciError::Changed { expected: digest.clone(), got }) }
    }
}

/// Whether a tag is of the fallback for referrers or of cosign: a digest, and `.sig`, `.att`, `.sbom` or nothing.
fn is_attachment_tag(tag: &str) -> bool {
    let base = tag.split_once('.').map_or(tag, |(base, _)| base);
    base.split_once('-').is_some_and(|(name, hex)| format!("{name}:{hex}").parse::<Digest>().is_ok())
}

fn within(what: &str, count: usize) -> Result<(), OciError> {
    if count <= MANIFESTS_MAX {
        return Ok(());
    }
    Err(OciError::TooMuch { what: what.to_owned(), max: MANIFESTS_MAX as u64, unit: "manifests" })
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
