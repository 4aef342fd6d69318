//! A bundle against a trusted root and a signer, step by step.

use super::facts::{Facts, time};
use super::signature::{Certificate, Signature, SignedBy};
use super::{Bundle, Content, failure};
use crate::artifact::{self, Artifact, Tee};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::policy::Signer;
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use chrono::{DateTime, Utc};
use sigstore_verify::crypto::Keyring;
use sigstore_verify::tsa::verify_timestamp_for_authority;
use sigstore_verify::types::bundle::SignatureContent;
use sigstore_verify::types::{
    ArtifactDigest, CheckpointSignature, HashAlgorithm, KindVersion, Sha256Hash, SignatureBytes, TsaAuthority,
};
use sigstore_verify::{
    Error, Policy as LibraryPolicy, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult,
};

/// Verifies bundles by one trusted root. Made once, used for many; the clock that refuses entries of the future is the
/// system's.
pub struct Verifier {
    pub(super) library: sigstore_verify::Verifier,
    pub(super) authorities: Vec<TsaAuthority>,
    pub(super) logs: Keyring,
    pub(super) root: Digest,
}

impl Verifier {
    /// The SHA-256 of the trusted root's bytes.
    pub fn trusted_root(&self) -> &Digest {
        &self.root
    }

    /// Verifies a bundle that was read. On return the trail has the checks that were made, and the digests.
    pub(crate) fn signature(
        &self,
        trail: &mut Trail,
        bundle: &Bundle,
        artifact: Artifact<'_>,
        signer: &Signer,
    ) -> Result<Signature, Failure> {
        trail.digests.trusted_root = Some(self.root.clone());
        let order = order(&bundle.content, signer);
        trail.plan([Check::SignerKind]);
        trail.plan(order.iter().copied());
        let keyed = Self::signer_kind(trail, bundle, signer)?;
        let facts = Facts::of(bundle, signer)?;
        trail.digests.signer = Some(facts.signer().clone());
        let (digests, result) = self.library_verify(bundle, artifact, signer);
        trail.digests.artifact = digests;
        let result = result.map_err(|error| failure::of(&error, keyed));
        match result.and_then(|result| self.checkpoints(bundle).map(|()| result).map_err(|failure| (failure, true))) {
            Ok(result) => {
                let times: Vec<_> = result.verified_timestamps().iter().filter_map(|t| time(*t)).collect();
                for check in order {
                    trail.passed(check, facts.detail(check, &times));
                }
                let signature = facts.signature(times);
                trail.signature = Some(signature.clone());
                Ok(signature)
            }
            Err((failure, proves)) => {
                let failure = self.refine(failure, bundle, trail, &facts);
                let times: Vec<_> = self.times(bundle);
                for check in order.into_iter().take_while(|check| proves && *check != failure.check) {
                    trail.passed(check, facts.detail(check, &times));
                }
                Err(failure)
            }
        }
    }

    fn signer_kind(trail: &mut Trail, bundle: &Bundle, signer: &Signer) -> Result<bool, Failure> {
        let (expected, got) = match (signer, bundle.is_keyed()) {
            (Signer::Key(_), true) => {
                trail.passed(Check::SignerKind, "a key, as asked for");
                return Ok(true);
            }
            (Signer::Keyless { .. }, false) => {
                trail.passed(Check::SignerKind, "a certificate, as asked for");
                return Ok(false);
            }
            (Signer::Keyless { .. }, true) => ("a certificate", "a key"),
            (Signer::Key(_), false) => ("a key", "a certificate"),
        };
        let detail = format!("expected {expected}, the bundle is signed by {got}");
        Err(Failure::new(Check::SignerKind, Reason::SignerKindUnexpected, detail))
    }

    /// The library's verdict, and the artifact's digests. The identity is checked afterwards, by us.
    fn library_verify(
        &self,
        bundle: &Bundle,
        artifact: Artifact<'_>,
        signer: &Signer,
    ) -> (Vec<Digest>, Result<VerificationResult, Error>) {
        let policy: Box<dyn LibraryPolicy> = match signer {
            Signer::Keyless { .. } => Box::new(VerificationPolicy::any_identity()),
            Signer::Key(key) => Box::new(PublicKeyVerificationPolicy::new(key.der().clone())),
        };
        let parsed = &bundle.parsed;
        match artifact {
            Artifact::Bytes(bytes) => (artifact::of_bytes(bytes), self.library.verify(bytes, parsed, policy.as_ref())),
            Artifact::Digest(digest) => {
                let result =
                    library_digest(&digest).and_then(|artifact| self.library.verify(artifact, parsed, policy.as_ref()));
                (vec![digest], result)
            }
            Artifact::Reader(inner) => {
                let mut tee = Tee { inner, hasher: Hasher::default() };
                let result = self.library.verify_reader(&mut tee, parsed, policy.as_ref());
                match tee.finish() {
                    Ok(digests) => (digests, result),
                    Err(error) => (Vec::new(), result.and(Err(Error::ArtifactRead(error)))),
                }
            }
        }
    }

