//! What statements say, as small types of ours. Reading one proves nothing: that is [`verify`](crate::verify)'s.

mod cyclonedx;
pub mod provenance;
pub mod sbom;
mod spdx;
mod statement;
pub mod vsa;

pub use provenance::Provenance;
pub use sbom::{Component, Sbom};
pub use statement::{PAYLOAD_TYPE, Statement, Subject};
pub use vsa::Summary;

use crate::json::JsonError;
use crate::reason::Reason;

/// What a statement says of its subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// SLSA provenance v0.2 or v1.
    Provenance(Box<Provenance>),
    /// A SLSA verification summary v1.
    Summary(Summary),
    /// A bill of materials.
    Sbom(Sbom),
    /// A type that is not read here.
    Other,
}

/// What is not what its type says.
#[derive(Debug, thiserror::Error)]
pub enum PredicateError {
    /// Not of the type's shape.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
    /// A version that is not read.
    #[error("expected {expected}, got {got:?}")]
    Version {
        /// The versions that are read.
        expected: &'static str,
        /// The one that is there.
        got: String,
    },
}

impl PredicateError {
    /// The reason in a record.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Json(_) | Self::Value(_) => Reason::PredicateMalformed,
            Self::Version { .. } => Reason::PredicateVersionUnsupported,
        }
    }
}
