//! Tokens and key sets: as they come, and as claims that a simulated issuer has signed. Nothing passes that does not answer
//! the challenge, and no simulated key is one of hardware.
#![no_main]
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, TimeDelta};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::LazyLock;
use tarn_enclave::evidence::Expected;
use tarn_enclave::evidence::token::{HardwareKeys, Issuer, Service, Tokens};
use tarn_enclave::simulated::TokenIssuer;

static ISSUER: LazyLock<TokenIssuer> = LazyLock::new(|| TokenIssuer::generate("1").unwrap());

fuzz_target!(|data: &[u8]| {
    let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let expected = Expected {
        nonce: Some(b"a challenge that no input has"),
        public_key: None,
        now,
        age_max: TimeDelta::days(36500),
        skew_max: TimeDelta::days(36500),
    };
    let _ = HardwareKeys::from_jwks(data);
    for service in [Service::AzureMaa, Service::ConfidentialSpace] {
        let issuer = Issuer { issuer: "i".to_owned(), audience: None };
        let tokens = Tokens::simulated(service, ISSUER.keys().unwrap(), issuer);
        let signed = ISSUER.sign(&json!({"alg": "RS256", "kid": "tarn-simulated-1"}), data).unwrap();
        for token in [String::from_utf8_lossy(data).into_owned(), signed] {
            assert!(tokens.verify(&token, &expected).attested().is_err());
        }
    }
});
