//! The broker by its protocol: who gets a key, who does not and why, and what is recorded of both.

use crate::world::{FORBIDDEN, KEY, UNKNOWN, WEIGHTS, World, fetch, post};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tarn_enclave::Reason;
use tarn_enclave::broker::{Activity, Limits, PolicyVerdict};
use tarn_enclave::evidence::Platform;
use tarn_enclave::policy::Mode;
use tarn_enclave::simulated::NsmRequest;

#[tokio::test]
async fn an_attested_workload_gets_its_key_and_both_steps_are_recorded() {
    let world = World::new();
    let client = world.attested().await;
    let reply = world.resource(&client, WEIGHTS).await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    assert_eq!(client.open(&reply), KEY);
    assert!(!reply.body.to_string().contains(std::str::from_utf8(KEY).unwrap()));

    let kept = world.ledger.kept.lock().unwrap();
    let activities: Vec<_> = kept.iter().map(|attempt| (attempt.activity, attempt.reason())).collect();
    assert_eq!(activities, [(Activity::Attest, Reason::Verified), (Activity::Release, Reason::Verified)]);
    assert_eq!(kept[1].policy_verdict, PolicyVerdict::Permit);
    assert_eq!(kept[1].evidence_uids, ["ev-1"]);
    let record = kept[1].to_ocsf();
    assert_eq!(record["type_uid"], 9_990_300_102_i64);
    assert_eq!(record["key_release_info"]["key_uri"], format!("kbs:///{WEIGHTS}"));
    assert_eq!(record["tee_evidence"]["assurance"], "Simulated");
    assert_eq!(record["artifact"]["uid"], format!("sha384:{}", "a1".repeat(48)));
    assert_eq!(kept[0].to_ocsf()["trust_checks"].as_array().unwrap().len(), 7);
    for secret in [client.cookie.split('=').nth(1).unwrap(), &STANDARD.encode(KEY), &hex::encode(KEY)] {
        assert!(!kept.iter().any(|attempt| attempt.to_ocsf().to_string().contains(secret)));
    }
}

#[tokio::test]
async fn a_token_stands_for_the_session() {
    let world = World::new();
    let client = world.client().await;
    let token = world.attest(&client, &world.request(&client)).await.body["token"].as_str().unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"].as_i64(), Some(world.now().timestamp() + 300));
    let with = |token: &str| {
        let mut request = fetch(WEIGHTS, None);
        request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        request
    };
    let reply = world.call(with(&token)).await;
    assert_eq!(client.open(&reply), KEY);
    let changed = world.call(with(&format!("{token}A"))).await;
    assert_eq!(changed.refusal(), ("session-invalid", 401));
}

#[tokio::test]
async fn evidence_that_does_not_pass_says_why() {
    let world = World::new();
    let zeros = || vec![(0, vec![0; 48]), (1, vec![0; 48]), (2, vec![0; 48])];
    type Change = Box<dyn Fn(&mut NsmRequest)>;
    let cases: Vec<(&str, Change)> = vec![
        ("debug-mode", Box::new(move |request| request.pcrs = zeros())),
        ("document-expired", Box::new(|request| request.timestamp -= TimeDelta::minutes(6))),
        ("document-not-yet-valid", Box::new(|request| request.timestamp += TimeDelta::minutes(2))),
        ("nonce-mismatch", Box::new(|request| request.nonce = Some(vec![1; 48]))),
        ("nonce-mismatch", Box::new(|request| request.nonce = None)),
        ("key-not-bound", Box::new(|request| request.public_key = Some(vec![1; 91]))),
        ("key-not-bound", Box::new(|request| request.public_key = None)),
        ("measurement-missing", Box::new(|request| drop(request.pcrs.pop()))),
    ];
    for (why, change) in cases {
        let client = world.client().await;
        let mut request = world.request(&client);
        change(&mut request);
        let before = world.ledger.len();
        let reply = world.attest(&client, &request).await;
        assert_eq!(reply.refusal(), (why, 401));
        assert_eq!(world.ledger.len(), before + 1);
        let attempt = world.ledger.last();
        assert_eq!(attempt.reason().caption().to_lowercase().replace(' ', "-"), why);
        assert!(reply.body["detail"].as_str().unwrap().contains(&attempt.uid), "the decision's id is in the answer");
        assert!(attempt.claims.is_some(), "what was presented is in the record");
        assert_eq!(world.resource(&client, WEIGHTS).await.refusal(), ("session-invalid", 401));
    }
}

