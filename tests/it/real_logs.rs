//! Real logs and rules, where they are: the labelled rule fires, every record is a valid row, and none is lost.

use crate::command::{data, files, tarn, tarn_reading, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The ids below `rule_metadata` in a case's `info.yml`.
fn expected(info: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(info).unwrap();
    let metadata = text.split("rule_metadata:").nth(1).unwrap_or_default();
    let ids = metadata.lines().filter_map(|l| l.trim().trim_start_matches("- ").strip_prefix("id:"));
    ids.map(|id| id.trim().to_owned()).collect()
}

#[test]
fn every_regression_case_fires_its_rule_from_evtx_and_from_json() {
    let Some(data) = data() else { return };
    let cases = data.join("sigmahq/regression_data");
    let logs: Vec<PathBuf> = [files(&cases, ".evtx"), files(&cases, ".json")].concat();
    let mut arguments = vec!["detect".to_owned()];
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting"] {
        arguments.extend(["--rules".to_owned(), text(&data.join("sigmahq").join(folder)).to_owned()]);
    }
    arguments.extend(logs.iter().map(|p| text(p).to_owned()));
    let mut fired: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in tarn(&arguments).ok().rows() {
        let of = fired.entry(finding["file"].as_str().unwrap().to_owned()).or_default();
        of.insert(finding["rule"]["id"].as_str().unwrap().to_owned());
    }
    let mut missed = Vec::new();
    for log in &logs {
        let expected = expected(&log.with_file_name("info.yml"));
        assert!(!expected.is_empty(), "{}", log.display());
        if !expected.is_subset(fired.get(text(log)).unwrap_or(&BTreeSet::new())) {
            missed.push(log);
        }
    }
    assert!(logs.len() >= 266, "only {} cases", logs.len());
    assert!(missed.is_empty(), "{} of {} do not fire: {missed:#?}", missed.len(), logs.len());
}

#[test]
fn every_record_is_a_valid_row() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut logs = files(&data.join("stratus/detonation-logs"), ".json");
    logs.extend(files(&data.join("sigmahq/regression_data"), ".evtx"));
    logs.extend(files(&data.join("windows"), "ordered-20k.ndjson.gz"));
    for name in ["AWS.CloudTrail", "Amazon.EKS.Audit"] {
        let labelled = std::fs::read_to_string(data.join(format!("labelled-logs/{name}.ndjson"))).unwrap();
        let events = labelled.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].to_string());
        let path = folder.path().join(format!("{name}.ndjson"));
        std::fs::write(&path, events.collect::<Vec<_>>().join("\n")).unwrap();
        logs.push(path);
    }
    let mut arguments = vec!["ingest", "--lake", text(&lake)];
    arguments.extend(logs.iter().map(|p| text(p)));
    // Ends with an error unless records in are rows and dead letters.
    let added = tarn(&arguments).ok().rows();
    assert!(added.iter().all(|r| r["table"] != "dead_letters"), "{added:?}");
    assert!(tarn(&arguments).ok().rows().is_empty(), "a second run adds nothing");
    let export = tarn(&["ocsf", "export", "--lake", text(&lake)]).ok().stdout;
    let rows: u64 = added.iter().map(|r| r["rows"].as_u64().unwrap()).sum();
    assert_eq!(export.lines().count() as u64, rows);
    let run = tarn_reading(&["ocsf", "validate", "-"], export.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stdout.lines().take(20).collect::<Vec<_>>().join("\n"));
}

#[test]
fn nearly_all_field_uses_of_the_public_rules_resolve() {
    let Some(data) = data() else { return };
    let sigma = data.join("sigmahq");
    for folder in ["rules/windows", "rules/cloud/aws", "rules/application/kubernetes", "rules/linux/auditd"] {
        let run = tarn(&["rules", "check", text(&sigma.join(folder))]);
        // The table on stderr: product, rules, run, field uses, unknown, percent.
        let unresolved: Vec<f64> = run
            .stderr
            .lines()
            .skip_while(|l| !l.starts_with("product"))
            .skip(1)
            .map(|l| l.split_whitespace().last().unwrap().parse().unwrap())
            .collect();
        assert!(!unresolved.is_empty() && unresolved.iter().all(|p| *p < 1.0), "{folder}: {}", run.stderr);
    }
}
