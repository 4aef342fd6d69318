//! Documents that real Nitro hypervisors signed. They lie inside crates of others and are read where cargo unpacked them,
//! never copied here: `nitro_attest` 0.2.0 (`tests/fixtures/attestation.cose`, an enclave in eu-central-1, January 2025)
//! and `aws-nitro-enclaves-attestation` 0.1.0 (`tests/data/nitro_ad_debug.bin`, an enclave in debug mode, March 2021; its
//! `aws_root.der` is the root that AWS publishes). `cargo info NAME@VERSION` fetches one; more can be had from any enclave
//! by `nsm-cli`.

use chrono::{DateTime, TimeDelta, Utc};
use std::path::PathBuf;
use tarn_enclave::Reason;
use tarn_enclave::evidence::nitro::{HardwareRoot, Nitro};
use tarn_enclave::evidence::{Assurance, Expected};

/// SHA-256 of the root certificate, as AWS's user guide prints it.
const AWS_ROOT: &str = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";

/// A file of a crate that cargo has unpacked, if it has.
pub(crate) fn of_crate(name: &str, file: &str) -> Option<Vec<u8>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let found =
        std::fs::read_dir(home.join("registry/src")).ok()?.flatten().map(|index| index.path().join(name).join(file));
    let bytes = found.filter_map(|path| std::fs::read(path).ok()).next();
    if bytes.is_none() {
        println!("skipped: {name} is not unpacked here");
    }
    bytes
}

fn verifier() -> Option<Nitro> {
    let root = of_crate("aws-nitro-enclaves-attestation-0.1.0", "tests/data/aws_root.der")?;
    let root = HardwareRoot::from_der(&root).unwrap();
    assert_eq!(hex::encode(root.fingerprint()), AWS_ROOT);
    Some(Nitro::new(root))
}

fn at(now: DateTime<Utc>) -> Expected<'static> {
    Expected { nonce: None, public_key: None, now, age_max: TimeDelta::minutes(5), skew_max: TimeDelta::minutes(1) }
}

#[test]
fn a_real_document_verifies_at_its_time_and_no_other() {
    let (Some(nitro), Some(bytes)) = (verifier(), of_crate("nitro_attest-0.2.0", "tests/fixtures/attestation.cose"))
    else {
        return;
    };
    let made = DateTime::from_timestamp_millis(1_736_179_625_472).unwrap();
    let verification = nitro.verify(&bytes, &at(made));
    assert_eq!(verification.refusal(), None);
    let attested = verification.attested().unwrap();
    let claims = attested.claims();
    assert_eq!(claims.uid.as_deref(), Some("i-0bee92034f3d60691-enc01943c5eaab3ad6a"));
    assert_eq!((claims.issued_at, claims.assurance, claims.debug), (Some(made), Assurance::Hardware, false));
    assert_eq!(claims.measurements.len(), 16);
    assert!(hex::encode(&claims.measurements[0].value).starts_with("8bb159f202bb95d6"));
    assert_eq!((claims.nonce.as_ref(), claims.user_data.as_ref()), (None, None));
    assert!(claims.public_key.is_some());
    assert_eq!(hex::encode(claims.certificates.last().unwrap()), AWS_ROOT);

    let reason = |expected: &Expected<'_>| nitro.verify(&bytes, expected).refusal().map(|refusal| refusal.reason);
    assert_eq!(reason(&at(made + TimeDelta::minutes(6))), Some(Reason::DocumentExpired));
    assert_eq!(reason(&at(made - TimeDelta::minutes(2))), Some(Reason::DocumentNotYetValid));
    assert_eq!(reason(&Expected { nonce: Some(b"n"), ..at(made) }), Some(Reason::NonceMismatch));
    assert_eq!(reason(&Expected { public_key: Some(b"k"), ..at(made) }), Some(Reason::KeyNotBound));
}

#[test]
fn any_changed_byte_of_a_real_document_is_refused() {
    let (Some(nitro), Some(bytes)) = (verifier(), of_crate("nitro_attest-0.2.0", "tests/fixtures/attestation.cose"))
    else {
        return;
    };
    let made = DateTime::from_timestamp_millis(1_736_179_625_472).unwrap();
    // The chain is long to check: one byte in 17 is enough to meet every field.
    for at_byte in (0..bytes.len()).step_by(17) {
        let mut changed = bytes.clone();
        changed[at_byte] ^= 1;
        assert!(nitro.verify(&changed, &at(made)).attested().is_err(), "byte {at_byte}");
    }
}

#[test]
fn a_real_document_of_an_enclave_in_debug_mode_is_refused_for_that() {
    let file = of_crate("aws-nitro-enclaves-attestation-0.1.0", "tests/data/nitro_ad_debug.bin");
    let (Some(nitro), Some(bytes)) = (verifier(), file) else { return };
    let made = DateTime::from_timestamp_millis(1_614_963_709_526).unwrap();
    let verification = nitro.verify(&bytes, &at(made));
    let refusal = verification.refusal().unwrap();
    assert_eq!(refusal.reason, Reason::DebugMode, "{refusal}");
    assert!(verification.claims().unwrap().debug);
    let passed: Vec<_> =
        verification.steps().iter().filter(|step| step.refusal.is_none()).map(|step| step.name).collect();
    assert_eq!(passed, ["document", "certificate_chain", "signature", "age"]);
}
