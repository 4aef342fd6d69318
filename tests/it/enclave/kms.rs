//! Keys of AWS KMS from end to end, by a stand-in at the address that `AWS_ENDPOINT_URL_KMS` names: sealed by
//! `GenerateDataKey`, released by `Decrypt` with `Recipient` to the broker's own enclave.

use super::place::{Broker, MODEL, Place};
use crate::command::{tarn, tarn_reading, text};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tarn_enclave::Secret;
use tarn_enclave::keys::kms::{Decrypt as _, Wrapped};
use tarn_enclave::simulated::{SimulatedKms, SimulatedRoot};

const KEY: &str = "arn:aws:kms:eu-west-1:444455556666:key/5f0c1a2e-6b7d-4c9e-8f10-2a3b4c5d6e7f";

/// What the stand-in keeps: each ciphertext with its plaintext and its context, and whose image may decrypt.
struct Kms {
    root: SimulatedRoot,
    pcr0: Vec<u8>,
    keys: Mutex<BTreeMap<Vec<u8>, (Secret, Value)>>,
}

impl Kms {
    /// Listens until the test ends; gives its address.
    async fn start(root: SimulatedRoot, pcr0: Vec<u8>) -> String {
        let kms = Arc::new(Self { root, pcr0, keys: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(kms);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    fn data_key(&self, request: &Value) -> Value {
        assert_eq!((&request["KeyId"], &request["KeySpec"]), (&json!("alias/models"), &json!("AES_256")));
        let (plaintext, ciphertext) = (Secret::random(32).unwrap(), Secret::random(64).unwrap().expose().to_vec());
        let answer = json!({
            "KeyId": KEY, "Plaintext": STANDARD.encode(plaintext.expose()), "CiphertextBlob": STANDARD.encode(&ciphertext),
        });
        self.keys.lock().unwrap().insert(ciphertext, (plaintext, request["EncryptionContext"].clone()));
        answer
    }

    async fn decrypt(&self, request: &Value) -> Result<Value, String> {
        let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
        let recipient = &request["Recipient"];
        assert_eq!(recipient["KeyEncryptionAlgorithm"], "RSAES_OAEP_SHA_256");
        let ciphertext = bytes(&request["CiphertextBlob"]);
        let known = self.keys.lock().unwrap().get(&ciphertext).cloned();
        let (plaintext, context) = known.ok_or("InvalidCiphertextException")?;
        if request["EncryptionContext"] != context || request["KeyId"] != KEY {
            return Err("InvalidCiphertextException".to_owned());
        }
        let plaintexts = BTreeMap::from([(ciphertext.clone(), plaintext)]);
        let kms = SimulatedKms::new(&self.root, self.pcr0.clone(), plaintexts, Utc::now());
        let wrapped = Wrapped { key_id: KEY.to_owned(), ciphertext, context: BTreeMap::new() };
        let answer = kms.decrypt(&wrapped, bytes(&recipient["AttestationDocument"])).await?;
        Ok(json!({"KeyId": KEY, "CiphertextForRecipient": STANDARD.encode(answer.ciphertext)}))
    }
}

async fn answer(State(kms): State<Arc<Kms>>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"), "{signed}");
    let request: Value = serde_json::from_str(&body).unwrap();
    let answer = match headers["x-amz-target"].to_str().unwrap() {
        "TrentService.GenerateDataKey" => Ok(kms.data_key(&request)),
        "TrentService.Decrypt" => kms.decrypt(&request).await,
        other => panic!("{other}"),
    };
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(kind) => (StatusCode::BAD_REQUEST, json!({"__type": kind, "message": "refused by the stand-in"})),
    };
    let request_uid = uuid::Uuid::new_v4().to_string();
    let kind = "application/x-amz-json-1.1".to_owned();
    (status, [("x-amzn-requestid", request_uid), ("content-type", kind)], body.to_string())
}

fn with_environment<'a>(command: &'a mut Command, url: &str) -> &'a mut Command {
    command.env("AWS_ENDPOINT_URL_KMS", url).env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
}