    /// What the library does not ask of a checkpoint: that it is signed by the log that the entry names, where it takes any
    /// trusted log's signature; and, of Rekor v1, that it is of a tree of the size that the proof is for.
    fn checkpoints(&self, bundle: &Bundle) -> Result<(), Failure> {
        for entry in &bundle.parsed.verification_material.tlog_entries {
            let Some(proof) = &entry.inclusion_proof else { continue };
            let id = entry.log_id.key_id.as_bytes();
            let fail = |reason, detail: &str| {
                Err(Failure::new(Check::LogInclusion, reason, format!("{detail}, in log {}", hex::encode(id))))
            };
            let key = Sha256Hash::try_from(id).ok().and_then(|id| self.logs.key(&id));
            let Some((checkpoint, key)) = proof.checkpoint.checkpoint().zip(key) else {
                return fail(Reason::LogUnknown, "the entry names a log that is not trusted");
            };
            let is_logs = |s: &CheckpointSignature| {
                id.starts_with(s.key_id.as_bytes()) && key.verify(checkpoint.signed_data(), &s.signature).is_ok()
            };
            if !checkpoint.signatures().iter().any(is_logs) {
                return fail(Reason::CheckpointInvalid, "the checkpoint is not signed by the entry's log");
            }
            // Rekor v2's proof is checked for the checkpoint's size.
            if entry.kind_version != KindVersion::HashedRekordV002 && proof.tree_size != checkpoint.tree_size() {
                return fail(Reason::InclusionProofInvalid, "the proof is for another size than the checkpoint's");
            }
        }
        Ok(())
    }

    /// Says more exactly what failed where the library has one error for two things.
    fn refine(&self, failure: Failure, bundle: &Bundle, trail: &Trail, facts: &Facts) -> Failure {
        let artifact = &trail.digests.artifact;
        match failure.reason {
            // The entry's digest is compared with the artifact's last: if the bundle is about the artifact, it is the
            // entry that is about something else.
            Reason::ArtifactMismatch if bundle.content.is_about(artifact) => {
                Failure { check: Check::LogEntry, reason: Reason::LogEntryMismatch, ..failure }
            }
            Reason::CertificateUntrusted => match &facts.signed_by {
                SignedBy::Certificate(certificate) => {
                    Failure { reason: self.untrusted(bundle, certificate), ..failure }
                }
                SignedBy::Key { .. } => failure,
            },
            _ => failure,
        }
    }

    /// Why a chain is refused: the certificate's own time where a time of signing is outside it.
    fn untrusted(&self, bundle: &Bundle, certificate: &Certificate) -> Reason {
        let times = self.times(bundle);
        if times.iter().any(|t| *t < certificate.not_before) {
            Reason::CertificateNotYetValid
        } else if times.iter().any(|t| *t > certificate.not_after) {
            Reason::CertificateExpired
        } else {
            Reason::CertificateUntrusted
        }
    }

    /// The times of signing of a bundle whose times verified. (The library gives them only where all of it passed.)
    fn times(&self, bundle: &Bundle) -> Vec<DateTime<Utc>> {
        let material = &bundle.parsed.verification_material;
        let promised = material.tlog_entries.iter().filter(|e| e.inclusion_promise.is_some());
        let promised = promised.filter_map(|e| e.integrated_time);
        let signature = signature_bytes(&bundle.parsed.content);
        let stamped = material.timestamp_verification_data.rfc3161_timestamps.iter().filter_map(|stamp| {
            let signature = signature.as_ref()?;
            let mut tried = self.authorities.iter();
            tried.find_map(|a| verify_timestamp_for_authority(&stamp.signed_timestamp, signature, a).ok())
        });
        promised.chain(stamped).filter_map(time).collect()
    }
}

impl Content {
    /// Whether it names the artifact, as far as it names any.
    fn is_about(&self, artifact: &[Digest]) -> bool {
        match self {
            Self::Message(digest) => digest.as_ref().is_none_or(|digest| artifact.contains(digest)),
            Self::Statement(statement) => statement.subject_of(artifact).is_some(),
        }
    }
}

/// The library's checks, in its order: a certificate's before the log's, the digest before a plain signature, and the
/// signature before a statement's subjects.
fn order(content: &Content, signer: &Signer) -> Vec<Check> {
    let mut order = vec![Check::Structure];
    match signer {
        Signer::Keyless { .. } => order.extend([
            Check::Certificate,
            Check::SigningTime,
            Check::CertificateChain,
            Check::CertificateTransparency,
            Check::LogInclusion,
        ]),
        Signer::Key(_) => order.extend([Check::LogInclusion, Check::SigningTime]),
    }
    order.extend(match content {
        Content::Message(_) => [Check::Artifact, Check::Signature],
        Content::Statement(_) => [Check::Signature, Check::Artifact],
    });
    order.push(Check::LogEntry);
    order
}

fn library_digest(digest: &Digest) -> Result<ArtifactDigest, Error> {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => HashAlgorithm::Sha2256,
        Algorithm::Sha384 => HashAlgorithm::Sha2384,
        Algorithm::Sha512 => HashAlgorithm::Sha2512,
        other => return Err(Error::UnsupportedArtifact(format!("a digest by {}", other.as_str()))),
    };
    Ok(ArtifactDigest::new(algorithm, digest.as_bytes().to_vec())?)
}

fn signature_bytes(content: &SignatureContent) -> Option<SignatureBytes> {
    match content {
        SignatureContent::MessageSignature(message) => Some(message.signature.clone()),
        SignatureContent::DsseEnvelope(envelope) => Some(envelope.signature.sig.clone()),
        _ => None,
    }
}
