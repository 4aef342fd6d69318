//! A ledger whose key AWS KMS keeps: the SDK against a stand-in that answers as KMS does.

use crate::command::{tarn_in, text};
use std::path::Path;

const KEY: &str = "awskms:///arn:aws:kms:eu-central-1:111122223333:key/evidence?name=example.com/evidence";

#[cfg(not(feature = "kms"))]
#[test]
fn a_build_without_kms_names_the_feature() {
    let run = tarn_in(&[], &["evidence", "key", "public", KEY]);
    assert!(run.code == 1 && run.stderr.contains("it is the feature kms"), "{}", run.stderr);
}

#[test]
fn what_names_no_key_is_usage() {
    for key in ["awskms:///alias/evidence", "awskms://kms.example/k?name=n"] {
        let run = tarn_in(&[], &["evidence", "key", "public", key]);
        assert!(run.code == 2 && run.stderr.contains("expected awskms:///KEY?name=NAME"), "{}", run.stderr);
    }
    let run = tarn_in(&[], &["evidence", "key", "public", text(Path::new("nowhere.key"))]);
    assert!(run.code == 2 && run.stderr.contains("nowhere.key"), "{}", run.stderr);
}

#[cfg(feature = "kms")]
mod stand_in {
    use super::{KEY, tarn_in, text};
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde_json::{Value, json};

    /// A stand-in for KMS with one key; what it does not allow it refuses as KMS does.
    fn kms(spec: &'static str, may_sign: bool) -> String {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                let answer = move |request: Request| answer(spec, may_sign, request);
                axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap();
            });
        });
        format!("http://{}", receive.recv().unwrap())
    }

    async fn answer(spec: &str, may_sign: bool, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
        let (target, authorization) = (header("x-amz-target"), header("authorization"));
        // Signed for the region of the ARN.
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
        assert!(authorization.contains("/eu-central-1/kms/aws4_request"), "{authorization}");
        let body = axum::body::to_bytes(body, 64 << 10).await.unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(asked["KeyId"], "arn:aws:kms:eu-central-1:111122223333:key/evidence");
        let key = SigningKey::from_bytes(&[7; 32]);
        let answer = match target.as_str() {
            "TrentService.GetPublicKey" => {
                let mut spki = hex::decode("302a300506032b6570032100").unwrap();
                spki.extend(key.verifying_key().to_bytes());
                json!({"KeyId": asked["KeyId"], "KeySpec": spec, "KeyUsage": "SIGN_VERIFY",
                    "PublicKey": STANDARD.encode(spki), "SigningAlgorithms": ["ED25519_SHA_512", "ED25519_PH_SHA_512"]})
            }
            "TrentService.Sign" if may_sign => {
                assert_eq!(
                    (&asked["MessageType"], &asked["SigningAlgorithm"]),
                    (&json!("RAW"), &json!("ED25519_SHA_512"))
                );
                let message = STANDARD.decode(asked["Message"].as_str().unwrap()).unwrap();
                json!({"KeyId": asked["KeyId"], "Signature": STANDARD.encode(key.sign(&message).to_bytes()),
                    "SigningAlgorithm": "ED25519_SHA_512"})
            }
            _ => {
                let refused = json!({"__type": "AccessDeniedException", "message": "User is not authorized"});
                return (StatusCode::BAD_REQUEST, refused.to_string()).into_response();
            }
        };
        ([("content-type", "application/x-amz-json-1.1")], answer.to_string()).into_response()
    }

    fn environment(endpoint: &str) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL_KMS", endpoint),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    #[test]
    fn a_ledger_is_signed_by_kms_and_checked_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (lake, policies, bill) = (at("lake"), at("policies.toml"), at("sbom.json"));
        let digest = "0f".repeat(32);
        let sbom = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"type": "application",
            "name": "d", "hashes": [{"alg": "SHA-256", "content": digest}]}}});
        std::fs::write(&bill, sbom.to_string()).unwrap();
        crate::attest::public(folder.path(), "own.pub", &SigningKey::from_bytes(&[1; 32]));
        std::fs::write(&policies, "[[policy]]\nname = \"app\"\nkey = \"own.pub\"\n").unwrap();
        let endpoint = kms("ECC_NIST_EDWARDS25519", true);
        let public = tarn_in(&environment(&endpoint), &["evidence", "key", "public", KEY]).ok().stdout;
        assert!(public.starts_with("example.com/evidence+"), "{public}");
        let ingest = |endpoint: &str, lake: &std::path::Path| {
            let all = ["attest", "ingest", "--lake", text(lake), "--policies", text(&policies), "--ledger-key", KEY];
            tarn_in(&environment(endpoint), &[&all[..], &[text(&bill)]].concat())
        };
        ingest(&endpoint, &lake).ok();
        let audit = ["evidence", "audit", "--lake", text(&lake), "--key", public.trim_end(), "--format", "ndjson"];
        assert_eq!(tarn_in(&[], &audit).ok().rows()[0]["leaves"], 1);

        let refused = ingest(&kms("ECC_NIST_EDWARDS25519", false), &at("refused"));
        assert!(refused.code == 1 && refused.stderr.contains("AccessDeniedException"), "{}", refused.stderr);
        let other = ingest(&kms("ECC_NIST_P256", true), &at("other"));
        assert!(other.stderr.contains("expected a key of the spec ECC_NIST_EDWARDS25519"), "{}", other.stderr);
        let away = ingest("http://127.0.0.1:1", &at("away"));
        assert!(away.code == 1 && away.stderr.contains("GetPublicKey"), "{}", away.stderr);
        for run in [refused, other, away] {
            assert!(!run.stderr.contains("hush"), "{}", run.stderr);
        }
    }
}
