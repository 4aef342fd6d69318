//! `tarn rules coverage`: what rules name, against what is in a lake.

use crate::command::{Run, tarn, text};
use serde_json::Value;
use std::path::Path;

const EVENT: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","accountId":"111122223333","userName":"ana"},"eventTime":"2026-03-17T10:00:00Z","eventSource":"iam.amazonaws.com","eventName":"ListUsers","awsRegion":"eu-north-1","sourceIPAddress":"198.51.100.7","eventID":"e-1","eventType":"AwsApiCall","recipientAccountId":"111122223333"}"#;

fn rule(name: &str, logsource: &str, tags: &str, item: &str) -> String {
    format!(
        "title: Rule {name}\nid: {name}\nname: {name}\nlevel: high\ntags: [{tags}]\nlogsource: {{{logsource}}}\n\
         detection:\n  s: {{{item}}}\n  condition: s\n"
    )
}

fn rules(folder: &Path) {
    let aws = "product: aws, service: cloudtrail";
    let item = "eventName: ListUsers";
    let many = "title: Many\nid: many\nlevel: critical\ntags: [attack.t1580]\ncorrelation:\n  type: event_count\n  rules: base\n  \
                timespan: 1m\n  group-by: [sourceIPAddress]\n  condition: {gte: 3}\n";
    let base = rule("base", aws, "attack.t1526", item);
    for (name, text) in [
        ("aws.yml", rule("aws", aws, "attack.discovery, attack.t1087.004, atlas.aml.t0040", item)),
        // A revoked id counts as what replaced it.
        ("old.yml", rule("old", aws, "attack.t1562.008", "eventName: StopLogging")),
        ("many.yml", format!("{base}---\n{many}")),
        (
            "process.yml",
            rule("process", "product: windows, category: process_creation", "attack.t1059.001", "Image: a"),
        ),
        ("toaster.yml", rule("toaster", "product: toaster", "attack.t1040", "slots: 2")),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// Status and the number of rules that count, of a technique or tactic.
fn of(run: &Run, id: &str) -> Option<(String, u64)> {
    let rows = run.rows();
    let row = rows.iter().find(|r| r["id"] == id)?;
    Some((row["status"].as_str().unwrap().to_owned(), row["counting"].as_u64().unwrap()))
}

fn coverage(folder: &Path, more: &[&str]) -> Run {
    tarn(&[&["rules", "coverage", "--rules", text(folder)], more].concat())
}

#[test]
fn without_a_lake_every_rule_that_can_run_counts() {
    let folder = tempfile::tempdir().unwrap();
    rules(folder.path());
    let run = coverage(folder.path(), &[]).ok();
    for id in ["T1087.004", "T1685.002", "T1059.001", "T1580", "AML.T0040"] {
        assert_eq!(of(&run, id), Some(("covered".to_owned(), 1)), "{id}");
    }
    assert_eq!(of(&run, "T1040"), Some(("not evaluable".to_owned(), 0)));
    // A rule that only gives to a correlation has no findings.
    assert_eq!((of(&run, "T1526"), of(&run, "T1562.008")), (None, None));
    assert_eq!(of(&run, "TA0043"), Some(("nothing".to_owned(), 0)));
    assert!(run.stderr.contains("no lake was looked at") && run.stderr.contains("of 222 techniques"), "{}", run.stderr);
    let csv = coverage(folder.path(), &["--gaps", "--format", "csv"]).ok().stdout;
    assert!(csv.starts_with("kind,id,tactic,named,evaluable,counting,level,status"), "{csv}");
    assert!(csv.contains("T1040") && !csv.contains("T1059"), "{csv}");
    assert_eq!(tarn(&["rules", "coverage", text(folder.path())]).ok().stdout, run.stdout);
    // The rules that come with Tarn are the default.
    assert!(of(&tarn(&["rules", "coverage"]).ok(), "TA0006").is_some_and(|(_, n)| n > 0));
    assert_eq!(tarn(&["rules", "coverage", "--days", "3"]).code, 2);
    assert_eq!(coverage(folder.path(), &["--lake", text(&folder.path().join("none"))]).code, 2);
}

#[test]
fn a_rule_whose_source_does_not_arrive_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (own, lake, log, file) = ["rules", "lake", "log.ndjson", "layer.json"].map(|n| folder.path().join(n)).into();
    std::fs::create_dir(&own).unwrap();
    rules(&own);
    std::fs::write(&log, format!("{EVENT}\n{}\n", EVENT.replace("e-1", "e-2"))).unwrap();
    tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    let seen =
        |days: &str, more: &[&str]| coverage(&own, &[&["--lake", text(&lake), "--days", days], more].concat()).ok();
    let run = seen("36500", &["--navigator", text(&file)]);
    for id in ["T1087.004", "T1685.002", "T1580", "AML.T0040"] {
        assert_eq!(of(&run, id), Some(("covered".to_owned(), 1)), "{id}");
    }
    assert_eq!(of(&run, "T1059.001"), Some(("no telemetry".to_owned(), 0)));
    assert_eq!(of(&run, "TA0002"), Some(("no telemetry".to_owned(), 0)));
    let missing = run.rows().iter().find(|r| r["id"] == "T1059.001").unwrap()["missing_telemetry"].clone();
    assert_eq!(missing, "product=windows category=process_creation");
    assert!(run.stderr.contains("2  aws_cloudtrail"), "{}", run.stderr);
    assert!(run.stderr.contains("no telemetry that these look at: T1059.001"), "{}", run.stderr);

    let layer: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((&layer["versions"]["layer"], &layer["domain"]), (&"4.5".into(), &"enterprise-attack".into()));
    let score = |id: &str| {
        let all = layer["techniques"].as_array().unwrap();
        all.iter().find(|t| t["techniqueID"] == id).map(|t| t["score"].clone())
    };
    assert_eq!((score("T1087.004"), score("T1059.001")), (Some(1.into()), Some(0.into())));
    assert_eq!((score("T1087"), score("AML.T0040")), (Some(Value::Null), None));

    // Long ago is not now.
    let run = seen("1", &[]);
    assert_eq!(of(&run, "T1087.004"), Some(("no telemetry".to_owned(), 0)));
    assert!(run.stderr.contains("0 of 6 rules count, over 0 rows"), "{}", run.stderr);
}
