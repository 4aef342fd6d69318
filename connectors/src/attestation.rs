//! Whether the image that a finding is about was attested, as alerts and findings tell it.
//!
//! What knows it is outside of this crate: the wiring gives a closure that looks it up, within its own deadline, and answers
//! with nothing where it cannot say.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Looks up what findings, OCSF JSON texts, are about: one list for each, in their order. It blocks, and is never called for
/// findings that nobody is told of.
pub type Attesting = Arc<dyn Fn(&[&str]) -> Vec<Vec<Attestation>> + Send + Sync>;

/// What is known of an image that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The verdict.
    pub verdict: Verdict,
    /// The image's digest, `sha256:…`; none where it is not known.
    pub digest: Option<String>,
    /// Why, in words: the verification's reason.
    pub reason: String,
    /// `metadata.uid` of the verification's record (Artifact Signing); none where there is none.
    pub record: Option<String>,
}

/// Whether evidence of an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The newest verification of one of its documents passed.
    Attested,
    /// None passed.
    Unattested,
    /// Which image it is is not known.
    Unknown,
}

impl Verdict {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Unattested => "unattested",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Attestation {
    /// `sha256:… attested: Verified (record ev-1)`, on one line. Texts are as records have them: escaping is the reader's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.digest.as_deref().unwrap_or("image"), self.verdict.name())?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        self.record.iter().try_for_each(|record| write!(f, " (record {record})"))
    }
}
