//! The trust policy file: which signers, and what they must have said, under names that records bear.
//!
//! ```toml
//! [[policy]]
//! name = "release-images"
//! images = ["registry.example/ml/*"]
//! identity = "https://forge.example/ml/scorer/.forge/workflows/release.yml@refs/heads/main"
//! issuer = "https://token.forge.example"
//! trusted_root = "trusted_root.json"
//! max_age_days = 90
//! sbom = true
//! [policy.provenance]
//! builder = "https://forge.example/build.yml"
//! ```
//!
//! A file is read whole or not at all, and what is wrong is named by its key. Files that a policy names lie beside it.

mod glob;
mod read;

use crate::artifact::Artifact;
use crate::attestation::{Attestation, said, verify_then};
use crate::digest::Digest;
use crate::evidence::{provenance, vsa};
use crate::ocsf::By;
use crate::policy::{Expectation, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use crate::sigstore::{Signature, Verifier};
use crate::verified::Verification;
use chrono::{DateTime, TimeDelta, Utc};
use glob::Glob;
pub use read::PoliciesError;
use std::sync::Arc;

/// The policies of a file, in its order.
pub struct Policies {
    digest: Digest,
    version: String,
    policies: Vec<TrustPolicy>,
}

/// A policy with its name, and the trusted root that it is checked by.
pub struct TrustPolicy {
    /// Its name: `policy.uid` in records.
    pub name: String,
    /// The digest of the file's bytes, `sha256:…`: `policy.version` in records.
    pub version: String,
    /// Who must have signed.
    pub signer: Signer,
    /// How long ago a signature may be made, or a summary be verified.
    pub max_age: Option<TimeDelta>,
    /// What provenance must say, where there must be provenance.
    pub provenance: Option<provenance::Expectations>,
    /// What a verification summary must say, where there must be one. Its `fresh` is [`Self::max_age`]'s.
    pub summary: Option<vsa::Expectations>,
    /// Whether there must be a bill of materials.
    pub sbom: bool,
    images: Vec<Glob>,
    verifier: Arc<Verifier>,
}

/// What a document says of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Nothing: the artifact itself was signed.
    Signature,
    /// How it was built.
    Provenance,
    /// That it was verified.
    Summary,
    /// What is in it.
    Sbom,
    /// Something of a type that policies do not speak of.
    Other,
}

impl Part {
    /// The part that a predicate type is; that of no statement without one.
    pub fn of(predicate_type: Option<&str>) -> Self {
        match predicate_type {
            None => Self::Signature,
            Some(t) if t.starts_with("https://slsa.dev/provenance/") => Self::Provenance,
            Some(t) if t.starts_with("https://slsa.dev/verification_summary/") => Self::Summary,
            Some(t) if t.starts_with("https://cyclonedx.org/bom") || t.starts_with("https://spdx.dev/Document") => {
                Self::Sbom
            }
            Some(_) => Self::Other,
        }
    }

    /// Its name, as policies have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Provenance => "provenance",
            Self::Summary => "summary",
            Self::Sbom => "sbom",
            Self::Other => "other",
        }
    }
}

impl Policies {
    /// The SHA-256 of the file's bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The same as text, `sha256:…`: `policy.version` in records.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The policies.
    pub fn iter(&self) -> impl Iterator<Item = &TrustPolicy> {
        self.policies.iter()
    }

    /// The policy of a name.
    pub fn named(&self, name: &str) -> Option<&TrustPolicy> {
        self.policies.iter().find(|policy| policy.name == name)
    }

    /// The only policy, where there is one.
    pub fn only(&self) -> Option<&TrustPolicy> {
        match self.policies.as_slice() {
            [policy] => Some(policy),
            _ => None,
        }
    }

    /// The first policy for an image, named with or without tag and digest.
    pub fn of_image(&self, reference: &str) -> Option<&TrustPolicy> {
        self.policies.iter().find(|policy| policy.is_for(reference))
    }
}