#[tokio::test]
async fn a_challenge_is_answered_once() {
    let world = World::new();
    let client = world.client().await;
    let wrong = NsmRequest { nonce: None, ..world.request(&client) };
    assert_eq!(world.attest(&client, &wrong).await.refusal(), ("nonce-mismatch", 401));
    let good = world.request(&client);
    assert_eq!(world.attest(&client, &good).await.refusal(), ("nonce-replayed", 401), "no second try");

    let client = world.attested().await;
    let again = world.attest(&client, &world.request(&client)).await;
    assert_eq!(again.refusal(), ("nonce-replayed", 401));
    assert_eq!(world.resource(&client, WEIGHTS).await.status, StatusCode::OK, "the session stands");
}

#[tokio::test]
async fn evidence_of_another_session_is_refused() {
    let world = World::new();
    let (one, two) = (world.client().await, world.client().await);
    let replayed = world.attestation(&one, &world.request(&one));
    let call = |body: &Value| world.call(post("/kbs/v0/attest", Some(&two.cookie), body.to_string()));
    assert_eq!(call(&replayed).await.refusal(), ("nonce-mismatch", 401));

    // With the other session's nonce written into the runtime data, the evidence is of another one.
    let three = world.client().await;
    let mut forged = replayed.clone();
    forged["runtime-data"]["nonce"] = json!(three.challenge.nonce);
    let reply = world.call(post("/kbs/v0/attest", Some(&three.cookie), forged.to_string())).await;
    assert_eq!(reply.refusal(), ("nonce-mismatch", 401));
}

#[tokio::test]
async fn a_swapped_public_key_is_refused() {
    let world = World::new();
    let (client, thief) = (world.client().await, world.client().await);
    let mut body = world.attestation(&client, &world.request(&client));
    let theirs = world.attestation(&thief, &world.request(&thief));
    body["runtime-data"]["tee-pubkey"] = theirs["runtime-data"]["tee-pubkey"].clone();
    let reply = world.call(post("/kbs/v0/attest", Some(&client.cookie), body.to_string())).await;
    assert_eq!(reply.refusal(), ("key-not-bound", 401));

    // A sample carries no key: its challenge is over both.
    let (client, thief) = (world.client_of(Platform::Sample).await, world.client_of(Platform::Sample).await);
    let bound = client.workload.to_bind(&client.challenge).unwrap();
    let evidence = json!({"svn": "1", "report_data": STANDARD.encode(bound.report_data)});
    let mut body = json!(thief.workload.attestation(&client.challenge, evidence).unwrap());
    let reply = world.call(post("/kbs/v0/attest", Some(&client.cookie), body.to_string())).await;
    assert_eq!(reply.refusal(), ("nonce-mismatch", 401));
    body["runtime-data"]["nonce"] = json!("");
    let reply = world.call(post("/kbs/v0/attest", Some(&thief.cookie), body.to_string())).await;
    assert_eq!(reply.refusal(), ("nonce-mismatch", 401));
}

