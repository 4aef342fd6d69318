//! The library's errors as our checks and reasons. Its message becomes the detail, for people only.

use crate::reason::Reason;
use crate::record::{Check, Failure};
use sigstore_verify::bundle::Error as Structure;
use sigstore_verify::{CertificateError, Error, TimestampError, TransparencyLogError};

/// A failure of the library, and whether it proves that the checks before it passed: some errors can be raised early.
pub(super) fn of(error: &Error, keyed: bool) -> (Failure, bool) {
    // Where the signing time comes from a promise, that is checked with it.
    let promise = if keyed { Check::LogInclusion } else { Check::SigningTime };
    let (check, reason, proves) = match error {
        Error::SignatureInvalid(_) => (Check::Signature, Reason::SignatureInvalid, true),
        Error::ArtifactMismatch(_) => (Check::Artifact, Reason::ArtifactMismatch, true),
        Error::UnsupportedArtifact(_) => (Check::Artifact, Reason::ArtifactUnsupported, false),
        Error::ArtifactRead(_) => (Check::Artifact, Reason::ArtifactUnreadable, false),
        Error::Certificate(error) => certificate(error),
        Error::TransparencyLog(error) => log(error, promise),
        Error::Timestamp(error) => (Check::SigningTime, timestamp(error), true),
        Error::Bundle(error) => (Check::Structure, structure(error), false),
        Error::InvalidBundle(_) | Error::Types(_) => (Check::Structure, Reason::BundleMalformed, false),
        // An algorithm that does not go with the key, found before anything is verified.
        Error::UnsupportedBundle(_) | Error::Crypto(_) => (Check::Structure, Reason::BundleUnsupported, false),
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => {
            (Check::TrustedRoot, Reason::TrustedRootInvalid, false)
        }
        Error::IdentityMismatch { .. } => (Check::Identity, Reason::IdentityMismatch, false),
        Error::IssuerMismatch { .. } => (Check::Issuer, Reason::IssuerMismatch, false),
        _ => (Check::Structure, Reason::Unclassified, false),
    };
    (Failure::new(check, reason, error.to_string()), proves)
}

fn certificate(error: &CertificateError) -> (Check, Reason, bool) {
    match error {
        CertificateError::Malformed(_) => (Check::Certificate, Reason::CertificateMalformed, false),
        CertificateError::ChainInvalid(_) => (Check::CertificateChain, Reason::CertificateUntrusted, true),
        CertificateError::NoValidAuthority { .. } => (Check::CertificateChain, Reason::AuthorityNotValid, true),
        CertificateError::NotYetValid { .. } => (Check::CertificateChain, Reason::CertificateNotYetValid, true),
        CertificateError::Expired { .. } => (Check::CertificateChain, Reason::CertificateExpired, true),
        CertificateError::Sct(_) => (Check::CertificateTransparency, Reason::SctInvalid, true),
        _ => (Check::CertificateChain, Reason::Unclassified, false),
    }
}

fn log(error: &TransparencyLogError, promise: Check) -> (Check, Reason, bool) {
    match error {
        TransparencyLogError::UnknownLog { .. } => (Check::LogInclusion, Reason::LogUnknown, false),
        TransparencyLogError::InclusionProof(_) => (Check::LogInclusion, Reason::InclusionProofInvalid, true),
        TransparencyLogError::Checkpoint(_) => (Check::LogInclusion, Reason::CheckpointInvalid, true),
        TransparencyLogError::InclusionPromise(_) => (promise, Reason::InclusionPromiseInvalid, false),
        TransparencyLogError::EntryMismatch(_) => (Check::LogEntry, Reason::LogEntryMismatch, true),
        TransparencyLogError::IntegratedTime(_) => (promise, Reason::IntegratedTimeInvalid, false),
        TransparencyLogError::MalformedEntry(_) => (Check::LogEntry, Reason::LogEntryMalformed, false),
        _ => (Check::LogInclusion, Reason::Unclassified, false),
    }
}

fn timestamp(error: &TimestampError) -> Reason {
    match error {
        TimestampError::Invalid(_) => Reason::TimestampInvalid,
        TimestampError::OutsideAuthorityValidity { .. } => Reason::TimestampOutsideAuthority,
        TimestampError::NoVerifiedTimestamp(_) => Reason::TimestampMissing,
        _ => Reason::Unclassified,
    }
}

fn structure(error: &Structure) -> Reason {
    match error {
        Structure::UnsupportedMediaType(_) => Reason::BundleVersionUnsupported,
        Structure::UnsupportedVerificationMaterial => Reason::BundleUnsupported,
        Structure::MissingInclusionPromise(_) => Reason::InclusionPromiseMissing,
        Structure::MissingInclusionProof(_) | Structure::MissingSigningTimeEvidence => Reason::InclusionProofMissing,
        Structure::MissingTimestamp => Reason::TimestampMissing,
        Structure::MissingCheckpoint | Structure::CheckpointRootMismatch => Reason::CheckpointInvalid,
        Structure::LogIndexOutOfRange { .. } => Reason::InclusionProofInvalid,
        _ => Reason::BundleMalformed,
    }
}
