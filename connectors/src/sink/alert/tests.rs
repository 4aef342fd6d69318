#![allow(clippy::unwrap_used)]

use super::*;
use std::sync::Arc;
use tarn_ingest::source::Sources;

fn of(finding: &str) -> Result<Alert, FindingError> {
    Ok(Draft::of(finding)?.with_entities(&EvidenceReader::new(Arc::new(Sources::builtin().unwrap()))))
}

fn finding(data: &str) -> String {
    format!(
        r#"{{"class_uid":2004,"severity_id":4,"time":1780272000000,"metadata":{{"uid":"f1"}},
        "finding_info":{{"uid":"f1","title":"T","related_events":[{{"uid":"it's"}}],"first_seen_time":1780271999000,
        "analytic":{{"uid":"r1","name":"Rule","version":"d1"}},
        "attacks":[{{"technique":{{"uid":"T1059"}},"sub_technique":{{"uid":"T1059.001"}},
        "tactic":{{"uid":"TA0002","name":"Execution"}}}}]}},"evidences":[{{"data":{data}}}]}}"#
    )
}

const CLOUDTRAIL: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"alice","arn":"arn:aws:iam::1:user/alice","accountId":"111122223333","principalId":"AIDA"},"eventTime":"2026-05-31T23:59:59Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli","requestID":"r","eventID":"e1","eventType":"AwsApiCall","recipientAccountId":"111122223333"}"#;

#[test]
fn an_event_gives_entities_and_queries() {
    let alert = of(&finding(CLOUDTRAIL)).unwrap();
    assert_eq!(alert.severity, Severity::High);
    assert_eq!(alert.tags, ["attack.t1059.001", "attack.execution"]);
    assert_eq!(alert.attack[0].label(), "T1059.001 (Execution)");
    assert_eq!(alert.entity(Kind::User).map(|e| e.value.as_str()), Some("alice"), "{:?}", alert.entities);
    assert_eq!(alert.entity(Kind::Address).map(|e| e.value.as_str()), Some("203.0.113.7"));
    let table = alert.event.as_ref().and_then(|e| e.table.clone()).unwrap();
    assert_eq!(alert.query, format!("SELECT * FROM {table} WHERE metadata.uid = 'it''s'"));
    assert_eq!(
        alert.entity_query.unwrap(),
        format!(
            "SELECT * FROM {table} WHERE actor.user.name = 'alice' AND time BETWEEN TIMESTAMP \
             '2026-05-31T22:59:59.000Z' AND TIMESTAMP '2026-06-01T01:00:00.000Z' ORDER BY time"
        )
    );
}

#[test]
fn a_correlation_gives_its_group() {
    let data = r#"{"group":{"SourceIp":"10.0.0.7","TargetUserName":"bob","x":null},"measure":12,"count":12}"#;
    let alert = of(&finding(data)).unwrap();
    let entities: Vec<_> = alert.entities.iter().map(|e| (e.kind, e.value.as_str())).collect();
    assert_eq!(entities, [(Kind::Address, "10.0.0.7"), (Kind::User, "bob")]);
    assert_eq!(alert.query, "SELECT * FROM detection_finding WHERE metadata.uid = 'f1'");
}

#[test]
fn what_is_no_finding_is_an_error_and_what_lacks_parts_is_not() {
    for wrong in ["", "7", "{", "{\"finding_info\":{\"uid\":7}}"] {
        assert!(matches!(of(wrong), Err(FindingError::Json(_))), "{wrong}");
    }
    assert!(matches!(of("{}"), Err(FindingError::NoUid)));
    let bare = of(r#"{"metadata":{"uid":"u"}}"#).unwrap();
    assert_eq!((bare.severity, bare.rule.title.as_str(), bare.count), (Severity::Medium, "Finding", 1));
    let odd = of(&finding(r#""text""#)).unwrap();
    assert_eq!(odd.evidence, r#""text""#);
}

#[test]
fn texts_are_bounded() {
    let long = format!(r#"{{"metadata":{{"uid":"u"}},"evidences":[{{"data":"{}"}}]}}"#, "é".repeat(5_000));
    let alert = of(&long).unwrap();
    assert_eq!(alert.evidence.chars().count(), TEXT_MAX);
    assert!(alert.evidence.ends_with('…'));
}
