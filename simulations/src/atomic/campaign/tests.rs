#![allow(clippy::unwrap_used)]
use super::*;
use crate::atomic::allowed::digest;
use crate::atomic::definition::parse;
use crate::atomic::judge::Judge;
use crate::atomic::spec::{Action, Call, Change, Process};
use crate::score;
use std::io::Cursor;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::container::{Blocks, Limits};
use tarn_ingest::identity::record_uid;
use tarn_ingest::source::Sources;
use tarn_rules::LoadOptions;

const TEST: &str = "attack_technique: T1070.003\natomic_tests:\n- name: Forget\n  auto_generated_guid: 12345678-0000\n  executor: { name: bash, command: rm ~/.bash_history }\n- name: Another\n  auto_generated_guid: 12345678-0001\n  executor: { name: sh, command: 'true' }\n";
const RULES: [(&str, &str); 2] = [
    (
        "remove.yml",
        "title: Removes\nid: 00000000-0000-4000-8000-000000000001\ntags: [attack.t1070]\nlogsource: { product: linux, category: process_creation }\ndetection: { selection: { Image|endswith: /rm, CommandLine|contains: .bash_history, ParentImage|endswith: /bash, User: user, CurrentDirectory: /home/user }, condition: selection }\nlevel: medium\n",
    ),
    (
        "deleted.yml",
        "title: Deleted\nid: 00000000-0000-4000-8000-000000000002\ntags: [attack.t1485]\nlogsource: { product: linux, category: file_delete }\ndetection: { selection: { TargetFilename: /home/user/.bash_history, Image: /usr/bin/rm }, condition: selection }\nlevel: low\n",
    ),
];

fn process(pid: i32, parent_pid: i32, exe: &str, arguments: &[&str]) -> Process {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    let comm = exe.rsplit('/').next().unwrap_or("").to_owned();
    Process { pid, parent_pid, exe: exe.into(), comm, arguments, directory: "/home/user".into() }
}

fn captured() -> Vec<Captured> {
    let shell = process(2, 1, "/usr/bin/bash", &["bash", "-c", "rm ~/.bash_history"]);
    let rm = process(3, 2, "/usr/bin/rm", &["rm", "/home/user/.bash_history"]);
    let call = Call { number: 263, name: "unlinkat".into() };
    let deleted = Action::File { call, change: Change::Deleted, path: "/home/user/.bash_history".into(), exit: 0 };
    let at = |time_us, process: &Process, parent: Option<&Process>, action| Captured {
        time_us,
        process: process.clone(),
        parent: parent.cloned(),
        action,
    };
    vec![
        at(1_773_743_490_000_000, &shell, None, Action::Exec),
        at(1_773_743_490_100_000, &rm, Some(&shell), Action::Exec),
        at(1_773_743_490_200_000, &rm, Some(&shell), deleted),
    ]
}

fn ran(captured: Vec<Captured>) -> Run {
    let outcome = Outcome::Ran { exit: Some(0), timed_out: false, cleanup: None, output: String::new() };
    Run { captured, outcome, took: Duration::ZERO }
}

#[test]
fn events_go_through_the_real_mapping_and_are_scored_by_technique() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in RULES {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let set = tarn_rules::load(&[folder.path().to_owned()], &LoadOptions::default());
    let (engine, _) = Engine::new(Arc::new(Sources::builtin().unwrap()), set);
    let tests = parse(TEST).unwrap();
    let run = ran(captured());
    let lines = Writer::default().lines(&tests[0], "sandbox-1", &run.captured);
    let now = Utc::now();
    let judged = Judge::new(Arc::new(engine)).judge(&lines, now);
    let titles: Vec<_> = judged.findings.iter().map(|f| f.title.as_str()).collect();
    assert_eq!(titles, ["Removes", "Deleted"]);
    assert_eq!(judged.findings[0].events, [judged.uids[1].clone()]);
    assert_eq!(judged.uids, uids_in_a_file(&lines), "as in a lake that gets the file of --write-events");

    let unmet = ran(Vec::new());
    let unmet = Run { outcome: Outcome::Unmet { description: "x is there".into() }, ..unmet };
    let trials = [
        trial(&tests[0], Ok((&run, &judged))),
        trial(&tests[1], Ok((&unmet, &Judged::default()))),
        trial(&tests[1], Err("changed")),
    ];
    assert_eq!((trials[0].id.as_str(), trials[0].records), ("T1070.003/12345678", 3));
    let about = score::Run { id: "r".into(), kind: "atomic".into(), started: now, ended: now };
    let card = score::score(about, &trials, &judged.findings, None);
    let verdicts: Vec<_> = card.techniques.iter().map(score::Technique::verdict).collect();
    assert_eq!(verdicts, ["detected", "not run", "not run"]);
    assert_eq!(card.techniques[1].skipped.as_deref(), Some("prerequisite not met: x is there"));
}

/// The uids of the events of a file.
fn uids_in_a_file(lines: &[String]) -> Vec<String> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut blocks = Blocks::open(Cursor::new(text.into_bytes()), Limits::default()).unwrap();
    let block = blocks.next_block().unwrap().unwrap();
    block.records.iter().map(|record| record_uid(&block, record)).collect()
}

#[test]
fn two_tests_share_no_serial_and_no_process() {
    let tests = parse(TEST).unwrap();
    let mut writer = Writer::default();
    let mut seen = std::collections::BTreeSet::new();
    for test in &tests {
        for line in writer.lines(test, "h", &captured()[..1]) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(event["ATOMIC_GUID"], test.guid.as_str());
            assert!(seen.insert(event["ID"].to_string()) && seen.insert(event["SYSCALL"]["pid"].to_string()));
        }
    }
}

#[test]
fn only_listed_tests_are_entries() {
    let tests = parse(TEST).unwrap();
    let entry = |guid: &str, digest: &str| {
        format!("- {{ technique: T1070.003, guid: '{guid}', digest: '{digest}', reason: invented }}\n")
    };
    let text = entry("12345678-0000", &digest(&tests[0])) + &entry("12345678-0001", "0123456789abcdef0123456789abcdef");
    let all = |list: &str, wanted: &dyn Fn(&Test) -> bool| {
        entries(&tests, &List::parse(list).unwrap(), Path::new("/x"), Duration::from_secs(1), wanted)
    };
    let both = all(&text, &|_| true);
    assert!(both[0].spec.is_ok());
    assert!(both[1].spec.as_ref().unwrap_err().starts_with("changed since its review"), "{:?}", both[1].spec);
    assert_eq!(all(&text, &|t| t.name == "Forget").len(), 1);
    assert_eq!(all("[]", &|_| true).len(), 0);
}
