//! Why a key was released or refused: the part of the extension's closed list (`trust_reason_id`) that is met here.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $caption:literal;)*) => {
        /// Why a verdict is as it is. Ids and captions are those of `trust_reason_id` in OCSF's extension `trust`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All that a verifier or the broker here may give.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// `trust_reason_id`.
            pub fn id(self) -> i32 {
                match self {
                    $(Self::$name => $id,)*
                }
            }

            /// `trust_reason`: its caption.
            pub fn caption(self) -> &'static str {
                match self {
                    $(Self::$name => $caption,)*
                }
            }

            /// `trust_reason_id` and its caption.
            pub fn ocsf(self) -> (i32, &'static str) {
                (self.id(), self.caption())
            }
        }
    };
}

reasons! {
    /// Every check passed.
    Verified = 1, "Verified";
    /// Not of the form that its kind asks for: no such encoding, duplicate keys, trailing bytes, absent parts.
    MalformedDocument = 10, "Malformed Document";
    /// Larger, deeper or longer than what is read.
    LimitExceeded = 11, "Limit Exceeded";
    /// A kind or a version that is not verified.
    UnsupportedFormat = 12, "Unsupported Format";
    /// The policy asks for evidence of the image, and there is none that passed.
    EvidenceMissing = 20, "Evidence Missing";
    /// The evidence is about another artifact.
    DigestMismatch = 21, "Digest Mismatch";
    /// The signature does not verify with the key.
    SignatureInvalid = 30, "Signature Invalid";
    /// An algorithm that is not taken, or another one than the key's.
    AlgorithmNotAllowed = 31, "Algorithm Not Allowed";
    /// The key is none of the given ones, such as after a rotation.
    KeyUnknown = 32, "Key Unknown";
    /// The certificate's chain does not lead to the given root, or its usage does not allow this.
    CertificateUntrusted = 33, "Certificate Untrusted";
    /// The certificate had ended at the time that counts.
    CertificateExpired = 34, "Certificate Expired";
    /// The certificate had not begun at the time that counts.
    CertificateNotYetValid = 35, "Certificate Not Yet Valid";
    /// Of another identity than the policy names.
    IdentityMismatch = 40, "Identity Mismatch";
    /// Vouched for by another issuer.
    IssuerMismatch = 41, "Issuer Mismatch";
    /// A token for somebody else.
    AudienceMismatch = 42, "Audience Mismatch";
    /// The evidence answers another challenge, or none.
    NonceMismatch = 70, "Nonce Mismatch";
    /// The challenge or the evidence was used before.
    NonceReplayed = 71, "Nonce Replayed";
    /// Older than its own or the verifier's limit.
    DocumentExpired = 72, "Document Expired";
    /// From the future.
    DocumentNotYetValid = 73, "Document Not Yet Valid";
    /// The environment's memory can be read from outside.
    DebugMode = 74, "Debug Mode";
    /// A measurement that was asked for is absent or all zeros.
    MeasurementMissing = 75, "Measurement Missing";
    /// A measurement is not as the policy says.
    MeasurementMismatch = 76, "Measurement Mismatch";
    /// The evidence does not bind the public key that was presented.
    KeyNotBound = 77, "Key Not Bound";
    /// A kind, model or firmware version that is not allowed.
    PlatformNotAllowed = 78, "Platform Not Allowed";
    /// The evidence rests on a simulated root and hardware is asked for.
    SimulatedEvidence = 79, "Simulated Evidence";
    /// The policy forbids it for a reason of its own.
    PolicyDenied = 80, "Policy Denied";
    /// The policy could not be evaluated.
    PolicyError = 81, "Policy Error";
    /// No such key, or none that this requester may know of.
    KeyNotFound = 82, "Key Not Found";
    /// No such session, or it has ended.
    SessionInvalid = 83, "Session Invalid";
    /// The key store did not give the key.
    KeyStoreFailed = 84, "Key Store Failed";
    /// The record could not be appended to the ledger, without which nothing is released.
    LedgerFailed = 85, "Ledger Failed";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.caption())
    }
}

/// A check that did not pass: why by the closed list, and what was found and expected, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What was found and what was expected. Bounded, printable, and without anything secret.
    pub detail: String,
}

/// Characters of a detail.
const DETAIL_CHARS_MAX: usize = 300;

impl Refusal {
    /// A refusal. What comes from outside is cut and escaped: details end in terminals and tables.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let text = detail.to_string();
        let escaped = text.chars().flat_map(|c| {
            let plain = !c.is_control() && c != '\u{202e}';
            plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_unicode()).into_iter().flatten())
        });
        Self { reason, detail: escaped.take(DETAIL_CHARS_MAX).collect() }
    }
}
