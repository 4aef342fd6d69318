//! People: a sign-in to the console by the company's directory, a look at logs and costs, a key of one's own renewed.

use super::{Actor, Notes};
use crate::background::cloudtrail::Call;
use crate::company::{ACCOUNT, OPERATORS, PEOPLE, office_address, pick};
use crate::day::Source;
use rand::Rng;
use serde_json::{Value, json};

const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36";

/// Signs in and looks around; something is refused.
pub(super) fn morning(notes: &mut Notes<'_>) {
    let person = pick(notes.rng, PEOPLE);
    let by = Actor::role(
        "AWSReservedSSO_Developer_0123456789abcdef",
        &format!("{person}@fjord.example"),
        &office_address(person),
        BROWSER,
    );
    sign_in(notes, &by);
    notes.read(
        &by,
        &[
            ("iam", "ListAccountAliases", Value::Null),
            ("ec2", "DescribeRegions", json!({ "regionSet": {} })),
            ("ec2", "DescribeInstances", json!({ "instancesSet": {}, "filterSet": {}, "maxResults": 100 })),
            ("monitoring", "DescribeAlarms", json!({ "maxRecords": 100 })),
            ("s3", "ListBuckets", Value::Null),
            ("lambda", "ListFunctions20150331", json!({ "maxItems": 50 })),
            ("logs", "DescribeLogGroups", json!({ "limit": 50 })),
            ("logs", "FilterLogEvents", json!({ "logGroupName": "/ecs/invoice-api", "filterPattern": "ERROR" })),
            ("ecs", "ListTasks", json!({ "cluster": "prod", "serviceName": "invoice-api" })),
            ("ce", "GetCostAndUsage", json!({ "granularity": "DAILY", "metrics": ["UnblendedCost"] })),
            ("ssm", "DescribeParameters", json!({ "maxResults": 50 })),
        ],
    );
    notes.change(
        &by,
        &[(
            "logs",
            "StartQuery",
            json!({ "logGroupName": "/ecs/invoice-api", "limit": 1_000 }),
            json!({ "queryId": "12ab3456-12ab-123a-789e-1234567890ab" }),
        )],
    );
    for (service, name) in [("iam", "ListUsers"), ("secretsmanager", "ListSecrets")] {
        notes.call(
            &by,
            Call {
                service,
                name,
                request: Value::Null,
                response: Value::Null,
                error: Some("AccessDenied"),
                read_only: true,
            },
        );
    }
}

/// Who comes from the directory shows its factor there, and none to AWS.
fn sign_in(notes: &mut Notes<'_>, by: &Actor) {
    notes.pause(2_000);
    let value = json!({
        "eventVersion": "1.09", "userIdentity": by.identity, "eventTime": notes.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "eventSource": "signin.amazonaws.com", "eventName": "ConsoleLogin", "awsRegion": "eu-north-1", "sourceIPAddress": by.address,
        "userAgent": by.agent, "requestParameters": null, "responseElements": { "ConsoleLogin": "Success" },
        "additionalEventData": { "LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "No" },
        "eventID": crate::company::uuid(notes.rng), "readOnly": false, "eventType": "AwsConsoleSignIn", "managementEvent": true,
        "recipientAccountId": ACCOUNT, "eventCategory": "Management"
    });
    notes.write(Source::CloudTrail, &value);
}

/// An operator renews the key that they have, and reaches one machine by Session Manager.
pub(super) fn own_keys(notes: &mut Notes<'_>) {
    let person = pick(notes.rng, OPERATORS);
    let mut by = {
        let caller = crate::background::cloudtrail::person(person);
        Actor { identity: caller.identity, address: caller.address, agent: caller.agent.to_owned() }
    };
    by.identity["sessionContext"] =
        json!({ "attributes": { "creationDate": "2026-03-17T08:00:00Z", "mfaAuthenticated": "true" } });
    let (old, new) = (
        format!("AKIAEXAMPLE{}", notes.rng.random_range(100..500)),
        format!("AKIAEXAMPLE{}", notes.rng.random_range(500..999)),
    );
    notes.read(
        &by,
        &[("sts", "GetCallerIdentity", Value::Null), ("iam", "ListAccessKeys", json!({ "userName": person }))],
    );
    let instance = format!("i-0{:016x}", notes.rng.random::<u64>() >> 4);
    notes.change(
        &by,
        &[
            (
                "iam",
                "CreateAccessKey",
                json!({ "userName": person }),
                json!({ "accessKey": { "userName": person, "accessKeyId": new, "status": "Active" } }),
            ),
            (
                "iam",
                "UpdateAccessKey",
                json!({ "userName": person, "accessKeyId": old, "status": "Inactive" }),
                Value::Null,
            ),
            ("iam", "DeleteAccessKey", json!({ "userName": person, "accessKeyId": old }), Value::Null),
            (
                "ssm",
                "StartSession",
                json!({ "target": instance }),
                json!({ "sessionId": format!("{person}-0a1b2c3d4e5f60718") }),
            ),
        ],
    );
}
