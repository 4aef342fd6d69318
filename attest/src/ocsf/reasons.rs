//! Reasons as the extension has them: its closed list is coarser than [`Reason`], which stays in the steps' details.

use super::frame::Caption;
use crate::reason::Reason;

/// `trust_reason_id` and `trust_reason` of what passed.
pub(super) const VERIFIED: Caption = (1, "Verified");
/// Of what has no signature at all.
pub(super) const MISSING: Caption = (20, "Evidence Missing");

/// `trust_reason_id` and `trust_reason`.
pub(super) fn of(reason: Reason) -> Caption {
    match reason {
        Reason::DocumentAmbiguous
        | Reason::DocumentMalformed
        | Reason::BundleMalformed
        | Reason::StatementMalformed
        | Reason::PredicateMalformed
        | Reason::CertificateMalformed
        | Reason::LogEntryMalformed
        | Reason::ArtifactUnreadable => (10, "Malformed Document"),
        Reason::DocumentTooLarge | Reason::DocumentTooDeep => (11, "Limit Exceeded"),
        Reason::BundleVersionUnsupported
        | Reason::BundleUnsupported
        | Reason::StatementVersionUnsupported
        | Reason::PredicateVersionUnsupported
        | Reason::ArtifactUnsupported => (12, "Unsupported Format"),
        Reason::PayloadTypeUnexpected => (13, "Payload Type Mismatch"),
        Reason::PredicateTypeUnexpected => (14, "Predicate Type Mismatch"),
        Reason::StatementMissing => MISSING,
        Reason::ArtifactMismatch | Reason::ResourceMismatch => (21, "Digest Mismatch"),
        Reason::SignatureInvalid | Reason::Unclassified => (30, "Signature Invalid"),
        Reason::CertificateUntrusted | Reason::AuthorityNotValid => (33, "Certificate Untrusted"),
        Reason::CertificateExpired => (34, "Certificate Expired"),
        Reason::CertificateNotYetValid => (35, "Certificate Not Yet Valid"),
        Reason::SctInvalid => (37, "Certificate Not Logged"),
        Reason::SignerKindUnexpected | Reason::IdentityMismatch | Reason::VerifierMismatch => (40, "Identity Mismatch"),
        Reason::IssuerMismatch => (41, "Issuer Mismatch"),
        Reason::LogEntryMismatch => (51, "Log Entry Mismatch"),
        Reason::InclusionProofMissing
        | Reason::InclusionProofInvalid
        | Reason::InclusionPromiseMissing
        | Reason::InclusionPromiseInvalid => (52, "Inclusion Not Proven"),
        Reason::LogUnknown | Reason::CheckpointInvalid => (53, "Log Untrusted"),
        Reason::TimestampMissing => (54, "Timestamp Missing"),
        Reason::TimestampInvalid | Reason::TimestampOutsideAuthority | Reason::IntegratedTimeInvalid => {
            (55, "Timestamp Invalid")
        }
        Reason::BuilderMismatch => (60, "Builder Not Allowed"),
        Reason::SourceUnknown | Reason::SourceMismatch => (61, "Source Not Allowed"),
        Reason::BuildTypeMismatch
        | Reason::EntryPointMismatch
        | Reason::ParameterMismatch
        | Reason::MaterialMismatch => (62, "Build Not Allowed"),
        Reason::LevelMissing => (63, "Level Too Low"),
        Reason::SummaryStale | Reason::SignatureStale => (65, "Evidence Too Old"),
        Reason::SummaryFailed => (80, "Policy Denied"),
        Reason::TrustedRootInvalid | Reason::KeyInvalid | Reason::PolicyInvalid => (81, "Policy Error"),
    }
}
