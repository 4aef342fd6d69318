//! Trusted roots: whose certificates, logs and timestamps count, and from when to when.

use super::Verifier;
use crate::digest::Digest;
use crate::json::{self, JsonError};
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};

/// What is no trusted root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No JSON, or over the bounds.
    #[error("no trusted root: {0}")]
    Json(#[from] JsonError),
    /// A root that cannot be used: a certificate or key that cannot be read, a log twice, a time that ends before it
    /// begins.
    #[error("trusted root: {0}")]
    Unusable(String),
}

impl Verifier {
    /// Trusts Sigstore's public instance, as the root was when `sigstore-trust-root` was released.
    ///
    /// **Errors**: none but a defect of that crate.
    pub fn production() -> Result<Self, RootError> {
        Self::with_root(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes())
    }

    /// Trusts a root in Sigstore's JSON (`trusted_root.json`).
    ///
    /// **Errors**: what is no trusted root, or cannot be used.
    pub fn with_root(bytes: &[u8]) -> Result<Self, RootError> {
        json::check(bytes, json::TRUSTED_ROOT)?;
        let text = std::str::from_utf8(bytes).map_err(|e| RootError::Unusable(e.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|e| RootError::Unusable(e.to_string()))?;
        let library = sigstore_verify::Verifier::new(&root).map_err(|e| RootError::Unusable(e.to_string()))?;
        let logs = root.rekor_keys().map_err(|e| RootError::Unusable(e.to_string()))?;
        Ok(Self { library, authorities: root.tsa_authorities(), logs, root: Digest::sha256(bytes) })
    }
}
