//! What CloudTrail says of KMS beside what the broker recorded: the view `key_release_confirmations`, over records made up
//! here.

use crate::command::{tarn, tarn_reading, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const MINUTE: i64 = 1_790_000_000_000;

/// A call of KMS for an enclave of a module, with the digest of its image.
fn called(request: &str, operation: &str, module: &str, digest: &str, error: Option<&str>) -> Value {
    let mut event = json!({
        "eventVersion": "1.11", "eventTime": "2026-09-21T14:13:21Z", "eventSource": "kms.amazonaws.com",
        "eventName": operation, "awsRegion": "eu-west-1", "sourceIPAddress": "203.0.113.144",
        "userAgent": "aws-sdk-rust", "eventID": format!("event-{request}"), "requestID": request,
        "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLE:i-1",
            "arn": "arn:aws:sts::444455556666:assumed-role/enclave-host/i-1", "accountId": "444455556666"},
        "requestParameters": {"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}, "responseElements": null, "readOnly": true,
        "resources": [{"accountId": "444455556666", "type": "AWS::KMS::Key",
            "ARN": "arn:aws:kms:eu-west-1:444455556666:key/5f0c1a2e"}],
        "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "444455556666",
        "eventCategory": "Management",
        "additionalEventData": {"recipient": {"attestationDocumentModuleId": module,
            "attestationDocumentEnclaveImageDigest": digest, "attestationDocumentEnclavePCR1": digest}},
    });
    if let Some(error) = error {
        event["errorCode"] = error.into();
    }
    event
}

/// A record of the broker: an attestation (1), a release (2) or a refusal (3).
fn recorded(uid: &str, activity: i64, module: &str, image: u8, request: Option<&str>) -> Value {
    let passed = activity != 3;
    let mut record = json!({
        "class_uid": 99_903_001, "class_name": "Key Release", "category_uid": 3, "activity_id": activity,
        "type_uid": 9_990_300_100_i64 + activity, "time": MINUTE, "severity_id": 1,
        "trust_verdict_id": if passed { 1 } else { 2 }, "trust_reason_id": if passed { 1 } else { 80 },
        "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"},
            "extensions": [{"name": "trust", "uid": "999", "version": "0.1.0"}]},
        "key_release_info": {"uid": uid, "key_uri": "kbs:///models/scorer/weights", "key_store_id": 2},
        "tee_evidence": {"uid": module, "platform_id": 1},
        "artifact": {"uid": format!("sha384:{}", hex::encode([image; 48])), "type_id": 6},
    });
    if let Some(request) = request {
        record["key_release_info"]["request_uid"] = request.into();
    }
    record
}

/// The rows, by their request.
fn view(lake: &str) -> Vec<Value> {
    let sql = "SELECT state, request_uid, release_uid, module_uid, right(image_uid, 2) AS image, key_uri, kms_key
        FROM key_release_confirmations ORDER BY request_uid";
    tarn(&["sql", "--lake", lake, "--format", "ndjson", sql]).ok().rows()
}

#[test]
fn what_kms_did_for_enclaves_is_beside_what_the_broker_released() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let (hexadecimal, encoded) = (|n: u8| hex::encode([n; 48]), |n: u8| STANDARD.encode([n; 48]));
    let events = [
        called("r-1", "Decrypt", "broker", &hexadecimal(1), None),
        called("r-2", "GenerateDataKey", "own", &encoded(2), None),
        called("r-3", "Decrypt", "stranger", &hexadecimal(3), None),
        // The enclave's module was attested, of another image.
        called("r-4", "Decrypt", "own", &hexadecimal(4), None),
        called("r-5", "Decrypt", "stranger", &hexadecimal(5), Some("AccessDenied")),
        called("r-7", "Decrypt", "broker", &hexadecimal(1), Some("AccessDenied")),
        called("r-8", "Decrypt", "failed", &hexadecimal(8), None),
        called("random", "GenerateRandom", "stranger", &hexadecimal(3), None),
    ];
    let mut lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let mut host = called("host", "Decrypt", "", "", None);
    host.as_object_mut().unwrap().remove("additionalEventData");
    lines.push(host.to_string());
    let records = [
        recorded("kr-attested", 1, "own", 2, None),
        recorded("kr-1", 2, "workload", 9, Some("r-1")),
        recorded("kr-6", 2, "workload", 9, Some("r-6")),
        recorded("kr-7", 2, "workload", 9, Some("r-7")),
        recorded("kr-refused", 3, "failed", 8, None),
        recorded("kr-local", 2, "workload", 9, None),
    ];
    lines.extend(records.iter().map(Value::to_string));
    tarn_reading(&["ingest", "--lake", text(&lake), "-"], lines.join("\n").as_bytes()).ok();

    let rows = view(text(&lake));
    let cells = |name: &str| rows.iter().map(|row| row[name].as_str().unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(cells("request_uid"), ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6", "r-7", "r-8"]);
    let states =
        ["confirmed", "attested", "unrecorded", "unrecorded", "refused", "unconfirmed", "contradicted", "unrecorded"];
    assert_eq!(cells("state"), states, "{rows:?}");
    assert_eq!(cells("release_uid"), ["kr-1", "-", "-", "-", "-", "kr-6", "kr-7", "-"]);
    assert_eq!(cells("module_uid")[..3], ["broker", "own", "stranger"]);
    assert_eq!(cells("image"), ["01", "02", "03", "04", "05", "-", "01", "08"]);
    let first = (&rows[0]["key_uri"], &rows[0]["kms_key"]);
    assert_eq!(
        first,
        (&json!("kbs:///models/scorer/weights"), &json!("arn:aws:kms:eu-west-1:444455556666:key/5f0c1a2e"))
    );
}

#[test]
fn a_lake_with_one_side_alone_is_asked_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let put = |record: &Value| {
        tarn_reading(&["ingest", "--lake", text(&lake), "-"], record.to_string().as_bytes()).ok();
    };
    put(&recorded("kr-1", 2, "workload", 9, Some("r-1")));
    assert_eq!(view(text(&lake))[0]["state"], "unconfirmed");
    let other = folder.path().join("other");
    let event = called("r-1", "Decrypt", "m", &hex::encode([1; 48]), None).to_string();
    tarn_reading(&["ingest", "--lake", text(&other), "-"], event.as_bytes()).ok();
    assert_eq!(view(text(&other))[0]["state"], "unrecorded");
}
