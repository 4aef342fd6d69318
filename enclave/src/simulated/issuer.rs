//! A service that issues tokens of the form of Azure's and Google's, for tests.

use super::SimulationError;
use crate::evidence::token::{KeysError, SIMULATED_KID, SimulatedKeys, jwks_of};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An issuer with one RSA key.
pub struct TokenIssuer {
    kid: String,
    key: RsaKeyPair,
}

impl TokenIssuer {
    /// A new one; its key's name begins so that no verifier of hardware loads it.
    ///
    /// **Errors**: the key could not be made.
    pub fn generate(name: &str) -> Result<Self, SimulationError> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SimulationError::Signature)?;
        Ok(Self { kid: format!("{SIMULATED_KID}{name}"), key })
    }

    /// Its key set.
    pub fn jwks(&self) -> String {
        jwks_of(&self.kid, &self.key)
    }

    /// Its keys.
    ///
    /// **Errors**: none that its own set would give.
    pub fn keys(&self) -> Result<SimulatedKeys, KeysError> {
        SimulatedKeys::from_jwks(self.jwks().as_bytes())
    }

    /// A token with these claims.
    ///
    /// **Errors**: it could not be signed.
    pub fn token(&self, claims: &Value) -> Result<String, SimulationError> {
        self.sign(&json!({"alg": "RS256", "typ": "JWT", "kid": self.kid}), claims.to_string().as_bytes())
    }

    /// Signs whatever header and payload, by RS256.
    ///
    /// **Errors**: it could not be signed.
    pub fn sign(&self, header: &Value, payload: &[u8]) -> Result<String, SimulationError> {
        let encoded = [URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload)].join(".");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), encoded.as_bytes(), &mut signature)
            .map_err(|_| SimulationError::Signature)?;
        Ok(format!("{encoded}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
