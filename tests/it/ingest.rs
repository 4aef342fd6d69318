//! `tarn ingest`, `sql` and `ocsf`: once and whole.

use crate::command::{tarn, tarn_reading, text as text_of, text};
use std::io::Write;
use std::path::Path;

fn event(n: usize, name: &str) -> String {
    format!(
        "{{\"eventVersion\":\"1.09\",\"eventID\":\"00000000-0000-4000-8000-{n:012}\",\"eventTime\":\"2026-03-17T10:00:00Z\",\
         \"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"{name}\",\"awsRegion\":\"eu-north-1\",\
         \"sourceIPAddress\":\"198.51.100.7\",\"userIdentity\":{{\"type\":\"IAMUser\",\"userName\":\"anna\"}}}}\n"
    )
}

fn count(lake: &Path, table: &str) -> i64 {
    let rows = tarn(&["sql", "--lake", text(lake), &format!("SELECT count(*) AS n FROM {table}")]).ok().rows();
    rows[0]["n"].as_i64().unwrap()
}

#[test]
fn again_adds_nothing_and_a_grown_file_adds_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("log.ndjson"));
    std::fs::write(&log, (0..100).map(|n| event(n, "ListUsers")).collect::<String>()).unwrap();
    let ingest = || tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    assert_eq!(ingest().rows()[0]["rows"], 100);
    assert!(ingest().rows().is_empty());
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all((100..150).map(|n| event(n, "GetUser")).collect::<String>().as_bytes()).unwrap();
    assert_eq!(ingest().rows()[0]["rows"], 50);
    assert_eq!(count(&lake, "api_activity"), 150);
    let distinct = "(SELECT DISTINCT metadata.uid FROM api_activity)";
    assert_eq!(count(&lake, distinct), 150);
}

/// Killed at any time, the next run has each record once.
#[test]
fn kill_minus_nine_loses_and_repeats_nothing() {
    const EVENTS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let (lake, logs) = (folder.path().join("lake"), folder.path().join("logs"));
    std::fs::create_dir(&logs).unwrap();
    for file in 0..4 {
        let range = file * EVENTS / 4..(file + 1) * EVENTS / 4;
        let text: String = range.map(|n| event(n, if n % 7 == 0 { "ConsoleLogin" } else { "ListUsers" })).collect();
        std::fs::write(logs.join(format!("{file}.ndjson")), text).unwrap();
    }
    let arguments = ["ingest", "--lake", text_of(&lake), text_of(&logs)];
    let mut killed = 0;
    for wait in (0..12).map(|n| std::time::Duration::from_millis(60 * n)) {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tarn"))
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(wait);
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(killed > 0);
    tarn(&arguments).ok();
    assert!(tarn(&arguments).ok().rows().is_empty());
    let rows = |of: &str| count(&lake, &format!("({of} FROM api_activity UNION ALL {of} FROM authentication)"));
    assert_eq!(rows("SELECT metadata.uid"), EVENTS as i64);
    assert_eq!(rows("SELECT DISTINCT metadata.uid"), EVENTS as i64);
}

/// What a file's end cut off is read again when the file has grown; what it did not cut off is not.
#[test]
fn a_cut_line_comes_again_once_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("log"));
    let logon = "Mar 17 10:30:00 web1 sshd[100]: Accepted password for anna from 198.51.100.7 port 40000 ssh2\n";
    let mut seen = 0;
    let mut grown = |text: &str, rows: usize| {
        std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap().write_all(text.as_bytes()).unwrap();
        let run = tarn(&["ingest", "--lake", text_of(&lake), text_of(&log)]).ok();
        seen += rows;
        assert_eq!(run.rows().iter().map(|r| r["rows"].as_u64().unwrap()).sum::<u64>(), rows as u64, "{text}");
        assert_eq!(count(&lake, "(SELECT DISTINCT metadata.uid FROM authentication)"), seen as i64);
    };
    grown(logon, 1);
    grown(logon.trim_end(), 1);
    grown("\n", 0);
    grown(&logon[..logon.len() - 10], 1);
    grown(&logon[logon.len() - 10..], 1);
    grown("", 0);
}

/// An audit event that was waiting for more of its lines is there once, and whole when they came.
#[test]
fn an_event_whose_lines_come_later_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("audit.log"));
    let event = |n: u32| {
        format!(
            "type=SYSCALL msg=audit(1773743400.{n:03}:{n}): arch=c000003e syscall=59 success=yes pid={n} uid=0 \
             exe=\"/usr/bin/id\"\ntype=PATH msg=audit(1773743400.{n:03}:{n}): item=0 name=\"/usr/bin/id\"\n\
             type=EOE msg=audit(1773743400.{n:03}:{n}):\n"
        )
    };
    let first = event(1) + event(2).lines().next().unwrap() + "\nno audit line\n" + event(3).lines().next().unwrap();
    std::fs::write(&log, &first).unwrap();
    let ingest = || -> u64 {
        let run = tarn(&["ingest", "--lake", text_of(&lake), text_of(&log)]).ok();
        run.rows().iter().map(|r| r["rows"].as_u64().unwrap()).sum()
    };
    assert_eq!(ingest(), 4);
    assert_eq!(ingest(), 0);
    // The third event is whole now; the second stays as it was, and so does the dead letter.
    let rest: String = event(3).lines().skip(1).map(|l| format!("\n{l}")).collect();
    std::fs::write(&log, first + &rest + "\n" + &event(4)).unwrap();
    assert_eq!(ingest(), 2);
    assert_eq!(ingest(), 0);
}

