//! `tarn demo`: the intrusion is found, the ordinary day is not, and SQL answers.

use crate::command::{tarn, text};
use std::collections::BTreeSet;

#[test]
fn the_intrusion_is_found_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let run = tarn(&["demo", "--events", "5000", "--lake", text(&lake)]).ok();
    for title in
        ["Office Program Starts an Interpreter", "Kubernetes Cluster Administrator Given", "Security Event Log Cleared"]
    {
        assert!(run.stdout.contains(title), "{title}: {}", run.stdout);
    }
    assert_eq!(run.stdout.matches("SELECT").count(), 3);
    let sql = |query: &str| tarn(&["sql", "--lake", text(&lake), query]).ok().rows();
    // What asks for attention is of the intrusion's steps: they lie between 13:07 and 13:30.
    let outside = "SELECT count(*) AS n FROM detection_finding WHERE severity_id >= 3 AND finding_info.first_seen_time \
                   NOT BETWEEN TIMESTAMP '2026-03-17T13:07:00Z' AND TIMESTAMP '2026-03-17T13:30:00Z'";
    assert_eq!(sql(outside)[0]["n"], 0);
    let rules = "SELECT count(DISTINCT finding_info.analytic.uid) AS n FROM detection_finding";
    assert!(sql(rules)[0]["n"].as_i64().unwrap() >= 15);
    // A hunt through the lake replays the stream.
    let pack = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma");
    let hunt = tarn(&["hunt", "--order", "arrival", "--lake", text(&lake), "--rules", text(&pack)]).ok();
    let uid = |row: &serde_json::Value, at: &str| row.pointer(at).unwrap().as_str().unwrap().to_owned();
    let replayed: BTreeSet<String> = hunt.rows().iter().map(|row| uid(row, "/finding_info/uid")).collect();
    let streamed = sql("SELECT finding_info.uid AS uid FROM detection_finding");
    assert_eq!(replayed, streamed.iter().map(|row| uid(row, "/uid")).collect());
    // Findings are valid OCSF like any record.
    let export = tarn(&["ocsf", "export", "--lake", text(&lake), "--class", "detection_finding"]).ok();
    let validated = crate::command::tarn_reading(&["ocsf", "validate", "-"], export.stdout.as_bytes());
    assert_eq!(validated.code, 0, "{}", validated.stdout);
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.txt"), "x").unwrap();
    let run = tarn(&["demo", "--events", "10", "--lake", text(folder.path())]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("is not a lake"), "{}", run.stderr);
}
