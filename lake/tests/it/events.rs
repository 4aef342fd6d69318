//! Small lakes to test with.

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use std::io::Cursor;
use std::sync::Arc;
use tarn_lake::ingest::identity::HashingReader;
use tarn_lake::ingest::identity::Reached;
use tarn_lake::{Container, Decision, Ingest, IngestOptions, Lake, LakeError, SqlOptions, SqlSession, StoreOptions};
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::{BatchBuilder, ClassUid, TableSchema};

/// 2025-03-01T00:00:00Z, in µs.
pub const START: i64 = 1_740_787_200_000_000;
pub const DAY: i64 = 86_400_000_000;

/// Column, value; the time comes first.
pub type Row<'a> = (i64, Vec<(&'a str, Value<'a>)>);

pub fn batch(class: u32, rows: &[Row<'_>]) -> RecordBatch {
    let mut paths = vec!["time", "class_uid", "metadata.uid"];
    for (_, values) in rows {
        for (path, _) in values {
            if !paths.contains(path) {
                paths.push(path);
            }
        }
    }
    let schema = Arc::new(TableSchema::new(ClassUid(class), paths).unwrap());
    let mut builder = BatchBuilder::new(Arc::clone(&schema));
    let slot = |path: &str| schema.slot(path).unwrap();
    for (time, values) in rows {
        builder.set(slot("time"), Value::Time(*time)).unwrap();
        builder.set(slot("class_uid"), Value::Int(class.into())).unwrap();
        let mut open = false;
        for (path, value) in values {
            let slot = slot(path);
            if slot.is_child() && !open {
                builder.begin_object(slot);
                open = true;
            }
            builder.set(slot, *value).unwrap();
        }
        builder.end_row();
    }
    builder.finish()
}

pub async fn lake_in(folder: &std::path::Path) -> Lake {
    Lake::open_or_create(folder.to_str().unwrap(), &StoreOptions::default()).await.unwrap()
}

pub async fn session(lake: &Lake) -> SqlSession {
    lake.sql(&SqlOptions { memory_bytes: 64 << 20, partitions: 2 }).await.unwrap()
}

pub async fn batches(session: &SqlSession, sql: &str) -> Vec<RecordBatch> {
    let stream = session.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    stream.try_collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

pub async fn table(session: &SqlSession, sql: &str) -> String {
    pretty_format_batches(&batches(session, sql).await).unwrap().to_string()
}

/// The single integer that a query gives.
pub async fn number(lake: &Lake, sql: &str) -> i64 {
    use arrow::array::AsArray;
    let session = session(lake).await;
    let found = batches(&session, sql).await;
    let column = arrow::compute::cast(found[0].column(0), &arrow::datatypes::DataType::Int64).unwrap();
    column.as_primitive::<arrow::datatypes::Int64Type>().value(0)
}

/// A handful of API calls over three days, and two logons.
pub async fn small(lake: &Lake) {
    let calls = batch(
        6003,
        &[
            (
                START + 5,
                vec![
                    ("metadata.uid", Value::Text("e1")),
                    ("api.operation", Value::Text("ConsoleLogin")),
                    ("actor.user.name", Value::Text("alice")),
                    ("src_endpoint.ip", Value::Text("198.51.100.7")),
                    ("unmapped", Value::Text(r#"{"mfa":"No","nested":{"deep":[1,2]}}"#)),
                    ("raw_data", Value::Text("{\"a\":1}")),
                    ("resources[].uid", Value::Text("arn:1")),
                    ("resources[].type", Value::Text("role")),
                ],
            ),
            (
                START + DAY,
                vec![
                    ("metadata.uid", Value::Text("e2")),
                    ("api.operation", Value::Text("DeleteTrail")),
                    ("actor.user.name", Value::Text("mallory")),
                    ("src_endpoint.ip", Value::Text("203.0.113.9")),
                ],
            ),
            (
                START + 2 * DAY,
                vec![
                    ("metadata.uid", Value::Text("e3")),
                    ("api.operation", Value::Text("GetObject")),
                    ("actor.user.name", Value::Text("alice")),
                ],
            ),
        ],
    );
    let logons = batch(
        3002,
        &[
            (START + 1, vec![("metadata.uid", Value::Text("l1")), ("user.name", Value::Text("alice"))]),
            (START + 2, vec![("metadata.uid", Value::Text("l2")), ("user.name", Value::Text("bob"))]),
        ],
    );
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    ingest.append("api_activity", calls).await.unwrap();
    ingest.append("authentication", logons).await.unwrap();
    ingest.commit().await.unwrap();
}

/// Ingests lines of `class day text`, as a caller would files; commits after every `commit_lines`.
pub async fn ingest_text(
    ingest: &mut Ingest,
    name: &str,
    text: &str,
    commit_lines: usize,
) -> Result<Option<Container>, LakeError> {
    let (container, reached) = match ingest.begin(name, &mut Cursor::new(text))? {
        Decision::Skip => return Ok(None),
        Decision::Fresh(container) => (container, Reached::default()),
        Decision::Resume { container, reached } => (container, reached),
    };
    read_text(ingest, &container, &reached, text, commit_lines).await?;
    Ok(Some(container))
}

/// What follows `begin`: appends the lines that are not there yet, and finishes.
pub async fn read_text(
    ingest: &mut Ingest,
    container: &Container,
    reached: &Reached,
    text: &str,
    commit_lines: usize,
) -> Result<(), LakeError> {
    let (mut reader, progress) = HashingReader::new(Cursor::new(text));
    let mut records = 0;
    for line in text.split_inclusive('\n') {
        let mut read = vec![0; line.len()];
        std::io::Read::read_exact(&mut reader, &mut read).unwrap();
        records += 1;
        if !reached.has(records, line.as_bytes()) {
            let mut words = line.trim().splitn(3, ' ');
            let (class, day, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let row = vec![("metadata.uid", Value::Text(value)), ("message", Value::Text(value))];
            let time = START + day.parse::<i64>().unwrap() * DAY;
            let class: u32 = class.parse().unwrap();
            ingest.append(&format!("class_{class}"), batch(class, &[(time, row)])).await?;
            if (records as usize).is_multiple_of(commit_lines) {
                ingest.progress(container, Reached { records, ..Reached::default() }, progress.fingerprint());
                ingest.commit().await?;
            }
        }
    }
    ingest.finish(container, Reached { records, ..Reached::default() }, progress.fingerprint());
    Ok(())
}
