//! Ids, challenges and tokens that a broker hands out.

use super::NoRandomness;
use crate::evidence::Claims;
use crate::secret::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use kbs_types::TeePubKey;
use serde_json::json;

/// Bytes of a challenge, and of a session's id.
const RANDOM_BYTES: usize = 32;

/// An id that cannot be guessed.
pub(super) fn id() -> Result<String, NoRandomness> {
    Secret::random(RANDOM_BYTES).map(|secret| hex::encode(secret.expose())).ok_or(NoRandomness)
}

/// A challenge, in base64.
pub(super) fn challenge() -> Result<String, NoRandomness> {
    Secret::random(RANDOM_BYTES).map(|secret| STANDARD.encode(secret.expose())).ok_or(NoRandomness)
}

/// The key that signs a broker's tokens, for as long as it runs. Clients read a token's times; the broker itself knows its
/// tokens by their digests, and trusts no claims of theirs.
pub(super) struct TokenKey(EcdsaKeyPair);

impl TokenKey {
    pub(super) fn generate() -> Result<Self, NoRandomness> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self).map_err(|_| NoRandomness)
    }

    /// A token in JWT that says what was attested, by ES256.
    pub(super) fn token(
        &self,
        claims: &Claims,
        key: &TeePubKey,
        now: DateTime<Utc>,
        lifetime: TimeDelta,
    ) -> Result<String, NoRandomness> {
        let payload = json!({
            "iss": "tarn-enclave", "jti": id()?, "iat": now.timestamp(), "nbf": now.timestamp(),
            "exp": (now + lifetime).timestamp(), "tee": claims.platform.as_str(),
            "assurance": claims.assurance.as_str(), "tee-pubkey": key,
        });
        let header = json!({"alg": "ES256", "typ": "JWT"});
        let parts = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = parts.join(".");
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).map_err(|_| NoRandomness)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
