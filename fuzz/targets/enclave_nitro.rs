//! Nitro documents: as they come, and as a payload that a simulated root has signed, so that fields are reached. Nothing
//! passes that does not answer the challenge.
#![no_main]
#![allow(clippy::unwrap_used)]

use chrono::{DateTime, TimeDelta};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tarn_enclave::evidence::Expected;
use tarn_enclave::evidence::nitro::Nitro;
use tarn_enclave::simulated::{SimulatedAuthority, SoftwareNsm};

const START: i64 = 1_790_000_000;

static BENCH: LazyLock<(SoftwareNsm, Nitro)> = LazyLock::new(|| {
    let now = DateTime::from_timestamp(START, 0).unwrap();
    let authority = SimulatedAuthority::generate(now).unwrap();
    (authority.nsm("i-1-enc1", now - TimeDelta::hours(1)).unwrap(), Nitro::simulated(authority.root()))
});

fuzz_target!(|data: &[u8]| {
    let (nsm, nitro) = &*BENCH;
    let now = DateTime::from_timestamp(START, 0).unwrap();
    let expected = Expected {
        nonce: Some(b"a challenge that no input has"),
        public_key: None,
        now,
        age_max: TimeDelta::minutes(5),
        skew_max: TimeDelta::minutes(1),
    };
    for document in [data.to_vec(), nsm.sign(data).unwrap()] {
        let verification = nitro.verify(&document, &expected);
        let refusal = verification.refusal().unwrap();
        assert!(refusal.detail.chars().count() <= 300 && !refusal.detail.contains(char::is_control));
        assert!(verification.attested().is_err());
    }
});
