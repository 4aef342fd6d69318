//! Identities, growing schemas, absurd times, dead letters.

use crate::events::{DAY, START, batch, ingest_text, lake_in, number, read_text, session, table};
use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::io::Cursor;
use std::sync::Arc;
use tarn_lake::dead_letter::{self, DeadLetter};
use tarn_lake::ingest::identity::{HEAD_BYTES, Reached};
use tarn_lake::{Decision, IngestOptions, LakeError, StoreOptions};
use tarn_schema_ocsf::record::Value;

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|i| format!("1001 0 record-{i}\n")).collect()
}

#[tokio::test]
async fn a_file_is_ingested_once_and_grows() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let count = "SELECT count(*) FROM class_1001";
    // Short of the head, and past it.
    for (name, sizes) in [("short", [10, 20, 30]), ("long", [4000, 4001, 9000])] {
        let before = if name == "short" { 0 } else { 30 };
        let mut id = None;
        for size in sizes {
            let text = if name == "short" { lines(0..size) } else { lines(100_000..100_000 + size) };
            let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
            let container = ingest_text(&mut ingest, name, &text, 3000).await.unwrap().unwrap();
            assert_eq!(*id.get_or_insert(container.id), container.id, "{name} keeps its id");
            assert!(ingest_text(&mut ingest, "a copy", &text, 3000).await.unwrap().is_none(), "in the same run");
            ingest.commit().await.unwrap();
            let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
            assert!(ingest_text(&mut ingest, "another copy", &text, 3000).await.unwrap().is_none(), "in a later run");
            assert_eq!(ingest.commit().await.unwrap().sequence, None);
            assert_eq!(number(&lake, count).await, before + size as i64, "{name} {size}");
        }
    }
    // An older copy is known, too.
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let decision = ingest.begin("old", &mut Cursor::new(lines(0..20))).unwrap();
    assert_eq!(decision, Decision::Skip);
}

#[tokio::test]
async fn a_file_that_grows_past_its_head_while_it_is_read_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let (begun, read) = (lines(0..2000), lines(0..5000));
    assert!(begun.len() < HEAD_BYTES && read.len() > HEAD_BYTES);
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let Decision::Fresh(container) = ingest.begin("f", &mut Cursor::new(&begun)).unwrap() else { unreachable!() };
    read_text(&mut ingest, &container, &Reached::default(), &read, 10_000).await.unwrap();
    ingest.commit().await.unwrap();
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    assert_eq!(ingest.begin("f", &mut Cursor::new(&read)).unwrap(), Decision::Skip);
    let grown = ingest_text(&mut ingest, "f", &lines(0..5001), 10_000).await.unwrap().unwrap();
    assert_eq!(grown.id, container.id);
    ingest.commit().await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM class_1001").await, 5001);
}

#[tokio::test]
async fn files_that_only_start_alike_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let (a, b) = (lines(0..1), lines(0..1) + &lines(7..9));
    let first = ingest_text(&mut ingest, "a", &a, 100).await.unwrap().unwrap();
    let second = ingest_text(&mut ingest, "b", &b, 100).await.unwrap().unwrap();
    assert_ne!(first.id, second.id);
    ingest.commit().await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM class_1001").await, 4);
    // A long beginning in common: its records are there once, and each goes on as its own container.
    let base = lines(1000..2000);
    let mut ids = std::collections::BTreeSet::new();
    for (name, rest) in [("base", ""), ("c", "1001 0 c\n"), ("d", "1001 0 d\n")] {
        let text = format!("{base}{rest}");
        ids.insert(ingest_text(&mut ingest, name, &text, 10_000).await.unwrap().unwrap().id);
        ingest.commit().await.unwrap();
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM class_1001").await, 4 + 1002);
    assert_eq!(ids.len(), 2, "c goes on from base, d is a fork");
}

