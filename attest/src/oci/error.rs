//! Why what is attached to an image cannot be told.

use crate::digest::{Digest, DigestError};
use crate::json::JsonError;
use std::path::PathBuf;

/// Why an image's repository was not read. Nothing of it was verified then.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something else than a file.
    #[error("{}: expected a file", .0.display())]
    NoFile(PathBuf),
    /// A layout of another version.
    #[error("expected an OCI image layout 1.0.0, got {0:?}")]
    Version(String),
    /// A document that is not what its place in the layout says.
    #[error("{what} is not as expected")]
    Json {
        /// The document: a file's name or a digest.
        what: String,
        /// What is wrong with it.
        #[source]
        source: JsonError,
    },
    /// A manifest that is none, or that readers would take for different things.
    #[error("{what}: {why}")]
    Manifest {
        /// The manifest: a file's name or a digest.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A digest that is none.
    #[error("{0}")]
    Digest(#[from] DigestError),
    /// A digest that content cannot be checked by.
    #[error("{0}: expected a digest by SHA-256 or SHA-512")]
    Algorithm(Digest),
    /// Content that is not what its digest says.
    #[error("{expected}: the content has the digest {got}")]
    Changed {
        /// The digest under which it is kept.
        expected: Digest,
        /// The one that it has.
        got: Digest,
    },
    /// Content of another size than its descriptor says.
    #[error("{digest}: expected {expected} bytes, got {got}")]
    Size {
        /// Its digest.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What is there.
        got: u64,
    },
    /// More than is read.
    #[error("{what}: more than {max} {unit}")]
    TooMuch {
        /// Of what.
        what: String,
        /// The limit.
        max: u64,
        /// Of what the limit is one.
        unit: &'static str,
    },
    /// No image of that name.
    #[error("there is no image {0:?}")]
    Absent(String),
    /// A registry that is not reached, refuses, or answers something else.
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Registry(#[from] super::registry::RegistryError),
    /// No name was given, and there is not exactly one image.
    #[error("the layout has {0} images: name one, by its digest or tag")]
    Ambiguous(usize),
}