/// A place whose file is sealed under a key of KMS, whose broker is measured as `pcr0`.
async fn place(pcr0: Option<Vec<u8>>) -> (Place, String) {
    let place = Place::new();
    let root = SimulatedRoot::from_text(&std::fs::read_to_string(place.path("root.txt")).unwrap()).unwrap();
    let measured = tarn(&["enclave", "measure"]).ok().stdout;
    let own = hex::decode(measured.trim().strip_prefix("PCR0=").unwrap()).unwrap();
    let url = Kms::start(root, pcr0.unwrap_or(own)).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
    command.args(["enclave", "seal", "--key", "models/scorer/weights", "--kms-key", "alias/models"]);
    command.arg(place.path("model.bin")).arg("--out").arg(place.path("model.sealed"));
    command.arg("--store").arg(place.path("kms.json"));
    let sealed = with_environment(&mut command, &url).stdin(Stdio::null()).output().unwrap();
    assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
    (place, url)
}

fn broker(place: &Place, url: &str) -> Broker {
    let mut command = place.broker_command(&["--trial", "--keys", "kms"]);
    command.arg("--store").arg(place.path("kms.json")).arg("--authority").arg(place.path("authority.txt"));
    with_environment(&mut command, url);
    Broker::start(command)
}

fn confirmations(place: &Place) -> Vec<Value> {
    let lake = place.path("lake");
    let sql = "SELECT state, release_uid FROM key_release_confirmations";
    tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok().rows()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_kms_is_made_unwrapped_for_the_broker_and_released() {
    let (place, url) = place(None).await;
    let store = std::fs::read_to_string(place.path("kms.json")).unwrap();
    let store: Value = serde_json::from_str(&store).unwrap();
    let wrapped = &store["keys"]["models/scorer/weights"];
    assert_eq!((&wrapped["key_id"], &wrapped["context"]["tarn:key"]), (&json!(KEY), &json!("models/scorer/weights")));
    let broker = broker(&place, &url);
    let run = place.unseal(&broker, &[]).ok();
    assert_eq!(std::fs::read(place.path("opened.bin")).unwrap(), MODEL);
    let release = place.whole_records(&run).pop().unwrap();
    let info = &release["key_release_info"];
    assert_eq!((&release["activity_name"], &info["key_store"]), (&json!("Release"), &json!("AWS KMS")));

    // Ended in peace, it leaves no row out; what CloudTrail says of that request confirms the release.
    broker.end();
    assert_eq!(confirmations(&place)[0], json!({"state": "unconfirmed", "release_uid": release["metadata"]["uid"]}));
    let event = json!({
        "eventVersion": "1.11", "eventTime": Utc::now().to_rfc3339(), "eventSource": "kms.amazonaws.com",
        "eventName": "Decrypt", "eventID": "e-1", "requestID": info["request_uid"], "eventType": "AwsApiCall",
        "userIdentity": {"type": "AssumedRole", "accountId": "444455556666"}, "awsRegion": "eu-west-1",
        "additionalEventData": {"recipient": {"attestationDocumentModuleId": "i-1-enc1",
            "attestationDocumentEnclaveImageDigest": "ab".repeat(48)}},
    });
    tarn_reading(&["ingest", "--lake", text(&place.path("lake")), "-"], event.to_string().as_bytes()).ok();
    assert_eq!(confirmations(&place)[0]["state"], "confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kms_refuses_or_cannot_unwrap_is_refused_and_recorded() {
    let refused = |place: &Place, url: &str, why: &str| {
        let run = place.unseal(&broker(place, url), &[]);
        assert!(run.code == 1 && !run.stderr.contains(why), "{}", run.stderr);
        let record = place.whole_records(&run).pop().unwrap();
        assert_eq!(record["trust_reason"], "Key Store Failed");
        assert!(record["status_detail"].as_str().unwrap().contains(why), "{record}");
    };
    // KMS's policy of the key names another image than the broker's.
    let (of_another_image, url) = place(Some(vec![0xb0; 48])).await;
    refused(&of_another_image, &url, "AccessDenied");
    // The key was wrapped for another name.
    let (place, url) = place(None).await;
    let store = std::fs::read_to_string(place.path("kms.json")).unwrap();
    std::fs::write(place.path("kms.json"), store.replace("models/scorer/weights\"\n", "models/scorer/other\"\n"))
        .unwrap();
    refused(&place, &url, "InvalidCiphertext");
}