#[tokio::test]
async fn policies_decide_and_say_why() {
    let world = World::new();
    let with = async |pcr0: u8, name: &str| {
        let client = world.client().await;
        let pcrs = vec![(0, vec![pcr0; 48]), (1, vec![2; 48]), (2, vec![3; 48])];
        let request = NsmRequest { pcrs, ..world.request(&client) };
        assert_eq!(world.attest(&client, &request).await.status, StatusCode::OK);
        let reply = world.resource(&client, name).await;
        let attempt = world.ledger.last();
        assert_eq!((attempt.activity, attempt.key.unwrap().as_str()), (Activity::Refuse, name));
        (reply.refusal().0.to_owned(), reply.refusal().1, attempt.policy_verdict)
    };
    assert_eq!(with(0xa2, WEIGHTS).await, ("measurement-mismatch".to_owned(), 403, PolicyVerdict::Forbid));
    assert_eq!(with(UNKNOWN, WEIGHTS).await, ("evidence-missing".to_owned(), 403, PolicyVerdict::Forbid));
    assert_eq!(with(0xa1, FORBIDDEN).await, ("policy-denied".to_owned(), 403, PolicyVerdict::Forbid));
    assert_eq!(with(0xa1, "other/kind/tag").await, ("policy-denied".to_owned(), 403, PolicyVerdict::Forbid));
    assert_eq!(with(0xa1, "models/scorer/absent").await, ("key-not-found".to_owned(), 404, PolicyVerdict::Permit));
    assert_eq!(with(0xdd, WEIGHTS).await, ("policy-error".to_owned(), 503, PolicyVerdict::Error));
}

#[tokio::test]
async fn production_refuses_what_is_simulated() {
    let world = World::with(Mode::Production, Limits::default());
    let client = world.attested().await;
    assert_eq!(world.resource(&client, WEIGHTS).await.refusal(), ("simulated-evidence", 403));
    assert_eq!(world.ledger.last().to_ocsf()["trust_reason_id"], 79);
}

#[tokio::test]
async fn without_a_record_there_is_no_key() {
    let world = World::new();
    let client = world.attested().await;
    world.ledger.fail_every.store(1, Ordering::SeqCst);
    let reply = world.resource(&client, WEIGHTS).await;
    assert_eq!(reply.refusal(), ("ledger-failed", 503));
    assert!(reply.body.get("ciphertext").is_none());
    assert!(!reply.body.to_string().contains("disk"), "what failed inside is not for the one who asks");
    let other = world.client().await;
    assert_eq!(world.attest(&other, &world.request(&other)).await.refusal(), ("ledger-failed", 503));
    world.ledger.fail_every.store(0, Ordering::SeqCst);
    assert_eq!(
        world.resource(&other, WEIGHTS).await.refusal(),
        ("session-invalid", 401),
        "its attestation has no record"
    );
    assert_eq!(client.open(&world.resource(&client, WEIGHTS).await), KEY);
}

#[tokio::test]
async fn sessions_end() {
    let world = World::new();
    let (waits, attested) = (world.client().await, world.attested().await);
    world.pass(299);
    assert_eq!(world.resource(&attested, WEIGHTS).await.status, StatusCode::OK);
    world.pass(1);
    assert_eq!(world.resource(&attested, WEIGHTS).await.refusal(), ("session-invalid", 401));
    assert_eq!(world.attest(&waits, &world.request(&waits)).await.refusal(), ("session-invalid", 401));
}

