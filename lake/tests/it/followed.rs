//! A table's log is followed from version to version: what is known by its changes is what it says as a whole.

use crate::events::{DAY, START, batch, lake_in};
use chrono::DateTime;
use serde_json::{Value as Json, json};
use std::path::Path;
use tarn_lake::upkeep::{CompactOptions, compact, retain};
use tarn_lake::{IngestOptions, Lake, LakeError};
use tarn_schema_ocsf::record::Value;

const TABLE: &str = "api_activity";

/// A commit of rows over three days, of other columns now and then.
async fn append(lake: &Lake, number: i64) -> Result<(), LakeError> {
    let uids: Vec<String> = (0..3).map(|row| format!("{number}-{row}")).collect();
    let text = format!("call {number}");
    let row = |row: i64| {
        let mut values = vec![("metadata.uid", Value::Text(&uids[row as usize]))];
        match number % 10 {
            3 => values.push(("api.operation", Value::Text(&text))),
            7 => values.push(("api.service.name", Value::Text(&text))),
            _ => {}
        }
        (START + row * DAY + number, values)
    };
    let mut ingest = lake.ingest(IngestOptions::default()).await?;
    ingest.append(TABLE, batch(6003, &[row(0), row(1), row(2)])).await?;
    ingest.commit().await.map(|_| ())
}

/// Everything that is known of the table.
async fn known(lake: &Lake) -> String {
    format!("{:#?}", lake.table(TABLE).await.unwrap())
}

async fn same(follower: &Lake, folder: &Path, when: &str) {
    assert_eq!(known(follower).await, known(&lake_in(folder).await).await, "{when}");
}

fn log(folder: &Path, version: u64) -> std::path::PathBuf {
    folder.join(format!("tables/{TABLE}/_delta_log/{version:020}.json"))
}

async fn version(lake: &Lake) -> u64 {
    lake.table(TABLE).await.unwrap().unwrap().version
}

#[tokio::test]
async fn following_is_reading() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, now_and_then, rarely) =
        (lake_in(folder.path()).await, lake_in(folder.path()).await, lake_in(folder.path()).await);
    let options = CompactOptions { target_bytes: 128 << 20, files_min: 2, outliers: true };
    for number in 0..105 {
        append(&writer, number).await.unwrap();
        match number % 30 {
            11 => assert!(!compact(&writer, TABLE, &options, false).await.unwrap().is_empty()),
            // By another process, which the writer has to follow.
            23 => assert!(!compact(&now_and_then, TABLE, &options, false).await.unwrap().is_empty()),
            _ => {}
        }
        if number == 95 {
            let now = DateTime::from_timestamp_micros(START + DAY).unwrap();
            assert!(retain(&writer, TABLE, 0, now, false).await.unwrap().files > 0);
        }
        // Reading a log as a whole takes longer than all else here.
        if number % 6 == 5 {
            same(&writer, folder.path(), &format!("own commits to {number}")).await;
        }
        if number % 14 == 0 {
            same(&now_and_then, folder.path(), &format!("some commits to {number}")).await;
        }
        if number == 0 || number == 104 {
            same(&rarely, folder.path(), "more commits than are gone through one by one").await;
        }
    }
    assert!(folder.path().join(format!("tables/{TABLE}/_delta_log/_last_checkpoint")).exists());
}

#[tokio::test]
async fn a_log_that_was_cut_and_another_table_are_read_anew() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (writer, behind) = (lake_in(folder.path()).await, lake_in(folder.path()).await);
    for number in 0..97 {
        append(&writer, number).await.unwrap();
    }
    same(&behind, folder.path(), "before").await;
    for number in 97..102 {
        append(&writer, number).await.unwrap();
    }
    let checkpoint = std::fs::read_to_string(folder.path().join(format!("tables/{TABLE}/_delta_log/_last_checkpoint")));
    let checkpoint: Json = serde_json::from_str(&checkpoint.unwrap()).unwrap();
    for version in 0..checkpoint["version"].as_u64().unwrap() {
        std::fs::remove_file(log(folder.path(), version)).unwrap();
    }
    same(&behind, folder.path(), "cut").await;

    // As many versions as the first had, so that a commit of that number is there.
    let elsewhere = lake_in(other.path()).await;
    for number in 0..105 {
        append(&elsewhere, 1_000 + number).await.unwrap();
    }
    assert!(version(&elsewhere).await > version(&behind).await);
    std::fs::remove_dir_all(folder.path().join("tables")).unwrap();
    std::fs::rename(other.path().join("tables"), folder.path().join("tables")).unwrap();
    same(&behind, folder.path(), "another table").await;
    std::fs::remove_dir_all(folder.path().join("tables")).unwrap();
    assert!(behind.table(TABLE).await.unwrap().is_none());
}

/// A commit of another program's: these actions.
fn commit(folder: &Path, version: u64, actions: &[Json]) {
    let lines: Vec<String> = actions.iter().map(Json::to_string).collect();
    std::fs::write(log(folder, version), lines.join("\n")).unwrap();
}

#[tokio::test]
async fn what_other_programs_commit_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    append(&lake, 0).await.unwrap();
    let table = lake.table(TABLE).await.unwrap().unwrap();
    let first = std::fs::read_to_string(log(folder.path(), version(&lake).await)).unwrap();
    let added = first.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let added: Vec<Json> = added.filter(|action| action.get("add").is_some()).collect();
    assert_eq!(added.len(), 3);

    // Statistics that are reckoned again come as files that are there already, and names may be percent-encoded.
    let mut again = added[0].clone();
    again["add"]["stats"] = json!("{\"numRecords\":1}");
    let mut encoded = added[1].clone();
    encoded["add"]["path"] = json!("event_day=2025-03-02/a%20b.parquet");
    commit(
        folder.path(),
        table.version + 1,
        &[
            again,
            encoded,
            json!({ "domainMetadata": {
        "domain": "x", "configuration": "{}", "removed": false } }),
        ],
    );
    same(&lake, folder.path(), "added again").await;
    assert_eq!(lake.table(TABLE).await.unwrap().unwrap().files.len(), 4);

    let removed = json!({ "remove": { "path": "event_day=2025-03-02/a%20b.parquet", "dataChange": true,
        "deletionTimestamp": 1 } });
    commit(folder.path(), table.version + 2, &[removed]);
    same(&lake, folder.path(), "removed").await;
    assert_eq!(lake.table(TABLE).await.unwrap().unwrap().files.len(), 3);

    // Rows must not go any more.
    let metadata = std::fs::read_to_string(log(folder.path(), 0)).unwrap();
    let metadata = metadata.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let mut metadata = metadata.into_iter().find(|action| action.get("metaData").is_some()).unwrap();
    metadata["metaData"]["configuration"]["delta.appendOnly"] = json!("true");
    commit(folder.path(), table.version + 3, &[metadata]);
    let now = DateTime::from_timestamp_micros(START + 9 * DAY).unwrap();
    let refused = retain(&lake, TABLE, 0, now, false).await.unwrap_err();
    assert!(format!("{refused:?}").contains("AppendOnly"), "{refused:?}");
    append(&lake, 1).await.unwrap();

    // A protocol of features that are not ours.
    let next = version(&lake).await + 1;
    commit(
        folder.path(),
        next,
        &[json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 7,
        "writerFeatures": ["rowTracking", "domainMetadata"] } })],
    );
    assert_eq!(version(&lake).await, next, "it can be read");
    let refused = append(&lake, 2).await.unwrap_err();
    assert!(format!("{refused:?}").contains("RowTracking"), "{refused:?}");
}
