//! The version on disk, and that what earlier releases wrote opens and grows.

use crate::events::{ingest_text, lake_in, number, small};
use std::fs;
use std::path::{Path, PathBuf};
use tarn_lake::dead_letter::{self, DeadLetter};
use tarn_lake::{IngestOptions, Lake, LakeError, StoreOptions};

#[tokio::test]
async fn a_newer_format_is_refused_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    lake_in(folder.path()).await;
    let file = folder.path().join("tarn.json");
    let open = || async { Lake::open(folder.path().to_str().unwrap(), &StoreOptions::default()).await };
    open().await.unwrap();
    fs::write(&file, r#"{"format": 3, "something": "else"}"#).unwrap();
    let error = open().await.unwrap_err();
    assert!(matches!(error, LakeError::NewerFormat { found: 3, supported: 2, .. }), "{error}");
    fs::write(&file, "{").unwrap();
    assert!(matches!(open().await.unwrap_err(), LakeError::Damaged { .. }));
}

/// Where a lake of that format is kept; the first release that had the format wrote it.
fn fixture(format: u64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

/// The newest format that this release writes: that of a lake which a durable log streams into.
async fn written_now() -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.reach(LOG, 1);
    ingest.commit().await.unwrap();
    let text = fs::read_to_string(folder.path().join("tarn.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["format"].as_u64().unwrap()
}

/// Containers of two lines, shorter than what names a content, and longer than a head.
fn texts() -> [(&'static str, String); 2] {
    let long = |word: &str| format!("1001 0 {word}-{}\n", "x".repeat(40_000));
    [("short", "1001 0 short-1\n1001 0 short-2\n".to_owned()), ("long", long("long-1") + &long("long-2"))]
}

/// A durable log, and how far it is in fixtures from format 2 on.
const LOG: &str = "log/fixture";
const POSITION: u64 = 41;

/// A new format's fixture, with `TARN_BLESS=1`; one that is there is not written again.
async fn write_fixture(folder: &Path) {
    let lake = lake_in(folder).await;
    small(&lake).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    for (name, text) in texts() {
        ingest_text(&mut ingest, name, &text, 100).await.unwrap();
    }
    let letter = DeadLetter { container: "short", record: 3, offset: None, bytes: b"{", reason: "cut off" };
    let now = chrono::DateTime::from_timestamp_micros(crate::events::START).unwrap();
    ingest.dead_letters(dead_letter::batch([letter], now).unwrap()).await.unwrap();
    ingest.reach(LOG, POSITION);
    ingest.commit().await.unwrap();
    // Delta's log says where a table was made: not where on somebody's machine.
    for table in fs::read_dir(folder.join("tables")).unwrap() {
        let first = table.unwrap().path().join("_delta_log/00000000000000000000.json");
        let text = fs::read_to_string(&first).unwrap();
        fs::write(&first, text.replace(folder.to_str().unwrap(), "/lake")).unwrap();
    }
}

#[tokio::test]
async fn what_earlier_releases_wrote_opens_and_grows() {
    for format in 1..=written_now().await {
        let fixture = fixture(format);
        if !fixture.exists() && std::env::var_os("TARN_BLESS").is_some() {
            write_fixture(&fixture).await;
        }
        assert!(fixture.join("tarn.json").is_file(), "{} is missing", fixture.display());
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture, folder.path());
        opens_and_grows(folder.path()).await;
        let lake = lake_in(folder.path()).await;
        let reached = lake.ingest(IngestOptions::default()).await.unwrap().reached(LOG);
        assert_eq!(reached, if format == 1 { 0 } else { POSITION }, "format {format}");
    }
}

/// A lake stays of the format that it was made with until something needs more, and a checkpoint keeps positions.
#[tokio::test]
async fn positions_raise_the_format_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let format = || fs::read_to_string(folder.path().join("tarn.json")).unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    assert!(format().contains("\"format\": 1"), "{}", format());
    for position in 1..=70 {
        let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
        assert_eq!(ingest.reached(LOG), position - 1);
        ingest.reach(LOG, position);
        ingest.commit().await.unwrap();
    }
    assert!(format().contains("\"format\": 2"), "{}", format());
    assert!(folder.path().join("ingest/checkpoint.json").is_file(), "too few entries for one");
}

async fn opens_and_grows(folder: &Path) {
    let lake = Lake::open(folder.to_str().unwrap(), &StoreOptions::default()).await.unwrap();
    let alice = "SELECT count(*) FROM api_activity WHERE actor.user.name = 'alice' AND time < '2025-03-02T00:00:00Z'";
    let deep = "SELECT count(*) FROM api_activity WHERE json_get(unmapped, 'nested.deep[1]') = '2' \
                AND resources[1].type = 'role'";
    let lines = "SELECT count(*) FROM class_1001";
    assert_eq!(number(&lake, alice).await, 1);
    assert_eq!(number(&lake, deep).await, 1);
    assert_eq!(
        number(&lake, "SELECT count(*) FROM dead_letters WHERE record = 3 AND event_day = '2025-03-01'").await,
        1
    );
    assert_eq!(number(&lake, lines).await, 4);
    // Its containers are known, and grow; its tables, too.
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    for (name, text) in texts() {
        assert!(ingest_text(&mut ingest, name, &text, 100).await.unwrap().is_none(), "{name} is known");
        let grown = text + "1001 0 more\n";
        assert!(ingest_text(&mut ingest, name, &grown, 100).await.unwrap().is_some(), "{name} has grown");
    }
    ingest.commit().await.unwrap();
    assert_eq!(number(&lake, lines).await, 6);
    small(&lake).await;
    assert_eq!(number(&lake, alice).await, 2);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}
