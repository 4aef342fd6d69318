//! `tarn simulate`: attacks that are replayed or run, and what is said of them.

mod labelled;
mod replay;
mod stratus;

use crate::command::tarn;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A CloudTrail record of an operator, so many seconds after noon of a day long ago.
fn call(id: &str, service: &str, name: &str, second: u32) -> Value {
    json!({
        "eventVersion": "1.09", "eventID": id, "requestID": format!("request-{id}"), "awsRegion": "eu-north-1",
        "eventTime": format!("2021-06-01T12:00:{second:02}Z"), "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name, "sourceIPAddress": "192.0.2.17", "userAgent": "aws-cli/2.15", "eventType": "AwsApiCall",
        "userIdentity": { "type": "IAMUser", "userName": "kim", "accountId": "111122223333",
            "arn": "arn:aws:iam::111122223333:user/kim", "accessKeyId": "AKIAEXAMPLE" },
        "requestParameters": { "name": "trail" }, "responseElements": null, "recipientAccountId": "111122223333",
    })
}

/// Rows by technique.
fn by_technique(rows: &[Value]) -> BTreeMap<String, Value> {
    rows.iter().map(|row| (row["technique"].as_str().unwrap().to_owned(), row.clone())).collect()
}

#[test]
fn techniques_are_listed_with_what_runs_here() {
    let rows = tarn(&["simulate", "list", "--stratus", "/nowhere/stratus"]).ok().rows();
    let stop = &by_technique(&rows)["aws.defense-evasion.cloudtrail-stop"];
    assert_eq!((&stop["attack"], &stop["runs"]), (&"T1685.002".into(), &"replay".into()));
    let some = tarn(&["simulate", "list", "--platform", "AWS"]).ok().rows();
    assert!(some.len() < rows.len() && some.iter().all(|row| row["platform"] == "aws"), "{some:?}");
}
