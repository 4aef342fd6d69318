//! What the files and the log look like to a planner: statistics, pruning, one transaction id.

use crate::events::{DAY, START, batch, lake_in, session, small};
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::ident;
use serde_json::json;
use tarn_lake::sql::LakeTable;
use tarn_lake::{IngestOptions, LakeError};
use tarn_schema_ocsf::record::Value;

#[tokio::test]
async fn files_are_pruned_by_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    let provider = session.context().table_provider("api_activity").await.unwrap();
    let table = provider.downcast_ref::<LakeTable>().unwrap();
    let state = session.context().state();
    let files = |filter| table.prune(&state, &[filter]).len();
    assert_eq!(table.prune(&state, &[]).len(), 3);
    assert_eq!(files(ident("api.operation").eq(lit("DeleteTrail"))), 1);
    assert_eq!(files(ident("metadata.uid").eq(lit("none"))), 0);
    assert_eq!(files(ident("src_endpoint.ip").is_not_null()), 2, "a column that a file lacks is all null");
    let midnight = lit(datafusion::scalar::ScalarValue::TimestampMicrosecond(Some(START + DAY), Some("UTC".into())));
    assert_eq!(files(col("time").gt_eq(midnight)), 2);
    assert_eq!(files(col("event_day").eq(lit(datafusion::scalar::ScalarValue::Date32(Some(20_148))))), 1);
}

#[tokio::test]
async fn the_log_has_one_transaction_id_and_named_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let row = (START, vec![("cloud.region", Value::Text("eu-north-1"))]);
    ingest.append("api_activity", batch(6003, &[row])).await.unwrap();
    ingest.commit().await.unwrap();
    let log = |version: u32| {
        let path = folder.path().join(format!("tables/api_activity/_delta_log/{version:020}.json"));
        std::fs::read_to_string(path).unwrap()
    };
    let (created, first, second) = (log(0), log(1), log(2));
    assert!(created.contains("`metadata.uid`") && created.contains(r#""partitionColumns":["event_day"]"#), "{created}");
    assert!(first.contains(r#""appId":"tarn.ingest","version":1"#), "{first}");
    assert!(second.contains(r#""appId":"tarn.ingest","version":2"#), "{second}");
    assert!(second.contains(r#""metaData""#) && second.contains("`cloud.region`"), "{second}");
    assert!(first.contains(r#"\"api.operation\":\"ConsoleLogin\""#), "{first}");
    assert!(!first.contains(r#"\"raw_data\""#), "no statistics of bulk columns: {first}");
}

/// Reader version 2 says without a list of features that files have columns under other names.
#[tokio::test]
async fn a_table_of_mapped_columns_is_refused_by_name() {
    // A table that was given the mapping late has its old columns under their own names.
    for (mode, own_names, refused) in [
        ("name", &["event_day"][..], true),
        ("name", &[], true),
        ("id", &["event_day", "time"], true),
        ("none", &[], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake_in(folder.path()).await;
        small(&lake).await;
        let log = folder.path().join("tables/authentication/_delta_log/00000000000000000000.json");
        map_columns(&log, mode, own_names);
        // A process that comes later: one goes on from the log that it has read.
        let lake = lake_in(folder.path()).await;
        match lake.table("authentication").await {
            Err(LakeError::Feature { table, feature }) if refused => {
                assert_eq!((table.as_str(), feature.as_str()), ("authentication", "columnMapping"));
            }
            Ok(Some(table)) if !refused => assert_eq!(table.rows(), Some(2)),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

/// Makes the table whose first log file this is one of reader version 2, with that mode of column mapping.
fn map_columns(log: &std::path::Path, mode: &str, own_names: &[&str]) {
    let actions = std::fs::read_to_string(log).unwrap();
    let mut mapped = String::new();
    for action in actions.lines() {
        let mut action: serde_json::Value = serde_json::from_str(action).unwrap();
        if let Some(protocol) = action.get_mut("protocol") {
            *protocol = json!({ "minReaderVersion": 2, "minWriterVersion": 5 });
        }
        if let Some(metadata) = action.get_mut("metaData") {
            metadata["configuration"]["delta.columnMapping.mode"] = json!(mode);
            metadata["configuration"]["delta.columnMapping.maxColumnId"] = json!("99");
            let mut schema: serde_json::Value =
                serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
            for (id, field) in schema["fields"].as_array_mut().unwrap().iter_mut().enumerate() {
                let name = field["name"].as_str().unwrap();
                let physical = if own_names.contains(&name) { name.to_owned() } else { format!("col-{id}") };
                field["metadata"]["delta.columnMapping.id"] = json!(id + 1);
                field["metadata"]["delta.columnMapping.physicalName"] = json!(physical);
            }
            metadata["schemaString"] = json!(schema.to_string());
        }
        mapped += &format!("{action}\n");
    }
    std::fs::write(log, mapped).unwrap();
}

/// A table of more commits than a checkpoint holds back opens the same.
#[tokio::test]
async fn checkpoints_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    for i in 0..130i64 {
        let uid = i.to_string();
        let row = (START + i, vec![("metadata.uid", Value::Text(&uid))]);
        ingest.append("base_event", batch(0, &[row])).await.unwrap();
        ingest.commit().await.unwrap();
    }
    assert!(folder.path().join("ingest/checkpoint.json").exists());
    assert!(folder.path().join("tables/base_event/_delta_log/_last_checkpoint").exists());
    let again = lake_in(folder.path()).await;
    assert_eq!(crate::events::number(&again, "SELECT count(*) FROM base_event").await, 130);
    let sql = "SELECT count(*) FROM base_event WHERE metadata.uid = '77'";
    assert_eq!(crate::events::number(&again, sql).await, 1);
    let table = again.table("base_event").await.unwrap().unwrap();
    assert!(table.files.iter().all(|f| f.stats.rows == Some(1)));
    let mut ingest = again.ingest(IngestOptions::default()).await.unwrap();
    ingest.append("base_event", batch(0, &[(START, vec![])])).await.unwrap();
    assert_eq!(ingest.commit().await.unwrap().sequence, Some(131));
}
