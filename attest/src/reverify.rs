//! Verdicts of before, checked again: a record that passed, with the document that was logged beside it, under the roots,
//! identities and policies of today.
//!
//! It opens nothing and asks nobody. What cannot be checked again by what is at hand is said to be so, and is not guessed.

use crate::artifact::Artifact;
use crate::digest::Digest;
use crate::ledger::Logged;
use crate::ocsf::frame::ARTIFACT_SIGNING;
use crate::ocsf::{Activity, ArtifactType, By, Evidence, Named, Verdict};
use crate::policies::{Policies, TrustPolicy};
use crate::policy::{Identity, Issuer, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure, Outcome, Record};
use crate::sigstore::Verifier;
use crate::verified::Verification;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::sync::Arc;

/// What counts today.
pub enum Today {
    /// Each record is verified by the policy that has the name of its own.
    Policies(Policies),
    /// Each must still be signed by the identity that it names, by this trusted root.
    Root(Arc<Verifier>),
}

/// A verdict of before, and what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// When it was verified.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub artifact: Named,
    /// The name of its policy.
    pub policy: String,
    /// Whether it holds.
    pub standing: Standing,
}

/// Whether a verdict of before holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// As before.
    Holds,
    /// Not any more.
    Lost {
        /// Why.
        reason: Reason,
        /// What was expected, and what is there.
        detail: String,
        /// The record of it, where it was checked by policies; of the class Artifact Signing, activity Reverify.
        evidence: Option<Box<Evidence>>,
    },
    /// It cannot be told.
    Unknown {
        /// What would be needed.
        why: &'static str,
    },
}

/// What is read of a record.
#[derive(Deserialize)]
struct Earlier {
    class_uid: i32,
    activity_id: i32,
    trust_verdict_id: u64,
    time: i64,
    artifact: About,
    #[serde(default)]
    policy: Uid,
    #[serde(default)]
    signer: SignedBy,
    #[serde(default)]
    attestation: Uid,
}

#[derive(Deserialize)]
struct About {
    uid: Option<String>,
    name: Option<String>,
    uri: Option<String>,
    #[serde(default)]
    type_id: u64,
}

#[derive(Default, Deserialize)]
struct Uid {
    uid: Option<String>,
    version: Option<String>,
    uri: Option<String>,
}

/// Who signed, as a record has it.
#[derive(Default, Deserialize)]
struct SignedBy {
    uid: Option<String>,
    issuer: Option<String>,
}

/// Checks a record of the ledger again. None for one that is no verification that passed.
pub fn again(today: &Today, logged: &Logged, now: DateTime<Utc>) -> Option<Again> {
    let earlier: Earlier = serde_json::from_slice(&logged.record).ok()?;
    let passed = earlier.trust_verdict_id == 1 && earlier.activity_id == Activity::Verify.caption().0;
    if earlier.class_uid != ARTIFACT_SIGNING.uid() || !passed {
        return None;
    }
    let time = DateTime::from_timestamp_millis(earlier.time)?;
    let kind = match earlier.artifact.type_id {
        1 => ArtifactType::ContainerImage,
        2 => ArtifactType::File,
        _ => ArtifactType::Unknown,
    };
    let digest: Option<Digest> = earlier.artifact.uid.as_ref().and_then(|uid| uid.parse().ok());
    let artifact = Named { digest, name: earlier.artifact.name.clone(), uri: earlier.artifact.uri.clone(), kind };
    let standing = standing(today, logged, &earlier, &artifact, now);
    Some(Again { time, artifact, policy: earlier.policy.uid.unwrap_or_default(), standing })
}

fn standing(today: &Today, logged: &Logged, earlier: &Earlier, artifact: &Named, now: DateTime<Utc>) -> Standing {
    let unknown = |why| Standing::Unknown { why };
    let Some(document) = &logged.raw else { return unknown("its document is not in the ledger") };
    let Some(digest) = &artifact.digest else { return unknown("it names no digest of its artifact") };
    let name = earlier.policy.uid.as_deref().unwrap_or_default();
    let (verification, by) = match today {
        Today::Policies(policies) => match policies.named(name) {
            Some(policy) => (policy.verify(Artifact::Digest(digest.clone()), document, now), Some(policy.by())),
            None => {
                let detail = format!("the policy {name:?} is not there any more");
                let failure = Failure::new(Check::Policy, Reason::PolicyInvalid, detail);
                let by = By { name, version: policies.version(), key: None, trusted_root: None };
                (Verification::run(|_| Err(failure)), Some(by))
            }
        },
        Today::Root(root) => {
            let Some(policy) = signed_as_before(earlier, root) else {
                return unknown("it was signed with a key: give the policies");
            };
            (policy.verify(Artifact::Digest(digest.clone()), document, now), None)
        }
    };
    let record = verification.record();
    let Some(reason) = record.reason else { return Standing::Holds };
    if matches!(reason, Reason::ArtifactUnsupported | Reason::ArtifactUnreadable) {
        return unknown("its signature is over the artifact's bytes, not their digest");
    }
    let evidence = by.map(|by| Box::new(lost(record, by, artifact, earlier, logged, now)));
    let failed = record.steps.iter().find(|step| matches!(step.outcome, Outcome::Failed(_)));
    Standing::Lost { reason, detail: failed.map(|step| step.detail.clone()).unwrap_or_default(), evidence }
}

/// The policy that asks for the signer of before, and nothing else.
fn signed_as_before(earlier: &Earlier, root: &Arc<Verifier>) -> Option<TrustPolicy> {
    let identity = Identity::exact(earlier.signer.uid.as_deref()?).ok()?;
    let issuer = Issuer::exact(earlier.signer.issuer.as_deref()?).ok()?;
    let name = earlier.policy.uid.clone().unwrap_or_default();
    let version = earlier.policy.version.clone().unwrap_or_default();
    Some(TrustPolicy::of_signer(name, version, Signer::Keyless { identity, issuer }, root.clone()))
}

fn lost(
    record: &Record,
    by: By<'_>,
    artifact: &Named,
    earlier: &Earlier,
    logged: &Logged,
    now: DateTime<Utc>,
) -> Evidence {
    Verdict {
        activity: Activity::Reverify,
        time: now,
        artifact,
        record,
        attestation: None,
        by,
        document_uri: earlier.attestation.uri.as_deref(),
        evidence_uids: std::slice::from_ref(&logged.uid),
        timed: false,
    }
    .to_ocsf()
}
