//! Labelled records, and the tables that say which rules stand for them.

use super::call;
use crate::command::{data, tarn, text};
use serde_json::{Value, json};

fn line(name: &str, expected: bool, log: Value) -> String {
    json!({ "behaviour": "Trail stopped", "name": name, "expected": expected, "attack": null, "stratus": null, "log": log })
        .to_string()
}

#[test]
fn true_records_have_to_fire_and_look_alikes_must_not() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, table) = (folder.path().join("Cloud.ndjson"), folder.path().join("cloud.yml"));
    let stop = call("label-0001", "cloudtrail", "StopLogging", 0);
    let mut refused = stop.clone();
    refused["errorCode"] = "AccessDenied".into();
    let good = [line("stopped", true, stop.clone()), line("refused", false, refused), line("listed", true, json!({}))];
    std::fs::write(&logs, good.join("\n")).unwrap();
    std::fs::write(
        &table,
        "behaviours:\n    - {behaviour: Trail stopped, rules: [aws_cloudtrail_logging_stopped, no_rule]}\n",
    )
    .unwrap();
    let run = |more: &[&str]| {
        tarn(&[&["simulate", "labelled", "--logs", text(folder.path()), "--table", text(&table)], more].concat())
    };
    let summary = run(&["--fail-under", "50"]).ok();
    let rows = summary.rows();
    let of =
        |row: &Value| ["mapped", "true", "fired", "benign", "false_alarms"].map(|name| row[name].as_i64().unwrap());
    assert_eq!((rows.len(), &rows[0]["service"], of(&rows[0])), (2, &"Cloud".into(), [1, 2, 1, 1, 0]));
    assert!(summary.stderr.contains("no_rule.yml") && summary.stderr.contains("1 of 2"), "{}", summary.stderr);
    assert_eq!(run(&["--fail-under", "51"]).code, 1);
    let verdicts: Vec<Value> = run(&["--all"]).ok().rows().iter().map(|row| row["verdict"].clone()).collect();
    assert_eq!(verdicts, ["fired", "quiet", "missed"]);

    std::fs::write(&logs, line("harmless", false, stop)).unwrap();
    let alarm = run(&["--all"]);
    assert_eq!((alarm.code, &alarm.rows()[0]["verdict"]), (1, &"false".into()));
    std::fs::write(&table, "behaviours:\n    - {behavior: Trail stopped, rules: []}\n").unwrap();
    let broken = run(&[]);
    assert!(broken.code == 2 && broken.stderr.contains("behavior"), "{}", broken.stderr);
    std::fs::write(&table, "").unwrap();
    std::fs::write(&logs, "{}").unwrap();
    let broken = run(&[]);
    assert!(broken.code == 2 && broken.stderr.contains("Cloud.ndjson:1: missing field"), "{}", broken.stderr);
}

#[test]
fn our_rules_fire_on_what_shows_their_behaviour() {
    let Some(data) = data() else { return };
    let run = tarn(&["simulate", "labelled", "--logs", text(&data.join("labelled-logs"))]).ok();
    let rows = run.rows();
    let all = rows.last().unwrap();
    // None where nothing is mapped.
    assert!(all["percent"].as_f64().is_none_or(|percent| percent >= 75.0), "{all}");
}
