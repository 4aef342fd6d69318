//! What a bundle says of itself: true only as far as the checks passed.

use super::signature::{BuildClaims, Certificate, LogEntry, Signature, SignedBy};
use super::{Bundle, Content};
use crate::digest::Digest;
use crate::policy::Signer;
use crate::reason::Reason;
use crate::record::{Check, Failure};
use chrono::{DateTime, Utc};
use sigstore_verify::crypto::{CertificateInfo, parse_certificate_info};
use sigstore_verify::types::KindVersion;

pub(super) struct Facts {
    pub(super) signed_by: SignedBy,
    log_entries: Vec<LogEntry>,
    subject: &'static str,
}

impl Facts {
    /// Reads the certificate, where the signer is to have one.
    pub(super) fn of(bundle: &Bundle, signer: &Signer) -> Result<Self, Failure> {
        let malformed = |e: String| {
            Failure::new(Check::Certificate, Reason::CertificateMalformed, format!("the signing certificate: {e}"))
        };
        let signed_by = match signer {
            Signer::Key(key) => SignedBy::Key { fingerprint: key.fingerprint() },
            Signer::Keyless { .. } => {
                let leaf = bundle.parsed.signing_certificate().ok_or_else(|| malformed("there is none".into()))?;
                let info = parse_certificate_info(leaf).map_err(|e| malformed(e.to_string()))?;
                let certificate = certificate(&info, Digest::sha256(leaf.as_bytes()));
                SignedBy::Certificate(Box::new(certificate.ok_or_else(|| malformed("a time out of range".into()))?))
            }
        };
        let entries = bundle.parsed.verification_material.tlog_entries.iter().map(|entry| LogEntry {
            log_id: hex::encode(entry.log_id.key_id.as_bytes()),
            index: (entry.inclusion_promise.is_some() || entry.kind_version == KindVersion::HashedRekordV002)
                .then(|| entry.log_index.get()),
            kind: format!("{}/{}", entry.kind_version.kind(), entry.kind_version.version()),
            body: Digest::sha256(entry.canonicalized_body.as_bytes()),
        });
        let subject = match &bundle.content {
            Content::Message(_) => "its digest is the signed one",
            Content::Statement(_) => "it is a subject of the statement",
        };
        Ok(Self { signed_by, log_entries: entries.collect(), subject })
    }

    /// The certificate's digest, or the key's.
    pub(super) fn signer(&self) -> &Digest {
        match &self.signed_by {
            SignedBy::Certificate(certificate) => &certificate.fingerprint,
            SignedBy::Key { fingerprint } => fingerprint,
        }
    }

    pub(super) fn signature(self, signed_at: Vec<DateTime<Utc>>) -> Signature {
        Signature { signed_by: self.signed_by, signed_at, log_entries: self.log_entries }
    }

    /// For people: what a check found, had it passed.
    pub(super) fn detail(&self, check: Check, times: &[DateTime<Utc>]) -> String {
        match (check, &self.signed_by) {
            (Check::Structure, _) => "whole".to_owned(),
            (Check::Certificate, _) => self.signer().to_string(),
            (Check::Signature, _) => format!("by {}", self.signer()),
            (Check::SigningTime, SignedBy::Key { .. }) if times.is_empty() => {
                "nobody vouches for one, and a key needs none".to_owned()
            }
            (Check::SigningTime, _) => times.iter().map(DateTime::to_rfc3339).collect::<Vec<_>>().join(", "),
            (Check::CertificateChain, SignedBy::Certificate(c)) => {
                format!("to a trusted authority, valid from {} to {}", c.not_before, c.not_after)
            }
            (Check::CertificateTransparency, _) => "published in a trusted log".to_owned(),
            (Check::LogInclusion | Check::LogEntry, _) => {
                let entry = |e: &LogEntry| {
                    let index = e.index.map(|index| format!(" {index}")).unwrap_or_default();
                    format!("{}{index} of log {}", e.kind, e.log_id)
                };
                self.log_entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            }
            (Check::Artifact, _) => self.subject.to_owned(),
            _ => String::new(),
        }
    }
}

fn certificate(info: &CertificateInfo, fingerprint: Digest) -> Option<Certificate> {
    let claims = &info.ci_claims;
    Some(Certificate {
        identity: info.identity.as_ref().map(ToString::to_string),
        issuer: info.issuer.clone(),
        fingerprint,
        not_before: time(info.not_before)?,
        not_after: time(info.not_after)?,
        build: BuildClaims {
            build_signer_uri: claims.build_signer_uri.clone(),
            source_repository_uri: claims.source_repository_uri.clone(),
            source_repository_digest: claims.source_repository_digest.clone(),
            source_repository_ref: claims.source_repository_ref.clone(),
            build_config_uri: claims.build_config_uri.clone(),
            build_trigger: claims.build_trigger.clone(),
            run_invocation_uri: claims.run_invocation_uri.clone(),
            runner_environment: claims.runner_environment.clone(),
        },
    })
}

/// The library's time as ours.
pub(super) fn time(time: jiff::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.as_second(), u32::try_from(time.subsec_nanosecond()).ok()?)
}
