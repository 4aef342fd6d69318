//! `tarn ingest`, `sql` and `ocsf`: once and whole.

use crate::command::{tarn, tarn_reading, text};
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
