//! Documents as they come in, of whichever kind, to the records that are made of them.
//!
//! A bundle or an envelope is verified for the artifact that is given, or for each subject that it names itself, and is a
//! record a time, passed or failed. A bill of materials in one that passed is rows as well. One without a signature is
//! rows, and a record that says that nothing vouches for it.

use crate::artifact::Artifact;
use crate::digest::{Algorithm, Digest};
use crate::evidence::{Predicate, Sbom, Statement};
use crate::json;
use crate::oci::{Attached, Content};
use crate::ocsf::{Activity, ArtifactType, Evidence, Named, Software, Verdict, components, unsigned};
use crate::policies::TrustPolicy;
use crate::reason::Reason;
use crate::verified::Verification;
use crate::{Attestation, Verified};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::borrow::Cow;

/// Subjects of one document that are verified when no artifact is given: each is a verification and a record.
pub const SUBJECTS_MAX: usize = 256;

/// A document, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where it was found.
    pub uri: Option<&'a str>,
    /// What it is called, where nothing in it can be read.
    pub name: &'a str,
}

/// What was signed, by whoever gives it.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// What it is called.
    pub named: Named,
    /// All of it, where it is at hand: some signatures cannot be checked by a digest.
    pub bytes: Option<&'a [u8]>,
}

/// A record, and what goes with it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The record.
    pub evidence: Evidence,
    /// Rows of the bill of materials, where it holds one.
    pub components: Vec<Evidence>,
    /// What it is about.
    pub artifact: Named,
    /// What came of it: `None` where there was no signature to check.
    pub verdict: Option<Result<(), Reason>>,
}

impl Taken {
    /// What came of it, as users are told: `passed`, `failed` or `not_checked`, and the reason where it failed.
    pub fn outcome(&self) -> (&'static str, Option<&'static str>) {
        match self.verdict {
            Some(Ok(())) => ("passed", None),
            Some(Err(reason)) => ("failed", Some(reason.as_str())),
            None => ("not_checked", None),
        }
    }
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// More subjects than are verified at once.
    #[error("the statement has {0} subjects, at most {SUBJECTS_MAX} are verified: name the artifact")]
    Subjects(usize),
    /// A document that is large, and kept once for each of its many subjects, would be more than the largest document.
    #[error("{bytes} bytes for each of {subjects} subjects are more than are kept of a document: name the artifact")]
    Copies {
        /// Of the document.
        bytes: usize,
        /// Artifacts that it names.
        subjects: usize,
    },
    /// A bill of materials that cannot be read.
    #[error("the bill of materials: {0}")]
    Sbom(#[from] crate::evidence::PredicateError),
    /// Larger than documents are, with what lies beside it.
    #[error("{0} bytes with what lies beside it, at most {max} are read", max = json::DOCUMENT.bytes_max)]
    Large(usize),
    /// What is called a bill of materials and is none.
    #[error("expected a bill of materials in CycloneDX or SPDX JSON")]
    NoBill,
    /// A bill of materials, or a plain signature, of something that it does not say.
    #[error("it names no digest of what it is about: name the artifact")]
    NoArtifact,
}

/// Verifies a document and makes the records of it.
///
/// **Errors**: what no record is made of; a document that cannot be read as a bundle is a record that failed.
pub fn take(
    policy: &TrustPolicy,
    document: Document<'_>,
    given: Option<&Given<'_>>,
    now: DateTime<Utc>,
) -> Result<Vec<Taken>, IntakeError> {
    if let Some(sbom) = bill(document.bytes) {
        return Ok(vec![bare(policy, document, given, &sbom?, now)?]);
    }
    if let Some(given) = given {
        return Ok(vec![verified(policy, document, given, now)]);
    }
    let mut subjects = claimed(document.bytes)?;
    if subjects.len() > SUBJECTS_MAX {
        return Err(IntakeError::Subjects(subjects.len()));
    }
    if subjects.len() > 1 && subjects.len() * document.bytes.len() > json::DOCUMENT.bytes_max {
        return Err(IntakeError::Copies { bytes: document.bytes.len(), subjects: subjects.len() });
    }
    if subjects.is_empty() {
        // Nothing of it can be read, or nothing binds: that is what the record says.
        subjects.push(named(None, document.name));
    }
    Ok(subjects.into_iter().map(|named| verified(policy, document, &Given { named, bytes: None }, now)).collect())
}

fn named(digest: Option<Digest>, name: &str) -> Named {
    let name = (!name.is_empty()).then(|| name.to_owned());
    Named { digest, name, uri: None, kind: ArtifactType::Unknown }
}

fn verified(policy: &TrustPolicy, document: Document<'_>, given: &Given<'_>, now: DateTime<Utc>) -> Taken {
    let artifact = match (given.bytes, &given.named.digest) {
        (Some(bytes), _) => Artifact::Bytes(bytes),
        (None, Some(digest)) => Artifact::Digest(digest.clone()),
        // A statement about nothing that binds, which fails whatever the artifact.
        (None, None) => Artifact::Bytes(&[]),
    };
    recorded(policy, document, &given.named, policy.verify(artifact, document.bytes, now), now)
}

/// A record, and the bytes that it is of.
pub type TakenOf<'a> = (Taken, Cow<'a, [u8]>);

