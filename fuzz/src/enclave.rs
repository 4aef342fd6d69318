//! Targets over `tarn-enclave`: whatever the bytes, nothing passes that does not answer the challenge, and no key goes out.

use chrono::{DateTime, TimeDelta, Utc};
use kbs_types::{Response, TeePubKey};
use serde_json::json;
use std::sync::LazyLock;
use tarn_enclave::Secret;
use tarn_enclave::evidence::nitro::Nitro;
use tarn_enclave::evidence::token::{HardwareKeys, Issuer, Service, Tokens};
use tarn_enclave::evidence::{Expected, Verification};
use tarn_enclave::jwe::{Recipient, WorkloadKey};
use tarn_enclave::keys::cms::Enveloped;
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority, SoftwareNsm, TokenIssuer};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// A challenge that no input has, of any age.
fn expected() -> Expected<'static> {
    Expected {
        nonce: Some(b"a challenge that no input has"),
        public_key: None,
        now: now(),
        age_max: TimeDelta::days(36500),
        skew_max: TimeDelta::days(36500),
    }
}

fn refused(verification: &Verification) {
    let refusal = verification.refusal().unwrap();
    assert!(
        refusal.detail.chars().count() <= 300 && !refusal.detail.contains(char::is_control),
        "{:?}",
        refusal.detail
    );
    assert!(verification.attested().is_err());
}

static NITRO: LazyLock<(SoftwareNsm, Nitro)> = LazyLock::new(|| {
    let authority = SimulatedAuthority::generate(now()).unwrap();
    (authority.nsm("i-1-enc1", now() - TimeDelta::hours(1)).unwrap(), Nitro::simulated(authority.root()))
});

/// A document that passes but for its nonce, and its payload.
pub fn nitro_seeds() -> Vec<Vec<u8>> {
    let request = NsmRequest {
        timestamp: now(),
        pcrs: (0..16).map(|index| (index, vec![7; 48])).collect(),
        nonce: Some(vec![9; 48]),
        public_key: Some(b"a public key".to_vec()),
        user_data: Some(b"data".to_vec()),
    };
    let mut payload = Vec::new();
    ciborium::into_writer(&NITRO.0.payload(&request), &mut payload).unwrap();
    vec![NITRO.0.document(&request).unwrap(), payload]
}

/// Nitro documents (CBOR, COSE): as they come, and as a payload that a simulated root has signed, so that fields are reached.
pub fn nitro(data: &[u8]) {
    for document in [data.to_vec(), NITRO.0.sign(data).unwrap()] {
        refused(&NITRO.1.verify(&document, &expected()));
    }
}

static ISSUER: LazyLock<TokenIssuer> = LazyLock::new(|| TokenIssuer::generate("1").unwrap());

/// A token of the simulated issuer, which is of either service.
pub fn token_seed(claims: &serde_json::Value) -> Vec<u8> {
    ISSUER.token(claims).unwrap().into_bytes()
}

/// Tokens: as they come, and as claims that a simulated issuer has signed.
pub fn token(data: &[u8]) {
    for service in [Service::AzureMaa, Service::ConfidentialSpace] {
        let issuer = Issuer { issuer: "i".to_owned(), audience: None };
        let tokens = Tokens::simulated(service, ISSUER.keys().unwrap(), issuer);
        let signed = ISSUER.sign(&json!({"alg": "RS256", "kid": "tarn-simulated-1"}), data).unwrap();
        for token in [String::from_utf8_lossy(data).into_owned(), signed] {
            refused(&tokens.verify(&token, &expected()));
        }
    }
}

/// Key sets.
pub fn jwks(data: &[u8]) {
    if let Err(error) = HardwareKeys::from_jwks(data) {
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

/// Answers of KMS in CMS (BER).
pub fn cms(data: &[u8]) {
    if let Err(error) = Enveloped::read(data) {
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

static WORKLOAD: LazyLock<WorkloadKey> = LazyLock::new(|| WorkloadKey::generate().unwrap());

/// What is encrypted to the workload, and the public key that it is encrypted to.
pub fn jwe_seeds() -> Vec<Vec<u8>> {
    let public = WORKLOAD.public().unwrap();
    let answer = Recipient::new(&public).unwrap().encrypt(&Secret::new(b"a key".to_vec())).unwrap();
    vec![serde_json::to_vec(&answer).unwrap(), serde_json::to_vec(&public).unwrap()]
}

/// Flattened JWE and JSON Web Keys: what opens is what was sealed, and what is a key can be encrypted to.
pub fn jwe(data: &[u8]) {
    if let Ok(answer) = serde_json::from_slice::<Response>(data)
        && let Ok(secret) = WORKLOAD.open(&answer)
    {
        assert_eq!(secret.expose(), b"a key");
    }
    if let Ok(key) = serde_json::from_slice::<TeePubKey>(data)
        && let Ok(recipient) = Recipient::new(&key)
    {
        assert!(recipient.encrypt(&Secret::new(b"a key".to_vec())).is_ok());
    }
}
