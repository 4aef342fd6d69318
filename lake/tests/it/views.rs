//! The view of findings, and generated views.

use crate::events::{START, batch, lake_in, session, small, table};
use tarn_lake::views::{Dialect, create_views};
use tarn_lake::{IngestOptions, with_arrival};
use tarn_schema_ocsf::record::Value;

#[tokio::test]
async fn views_have_underscores() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let tables = lake.tables().await.unwrap();
    let duck = create_views(&lake, &tables, Dialect::DuckDb);
    assert!(duck.contains("CREATE OR REPLACE VIEW \"api_activity\" AS SELECT"), "{duck}");
    assert!(duck.contains("  \"actor.user.name\" AS \"actor_user_name\",\n"), "{duck}");
    assert!(duck.contains(&format!("FROM delta_scan('{}/tables/api_activity');", folder.path().display())), "{duck}");
    let spark = create_views(&lake, &tables, Dialect::Spark);
    assert!(spark.contains("`actor.user.name` AS `actor_user_name`"), "{spark}");
    let files = create_views(&lake, &tables, Dialect::DuckDbFiles);
    assert!(files.contains("/tables/api_activity/event_day=2025-03-01/part-"), "{files}");
}

#[tokio::test]
async fn findings_are_their_latest_records() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    assert!(session(&lake).await.query("SELECT * FROM findings").await.is_err(), "there is no finding yet");
    // Finding, record, activity, status, arrival; not in the order of arrival.
    let records = [
        ("a", "a3", 3, 4, 30),
        ("a", "a", 1, 1, 10),
        ("a", "a2", 2, 2, 20),
        ("b", "b", 1, 1, 11),
        // Found again, by a hunt that came later.
        ("a", "a4", 1, 1, 40),
    ];
    let rows: Vec<_> = records
        .iter()
        .map(|(finding, record, activity, status, _)| {
            let values = vec![
                ("metadata.uid", Value::Text(record)),
                ("finding_info.uid", Value::Text(finding)),
                ("activity_id", Value::Int(*activity)),
                ("status_id", Value::Int(*status)),
            ];
            (START, values)
        })
        .collect();
    let arrivals = records.iter().map(|record| record.4).collect();
    let findings = with_arrival(&batch(2004, &rows), arrivals).unwrap();
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append("detection_finding", findings).await.unwrap();
    ingest.commit().await.unwrap();

    let session = session(&lake).await;
    let states = "SELECT f.finding_info.uid, f.metadata.uid, status_id FROM findings f ORDER BY 1";
    let states = table(&session, states).await;
    assert!(states.contains("| a                | a3           | 4         |"), "{states}");
    assert!(states.contains("| b                | b            | 1         |"), "{states}");
    assert_eq!(states.lines().count(), 6, "{states}");
    let listed = table(&session, "SHOW TABLES LIKE 'find%'").await;
    assert!(listed.contains("| findings   |      |"), "{listed}");
    assert_eq!(table(&session, "DESCRIBE findings").await, table(&session, "DESCRIBE detection_finding").await);
}