/// Verifies a document that is attached to an image and makes the record of it, beside the bytes that it is of
/// ([`Attached::document`]); of one that is not read, nothing.
///
/// A bill of materials without a signature is taken as being of the image, and its record says that nothing vouches for
/// that.
///
/// **Errors**: what no record is made of.
pub fn take_attached<'a>(
    policy: &TrustPolicy,
    attached: &'a Attached,
    image: &Digest,
    named: &Named,
    uri: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<TakenOf<'a>>, IntakeError> {
    let Some(bytes) = attached.document() else { return Ok(None) };
    if bytes.len() > json::DOCUMENT.bytes_max {
        return Err(IntakeError::Large(bytes.len()));
    }
    let document = Document { bytes: &bytes, uri, name: &attached.media_type };
    if let Content::Sbom(content) = &attached.content {
        let sbom = bill(content).ok_or(IntakeError::NoBill)??;
        let given = Given { named: named.clone(), bytes: None };
        let taken = bare(policy, document, Some(&given), &sbom, now)?;
        return Ok(Some((taken, bytes)));
    }
    let verification = attached.verify_then(policy.verifier(), image, &policy.signer, |trail, attestation| {
        policy.asked(trail, attestation, now)
    });
    let taken = recorded(policy, document, named, verification, now);
    Ok(Some((taken, bytes)))
}

fn recorded(
    policy: &TrustPolicy,
    document: Document<'_>,
    named: &Named,
    verification: Verification<Attestation>,
    now: DateTime<Utc>,
) -> Taken {
    let (mut record, attestation) = verification.into_parts();
    // Of all that it was verified by, which is more than what is signed where that lies beside it.
    record.digests.document = Some(Digest::sha256(document.bytes));
    let attestation = attestation.map(Verified::into_inner);
    let evidence = Verdict {
        activity: Activity::Verify,
        time: now,
        artifact: named,
        record: &record,
        attestation: attestation.as_ref(),
        by: policy.by(),
        document_uri: document.uri,
        evidence_uids: &[],
        timed: false,
    }
    .to_ocsf();
    let statement = attestation.as_ref().and_then(|attestation| attestation.statement.as_ref());
    let sbom = statement.and_then(|statement| match statement.predicate() {
        Ok(Predicate::Sbom(sbom)) => Some(sbom),
        _ => None,
    });
    let rows = sbom.map(|sbom| software(&sbom, document, named, &evidence, now)).unwrap_or_default();
    let verdict = Some(record.reason.map_or(Ok(()), Err));
    Taken { evidence, components: rows, artifact: named.clone(), verdict }
}

