//! All that is attached to an image, by a policy of the trust policy file.

use super::attached::Attached;
use crate::attestation::Attestation;
use crate::digest::Digest;
use crate::policies::{Part, TrustPolicy};
use crate::verified::Verification;
use chrono::{DateTime, Utc};

/// What a policy says of an image.
pub struct Examined {
    /// The documents that are attached, and what came of each.
    pub documents: Vec<(Attached, Verification<Attestation>)>,
    /// What the policy asks for and no document gives.
    pub missing: Vec<Part>,
}

impl Examined {
    /// Verifies every document that is attached to an image; `now` is what ages are counted from.
    pub fn of(policy: &TrustPolicy, image: &Digest, attached: Vec<Attached>, now: DateTime<Utc>) -> Self {
        let verify = |document: Attached| {
            let verification = document.verify_then(policy.verifier(), image, &policy.signer, |trail, attestation| {
                policy.asked(trail, attestation, now)
            });
            (document, verification)
        };
        let documents: Vec<_> = attached.into_iter().map(verify).collect();
        let gives = |part: &Part| {
            let mut passed = documents.iter().filter(|(_, verification)| verification.verified().is_some());
            passed.any(|(_, verification)| Part::of(verification.record().predicate_type.as_deref()) == *part)
        };
        let missing = policy.required().filter(|part| !gives(part)).collect();
        Self { documents, missing }
    }

    /// Whether the image is what the policy asks for: a document of its signer passes, and one of each kind that it
    /// names. Anybody may attach more, so what fails counts for nothing.
    pub fn is_attested(&self) -> bool {
        self.missing.is_empty() && self.passed() > 0
    }

    /// Why it is not, in words.
    pub fn problem(&self) -> Option<String> {
        let missing: Vec<_> = self.missing.iter().map(|part| part.name()).collect();
        match (self.passed(), self.documents.len()) {
            (0, 0) => Some("nothing is attached to it".to_owned()),
            (0, all) => Some(format!("none of {all} attached documents passes")),
            _ if !missing.is_empty() => Some(format!("nothing passes for {}", missing.join(", "))),
            _ => None,
        }
    }

    /// How many documents pass.
    pub fn passed(&self) -> usize {
        self.documents.iter().filter(|(_, verification)| verification.verified().is_some()).count()
    }
}
