//! Records that are OCSF when they come, such as evidence: rules find in the lake what they find in the stream.

use super::{check_same, findings};
use crate::command::{tarn, text};
use serde_json::{Value, json};
use std::path::Path;
use tarn_rules::events::{Happens, of_rule};

/// Every event of the rules' own test cases, each case an hour after the one before, times and uids of its own.
fn records(rules: &Path) -> Vec<Value> {
    let (mut records, mut start) = (Vec::new(), 1_773_743_400_000_i64);
    let mut files: Vec<_> = std::fs::read_dir(rules).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| !text(file).ends_with(".events.yml")) {
        for case in of_rule(file).unwrap().unwrap_or_default() {
            let events: Vec<(i64, Value)> = match case.happens {
                Happens::Event(event) => vec![(0, event)],
                Happens::Sequence(steps) => steps.iter().flat_map(|step| step.events().collect::<Vec<_>>()).collect(),
            };
            for (after_us, mut event) in events {
                event["time"] = json!(start + after_us / 1_000);
                event["metadata"]["uid"] = json!(format!("record-{}", records.len()));
                records.push(event);
            }
            start += 3_600_000;
        }
    }
    records.sort_by_key(|record| record["time"].as_i64());
    records
}

#[test]
fn evidence_is_found_in_the_lake_as_in_the_stream() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = root.join("rules/sigma/trust");
    let folder = tempfile::tempdir().unwrap();
    let (log, lake) = (folder.path().join("evidence.ndjson"), folder.path().join("lake"));
    let lines: String = records(&rules).iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(&log, lines).unwrap();
    let golden = root.join("ingest/sources/ocsf/trust.input.json");
    tarn(&["ingest", "--lake", text(&lake), text(&log), text(&golden)]).ok();

    let streamed = findings(&tarn(&["detect", "--rules", text(&rules), text(&log), text(&golden)]).ok());
    let loaded = tarn_rules::load(std::slice::from_ref(&rules), &tarn_rules::LoadOptions::default());
    let rules_of_all = loaded.rules.iter().map(|rule| &rule.about);
    // What has a name is there for correlations, and says nothing of its own.
    for rule in rules_of_all.chain(loaded.correlations.iter().map(|c| &c.about)).filter(|about| about.name.is_none()) {
        let found = streamed.values().any(|finding| finding["rule"]["title"] == rule.title.as_str());
        assert!(found, "{}", rule.title);
    }
    check_same(&findings(&tarn(&["hunt", "--lake", text(&lake), "--rules", text(&rules)]).ok()), &streamed);

    // In SQL, a rule joins the evidence.
    let query = "SELECT count(*) AS n FROM sigma('Key Released to an Environment in Debug Mode') s \
                 JOIN key_release k ON k.metadata.uid = s.event_uid WHERE k.tee_evidence.is_debug";
    let rows = tarn(&["sql", "--lake", text(&lake), "--rules", text(&rules), "--format", "ndjson", query]).ok().rows();
    assert_eq!(rows[0]["n"], 2);
}