impl TrustPolicy {
    /// A policy that asks for a signer, and for nothing else.
    pub(crate) fn of_signer(name: String, version: String, signer: Signer, verifier: Arc<Verifier>) -> Self {
        Self {
            name,
            version,
            signer,
            max_age: None,
            provenance: None,
            summary: None,
            sbom: false,
            images: Vec::new(),
            verifier,
        }
    }

    /// How records name it.
    pub fn by(&self) -> By<'_> {
        let key = match &self.signer {
            Signer::Key(key) => Some(key.fingerprint()),
            Signer::Keyless { .. } => None,
        };
        By { name: &self.name, version: &self.version, key, trusted_root: Some(self.verifier.trusted_root()) }
    }

    /// What it is checked by.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Whether it is for an image, named with or without tag and digest.
    pub fn is_for(&self, reference: &str) -> bool {
        let name = reference.split_once('@').map_or(reference, |(name, _)| name);
        // A colon before the last slash is a port's.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let name = name[slash..].find(':').map_or(name, |colon| &name[..slash + colon]);
        self.images.iter().any(|glob| glob.matches(name))
    }

    /// What must be there of an artifact beside any signature, in no particular order.
    pub fn required(&self) -> impl Iterator<Item = Part> {
        let parts = [
            (self.provenance.is_some(), Part::Provenance),
            (self.summary.is_some(), Part::Summary),
            (self.sbom, Part::Sbom),
        ];
        parts.into_iter().filter(|(required, _)| *required).map(|(_, part)| part)
    }

    /// What a document with such a statement, or with none, must say. None where the policy does not speak of its kind.
    pub fn expectation(&self, predicate_type: Option<&str>, now: DateTime<Utc>) -> Option<Expectation> {
        match Part::of(predicate_type) {
            Part::Provenance => self.provenance.clone().map(Expectation::Provenance),
            Part::Summary => self.summary.clone().map(|summary| {
                let fresh = self.max_age.map(|age_max| vsa::Fresh { now, age_max });
                Expectation::Summary(vsa::Expectations { fresh, ..summary })
            }),
            Part::Sbom => self.sbom.then_some(Expectation::Sbom),
            Part::Signature | Part::Other => None,
        }
    }

    /// Verifies a Sigstore bundle, or a bare DSSE envelope where the signer is a key, about an artifact.
    ///
    /// Of a statement, what the policy asks of its kind is checked; `now` is what ages are counted from.
    pub fn verify(&self, artifact: Artifact<'_>, document: &[u8], now: DateTime<Utc>) -> Verification<Attestation> {
        verify_then(&self.verifier, artifact, document, &self.signer, |trail, attestation| {
            self.asked(trail, attestation, now)
        })
    }

    /// What it asks of an attestation whose signature is the signer's.
    pub(crate) fn asked(
        &self,
        trail: &mut Trail,
        attestation: &Attestation,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let statement = attestation.statement.as_ref();
        let predicate_type = statement.map(|s| s.predicate_type.as_str());
        let expectation = self.expectation(predicate_type, now);
        said(trail, statement, expectation.as_ref())?;
        match (self.max_age, expectation) {
            // A summary's age is that of what it says, and checked with it.
            (None, _) | (_, Some(Expectation::Summary(_))) => Ok(()),
            (Some(age_max), _) => fresh(trail, &attestation.signature, now, age_max),
        }
    }
}

/// Checks when it was signed: by the earliest time that somebody vouches for, as a later one may be an old signature's.
fn fresh(trail: &mut Trail, signature: &Signature, now: DateTime<Utc>, age_max: TimeDelta) -> Result<(), Failure> {
    trail.plan([Check::Age]);
    let days = age_max.num_days();
    let stale = |found: String| {
        let detail = format!("expected a signature of at most {days} days, got {found}");
        Failure::new(Check::Age, Reason::SignatureStale, detail)
    };
    let signed = signature.signed_at.iter().min().ok_or_else(|| stale("no time that anybody vouches for".into()))?;
    let age = now - signed;
    if age < TimeDelta::zero() || age > age_max {
        return Err(stale(format!("one of {}", signed.to_rfc3339())));
    }
    trail.passed(Check::Age, format!("{} days", age.num_days()));
    Ok(())
}
