//! Where images are, whichever it is, and the one way in which what is attached to an image is collected.
//!
//! A repository gives bytes and nobody believes it: here all content is checked by its digest and its descriptor's size.
//! An image's own layers are not read: whoever unpacks them checks them by the manifest, whose digest is the image's.

use super::attached::{Attached, Content, Found, Kind};
use super::error::OciError;
use super::manifest::{Descriptor, MANIFEST, Manifest};
use crate::digest::{Algorithm, Digest};
use crate::json;
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::Digest as _;
use std::collections::BTreeSet;

/// Manifests that are looked at for what they are attached to.
const MANIFESTS_MAX: usize = 1024;
/// Documents of one image.
const DOCUMENTS_MAX: usize = 256;
/// Bytes of all documents of one image, which are held at once.
const BYTES_MAX: u64 = 256 << 20;
/// Manifests and documents that are asked for at once.
const CONCURRENT_MAX: usize = 4;

/// A repository of images: a layout on disk, or one of a registry.
#[async_trait]
pub trait Repository: Send + Sync {
    /// The digest that an image's tag stands for, or the digest itself; without a name, that of the image that it means
    /// then. [`image`] is what checks it.
    ///
    /// **Errors**: no such image, or more than one.
    async fn resolve(&self, name: Option<&str>) -> Result<Digest, OciError>;

    /// The bytes that it has as the manifest or index of this digest.
    ///
    /// **Errors**: there is none, or more bytes than this.
    async fn manifest(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError>;

    /// The bytes that it has as the content of this digest.
    ///
    /// **Errors**: there is none, or more bytes than this.
    async fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError>;

    /// The manifests that may be attached to an image, in its order; [`attached`] reads them.
    ///
    /// **Errors**: more than 1,024.
    async fn candidates(&self, image: &Digest) -> Result<Vec<Candidate>, OciError>;
}

/// A manifest that may be attached to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, where a descriptor says it.
    pub size: Option<u64>,
    /// How it was found.
    pub found: Found,
}

/// The digest of an image whose manifest or index is there: of this digest, of this tag (which says only what whoever
/// pushed it called it), or the one that goes without a name.
///
/// **Errors**: no such image, more than one, or a manifest that is not what its digest says.
pub async fn image(repository: &dyn Repository, name: Option<&str>) -> Result<Digest, OciError> {
    let digest = repository.resolve(name).await?;
    manifest(repository, &digest, None).await?;
    Ok(digest)
}

/// The documents that are attached to an image, in the repository's order.
///
/// **Bounds**: manifests of 4 MiB and 1,024 of them; 256 documents, of 64 MiB each and 256 MiB together.
///
/// **Errors**: what cannot be read, is over a bound, or is not what its digest says. If a part of what is attached was
/// changed, nothing of it is taken.
pub async fn attached(repository: &dyn Repository, image: &Digest) -> Result<Vec<Attached>, OciError> {
    let mut seen = BTreeSet::new();
    let mut candidates = repository.candidates(image).await?;
    within(&image.to_string(), candidates.len())?;
    candidates.retain(|candidate| seen.insert(candidate.digest.clone()));
    let read = candidates.into_iter().map(|Candidate { digest, size, found }| async move {
        let manifest = manifest(repository, &digest, size).await?;
        let is_subject = manifest.subject.as_ref().is_some_and(|subject| subject.digest == *image);
        let layers = if found == Found::Tag || is_subject { manifest.layers } else { None };
        let layers = layers.unwrap_or_default().into_iter();
        Ok::<_, OciError>(layers.map(|layer| (digest.clone(), layer, found)).collect::<Vec<_>>())
    });
    let mut read = stream::iter(read).buffered(CONCURRENT_MAX);
    let (mut layers, mut bytes) = (Vec::new(), 0_u64);
    while let Some(more) = read.try_next().await? {
        for (manifest, layer, found) in more {
            let kind = Kind::of(&layer.media_type);
            if kind != Kind::Other {
                bytes = bytes.saturating_add(layer.size);
            }
            if bytes > BYTES_MAX {
                return Err(OciError::TooMuch { what: layer.digest.to_string(), max: BYTES_MAX, unit: "bytes" });
            }
            layers.push((manifest, layer, kind, found));
            if layers.len() > DOCUMENTS_MAX {
                let max = DOCUMENTS_MAX as u64;
                return Err(OciError::TooMuch { what: image.to_string(), max, unit: "documents" });
            }
        }
    }
    let documents = layers
        .into_iter()
        .map(|(manifest, layer, kind, found)| async move { document(repository, manifest, layer, kind, found).await });
    stream::iter(documents).buffered(CONCURRENT_MAX).try_collect().await
}

async fn document(
    repository: &dyn Repository,
    manifest: Digest,
    layer: Descriptor,
    kind: Kind,
    found: Found,
) -> Result<Attached, OciError> {
    let content = if kind == Kind::Other {
        Content::Other
    } else {
        let bytes = repository.blob(&layer.digest, json::DOCUMENT.bytes_max as u64).await?;
        kind.content(checked(&layer.digest, Some(layer.size), bytes)?, layer.cosign())
    };
    let media_type = layer.media_type.chars().take(160).collect();
    Ok(Attached { manifest, digest: layer.digest, media_type, found, content })
}

/// A manifest or index by its digest, checked.
pub(super) async fn manifest(
    repository: &dyn Repository,
    digest: &Digest,
    size: Option<u64>,
) -> Result<Manifest, OciError> {
    let bytes = repository.manifest(digest, MANIFEST.bytes_max as u64).await?;
    Manifest::read(&digest.to_string(), &checked(digest, size, bytes)?)
}

/// The bytes, if they are the content of this digest and size.
fn checked(digest: &Digest, size: Option<u64>, bytes: Vec<u8>) -> Result<Vec<u8>, OciError> {
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

/// The tag by which what is attached to an image is found where there is no list of referrers, and with which cosign's
/// tags begin.
pub(super) fn fallback_tag(image: &Digest) -> String {
    format!("{}-{}", image.algorithm().as_str(), image.to_hex())
}

/// The ends of cosign's tags: signatures, attestations, bills of materials.
pub(super) const COSIGN_SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];

/// Whether there are not more manifests than are looked at.
pub(super) fn within(what: &str, count: usize) -> Result<(), OciError> {
    if count <= MANIFESTS_MAX {
        return Ok(());
    }
    Err(OciError::TooMuch { what: what.to_owned(), max: MANIFESTS_MAX as u64, unit: "manifests" })
}