fn software(sbom: &Sbom, document: Document<'_>, named: &Named, of: &Evidence, now: DateTime<Utc>) -> Vec<Evidence> {
    let document = Digest::sha256(document.bytes);
    let of = Software { artifact: named, document: &document, evidence_uid: &of.uid, time: now };
    components(sbom, &of).collect()
}

fn bare(
    policy: &TrustPolicy,
    document: Document<'_>,
    given: Option<&Given<'_>>,
    sbom: &Sbom,
    now: DateTime<Utc>,
) -> Result<Taken, IntakeError> {
    let subject = || {
        let subject = sbom.subject.as_ref()?;
        let digest = subject.hashes.iter().find(|hash| hash.is_binding())?;
        Some(named(Some(digest.clone()), &subject.name))
    };
    let named = given.map(|given| given.named.clone()).or_else(subject).ok_or(IntakeError::NoArtifact)?;
    let evidence = unsigned(policy, &named, document.bytes, document.uri, sbom, now);
    let components = software(sbom, document, &named, &evidence, now);
    Ok(Taken { evidence, components, artifact: named, verdict: None })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    bom_format: Option<String>,
    spdx_version: Option<String>,
    verification_material: Option<serde::de::IgnoredAny>,
    payload_type: Option<serde::de::IgnoredAny>,
}

/// Whether [`take`] has a use for a file that nobody called a document: a bundle, an envelope or a bill of materials.
pub fn is_document(bytes: &[u8]) -> bool {
    json::read::<Kind>(unmarked(bytes), json::DOCUMENT).is_ok_and(|kind| {
        let signed = kind.verification_material.is_some() || kind.payload_type.is_some();
        signed || kind.bom_format.is_some() || kind.spdx_version.is_some()
    })
}

/// A byte order mark may be ignored before JSON (RFC 8259, section 8.1), and some writers of bills begin with one.
fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A bill of materials as such, without an envelope.
fn bill(bytes: &[u8]) -> Option<Result<Sbom, crate::evidence::PredicateError>> {
    let bytes = unmarked(bytes);
    let kind: Kind = json::read(bytes, json::DOCUMENT).ok()?;
    match (kind.bom_format.as_deref(), kind.spdx_version) {
        (Some("CycloneDX"), None) => Some(Sbom::cyclonedx(bytes)),
        (None, Some(_)) => Some(Sbom::spdx(bytes)),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    message_signature: Option<Message>,
    dsse_envelope: Option<Envelope>,
    payload: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_digest: Option<MessageDigest>,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

/// What a document says that it is about. Nothing vouches for it before it is verified.
///
/// **Errors**: a plain signature without a digest: it may be anything's.
fn claimed(bytes: &[u8]) -> Result<Vec<Named>, IntakeError> {
    let Ok(shape) = json::read::<Shape>(bytes, json::DOCUMENT) else { return Ok(Vec::new()) };
    if let Some(message) = shape.message_signature {
        let digest = message.message_digest.and_then(|digest| {
            let algorithm = match digest.algorithm.as_str() {
                "SHA2_256" => Algorithm::Sha256,
                "SHA2_384" => Algorithm::Sha384,
                "SHA2_512" => Algorithm::Sha512,
                _ => return None,
            };
            Digest::new(algorithm, STANDARD.decode(digest.digest).ok()?).ok()
        });
        let digest = digest.ok_or(IntakeError::NoArtifact)?;
        return Ok(vec![named(Some(digest), "")]);
    }
    let payload = shape.dsse_envelope.map(|envelope| envelope.payload).or(shape.payload);
    let statement = payload.and_then(|payload| STANDARD.decode(payload).ok()).and_then(|p| Statement::read(&p).ok());
    let subjects = statement.map(|statement| statement.subjects).unwrap_or_default();
    let of = |subject: crate::evidence::Subject| {
        let sha256 = subject.digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
        let digest = sha256.or_else(|| subject.digests.iter().find(|digest| digest.is_binding()))?;
        Some(named(Some(digest.clone()), &subject.name))
    };
    Ok(subjects.into_iter().filter_map(of).collect())
}
