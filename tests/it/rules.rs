//! `tarn rules`, `tarn sources`: what becomes of rules, and that they follow the mapping.

use crate::command::{tarn, tarn_reading, text};
use std::path::Path;

const RULE: &str = "title: A name\nid: 7a3c1f52-8f0e-4a57-9d86-3f8a9f0c1d11\nlogsource:\n  product: aws\n  service: cloudtrail\n\
                    detection:\n  selection:\n    eventName: ListUsers\n  condition: selection\nlevel: low\n";
const EVENT: &str = r#"{"eventVersion":"1.09","eventID":"e-1","eventTime":"2026-03-17T10:00:00Z","eventSource":"iam.amazonaws.com","eventName":"ListUsers","awsRegion":"eu-north-1","sourceIPAddress":"198.51.100.7","userIdentity":{"type":"IAMUser"}}"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_pack_passes_its_own_events() {
    let run = tarn(&["rules", "test", text(&root().join("rules/sigma"))]).ok();
    assert!(run.stderr.contains(" 0 failed; 0 rules have none"), "{}", run.stderr);
    tarn(&["rules", "check", text(&root().join("rules/sigma"))]).ok();
}

#[test]
fn every_sentence_of_the_specification_holds() {
    let folder = root().join("rules/conformance");
    let run = tarn(&["rules", "test", "--sources", text(&folder.join("sources")), text(&folder)]).ok();
    assert!(run.stderr.contains(" 0 failed; 0 rules have none"), "{}", run.stderr);
}

#[test]
fn builtin_sources_give_their_golden_records() {
    tarn(&["sources", "test", text(&root().join("ingest/sources"))]).ok();
}

#[test]
fn a_rule_that_cannot_fire_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (n, (name, from, to)) in [
        ("good.yml", "", ""),
        ("field.yml", "eventName", "noSuchField"),
        ("source.yml", "product: aws", "product: toaster"),
        ("broken.yml", "condition: selection", "condition: selection and nothing"),
        ("never.yml", "condition: selection", "condition: not 0 of selection*"),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = if from.is_empty() { RULE.to_owned() } else { RULE.replace(from, to) }
            .replace("0c1d11", &format!("0c1d1{n}"));
        std::fs::write(folder.path().join(name), rule).unwrap();
    }
    let run = tarn(&["rules", "check", "--all", text(folder.path())]);
    assert_eq!(run.code, 1);
    let status = |file: &str| {
        let rows = run.rows();
        let row = rows.iter().find(|r| r["file"].as_str().unwrap().ends_with(file)).unwrap().clone();
        (row["status"].as_str().unwrap().to_owned(), row["why"].as_str().unwrap().to_owned())
    };
    assert_eq!(status("good.yml").0, "runs");
    for (file, expected, why) in [
        ("field.yml", "not evaluable", "noSuchField"),
        ("source.yml", "not evaluable", "toaster"),
        ("broken.yml", "does not load", "nothing"),
        ("never.yml", "not evaluable", "never true"),
    ] {
        let (found, said) = status(file);
        assert_eq!(found, expected, "{file}");
        assert!(said.contains(why), "{file}: {said}");
    }
}

#[test]
fn explain_and_matches_follow_the_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("rule.yml");
    std::fs::write(&rule, RULE).unwrap();
    let detect = |more: &[&str]| {
        let arguments = [&["detect", "--rules", text(&rule)], more, &["-"]].concat();
        tarn_reading(&arguments, EVENT.as_bytes())
    };
    assert_eq!(detect(&[]).ok().rows()[0]["rule"]["title"], "A name");
    let explained = tarn(&["rules", "explain", text(&rule)]).ok().stdout;
    assert!(explained.contains("eventName  api.operation"), "{explained}");

    // The same source, whose mapping calls the field otherwise.
    let own = folder.path().join("sources/aws_cloudtrail");
    std::fs::create_dir_all(&own).unwrap();
    let mapping = std::fs::read_to_string(root().join("ingest/sources/aws_cloudtrail/mapping.toml")).unwrap();
    let moved = mapping
        .replace("eventName = [\"api.operation\", \"metadata.event_code\"]", "eventName = [\"metadata.event_code\"]");
    assert_ne!(mapping, moved);
    std::fs::write(own.join("mapping.toml"), &moved).unwrap();
    let sources = text(own.parent().unwrap()).to_owned();
    let explained = tarn(&["rules", "explain", "--sources", &sources, text(&rule)]).ok().stdout;
    assert!(explained.contains("eventName  metadata.event_code"), "{explained}");
    let gone: String = moved.replace("eventName", "operationName");
    std::fs::write(own.join("mapping.toml"), gone).unwrap();
    let run = detect(&["--sources", &sources]);
    assert_eq!(run.code, 2, "{}", run.stdout);
    assert!(run.stderr.contains("no rule can run"), "{}", run.stderr);
}

