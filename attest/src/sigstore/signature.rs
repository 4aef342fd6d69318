//! What a genuine signature establishes.

use crate::digest::Digest;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A signature that verified: by whom, when, and where it was made public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Who signed.
    pub signed_by: SignedBy,
    /// When, by each timestamp authority and log that vouched for a time; none for a key without timestamps.
    #[serde(serialize_with = "times")]
    pub signed_at: Vec<DateTime<Utc>>,
    /// Where in transparency logs; none for a bare envelope.
    pub log_entries: Vec<LogEntry>,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedBy {
    /// The subject of a certificate of a trusted authority.
    Certificate(Box<Certificate>),
    /// The holder of the key that the policy named.
    Key {
        /// The SHA-256 of its DER.
        fingerprint: Digest,
    },
}

/// A signing certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Its subject: an address or a URI. Sigstore's authority names one; where there are more, it is the first.
    pub identity: Option<String>,
    /// Who vouched for the subject.
    pub issuer: Option<String>,
    /// The SHA-256 of its DER.
    pub fingerprint: Digest,
    /// Valid from.
    #[serde(serialize_with = "time")]
    pub not_before: DateTime<Utc>,
    /// Valid to, inclusive.
    #[serde(serialize_with = "time")]
    pub not_after: DateTime<Utc>,
    /// What the authority says about the build that signed.
    pub build: BuildClaims,
}

/// What a Fulcio certificate says about the build that it was given to (OIDs 1.3.6.1.4.1.57264.1.9 and on).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BuildClaims {
    /// The workflow that ran, with its version.
    pub build_signer_uri: Option<String>,
    /// The source's repository.
    pub source_repository_uri: Option<String>,
    /// The source's commit.
    pub source_repository_digest: Option<String>,
    /// The source's branch or tag.
    pub source_repository_ref: Option<String>,
    /// The workflow that was started.
    pub build_config_uri: Option<String>,
    /// What started it.
    pub build_trigger: Option<String>,
    /// The run.
    pub run_invocation_uri: Option<String>,
    /// Whose machine it ran on.
    pub runner_environment: Option<String>,
}

/// An entry in a transparency log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// The log: the SHA-256 of its key, in hex.
    pub log_id: String,
    /// Its place in the log, where somebody vouches for it: the promise of Rekor v1, the proof of Rekor v2. (The proof of
    /// v1 is for a place in one of the log's parts.)
    pub index: Option<u64>,
    /// Kind and version, such as `hashedrekord/0.0.1`.
    pub kind: String,
    /// The SHA-256 of the entry's body.
    pub body: Digest,
}

fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn times<S: Serializer>(times: &[DateTime<Utc>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}
