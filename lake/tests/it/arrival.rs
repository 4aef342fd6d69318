//! The column of arrival: where it stands, how it is written, and that its clock goes on.

use crate::events::{START, batch, batches, lake_in, session};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeSet;
use tarn_lake::table::ARRIVAL;
use tarn_lake::{Ingest, IngestOptions, Lake, with_arrival};
use tarn_schema_ocsf::record::Value;

/// Appends rows that come in at one time, and commits.
async fn add(ingest: &mut Ingest, rows: i64, now: DateTime<Utc>) -> i64 {
    let first = ingest.clock().take(rows as usize, now);
    let rows: Vec<_> = (0..rows).map(|i| (START + i % 7, vec![("message", Value::Text("m"))])).collect();
    let batch = with_arrival(&batch(0, &rows), (first..).take(rows.len()).collect()).unwrap();
    ingest.append("base_event", batch).await.unwrap();
    ingest.commit().await.unwrap();
    first
}

#[tokio::test]
async fn arrival_goes_on_where_an_earlier_writer_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let now = Utc::now();
    let (mut one, mut other) =
        (lake.ingest(IngestOptions::default()).await.unwrap(), lake.ingest(IngestOptions::default()).await.unwrap());
    assert_eq!(add(&mut one, 10, now + TimeDelta::days(1)).await, (now + TimeDelta::days(1)).timestamp_micros());
    assert_eq!(add(&mut other, 1, now).await, now.timestamp_micros(), "it has not seen the other's");
    // What it has seen since, and what a third one sees, it goes on from; past a checkpoint, too.
    let last = (now + TimeDelta::days(1)).timestamp_micros() + 9;
    assert_eq!(add(&mut other, 1, now).await, last + 1);
    for n in 0..70 {
        assert_eq!(add(&mut one, 1, now).await, last + 1 + n);
    }
    let mut third = lake.ingest(IngestOptions::default()).await.unwrap();
    assert!(folder.path().join("ingest/checkpoint.json").exists());
    assert!(add(&mut third, 1, now).await > last + 70);
}

#[tokio::test]
async fn arrival_is_last_of_the_file_and_small() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    add(&mut ingest, 50_000, Utc::now()).await;
    let more = batch(0, &[(START, vec![("raw_data", Value::Text("later"))])]);
    ingest.append("base_event", more).await.unwrap();
    ingest.commit().await.unwrap();
    let table = lake.table("base_event").await.unwrap().unwrap();
    let names: Vec<_> = table.schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names[names.len() - 3..], ["raw_data", ARRIVAL, "event_day"]);
    let mut nulls: Vec<_> = table.files.iter().map(|f| f.stats.column(ARRIVAL).unwrap().nulls).collect();
    nulls.sort();
    assert_eq!(nulls, [Some(0), Some(1)]);

    let largest = table.files.iter().max_by_key(|f| f.size).unwrap();
    let file = std::fs::File::open(folder.path().join(largest.path.as_ref())).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let groups = reader.metadata().row_groups();
    let chunk = groups[0].columns().iter().find(|c| c.column_path().string() == ARRIVAL).unwrap();
    assert!(chunk.encodings().any(|e| e == Encoding::DELTA_BINARY_PACKED) && chunk.dictionary_page_offset().is_none());
    let rows = groups[0].num_rows();
    assert!(chunk.compressed_size() < rows, "{} bytes for {rows} rows", chunk.compressed_size());
    // Equal times lie in the order of arrival.
    let found = batches(&session(&lake).await, "SELECT arrival FROM base_event WHERE arrival > 0 ORDER BY time").await;
    assert_eq!(found.iter().map(|b| b.num_rows()).sum::<usize>(), 50_000);
    let first = found[0].column(0).as_primitive::<Int64Type>();
    assert_eq!(first.value(1) - first.value(0), 7);
}

const ROWS: i64 = 10_000;

/// Commits [`ROWS`] rows of a writer, which arrived at 1, 2 and so on.
async fn write(lake: &Lake, writer: &str) {
    let texts: Vec<(String, String)> = (0..ROWS).map(|n| (format!("{writer}{n}"), format!("{writer}: {n}"))).collect();
    let texts: &'static Vec<(String, String)> = Box::leak(Box::new(texts));
    let values = |(uid, raw): &'static (String, String)| {
        vec![("metadata.uid", Value::Text(uid)), ("raw_data", Value::Text(raw))]
    };
    // In the order of time, rows stand as they did not arrive.
    let rows: Vec<_> = texts.iter().zip(0..).map(|(row, n)| (START - n * 1_000, values(row))).collect();
    let batch = with_arrival(&batch(0, &rows), (1..=ROWS).collect()).unwrap();
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append("base_event", batch).await.unwrap();
    ingest.commit().await.unwrap();
}

#[tokio::test]
async fn an_arrival_of_its_own_names_an_original() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    write(&lake, "a").await;
    let arrivals = BTreeSet::from([1, 10_000, 5_000]);
    let batches = session(&lake).await.originals("base_event", &arrivals).await.unwrap();
    let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
    let mut found = Vec::new();
    for batch in &batches {
        assert!(batch.column_by_name("metadata.uid").is_none());
        let arrivals = batch.column_by_name(ARRIVAL).unwrap().as_primitive::<Int64Type>();
        let texts = cast(batch.column_by_name("raw_data").unwrap(), &DataType::Utf8).unwrap();
        let texts = texts.as_string::<i32>().iter().map(|text| text.unwrap().to_owned());
        found.extend(arrivals.values().iter().copied().zip(texts));
    }
    found.sort();
    assert_eq!(found, [1, 5_000, 10_000].map(|n| (n, format!("a: {}", n - 1))));
}

/// 20,000 rows in two commits, the second by a writer that gave the same arrivals.
#[tokio::test]
async fn originals_are_found_by_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    write(&lake, "a").await;
    write(&lake, "b").await;
    let session = session(&lake).await;
    let found = async |arrivals: &[i64]| {
        let batches = session.originals("base_event", &arrivals.iter().copied().collect()).await.unwrap();
        let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        let mut rows: Vec<(String, String)> = Vec::new();
        for batch in &batches {
            let [uids, texts] = ["metadata.uid", "raw_data"].map(|name| {
                let column = cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
                column.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
            });
            rows.extend(uids.into_iter().zip(texts));
        }
        rows.sort();
        rows
    };
    let expected = |all: &[i64]| {
        let of = |writer: &'static str| {
            all.iter().map(move |n| (format!("{writer}{}", n - 1), format!("{writer}: {}", n - 1)))
        };
        of("a").chain(of("b")).collect::<Vec<_>>()
    };
    assert_eq!(found(&[1, 10_000, 5_000]).await.len(), 6);
    assert_eq!(found(&[77]).await, expected(&[77]));
    assert_eq!(found(&[2, 3, 9_999]).await, expected(&[2, 3, 9_999]));
    assert_eq!(found(&[0, 10_001]).await, []);
    assert_eq!(found(&[]).await, []);
}
