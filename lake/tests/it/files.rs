//! What the files and the log look like to a planner: statistics, pruning, one transaction id.

use crate::events::{DAY, START, batch, lake_in, session, small};
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::ident;
use tarn_lake::IngestOptions;
use tarn_lake::sql::LakeTable;
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
