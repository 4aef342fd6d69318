//! Why a verification failed: a closed list, so that rules, tables and people can count on the names.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a verification failed. Its text is the name in records and in `docs/attest.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in records.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// The document is larger, or has more values, than is read.
    DocumentTooLarge = "document_too_large",
    /// The document is nested deeper than is read.
    DocumentTooDeep = "document_too_deep",
    /// An object of the document has a key twice.
    DocumentAmbiguous = "document_ambiguous",
    /// The document is no JSON.
    DocumentMalformed = "document_malformed",
    /// The bundle's media type is none of 0.1, 0.2 and 0.3.
    BundleVersionUnsupported = "bundle_version_unsupported",
    /// The bundle is not what its version asks for.
    BundleMalformed = "bundle_malformed",
    /// The bundle, or the DSSE envelope, holds something that is not supported here.
    BundleUnsupported = "bundle_unsupported",
    /// The trusted root cannot be used.
    TrustedRootInvalid = "trusted_root_invalid",
    /// The key that was given cannot be used.
    KeyInvalid = "key_invalid",
    /// The policy names no identity, no issuer, or a pattern that cannot be read.
    PolicyInvalid = "policy_invalid",
    /// Signed by a key where the policy asks for a certificate, or the other way round.
    SignerKindUnexpected = "signer_kind_unexpected",
    /// No time of signing that anybody vouches for.
    TimestampMissing = "timestamp_missing",
    /// An RFC 3161 timestamp that no trusted authority made for this signature.
    TimestampInvalid = "timestamp_invalid",
    /// A timestamp from outside the time for which its authority is trusted.
    TimestampOutsideAuthority = "timestamp_outside_authority",
    /// The signing certificate cannot be read.
    CertificateMalformed = "certificate_malformed",
    /// The signing certificate does not chain to a trusted authority, or is not for signing code.
    CertificateUntrusted = "certificate_untrusted",
    /// No certificate authority was trusted at the time of signing.
    AuthorityNotValid = "authority_not_valid",
    /// Signed before the certificate was valid.
    CertificateNotYetValid = "certificate_not_yet_valid",
    /// Signed after the certificate had expired.
    CertificateExpired = "certificate_expired",
    /// The certificate's signed certificate timestamp is missing or not of a trusted log.
    SctInvalid = "sct_invalid",
    /// A log entry of a log that is not trusted.
    LogUnknown = "log_unknown",
    /// A log entry has no inclusion proof, or there is no entry.
    InclusionProofMissing = "inclusion_proof_missing",
    /// The inclusion proof does not lead to the log's root.
    InclusionProofInvalid = "inclusion_proof_invalid",
    /// A bundle of version 0.1 has no inclusion promise.
    InclusionPromiseMissing = "inclusion_promise_missing",
    /// The inclusion promise is not signed by the log.
    InclusionPromiseInvalid = "inclusion_promise_invalid",
    /// The checkpoint is missing, not of this tree, or not signed by a trusted log.
    CheckpointInvalid = "checkpoint_invalid",
    /// The log entry cannot be read.
    LogEntryMalformed = "log_entry_malformed",
    /// The log entry is about another signature, key, certificate or content.
    LogEntryMismatch = "log_entry_mismatch",
    /// The time of the log entry is in the future, or outside the certificate's.
    IntegratedTimeInvalid = "integrated_time_invalid",
    /// The signature does not verify.
    SignatureInvalid = "signature_invalid",
    /// The bundle is about another artifact.
    ArtifactMismatch = "artifact_mismatch",
    /// The artifact was given in a form in which the signature cannot be checked.
    ArtifactUnsupported = "artifact_unsupported",
    /// The artifact cannot be read.
    ArtifactUnreadable = "artifact_unreadable",
    /// Signed by somebody else.
    IdentityMismatch = "identity_mismatch",
    /// The identity was vouched for by somebody else.
    IssuerMismatch = "issuer_mismatch",
    /// The DSSE payload's type is not in-toto's.
    PayloadTypeUnexpected = "payload_type_unexpected",
    /// The policy asks for a statement, and the artifact itself was signed.
    StatementMissing = "statement_missing",
    /// The payload is no in-toto statement.
    StatementMalformed = "statement_malformed",
    /// The statement is of a version that is not read.
    StatementVersionUnsupported = "statement_version_unsupported",
    /// The statement is about something else than the policy asks for.
    PredicateTypeUnexpected = "predicate_type_unexpected",
    /// The predicate is not what its type says.
    PredicateMalformed = "predicate_malformed",
    /// The document within the predicate is of a version that is not read.
    PredicateVersionUnsupported = "predicate_version_unsupported",
    /// Built by another builder.
    BuilderMismatch = "builder_mismatch",
    /// Built by another kind of build.
    BuildTypeMismatch = "build_type_mismatch",
    /// The provenance does not say from which source, in a way that is known here.
    SourceUnknown = "source_unknown",
    /// Built from another source.
    SourceMismatch = "source_mismatch",
    /// Built by another entry point.
    EntryPointMismatch = "entry_point_mismatch",
    /// A parameter is missing, has another value, or is not among those expected.
    ParameterMismatch = "parameter_mismatch",
    /// A material is missing, or has another digest.
    MaterialMismatch = "material_mismatch",
    /// A verification summary of another verifier.
    VerifierMismatch = "verifier_mismatch",
    /// A verification summary about another resource.
    ResourceMismatch = "resource_mismatch",
    /// A verification summary that says: failed.
    SummaryFailed = "summary_failed",
    /// A verification summary that does not reach a level.
    LevelMissing = "level_missing",
    /// A verification summary that is too old, or from the future.
    SummaryStale = "summary_stale",
    /// Signed longer ago than the policy allows, in the future, or at a time for which nobody vouches.
    SignatureStale = "signature_stale",
    /// The verification library refused for a reason that it did not have when this list was made.
    Unclassified = "unclassified",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
