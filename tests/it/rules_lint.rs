//! `tarn rules lint`: findings, formats, exit codes.

use crate::command::{tarn, text};
use serde_json::Value;
use std::path::Path;

const GOOD: &str = "title: Users Are Listed by Somebody
id: 5f1f2e8c-6a5b-4c8d-9b6e-0d6a0b1c2d33
status: experimental
description: Somebody lists the users of the account.
references: [https://example.com/users]
author: An Author
date: 2026-11-20
tags: [attack.discovery, attack.t1087.004]
logsource: {product: aws, service: cloudtrail}
detection:
    selection:
        eventName: ListUsers
    condition: selection
falsepositives: [Inventory]
level: low
";

fn checks(folder: &Path) -> Vec<(String, u64, String)> {
    let cell = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = tarn(&["rules", "lint", text(folder)]).rows();
    rows.iter().map(|r| (cell(r, "check"), r["line"].as_u64().unwrap(), cell(r, "severity"))).collect()
}

#[test]
fn the_worst_finding_decides_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let lint = |more: &[&str]| tarn(&[&["rules", "lint", text(folder.path())], more].concat());
    let write = |rule: &str| std::fs::write(folder.path().join("rule.yml"), rule).unwrap();
    assert_eq!(lint(&[]).code, 2, "an empty folder");
    write(GOOD);
    let run = lint(&["--fail-on", "note"]).ok();
    assert!(run.stdout.is_empty() && run.stderr.contains("1 rules: 0 errors, 0 warnings, 0 notes"), "{}", run.stderr);

    write(&GOOD.replace("author: An Author\n", ""));
    assert_eq!((lint(&[]).code, lint(&["--fail-on", "note"]).code), (0, 1));
    write(&GOOD.replace("level: low", "level: urgent"));
    assert_eq!((lint(&[]).code, lint(&["--fail-on", "warning"]).code), (0, 1));
    assert_eq!(lint(&["--fail-on", "warning", "--skip", "level"]).code, 0);
    write(&GOOD.replace("condition: selection", "condition: selection and not selection"));
    assert_eq!(lint(&[]).code, 1);
    write(&GOOD.replace("condition: selection", "condition: selektion"));
    let run = lint(&[]);
    assert_eq!((run.code, &run.rows()[0]["line"], &run.rows()[0]["check"]), (1, &13.into(), &"load".into()));

    let run = lint(&["--skip", "levels"]);
    assert!(run.code == 2 && run.stderr.contains("levels"), "{}", run.stderr);
    assert_eq!(tarn(&["rules", "lint", "no-such-folder"]).code, 2);
    assert_eq!(tarn(&["rules", "lint"]).code, 2);
}

#[test]
fn fields_and_log_sources_are_looked_up_here() {
    let folder = tempfile::tempdir().unwrap();
    let write = |rule: &str| std::fs::write(folder.path().join("rule.yml"), rule).unwrap();
    write(&GOOD.replace("eventName: ListUsers", "eventName: ListUsers\n        eventNames: GetUser"));
    assert_eq!(checks(folder.path()), [("unknown-field".to_owned(), 13, "warning".to_owned())]);
    let row = &tarn(&["rules", "lint", text(folder.path())]).rows()[0];
    assert!(row["message"].as_str().unwrap().contains("the rule cannot run"), "{row}");
    assert!(row["hint"].as_str().unwrap().contains("`eventName`"), "{row}");
    // Of several sources that write a log source, one has it.
    let both = "eventName: ListUsers\n        callerIP: 192.0.2.1\n";
    let own = folder.path().join("sources");
    for (name, field) in [("first", "callerIP"), ("second", "caller")] {
        let mapping = format!(
            "[source]\nname = {name:?}\nversion = 1\nvendor_name = \"v\"\nproduct_name = \"p\"\nproduct = \"mine\"\n\
             [inventory]\nkept = [\"eventName\", {field:?}]\n[default]\nclass = \"base_event\"\n"
        );
        std::fs::create_dir_all(own.join(name)).unwrap();
        std::fs::write(own.join(name).join("mapping.toml"), mapping).unwrap();
    }
    write(&GOOD.replace("product: aws, service: cloudtrail", "product: mine").replace("eventName: ListUsers\n", both));
    let run = tarn(&["rules", "lint", "--sources", text(&own), text(folder.path())]);
    assert_eq!((run.code, run.rows().len()), (0, 0), "{}{}", run.stdout, run.stderr);
    write(&GOOD.replace("product: aws, service: cloudtrail", "product: toaster"));
    assert_eq!(checks(folder.path()), [("no-log-source".to_owned(), 9, "note".to_owned())]);
    let run = tarn(&["rules", "lint", "--skip", "no-log-source", text(folder.path())]).ok();
    assert_eq!(run.rows().len(), 0);
}

#[test]
fn findings_come_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("My Rule.yml"), GOOD.replace("author: An Author\n", "")).unwrap();
    let lint = |format: &str| tarn(&["rules", "lint", "--format", format, text(folder.path())]).ok().stdout;
    let json: Vec<Value> = serde_json::from_str(&lint("json")).unwrap();
    assert_eq!(json.iter().map(|f| f["check"].as_str().unwrap()).collect::<Vec<_>>(), ["author", "file-name"]);
    assert_eq!(json[0]["id"], "5f1f2e8c-6a5b-4c8d-9b6e-0d6a0b1c2d33");
    assert_eq!(lint("ndjson").lines().count(), 2);
    let csv = lint("csv");
    assert!(csv.starts_with("severity,file,line,id,check,message,hint\nnote,"), "{csv}");
    assert!(lint("table").contains("| severity "));

    let listed = tarn(&["rules", "lint", "--checks"]).ok().rows();
    assert!(listed.len() >= 40 && listed.iter().any(|c| c["check"] == "unknown-field"), "{} checks", listed.len());
}
