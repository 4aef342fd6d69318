//! The fuzz targets of `fuzz/`, on inputs that are made of this crate's fixtures: the same every time, and some thousands.

#[path = "../../../fuzz/src/kbs.rs"]
mod kbs;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/enclave.rs"]
mod targets;

use crate::{kms, tokens};
use mutate::run;
use serde_json::json;
use tarn_enclave::simulated::TokenIssuer;

#[test]
fn documents() {
    run("enclave_nitro", targets::nitro, &targets::nitro_seeds(), 2_000);
    let mut answers = kms::answers();
    answers.push(kms::answer());
    run("enclave_kms", targets::cms, &answers, 5_000);
}

#[test]
fn tokens_and_keys() {
    let claims = [tokens::azure(), tokens::google()];
    let mut seeds: Vec<_> = claims.iter().map(targets::token_seed).collect();
    seeds.extend(claims.iter().map(|claims| claims.to_string().into_bytes()));
    run("enclave_tokens", targets::token, &seeds, 500);
    let ours = TokenIssuer::generate("1").unwrap().jwks();
    let real = ours.replace("tarn-simulated-1", "real");
    run("enclave_jwks", targets::jwks, &[ours.into_bytes(), real.into_bytes()], 3_000);
    run("enclave_jwe", targets::jwe, &targets::jwe_seeds(), 2_000);
}

#[test]
fn messages() {
    let auth = json!({"version": "0.4.0", "tee": "sample", "extra-params": ""});
    let attest = json!({
        "init-data": null, "runtime-data": {"nonce": "AAAA", "tee-pubkey": {"kty": "EC", "crv": "P-256",
            "alg": "ECDH-ES+A256KW", "x": "AAAA", "y": "AAAA"}},
        "tee-evidence": {"primary_evidence": {"svn": "1", "report_data": "AAAA"}, "additional_evidence": ""},
    });
    let seeds = [auth.to_string().into_bytes(), attest.to_string().into_bytes(), b"name".to_vec()];
    run("enclave_kbs", kbs::messages, &seeds, 1_500);
}
