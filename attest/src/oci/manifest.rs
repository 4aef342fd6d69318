//! Manifests and indexes, as far as they say what is attached to what.

use super::cosign::Annotations;
use super::error::OciError;
use crate::digest::{Algorithm, Digest};
use crate::json::{self, Limits};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Registries take manifests of at least 4 MiB, and hardly any more.
pub(super) const MANIFEST: Limits = Limits { bytes_max: 4 << 20, depth_max: 16, values_max: 400_000 };

/// The annotation that holds a manifest's tag in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which `cosign save` says what a manifest is for.
const KIND: &str = "kind";

/// Content by its digest.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    #[serde(deserialize_with = "content_digest")]
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// A digest that content can be checked by, which makes it a safe name of a file too.
fn content_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digest: Digest = text.parse().map_err(serde::de::Error::custom)?;
    match digest.algorithm() {
        Algorithm::Sha256 | Algorithm::Sha512 => Ok(digest),
        _ => Err(serde::de::Error::custom(OciError::Algorithm(digest))),
    }
}

impl Descriptor {
    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Its tag. Some tools write the whole reference.
    pub(super) fn tag(&self) -> Option<&str> {
        let name = self.annotation(REF_NAME)?;
        Some(name.rsplit_once(':').map_or(name, |(_, tag)| tag))
    }

    /// Whether it goes by this name: its tag, or the whole reference.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.annotation(REF_NAME) == Some(name) || self.tag() == Some(name)
    }

    /// Whether `cosign save` wrote it as signatures or attestations of the image beside it.
    pub(super) fn is_saved_by_cosign(&self) -> bool {
        matches!(self.annotation(KIND), Some("dev.cosignproject.cosign/sigs" | "dev.cosignproject.cosign/atts"))
    }

    pub(super) fn cosign(&self) -> Annotations {
        Annotations::of(|name| self.annotation(name).map(str::to_owned))
    }
}

/// A manifest or an index: what an image, an attachment and a list of either have in common.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    /// What a manifest is made of.
    pub(super) layers: Option<Vec<Descriptor>>,
    /// What an index lists.
    manifests: Option<Vec<Descriptor>>,
    /// What it is attached to.
    pub(super) subject: Option<Descriptor>,
}

impl Manifest {
    /// Reads one. **Errors**: what is none, or has both the parts of a manifest and of an index.
    pub(super) fn read(what: &str, bytes: &[u8]) -> Result<Self, OciError> {
        let wrong = |why| OciError::Manifest { what: what.to_owned(), why };
        let read = json::read(bytes, MANIFEST);
        let manifest: Self = read.map_err(|source| OciError::Json { what: what.to_owned(), source })?;
        match (manifest.schema_version, &manifest.layers, &manifest.manifests) {
            (2, Some(_), None) | (2, None, Some(_)) => Ok(manifest),
            // One reader would take it for an image and another for a list (CVE-2021-41190).
            (2, Some(_), Some(_)) => Err(wrong("it has both layers and manifests")),
            (2, None, None) => Err(wrong("it has neither layers nor manifests")),
            _ => Err(wrong("expected the schema version 2")),
        }
    }

    pub(super) fn manifests(&self) -> &[Descriptor] {
        self.manifests.as_deref().unwrap_or_default()
    }
}