#[tokio::test]
async fn columns_are_added_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let row = |more: Vec<(&'static str, Value<'static>)>| batch(6003, &[(START, more)]);
    ingest.append("api_activity", row(vec![("api.operation", Value::Text("A"))])).await.unwrap();
    ingest.commit().await.unwrap();
    let objects = vec![("resources[].uid", Value::Text("r1")), ("actor.user.name", Value::Text("u"))];
    ingest.append("api_activity", row(objects)).await.unwrap();
    ingest.commit().await.unwrap();
    let more = vec![("resources[].uid", Value::Text("r2")), ("resources[].type", Value::Text("t"))];
    ingest.append("api_activity", row(more)).await.unwrap();
    ingest.commit().await.unwrap();
    let session = session(&lake).await;
    let sql = "SELECT api.operation, actor.user.name, resources[1].uid AS uid, resources[1].type AS type \
               FROM api_activity ORDER BY api.operation, resources[1].uid";
    let expected = "\
+---------------+-----------------+-----+------+
| api.operation | actor.user.name | uid | type |
+---------------+-----------------+-----+------+
| A             |                 |     |      |
|               | u               | r1  |      |
|               |                 | r2  | t    |
+---------------+-----------------+-----+------+";
    assert_eq!(table(&session, sql).await, expected);
    // All of it at once reads, as well.
    assert_eq!(table(&session, "SELECT * FROM api_activity").await.lines().count(), 7);
    // Another type is refused before anything is logged, and the group goes on.
    let wrong = arrow::array::RecordBatch::try_from_iter([
        ("time", row(vec![]).column_by_name("time").unwrap().clone()),
        ("api.operation", std::sync::Arc::new(arrow::array::Int64Array::from(vec![1])) as _),
    ]);
    let refused = ingest.append("api_activity", wrong.unwrap()).await;
    assert!(matches!(refused, Err(LakeError::ColumnType { .. })), "{refused:?}");
    ingest.append("api_activity", row(vec![])).await.unwrap();
    ingest.commit().await.unwrap();
    assert_eq!(number(&lake, "SELECT count(*) FROM api_activity").await, 4);
}

#[tokio::test]
async fn absurd_times_share_one_partition_and_keep_their_value() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let times = [i64::MIN, -1, 0, START, START + 200 * 365 * DAY, i64::MAX];
    let rows: Vec<_> = times.iter().map(|t| (*t, vec![("message", Value::Text("m"))])).collect();
    ingest.append("base_event", batch(0, &rows)).await.unwrap();
    let summary = ingest.commit().await.unwrap();
    assert_eq!(summary.files, 2);
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event WHERE event_day = '1970-01-01'").await, 5);
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event WHERE event_day = '2025-03-01'").await, 1);
    let sql = "SELECT count(*) FROM base_event WHERE CAST(time AS BIGINT) = 9223372036854775807";
    assert_eq!(number(&lake, sql).await, 1);
    // Thousands of true days in one flush: those with the fewest rows go there, too; no row is lost.
    let rows: Vec<_> = (0..5000).map(|d| (START - d * DAY, vec![("message", Value::Text("d"))])).collect();
    ingest.append("base_event", batch(0, &rows)).await.unwrap();
    assert_eq!(ingest.commit().await.unwrap().files, 3, "two days, and all others");
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event WHERE message = 'd'").await, 5000);
    let days = "SELECT count(DISTINCT event_day) FROM base_event WHERE event_day BETWEEN '2011-07-01' AND '2025-03-01'";
    assert_eq!(number(&lake, days).await, 4993);
}

/// A file costs a millisecond to read, so that days of few rows share one; SQL finds them by their day as by their time.
#[tokio::test]
async fn days_of_few_rows_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let rows_of = |(day, rows): (i64, i64)| {
        (0..rows).map(move |row| (START + day * DAY + row, vec![("message", Value::Text("m"))]))
    };
    let rows: Vec<_> = [(0, 1100), (1, 1024), (2, 1023), (3, 3), (4, 2)].into_iter().flat_map(rows_of).collect();
    ingest.append("base_event", batch(0, &rows)).await.unwrap();
    assert_eq!(ingest.commit().await.unwrap().files, 3);
    let session = session(&lake).await;
    let days = table(&session, "SELECT event_day, count(*) AS n FROM base_event GROUP BY 1 ORDER BY 1").await;
    let expected = "\
+------------+------+
| event_day  | n    |
+------------+------+
| 2025-03-01 | 1100 |
| 2025-03-02 | 1024 |
| 2025-03-03 | 1023 |
| 2025-03-04 | 3    |
| 2025-03-05 | 2    |
+------------+------+";
    assert_eq!(days, expected);
    for filter in ["event_day >= '2025-03-04'", "time >= '2025-03-04'", "event_day > '2025-03-03' AND message = 'm'"] {
        assert_eq!(number(&lake, &format!("SELECT count(*) FROM base_event WHERE {filter}")).await, 5, "{filter}");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event WHERE event_day = '2025-03-06'").await, 0);
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event").await, 3152);
    let shown = table(&session, "SHOW TABLES").await;
    assert!(shown.contains("2025-03-01") && shown.contains("2025-03-05"), "{shown}");
}