#[test]
fn what_is_no_record_is_a_dead_letter_with_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("log.ndjson"));
    let broken = "{\"eventName\": oops}\n";
    std::fs::write(&log, event(1, "A") + broken + &event(2, "B") + "[1,2\n").unwrap();
    let run = tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    assert!(run.stderr.contains("log.ndjson: record 2"), "{}", run.stderr);
    assert_eq!(count(&lake, "api_activity"), 2);
    let query = "SELECT record, CAST(bytes AS VARCHAR) AS bytes, reason FROM dead_letters ORDER BY record";
    let rows = tarn(&["sql", "--lake", text(&lake), query]).ok().rows();
    assert_eq!(rows[0]["bytes"].as_str().unwrap().trim(), broken.trim());
    assert!(rows[0]["reason"].as_str().unwrap().contains("broken JSON"));
}

#[test]
fn standard_input_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let plain = (0..10).map(|n| event(n, "ListUsers")).collect::<String>();
    let zipped = zstd::encode_all(plain.as_bytes(), 1).unwrap();
    for bytes in [plain.as_bytes(), &zipped] {
        tarn_reading(&["ingest", "--lake", text(&lake), "-"], bytes).ok();
    }
    assert_eq!(count(&lake, "api_activity"), 20);
}

#[test]
fn nested_rows_are_valid_ocsf() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("log.ndjson"));
    std::fs::write(&log, event(1, "ListUsers")).unwrap();
    tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    let rows = tarn(&["sql", "--lake", text(&lake), "--nested", "SELECT * FROM api_activity"]).ok().rows();
    assert_eq!(rows[0]["actor"]["user"]["name"], "anna");
    let export = tarn(&["ocsf", "export", "--lake", text(&lake)]).ok().stdout;
    assert_eq!(tarn_reading(&["ocsf", "validate", "-"], export.as_bytes()).code, 0);
    let wrong = export.replace("\"class_uid\":6003", "\"class_uid\":6003,\"nonsense\":1");
    let run = tarn_reading(&["ocsf", "validate", "-"], wrong.as_bytes());
    assert_eq!(run.code, 1);
    assert_eq!(
        (run.rows()[0]["path"].as_str(), run.rows()[0]["rule"].as_str()),
        (Some("nonsense"), Some("attribute_unknown"))
    );
}

/// Small files become one, old days go, and what nobody needs is deleted; each says first what it would do.
#[test]
fn upkeep_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, log) = (folder.path().join("lake"), folder.path().join("log.ndjson"));
    for run in 0..4 {
        std::fs::write(&log, (run * 10..run * 10 + 10).map(|n| event(n, "ListUsers")).collect::<String>()).unwrap();
        tarn(&["ingest", "--lake", text(&lake), text(&log)]).ok();
    }
    let of_lake = |command: &str, more: &[&str]| {
        tarn(&[&["lake", command, "--lake", text(&lake), "--format", "ndjson"], more].concat())
    };
    assert!(of_lake("compact", &["--files-min", "5"]).ok().rows().is_empty(), "four files are too few");
    let would = of_lake("compact", &["--dry-run"]).ok().rows();
    assert_eq!((&would[0]["files"], &would[0]["bytes_after"]), (&4.into(), &serde_json::Value::Null), "{would:?}");
    let done = of_lake("compact", &[]).ok().rows();
    assert_eq!((&done[0]["event_day"], &done[0]["rows"]), (&"2026-03-17".into(), &40.into()), "{done:?}");
    assert_eq!(count(&lake, "api_activity"), 40);
    assert!(of_lake("compact", &[]).ok().rows().is_empty());
    let refused = of_lake("vacuum", &["--hours", "1"]);
    assert!(refused.code == 2 && refused.stderr.contains("--force"), "{}", refused.stderr);
    assert!(of_lake("vacuum", &["--hours", "24"]).ok().rows().is_empty(), "nothing is a day old");
    assert_eq!(of_lake("vacuum", &["--hours", "0", "--force", "--dry-run"]).ok().rows().len(), 4);
    assert_eq!(of_lake("vacuum", &["--hours", "0", "--force"]).ok().rows().len(), 4);
    assert_eq!(count(&lake, "api_activity"), 40);
    assert!(of_lake("retain", &["--days", "1", "--table", "nowhere"]).code == 2);
    let gone = of_lake("retain", &["--days", "1", "--table", "api_activity"]).ok().rows();
    assert_eq!(gone[0]["rows"], 40, "{gone:?}");
    assert_eq!(count(&lake, "api_activity"), 0);
}