#[test]
fn an_event_is_explained_part_by_part() {
    let folder = tempfile::tempdir().unwrap();
    let (rule, log) = (folder.path().join("rule.yml"), folder.path().join("log.ndjson"));
    std::fs::write(
        &rule,
        RULE.replace("condition: selection", "condition: selection and not 1 of other*")
            .replace("detection:", "detection:\n  other:\n    userAgent|contains: curl\n"),
    )
    .unwrap();
    std::fs::write(&log, format!("{EVENT}\n{}\n{{\"a\":1}}\n", EVENT.replace("ListUsers", "GetUser"))).unwrap();
    let explain = |n: u32| tarn(&["rules", "explain", text(&rule), "--event", &format!("{}:{n}", text(&log))]);
    let fired = explain(1).ok().stdout;
    assert!(fired.contains("\nfires\n") && fired.contains("[userAgent: absent]"), "{fired}");
    let not = explain(2).ok().stdout;
    assert!(not.contains("\ndoes not fire\n") && not.contains("[eventName: \"GetUser\"]"), "{not}");
    assert!(explain(3).ok().stdout.contains("source json"));
    let run = explain(4);
    assert!(run.code == 2 && run.stderr.contains("no record 4"), "{}", run.stderr);
}

#[test]
fn bare_times_are_in_the_zone_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let rule = folder.path().join("rule.yml");
    let text_of_rule = "title: t\nlogsource: {product: windows, service: security}\ndetection:\n  s: {EventID: 4625}\n  condition: s\n";
    std::fs::write(&rule, text_of_rule).unwrap();
    let event = r#"{"EventTime":"2026-03-17 11:00:00","EventID":4625,"Channel":"Security","SourceName":"Microsoft-Windows-Security-Auditing","Hostname":"ws1"}"#;
    let seen = |zone: &str| {
        let run = tarn_reading(&["detect", "--rules", text(&rule), "--zone", zone, "-"], event.as_bytes()).ok();
        run.rows()[0]["finding_info"]["first_seen_time"].as_i64().unwrap()
    };
    assert_eq!(seen("UTC") - seen("Europe/Oslo"), 3_600_000);
}

#[test]
fn correlations_give_one_finding_that_names_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let (rule, log) = (folder.path().join("rule.yml"), folder.path().join("log.ndjson"));
    let many = "---\ntitle: Many users listed\nlevel: high\ncorrelation:\n  type: event_count\n  rules: 7a3c1f52-8f0e-4a57-9d86-3f8a9f0c1d11\n\
                \x20 group-by: [sourceIPAddress]\n  timespan: 1m\n  condition: {gte: 3}\n";
    std::fs::write(&rule, format!("{RULE}{many}")).unwrap();
    // Their order in the file decides nothing.
    let event = |n: usize| {
        EVENT.replace("e-1", &format!("e-{n}")).replace("10:00:00", &format!("10:00:{:02}", n * 7 % 60)) + "\n"
    };
    std::fs::write(&log, [3, 1, 2, 4].map(event).concat()).unwrap();
    for threads in ["1", "2"] {
        let run = tarn(&["detect", "--rules", text(&rule), "--threads", threads, text(&log)]).ok();
        let [finding] = run.rows().try_into().unwrap_or_else(|rows| panic!("{rows:?}"));
        assert_eq!(finding["rule"]["title"], "Many users listed");
        assert_eq!(finding["correlation"]["group"]["sourceIPAddress"], "198.51.100.7");
        assert_eq!(finding["correlation"]["events"], serde_json::json!(["e-1", "e-2", "e-3"]));
        assert_eq!((&finding["class_uid"], &finding["severity_id"]), (&2004.into(), &4.into()));
    }
    let ocsf = tarn(&["detect", "--rules", text(&rule), "--ocsf", text(&log)]).ok().stdout;
    assert_eq!(tarn_reading(&["ocsf", "validate", "-"], ocsf.as_bytes()).code, 0, "{ocsf}");
    let checked = tarn(&["rules", "check", "--all", text(&rule)]).ok();
    assert_eq!(checked.rows()[1]["status"], "runs", "{}", checked.stdout);
    assert!(tarn(&["rules", "explain", text(&rule)]).ok().stdout.contains("events >= 3 of"));
}