#[tokio::test]
async fn rows_without_a_time_come_first_as_their_file_declares() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let times = [Some(7), None, Some(-3), Some(0), None, Some(i64::MIN)];
    let batch = RecordBatch::try_from_iter([
        ("time", Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")) as _),
        ("message", Arc::new(StringArray::from_iter_values((0..times.len()).map(|i| i.to_string()))) as _),
    ]);
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append("base_event", batch.unwrap()).await.unwrap();
    ingest.commit().await.unwrap();
    let files = lake.table("base_event").await.unwrap().unwrap().files.clone();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let bytes = std::fs::read(folder.path().join(file.path.as_ref())).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let order = reader.metadata().row_group(0).sorting_columns().unwrap()[0].clone();
    assert!(order.nulls_first && !order.descending);
    let read = reader.build().unwrap().next().unwrap().unwrap();
    let messages = read.column_by_name("message").unwrap();
    let messages: Vec<&str> = arrow::array::AsArray::as_string::<i32>(messages).iter().flatten().collect();
    assert_eq!(messages, ["1", "4", "5", "2", "3", "0"]);
}

#[tokio::test]
async fn rows_are_sorted_and_buffers_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let options = IngestOptions { buffer_bytes: 20_000, ..IngestOptions::default() };
    let mut ingest = lake.ingest(options).await.unwrap();
    for chunk in 0..20i64 {
        let time = |i: i64| START + (i * 7919 + chunk) % 1000;
        let rows: Vec<_> = (0..100).map(|i| (time(i), vec![("message", Value::Text("x"))])).collect();
        ingest.append("base_event", batch(0, &rows)).await.unwrap();
    }
    let summary = ingest.commit().await.unwrap();
    assert!(summary.files > 3, "{summary:?}");
    assert_eq!(summary.rows["base_event"], 2000);
    assert_eq!(number(&lake, "SELECT count(*) FROM base_event").await, 2000);
    for file in &lake.table("base_event").await.unwrap().unwrap().files {
        let bytes = std::fs::read(folder.path().join(file.path.as_ref())).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 9999);
        for batch in reader.unwrap() {
            let batch = batch.unwrap();
            let times = arrow::compute::cast(batch.column_by_name("time").unwrap(), &arrow::datatypes::DataType::Int64);
            let times = times.unwrap();
            let times = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&times).values();
            assert!(times.is_sorted());
        }
    }
}

#[tokio::test]
async fn dead_letters_are_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let letter = DeadLetter { container: "x.json", record: 3, offset: Some(40), bytes: b"\xff{", reason: "no JSON" };
    let now = chrono::DateTime::from_timestamp_micros(START).unwrap();
    ingest.dead_letters(dead_letter::batch([letter], now).unwrap()).await.unwrap();
    ingest.commit().await.unwrap();
    let session = session(&lake).await;
    let found =
        table(&session, "SELECT container, record, \"offset\", bytes, reason, event_day FROM dead_letters").await;
    assert!(found.contains("| x.json    | 3      | 40     | ff7b  | no JSON | 2025-03-01 |"), "{found}");
}

#[tokio::test]
async fn wrong_places_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::default();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let missing = tarn_lake::Lake::open(&at("absent"), &options).await.unwrap_err();
    assert!(matches!(missing, LakeError::Missing { .. }), "{missing}");
    std::fs::create_dir(at("occupied")).unwrap();
    std::fs::write(at("occupied/notes.txt"), "mine").unwrap();
    for opened in [
        tarn_lake::Lake::open(&at("occupied"), &options).await,
        tarn_lake::Lake::open_or_create(&at("occupied"), &options).await,
    ] {
        let error = opened.unwrap_err();
        assert!(matches!(error, LakeError::NotALake { .. }), "{error}");
    }
    std::fs::write(at("file"), "x").unwrap();
    let error = tarn_lake::Lake::open_or_create(&at("file/lake"), &options).await.unwrap_err();
    assert!(matches!(error, LakeError::Unwritable { .. }), "{error:?}");
    let error = tarn_lake::Lake::open("nope://x/y", &options).await.unwrap_err();
    assert!(matches!(error, LakeError::Location { .. }), "{error:?}");
    let lake = lake_in(&folder.path().join("lake")).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    for name in ["", "../x", "A", "a b", "x/y"] {
        let refused = ingest.append(name, batch(0, &[(START, vec![])])).await;
        assert!(matches!(refused, Err(LakeError::TableName { .. })), "{name:?}");
    }
}
