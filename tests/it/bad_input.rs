//! Hostile and broken input: a clear message, the rest goes on, nothing is lost, nothing panics.

use crate::command::{tarn, tarn_reading, text};
use std::path::Path;

const RULE: &str = "title: Any command\nlogsource:\n  product: windows\ndetection:\n  selection:\n    CommandLine|contains: whoami\n  condition: selection\n";

fn rule(folder: &Path) -> String {
    let path = folder.join("rule.yml");
    std::fs::write(&path, RULE).unwrap();
    text(&path).to_owned()
}

fn event(more: &str) -> String {
    format!(
        "{{\"EventTime\":\"2026-03-17 10:00:00\",\"Hostname\":\"ws-1\",\"EventID\":1,\
         \"SourceName\":\"Microsoft-Windows-Sysmon\",\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\
         \"CommandLine\":\"whoami /all\"{more}}}\n"
    )
}

/// Every good record fires, and there is a word on every bad one.
fn check(name: &str, bytes: &[u8], fires: usize, said: &str) {
    let folder = tempfile::tempdir().unwrap();
    let run = tarn_reading(&["detect", "--rules", &rule(folder.path()), "-"], bytes).ok();
    assert_eq!(run.rows().len(), fires, "{name}: {}", run.stderr);
    assert!(run.stderr.contains(said), "{name}: {}", run.stderr);
    let lake = folder.path().join("lake");
    let run = tarn_reading(&["ingest", "--lake", text(&lake), "-"], bytes).ok();
    assert!(run.stderr.contains(said), "{name}: {}", run.stderr);
    if fires > 0 {
        let query = "SELECT count(*) AS n FROM process_activity";
        assert_eq!(tarn(&["sql", "--lake", text(&lake), query]).ok().rows()[0]["n"], fires, "{name}");
    }
}

#[test]
fn bad_records_between_good_ones() {
    let good = event("");
    let around = |bad: &[u8]| [good.as_bytes(), bad, b"\n", good.as_bytes()].concat();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    check("broken JSON", &around(b"{\"a\": }"), 2, "record 2");
    check("invalid UTF-8", &around(b"{\"a\": \"\xff\xfe\"}"), 2, "record 2");
    check("no object", &around(b"42"), 2, "record 2");
    check("deep nesting", &around(format!("{{\"a\": {deep}}}").as_bytes()), 2, "record 2");
    check("wrong types", event(",\"ProcessId\":{\"x\":[]},\"Image\":7,\"UtcTime\":[null]").as_bytes(), 1, "");
    check("a cut end", &good.as_bytes()[..good.len() - 9], 0, "the input ends inside a record");
    check("nothing", b"", 0, "");
}

#[test]
fn a_line_of_100_megabytes() {
    let good = event("");
    let mut bytes = good.clone().into_bytes();
    bytes.extend_from_slice(b"{\"a\":\"");
    bytes.resize(bytes.len() + (100 << 20), b'x');
    bytes.extend_from_slice(b"\"}\n");
    bytes.extend_from_slice(good.as_bytes());
    check("a line of 100 MB", &bytes, 2, "the limit is");
}

#[test]
fn compressed_streams_that_break() {
    let plain: String = (0..10_000).map(|n| event(&format!(",\"N\":{n}"))).collect();
    let whole = zstd::encode_all(plain.as_bytes(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = tarn_reading(&["detect", "--rules", &rule(folder.path()), "-"], &whole[..whole.len() / 2]).ok();
    assert!(run.stderr.contains("cannot decompress further"), "{}", run.stderr);
}

#[test]
fn paths_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule(folder.path());
    for (arguments, code, said) in [
        (vec!["detect", "--rules", &rule, "/no/such/folder"], 2, "/no/such/folder"),
        (vec!["detect", "--rules", "/no/rules", "-"], 2, "/no/rules"),
        (vec!["sql", "--lake", "/no/lake", "SELECT 1"], 2, "there is no lake"),
        (vec!["detect", "--rules", &rule, "--source", "toaster", "-"], 2, "toaster"),
        (vec!["ingest", "--lake", "/proc/lake", &rule], 1, "/proc/lake"),
        (vec!["nonsense"], 2, "nonsense"),
    ] {
        let run = tarn(&arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn one_unreadable_file_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let rule = rule(folder.path());
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("a.parquet"), b"PAR1 and then nothing of the kind").unwrap();
    std::fs::write(logs.join("b.evtx"), b"ElfFile\0 cut").unwrap();
    std::fs::write(logs.join("c.ndjson"), event("")).unwrap();
    let run = tarn(&["detect", "--rules", &rule, text(&logs)]);
    assert_eq!((run.code, run.rows().len()), (1, 1), "{}", run.stderr);
    assert!(run.stderr.contains("a.parquet: not a readable Parquet file"), "{}", run.stderr);
    assert!(run.stderr.contains("b.evtx"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn links_are_followed_where_they_lead() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let rule = rule(folder.path());
    let (logs, elsewhere) = (folder.path().join("logs"), folder.path().join("elsewhere"));
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("log.ndjson"), event("")).unwrap();
    symlink(elsewhere.join("log.ndjson"), logs.join("file.ndjson")).unwrap();
    symlink(&elsewhere, logs.join("folder")).unwrap();
    symlink(&logs, logs.join("loop")).unwrap();
    symlink("gone", logs.join("dangling")).unwrap();
    let run = tarn(&["detect", "--rules", &rule, text(&logs)]).ok();
    assert_eq!(run.rows().len(), 2, "{}", run.stdout);
    assert!(run.stderr.contains("loop") && run.stderr.contains("dangling"), "{}", run.stderr);
}