#[tokio::test]
async fn sessions_are_bounded() {
    let world = World::with(Mode::Trial, Limits { sessions_max: 3, ..Limits::default() });
    for _ in 0..3 {
        world.client().await;
    }
    let auth = || post("/kbs/v0/auth", None, r#"{"version":"0.4.0","tee":"nitro","extra-params":""}"#);
    assert_eq!(world.call(auth()).await.refusal().0, "limit-exceeded");
    world.pass(301);
    assert_eq!(world.call(auth()).await.status, StatusCode::OK, "those that ended make room");
}

#[tokio::test]
async fn challenges_are_for_this_version_and_known_evidence() {
    let world = World::new();
    let auth = async |body: &str| {
        let reply = world.call(post("/kbs/v0/auth", None, body.to_owned())).await;
        (reply.refusal().0.to_owned(), reply.status.as_u16())
    };
    let version = |version: &str| format!(r#"{{"version":"{version}","tee":"nitro","extra-params":""}}"#);
    for wrong in ["0.3.0", "0.4.1", "0.4", "1.0.0", ""] {
        assert_eq!(auth(&version(wrong)).await, ("unsupported-format".to_owned(), 401), "{wrong}");
    }
    for wrong in ["tdx", "azure-maa", "", "NITRO"] {
        let body = version("0.4.0").replace("nitro", wrong);
        assert_eq!(auth(&body).await, ("platform-not-allowed".to_owned(), 403), "{wrong}");
    }
    for wrong in ["", "{}", "[]", "{\"version\":1}", &format!("{} x", version("0.4.0"))] {
        assert_eq!(auth(wrong).await, ("malformed-document".to_owned(), 401), "{wrong}");
    }
    assert_eq!(world.ledger.tried(), 0, "no evidence, no attempt");
    // What real clients of this version send along.
    let real = r#"{"version":"0.4.0","tee":"sample","extra-params":{"supported-hash-algorithms":["sha256","sha384"]}}"#;
    let reply = world.call(post("/kbs/v0/auth", None, real)).await;
    assert_eq!(STANDARD.decode(reply.body["nonce"].as_str().unwrap()).unwrap().len(), 32);
    assert_eq!(reply.body["extra-params"], "");
    assert!(reply.cookie.unwrap().starts_with("kbs-session-id="));
}

#[tokio::test]
async fn malformed_and_oversized_attestations_are_refused_and_recorded_once() {
    let world = World::new();
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("malformed-document", 401, b"".to_vec()),
        ("malformed-document", 401, b"{}".to_vec()),
        ("malformed-document", 401, b"{\"runtime-data\":1}".to_vec()),
        ("malformed-document", 401, vec![0xff; 100]),
        ("limit-exceeded", 413, "[".repeat(1000).into_bytes()),
        ("limit-exceeded", 413, vec![b' '; (256 << 10) + 1]),
    ];
    for (why, status, body) in cases {
        let client = world.client().await;
        let before = world.ledger.tried();
        let reply = world.call(post("/kbs/v0/attest", Some(&client.cookie), body)).await;
        assert_eq!(reply.refusal(), (why, status));
        assert_eq!(world.ledger.tried(), before + 1);
    }
    let client = world.client().await;
    let good = world.attestation(&client, &world.request(&client));
    let change = async |pointer: &str, value: Value| {
        let client = world.client().await;
        let mut body = good.clone();
        body["runtime-data"]["nonce"] = json!(client.challenge.nonce);
        *body.pointer_mut(pointer).unwrap() = value;
        world.call(post("/kbs/v0/attest", Some(&client.cookie), body.to_string())).await.refusal().0.to_owned()
    };
    assert_eq!(change("/tee-evidence/additional_evidence", json!("{\"nvidia\":1}")).await, "unsupported-format");
    assert_eq!(change("/tee-evidence/primary_evidence", json!({})).await, "malformed-document");
    assert_eq!(change("/tee-evidence/primary_evidence/document", json!("!")).await, "malformed-document");
    assert_eq!(change("/tee-evidence/primary_evidence/document", json!("A".repeat(200_000))).await, "limit-exceeded");
    assert_eq!(change("/runtime-data/tee-pubkey/crv", json!("P-384")).await, "algorithm-not-allowed");
    assert_eq!(change("/runtime-data/tee-pubkey/alg", json!("ECDH-ES")).await, "algorithm-not-allowed");
    assert_eq!(change("/runtime-data/tee-pubkey/x", json!("AA")).await, "malformed-document");
    let point = URL_SAFE_NO_PAD.encode([1; 32]);
    assert_eq!(change("/runtime-data/tee-pubkey/x", json!(point)).await, "malformed-document", "no point of the curve");
}

#[tokio::test]
async fn requests_without_a_session_are_recorded_too() {
    let world = World::new();
    for cookie in [None, Some("kbs-session-id=0000"), Some("other=1"), Some("kbs-session-id=")] {
        let before = world.ledger.tried();
        assert_eq!(world.call(fetch(WEIGHTS, cookie)).await.refusal(), ("session-invalid", 401));
        assert_eq!(world.call(post("/kbs/v0/attest", cookie, "{}")).await.refusal(), ("session-invalid", 401));
        assert_eq!(world.ledger.tried(), before + 2);
    }
    let unattested = world.client().await;
    assert_eq!(world.resource(&unattested, WEIGHTS).await.refusal(), ("session-invalid", 401));
}

#[tokio::test]
async fn names_are_names() {
    let world = World::new();
    let client = world.attested().await;
    for name in ["a/b/..", "a/%2e%2e/c", "a/b%2Fc/d", "a/b/c%00", "a/b/%FF", &format!("a/b/{}", "c".repeat(129))] {
        let before = world.ledger.tried();
        assert_eq!(world.resource(&client, name).await.refusal(), ("key-not-found", 404), "{name}");
        assert_eq!(world.ledger.tried(), before + 1, "{name}");
    }
    assert_eq!(world.resource(&client, "a/b").await.refusal(), ("key-not-found", 404));
}

#[test]
fn the_report_data_is_over_the_canonical_json() {
    use sha2::Digest as _;
    let key = json!({"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": "eA", "y": "eQ"});
    let runtime = serde_json::from_value(json!({"nonce": "bm9uY2U=", "tee-pubkey": key})).unwrap();
    let canonical = concat!(
        r#"{"additional-evidence":"","nonce":"bm9uY2U=","#,
        r#""tee-pubkey":{"alg":"ECDH-ES+A256KW","crv":"P-256","kty":"EC","x":"eA","y":"eQ"}}"#
    );
    let digest = sha2::Sha384::digest(canonical).to_vec();
    assert_eq!(tarn_enclave::broker::protocol::report_data(&runtime).unwrap(), digest);
}

#[tokio::test]
async fn one_token_does_not_answer_two_challenges() {
    let world = World::new();
    let (one, two) =
        (world.client_of(Platform::ConfidentialSpace).await, world.client_of(Platform::ConfidentialSpace).await);
    // One key pair in both sessions, and one token that holds both challenges: the service allows six.
    let nonces = [&one, &two].map(|client| {
        let bind = one.workload.to_bind(&client.challenge).unwrap();
        URL_SAFE_NO_PAD.encode(bind.report_data)
    });
    let now = world.now().timestamp();
    let claims = json!({
        "iss": "https://google.example", "aud": "broker", "iat": now, "exp": now + 3600, "eat_nonce": nonces,
        "secboot": true, "hwmodel": "GCP_INTEL_TDX", "swname": "CONFIDENTIAL_SPACE", "dbgstat": "disabled-since-boot",
        "submods": {"container": {"image_digest": format!("sha256:{}", "0a".repeat(32))}},
    });
    let token = world.google.token(&claims).unwrap();
    let attest = async |client: &crate::world::Client| {
        let body = json!(one.workload.attestation(&client.challenge, json!({"token": token})).unwrap());
        world.call(post("/kbs/v0/attest", Some(&client.cookie), body.to_string())).await
    };
    assert_eq!(attest(&one).await.status, StatusCode::OK);
    assert_eq!(attest(&two).await.refusal(), ("nonce-replayed", 401));
    assert_eq!(world.resource(&one, WEIGHTS).await.refusal(), ("measurement-mismatch", 403), "no PCR0 in a token");
    assert_eq!(world.ledger.last().claims.unwrap().platform, Platform::ConfidentialSpace);
}
