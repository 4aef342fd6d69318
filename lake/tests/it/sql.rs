//! What a session refuses, and how it says so.

use crate::events::{lake_in, number, session, small, table};
use arrow::array::AsArray;
use futures::TryStreamExt;
use tarn_lake::{SqlError, SqlOptions};

#[tokio::test]
async fn only_reading_and_only_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    let path = folder.path().join("tarn.json").display().to_string();
    for sql in [
        "CREATE TABLE x (a INT)".to_owned(),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{path}'"),
        "DROP TABLE api_activity".to_owned(),
        "INSERT INTO api_activity SELECT * FROM api_activity".to_owned(),
        "UPDATE api_activity SET \"api.operation\" = 'x'".to_owned(),
        "DELETE FROM api_activity".to_owned(),
        "WITH x AS (DELETE FROM api_activity RETURNING *) SELECT * FROM x".to_owned(),
        "EXPLAIN ANALYZE DELETE FROM api_activity".to_owned(),
        "COPY api_activity TO '/tmp/stolen.csv'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "SELECT 1 INTO x".to_owned(),
        format!("SELECT * FROM '{path}'"),
        "SELECT * FROM 'https://example.com/x.parquet'".to_owned(),
        format!("SELECT * FROM read_csv('{path}')"),
        "SELECT * FROM information_schema.tables".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT 1; DROP TABLE api_activity".to_owned(),
        String::new(),
        "SELEKT".to_owned(),
    ] {
        let refused = match session.query(&sql).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "{sql}");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 3);
}

async fn error(session: &tarn_lake::SqlSession, sql: &str) -> SqlError {
    match session.query(sql).await {
        Ok(_) => panic!("{sql} is right"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn errors_name_what_is_near() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    for (sql, message) in [
        ("SELECT api.opration FROM api_activity", "no column api.opration; did you mean api.operation?"),
        ("SELECT a.user.name FROM api_activity a", "no column user.name; did you mean actor.user.name?"),
        ("SELECT tme FROM api_activity", "no column tme; did you mean time?"),
        ("SELECT 1 FROM api_activty", "no table api_activty; did you mean api_activity?"),
        ("DESCRIBE api_activty", "no table api_activty; did you mean api_activity?"),
        (
            "SELECT metadata.uid FROM api_activity a JOIN authentication b ON a.actor.user.name = b.user.name",
            "column metadata.uid is ambiguous: a and b have it",
        ),
        (
            "SELECT * FROM api_activity WHERE api.operation.x = 1",
            "no column api.operation.x; did you mean api.operation?",
        ),
        ("DROP TABLE x", "DROP TABLE is not allowed: this session only reads (SELECT, EXPLAIN, SHOW TABLES, DESCRIBE)"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        (
            "SHOW TABLES WHERE table_name = 'x'",
            "SHOW TABLES WHERE table_name = 'x' is not understood: SHOW TABLES takes LIKE 'pattern' or ILIKE 'pattern' \
             and nothing else",
        ),
    ] {
        assert_eq!(error(&session, sql).await.to_string(), message, "{sql}");
    }
}

#[tokio::test]
async fn show_tables_takes_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    for (filter, expected) in [
        ("", vec!["api_activity", "authentication"]),
        ("LIKE 'api%'", vec!["api_activity"]),
        ("LIKE 'a%'", vec!["api_activity", "authentication"]),
        ("LIKE 'api_activit_'", vec!["api_activity"]),
        ("LIKE 'authenticatio'", vec![]),
        ("LIKE 'AUTH%'", vec![]),
        ("ILIKE 'AUTH%'", vec!["authentication"]),
        ("LIKE 'none%'", vec![]),
    ] {
        let found = crate::events::batches(&session, &format!("SHOW TABLES {filter}")).await;
        let names: Vec<&str> = found.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten()).collect();
        assert_eq!(names, expected, "{filter}");
    }
    for more in ["SHOW TABLES FROM tarn", "SHOW FULL TABLES", "SHOW EXTENDED TABLES", "SHOW TABLES IN x LIKE 'a%'"] {
        let refused = error(&session, more).await;
        assert!(matches!(refused, SqlError::ShowTables { .. }), "{more}: {refused}");
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let tight = lake.sql(&SqlOptions { memory_bytes: 100_000, partitions: 1 }).await.unwrap();
    let sql = "SELECT count(*) FROM (SELECT DISTINCT a.value, b.value FROM generate_series(1, 3000) a, \
               generate_series(1, 1000) b) x";
    let result = match tight.query(sql).await {
        Ok(stream) => stream.try_collect::<Vec<_>>().await.map(|_| ()).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    // It spills and answers, or says that memory is short; it does not take what it likes.
    if let Err(message) = result {
        assert!(message.to_lowercase().contains("memory") || message.contains("Resources"), "{message}");
    }
}

#[tokio::test]
async fn json_columns_keep_their_mark_and_nest_back() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    let sql = "SELECT * FROM api_activity WHERE metadata.uid = 'e1'";
    let found = crate::events::batches(&session, sql).await;
    let nested = serde_json::Value::Object(tarn_schema_ocsf::nest::to_json(&found[0], 0));
    assert_eq!(nested["unmapped"]["nested"]["deep"][1], 2);
    assert_eq!(nested["api"]["operation"], "ConsoleLogin");
    assert_eq!(nested["resources"][0]["uid"], "arn:1");
    let explained = table(&session, "EXPLAIN SELECT actor.user.name FROM api_activity").await;
    assert!(explained.contains("actor.user.name"), "{explained}");
}

/// What a protocol with parameters asks first, and then.
#[tokio::test]
async fn parameters_have_types_and_values() {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::DataType;
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    let sql = "SELECT metadata.uid FROM api_activity WHERE actor.user.name = $1 AND class_uid = $2 ORDER BY 1";
    let (schema, parameters) = session.describe(sql).await.unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    assert_eq!(parameters, [Some(DataType::Utf8), Some(DataType::Int64)]);
    let values: [ArrayRef; 2] = [Arc::new(StringArray::from(vec!["alice"])), Arc::new(Int64Array::from(vec![6003]))];
    let found: Vec<_> = session.query_with(sql, &values).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
    assert!(session.query_with(sql, &values[..1]).await.is_err(), "a parameter too few");
    let refused = session.describe("DROP TABLE api_activity").await.unwrap_err();
    assert!(matches!(refused, SqlError::NotAQuery { .. }), "{refused}");
    assert!(session.describe("SHOW TABLES").await.unwrap().1.is_empty());
    assert_eq!(session.describe("SELECT $1::INT + 1").await.unwrap().1, [Some(DataType::Int32)]);
    let (_, counted) = session.describe("SELECT time FROM api_activity LIMIT $1 OFFSET $2").await.unwrap();
    assert_eq!(counted, [Some(DataType::Int64), Some(DataType::Int64)]);
}
