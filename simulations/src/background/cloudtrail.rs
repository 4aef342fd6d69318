//! Ordinary CloudTrail records (record format 1.09): applications under assumed roles, and a few operators.

use crate::company::{ACCOUNT, BUCKETS, OPERATORS, ROLES, office_address, pick, uuid};
use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Who called: the `userIdentity` element and the address.
pub struct Caller {
    /// `userIdentity`.
    pub identity: Value,
    /// `sourceIPAddress`.
    pub address: String,
    /// `userAgent`.
    pub agent: &'static str,
}

/// An application under a role.
pub fn role(name: &str, rng: &mut ChaCha8Rng) -> Caller {
    let session = format!("i-0{:011x}", rng.random_range(0..400u64) * 7_919 + 0x5a5a5);
    let identity = json!({
        "type": "AssumedRole", "principalId": format!("AROAEXAMPLE{}:{session}", name.len()),
        "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}"), "accountId": ACCOUNT,
        "accessKeyId": format!("ASIAEXAMPLE{:05}", rng.random_range(0..200)),
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": format!("AROAEXAMPLE{}", name.len()),
                "arn": format!("arn:aws:iam::{ACCOUNT}:role/{name}"), "accountId": ACCOUNT, "userName": name},
            "attributes": {"creationDate": "2026-03-17T00:00:00Z", "mfaAuthenticated": "false"}
        }
    });
    Caller {
        identity,
        address: format!("10.20.{}.{}", rng.random_range(0..8), rng.random_range(4..250)),
        agent: "aws-sdk-java/2.25.11 Linux/6.1 exec-env/AWS_ECS_FARGATE",
    }
}

/// A person with a key of their own.
pub fn person(name: &str) -> Caller {
    let identity = json!({
        "type": "IAMUser", "principalId": format!("AIDAEXAMPLE{}", name.to_uppercase().replace('.', "")),
        "arn": format!("arn:aws:iam::{ACCOUNT}:user/{name}"), "accountId": ACCOUNT,
        "accessKeyId": format!("AKIAEXAMPLE{}", name.to_uppercase().replace('.', "")), "userName": name
    });
    Caller { identity, address: office_address(name), agent: "aws-cli/2.15.30 Python/3.11.8 Linux/6.5 prompt/off" }
}

/// A call as CloudTrail records it.
pub struct Call<'a> {
    /// `eventSource`, without `.amazonaws.com`.
    pub service: &'a str,
    /// `eventName`.
    pub name: &'a str,
    /// `requestParameters`.
    pub request: Value,
    /// `responseElements`.
    pub response: Value,
    /// `errorCode`, for a call that failed.
    pub error: Option<&'a str>,
    /// `readOnly`.
    pub read_only: bool,
}

/// The record of a call.
pub fn record(time: DateTime<Utc>, caller: Caller, call: Call<'_>, rng: &mut ChaCha8Rng) -> Value {
    let mut record = json!({
        "eventVersion": "1.09", "userIdentity": caller.identity,
        "eventTime": time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "eventSource": format!("{}.amazonaws.com", call.service), "eventName": call.name, "awsRegion": "eu-north-1",
        "sourceIPAddress": caller.address, "userAgent": caller.agent,
        "requestParameters": call.request, "responseElements": call.response,
        "requestID": uuid(rng), "eventID": uuid(rng), "readOnly": call.read_only, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": ACCOUNT, "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("{}.eu-north-1.amazonaws.com", call.service)}
    });
    if let Some(code) = call.error {
        record["errorCode"] = json!(code);
        record["errorMessage"] = json!(format!("the call {} was refused", call.name));
    }
    record
}

fn read<'a>(service: &'a str, name: &'a str, request: Value) -> Call<'a> {
    Call { service, name, request, response: Value::Null, error: None, read_only: true }
}

/// One ordinary record.
pub fn event(time: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Value {
    let bucket = pick(rng, BUCKETS);
    let by_hand = rng.random_ratio(1, 25);
    let caller = if by_hand { person(pick(rng, OPERATORS)) } else { role(pick(rng, ROLES), rng) };
    let mut call = match rng.random_range(0..100) {
        0..22 => read("ec2", "DescribeInstances", json!({"instancesSet": {}, "filterSet": {}})),
        22..38 => read("sts", "GetCallerIdentity", Value::Null),
        38..52 => read(
            "s3",
            "GetBucketLocation",
            json!({"bucketName": bucket, "Host": format!("{bucket}.s3.amazonaws.com"), "location": ""}),
        ),
        52..64 => read(
            "kms",
            "GenerateDataKey",
            json!({"keyId": "alias/fjord-data", "keySpec": "AES_256", "encryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::{bucket}")}}),
        ),
        64..74 => read("logs", "DescribeLogStreams", json!({"logGroupName": "/ecs/invoice-api", "limit": 50})),
        74..82 => read("ecs", "DescribeServices", json!({"cluster": "prod", "services": ["invoice-api"]})),
        82..88 => read("iam", "GetRole", json!({"roleName": pick(rng, ROLES)})),
        88..92 => read("secretsmanager", "GetSecretValue", json!({"secretId": "prod/invoice-api/database"})),
        92..96 => Call {
            service: "ec2",
            name: "CreateTags",
            read_only: false,
            error: None,
            request: json!({"resourcesSet": {"items": [{"resourceId": format!("i-0{:011x}", rng.random_range(0..400u64))}]}, "tagSet": {"items": [{"key": "team", "value": "etl"}]}}),
            response: json!({"requestId": uuid(rng), "_return": true}),
        },
        96..99 => Call {
            service: "ecs",
            name: "UpdateService",
            read_only: false,
            error: None,
            request: json!({"cluster": "prod", "service": "invoice-api", "desiredCount": rng.random_range(2..6)}),
            response: json!({"service": {"status": "ACTIVE"}}),
        },
        _ => read("cloudtrail", "GetTrailStatus", json!({"name": "org-trail"})),
    };
    if rng.random_ratio(1, 120) {
        call.error = Some("AccessDenied");
    }
    record(time, caller, call, rng)
}
