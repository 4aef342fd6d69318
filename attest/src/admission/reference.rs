//! An image's reference, as container runtimes read it: `name[:tag][@digest]`.

use crate::digest::{Algorithm, Digest, DigestError};
use std::fmt;

/// Bytes of a reference: a name of 255, a tag of 128, a digest of 135, and some.
const BYTES_MAX: usize = 1024;
/// Bytes of a tag (OCI distribution, "Pulling manifests").
const TAG_BYTES_MAX: usize = 128;

/// An image's reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry and repository, as they are pulled: `nginx` is `docker.io/library/nginx`.
    pub name: String,
    /// The tag, which may point elsewhere tomorrow. Runtimes do not look at it beside a digest.
    pub tag: Option<String>,
    /// The digest, which makes it one image.
    pub digest: Option<Digest>,
}

/// What is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Too long.
    #[error("a reference of {0} bytes, at most {BYTES_MAX} are read")]
    TooLong(usize),
    /// A name or tag with no or other characters than they have.
    #[error("{0:?} is no image reference")]
    Form(String),
    /// A digest that is none.
    #[error("{0}")]
    Digest(#[from] DigestError),
    /// A digest by which no image is pulled.
    #[error("{0}: expected a digest by SHA-256 or SHA-512")]
    Algorithm(Digest),
}

impl Reference {
    /// Reads a reference.
    ///
    /// **Errors**: what is none, also one that some runtimes would take and others not.
    pub fn read(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > BYTES_MAX {
            return Err(ReferenceError::TooLong(text.len()));
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        if let Some(digest) = &digest
            && !matches!(digest.algorithm(), Algorithm::Sha256 | Algorithm::Sha512)
        {
            return Err(ReferenceError::Algorithm(digest.clone()));
        }
        // A colon before the last slash is the registry's port.
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let form = || ReferenceError::Form(text.chars().take(160).collect());
        let is_tag = |tag: &str| {
            (1..=TAG_BYTES_MAX).contains(&tag.len())
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        };
        if !tag.is_none_or(is_tag) {
            return Err(form());
        }
        let name = pulled(name).ok_or_else(form)?;
        Ok(Self { name, tag: tag.map(str::to_owned), digest })
    }
}

/// The name with its registry, so that a policy for `docker.io/library/*` is not passed by leaving it out.
fn pulled(name: &str) -> Option<String> {
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path.to_owned()),
        Some(_) => ("docker.io", name.to_owned()),
        None => ("docker.io", format!("library/{name}")),
    };
    // Docker's registry by its older name.
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    let path = match path.split_once('/') {
        None if registry == "docker.io" => format!("library/{path}"),
        _ => path,
    };
    let is_part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        part.chars().all(inner) && edge(part.chars().next()) && edge(part.chars().last())
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let valid = !registry.is_empty() && registry.chars().all(is_host) && path.split('/').all(is_part);
    // Host names are the same in any case.
    valid.then(|| format!("{}/{path}", registry.to_ascii_lowercase()))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}
