//! A verification as it is asked for on a command line: documents as bytes, names as text.
//!
//! What cannot be used, a key or a trusted root, is a failed verification and no error, so that there is a record of it.

use crate::artifact::Artifact;
use crate::attestation::{Attestation, verify};
use crate::digest::Digest;
use crate::policy::{Expectation, Identity, Issuer, Policy, PolicyError, PublicKey, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure};
use crate::sigstore::Verifier;
use crate::verified::Verification;

/// What to verify, and by what.
pub struct Request<'a> {
    /// What was signed.
    pub artifact: Artifact<'a>,
    /// A bundle's bytes, or a bare envelope's where the signer is a key.
    pub bundle: &'a [u8],
    /// Who must have signed.
    pub signer: RequestedSigner<'a>,
    /// What must have been said.
    pub expectation: Option<Expectation>,
    /// A trusted root's bytes; without them, that of Sigstore's public instance.
    pub trusted_root: Option<&'a [u8]>,
}

/// Who must have signed.
#[derive(Clone, Copy, Debug)]
pub enum RequestedSigner<'a> {
    /// An identity, exactly, and its issuer.
    Identity {
        /// The identity.
        identity: &'a str,
        /// The issuer.
        issuer: &'a str,
    },
    /// A regular expression of the whole identity, and its issuer.
    Pattern {
        /// The expression.
        pattern: &'a str,
        /// The issuer.
        issuer: &'a str,
    },
    /// A key's bytes: PEM or DER.
    Key(&'a [u8]),
}

impl RequestedSigner<'_> {
    /// The signer of a policy.
    ///
    /// **Errors**: an empty identity or issuer, a pattern that is none, and what is no key.
    pub fn read(self) -> Result<Signer, PolicyError> {
        let keyless = |identity, issuer| Ok(Signer::Keyless { identity, issuer: Issuer::exact(issuer)? });
        match self {
            Self::Identity { identity, issuer } => keyless(Identity::exact(identity)?, issuer),
            Self::Pattern { pattern, issuer } => keyless(Identity::pattern(pattern)?, issuer),
            Self::Key(bytes) => PublicKey::read(bytes).map(Signer::Key),
        }
    }
}

impl Request<'_> {
    /// Verifies.
    pub fn verify(self) -> Verification<Attestation> {
        let signer = match self.signer.read() {
            Ok(signer) => signer,
            Err(error) => {
                let reason = match error {
                    PolicyError::Key(_) => Reason::KeyInvalid,
                    PolicyError::Empty(_) | PolicyError::Pattern { .. } => Reason::PolicyInvalid,
                };
                return self.refused(Failure::new(Check::Policy, reason, error.to_string()));
            }
        };
        match self.trusted_root.map_or_else(Verifier::production, Verifier::with_root) {
            Ok(verifier) => {
                verify(&verifier, self.artifact, self.bundle, &Policy { signer, expectation: self.expectation })
            }
            Err(error) => self.refused(Failure::new(Check::TrustedRoot, Reason::TrustedRootInvalid, error.to_string())),
        }
    }

    fn refused(&self, failure: Failure) -> Verification<Attestation> {
        Verification::run(|trail| {
            trail.digests.document = Some(Digest::sha256(self.bundle));
            trail.digests.trusted_root = self.trusted_root.map(Digest::sha256);
            trail.plan([Check::Document]);
            Err(failure)
        })
    }
}
