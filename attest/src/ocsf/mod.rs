//! Verifications as OCSF records: class Artifact Signing of the extension `trust` (`docs/trust.md`).
//!
//! A record says what was verified and what came of it, passed or failed, in one form: RFC 8785 bytes are made of it once,
//! and table, ledger and proof have these. Its uid stands on what was verified by what, so that the same verification is
//! the same record however often it is made.

mod components;
pub mod frame;
mod ledger;
mod parts;
mod reasons;
mod verdict;

pub use components::{Software, components};
pub use ledger::{LEDGER, broken_ledger};
pub(crate) use verdict::unsigned;
pub use verdict::{By, Verdict};

use crate::digest::Digest;
use frame::Caption;
use serde_json::Value;

/// What a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A statement was made and signed.
    Attest,
    /// A signature or an attestation was verified.
    Verify,
    /// An earlier verdict was checked again.
    Reverify,
}

impl Activity {
    pub(crate) fn caption(self) -> Caption {
        match self {
            Self::Attest => (2, "Attest"),
            Self::Verify => (3, "Verify"),
            Self::Reverify => (4, "Reverify"),
        }
    }
}

/// What an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactType {
    /// An OCI image.
    ContainerImage,
    /// A file.
    File,
    /// It is not said.
    Unknown,
}

/// The artifact that a verdict is about. One of its fields must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The digest that was given; it joins records.
    pub digest: Option<Digest>,
    /// Its name, without tag and digest.
    pub name: Option<String>,
    /// Where it was found, as it was named.
    pub uri: Option<String>,
    /// What it is.
    pub kind: ArtifactType,
}

/// A record, with its identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// `metadata.uid`.
    pub uid: String,
    /// The record.
    pub value: Value,
}

impl Evidence {
    /// Its RFC 8785 bytes.
    ///
    /// **Errors**: a number that the form does not have, which no record of this module has.
    pub fn to_canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json_canonicalizer::to_vec(&self.value)
    }
}
