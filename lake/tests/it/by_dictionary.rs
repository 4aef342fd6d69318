//! Grouping by texts over the numbers of files' dictionaries: the answers are those of DataFusion's own grouping, which takes over as
//! soon as there is a filter.

use crate::events::{DAY, START, batch, lake_in, session, table};
use tarn_lake::{IngestOptions, SqlOptions, SqlSession};
use tarn_schema_ocsf::record::Value;

/// Five files of as many days: users of a small and of a large dictionary, of no dictionary, and a file without any.
async fn calls(lake: &tarn_lake::Lake) {
    let mut state = 7_u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    for (day, users) in [(0, 9), (1, 4000), (2, 1_000_000_000), (3, 40), (4, 0)] {
        let rows = 12_000;
        let user = |n: u64| format!("a user with a name that is no view of its own, {n}");
        let names: Vec<String> = (0..rows).map(|_| user(next(users.max(1)))).collect();
        let regions: Vec<String> = (0..rows).map(|_| format!("region-{}", next(4))).collect();
        let addresses: Vec<String> = (0..rows).map(|_| format!("198.51.100.{}", next(200))).collect();
        let row = |n: usize| {
            let mut values = vec![("status_id", Value::Int(n as i64 % 3))];
            if users > 0 && !n.is_multiple_of(11) {
                values.push(("actor.user.name", Value::Text(&names[n])));
            }
            if !n.is_multiple_of(7) {
                values.push(("cloud.region", Value::Text(&regions[n])));
            }
            if !n.is_multiple_of(5) {
                values.push(("src_endpoint.ip", Value::Text(&addresses[n])));
            }
            if day == 3 {
                values.push(("api.operation", Value::Text("GetObject")));
            }
            (START + day * DAY + n as i64, values)
        };
        let rows: Vec<_> = (0..rows as usize).map(row).collect();
        ingest.append("api_activity", batch(6003, &rows)).await.unwrap();
    }
    ingest.commit().await.unwrap();
}

const VALUES: &str = r#"count(*) AS n, count("src_endpoint.ip") AS known, min(time) AS first, max(time) AS last, avg(status_id) AS status,
    count(DISTINCT "src_endpoint.ip") AS addresses"#;

/// The answer, which is made by the operator of here or is not.
async fn answer(session: &SqlSession, by: &str, filter: &str, by_dictionary: bool) -> String {
    let columns = (1..=by.split(", ").count()).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {by}, {VALUES} FROM api_activity {filter} GROUP BY {columns} ORDER BY {columns}");
    let plan = table(session, &format!("EXPLAIN {sql}")).await;
    assert_eq!(plan.contains("GroupByDictionaryExec"), by_dictionary, "{plan}");
    table(session, &sql).await
}

#[tokio::test]
async fn answers_are_those_of_datafusion() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    calls(&lake).await;
    let session = session(&lake).await;
    let by = [
        r#""cloud.region""#,
        r#""actor.user.name""#,
        r#""actor.user.name", "cloud.region""#,
        r#""cloud.region", "actor.user.name", "api.operation""#,
    ];
    for by in by {
        let expected = answer(&session, by, "WHERE class_uid > 0", false).await;
        assert_eq!(answer(&session, by, "", true).await, expected, "{by}");
    }
    // Groups of what is no text, and values of what groups.
    for sql in [
        "SELECT status_id, count(*) FROM api_activity GROUP BY 1",
        r#"SELECT "cloud.region", min("cloud.region") FROM api_activity GROUP BY 1"#,
        r#"SELECT upper("cloud.region"), count(*) FROM api_activity GROUP BY 1"#,
        r#"SELECT "cloud.region", event_day, count(*) FROM api_activity GROUP BY 1, 2"#,
    ] {
        assert!(!table(&session, &format!("EXPLAIN {sql}")).await.contains("GroupByDictionaryExec"), "{sql}");
    }
}

#[tokio::test]
async fn groups_that_have_no_room_are_put_together_above() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    calls(&lake).await;
    let roomy = session(&lake).await;
    let narrow = lake.sql(&SqlOptions { memory_bytes: 6 << 20, partitions: 2 }).await.unwrap();
    let sql = r#"SELECT count(*) AS groups, sum(n) AS rows FROM
        (SELECT "actor.user.name", "cloud.region", count(*) AS n FROM api_activity GROUP BY 1, 2)"#;
    assert_eq!(table(&narrow, sql).await, table(&roomy, sql).await);
}
