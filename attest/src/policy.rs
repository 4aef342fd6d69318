//! Who must have signed, and what must have been said.

use crate::digest::Digest;
use crate::evidence::{provenance, vsa};
use sigstore_verify::crypto::KeyAlgorithm;
use sigstore_verify::types::DerPublicKey;
use std::fmt;

/// What a signature must be to pass. There is no policy that takes any signer.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who must have signed.
    pub signer: Signer,
    /// What the signed statement must say; without it, any statement about the artifact passes, and none too.
    pub expectation: Option<Expectation>,
}

/// Who must have signed.
#[derive(Clone, Debug)]
pub enum Signer {
    /// The holder of an identity that an OpenID Connect issuer vouched for, by a certificate of a trusted authority.
    Keyless {
        /// The certificate's subject: an address or a URI.
        identity: Identity,
        /// The issuer, exactly.
        issuer: Issuer,
    },
    /// The holder of a key.
    Key(PublicKey),
}

/// What a statement must say.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// A statement of this type, whatever it says.
    PredicateType(String),
    /// SLSA provenance that meets expectations.
    Provenance(provenance::Expectations),
    /// A SLSA verification summary that meets expectations.
    Summary(vsa::Expectations),
    /// A bill of materials that can be read.
    Sbom,
}

/// What is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// An identity or issuer of no characters, which certificates without one would match.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A pattern that is no regular expression.
    #[error("{pattern:?} is no regular expression: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        #[source]
        source: regex_lite::Error,
    },
    /// A key that is none.
    #[error("no public key: {0}")]
    Key(String),
}

/// A certificate's subject, as it must be.
#[derive(Clone, Debug)]
pub struct Identity(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    Exact(String),
    /// Anchored at both ends.
    Pattern(regex_lite::Regex),
}

/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Identity {
    /// Exactly this subject.
    ///
    /// **Errors**: an empty one.
    pub fn exact(subject: impl Into<String>) -> Result<Self, PolicyError> {
        non_empty("identity", subject.into()).map(|subject| Self(Matcher::Exact(subject)))
    }

    /// A regular expression that must match the whole subject.
    ///
    /// **Errors**: one that is empty or cannot be read.
    pub fn pattern(pattern: &str) -> Result<Self, PolicyError> {
        let pattern = non_empty("identity", pattern.to_owned())?;
        let anchored = format!("^(?:{pattern})$");
        let regex = regex_lite::RegexBuilder::new(&anchored).size_limit(PATTERN_BYTES_MAX).build();
        // Alone it must be one too, or `a)|(b` would escape the anchors.
        let alone = regex_lite::Regex::new(&pattern).and(regex);
        alone.map(|regex| Self(Matcher::Pattern(regex))).map_err(|source| PolicyError::Pattern { pattern, source })
    }

    /// Whether a subject is it.
    pub fn matches(&self, subject: &str) -> bool {
        match &self.0 {
            Matcher::Exact(exact) => exact == subject,
            Matcher::Pattern(regex) => regex.is_match(subject),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Matcher::Exact(exact) => f.write_str(exact),
            Matcher::Pattern(regex) => write!(f, "a match of {regex}"),
        }
    }
}

/// An OpenID Connect issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Exactly this issuer.
    ///
    /// **Errors**: an empty one.
    pub fn exact(issuer: impl Into<String>) -> Result<Self, PolicyError> {
        non_empty("issuer", issuer.into()).map(Self)
    }

    /// Its URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn non_empty(what: &'static str, text: String) -> Result<String, PolicyError> {
    if text.is_empty() { Err(PolicyError::Empty(what)) } else { Ok(text) }
}

/// A public key: ECDSA P-256 or P-384, RSA, or Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(DerPublicKey);

/// Bytes of a key's file.
const KEY_BYTES_MAX: usize = 64 << 10;

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY`, or DER (SubjectPublicKeyInfo).
    ///
    /// **Errors**: what is no key, or of an algorithm that is not supported.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > KEY_BYTES_MAX {
            return Err(PolicyError::Key(format!("{} bytes, at most {KEY_BYTES_MAX} are read", bytes.len())));
        }
        let key = match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN") => {
                DerPublicKey::from_pem(text).map_err(|e| PolicyError::Key(e.to_string()))?
            }
            _ => DerPublicKey::new(bytes.to_vec()),
        };
        KeyAlgorithm::from_spki(&key).map_err(|e| PolicyError::Key(e.to_string()))?;
        Ok(Self(key))
    }

    /// The SHA-256 of its DER.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(self.0.as_bytes())
    }

    pub(crate) fn der(&self) -> &DerPublicKey {
        &self.0
    }
}
