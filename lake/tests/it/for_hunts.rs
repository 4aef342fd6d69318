//! Files as hunts read them: members of `unmapped` as columns, and rows that cannot be meant left out.

use crate::events::{Row, START, batch, lake_in, session};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;
use tarn_lake::table::{REST, member_column};
use tarn_lake::upkeep::{CompactOptions, compact};
use tarn_lake::{IngestOptions, Lake};
use tarn_schema_ocsf::record::Value;

/// More than a row group has.
const ROWS: usize = 70_000;

/// What is in `unmapped` of a row: objects, members that are there twice, names with dots, and no object at all.
fn unmapped(row: usize) -> Option<String> {
    Some(match row % 7 {
        0 => format!(r#"{{"n":{row},"path":"C:\\users\\{row}"}}"#),
        1 => r#"{"deep":{"n":1},"n":null}"#.to_owned(),
        2 => r#"{"n":1,"path":"x","n":2}"#.to_owned(),
        3 => r#"{"a.b":"dotted","n":true}"#.to_owned(),
        4 => "no object".to_owned(),
        5 if row == 69_900 => r#"{"path":"run TarnaDump::all"}"#.to_owned(),
        5 => r#"{"list":[1,2],"lists":[{"n":1}]}"#.to_owned(),
        _ => return None,
    })
}

/// A lake with these rows, in so many commits.
async fn filled(folder: &std::path::Path, options: IngestOptions, commits: usize) -> Lake {
    let lake = lake_in(folder).await;
    let texts: Vec<(String, Option<String>)> = (0..ROWS).map(|row| (format!("u{row}"), unmapped(row))).collect();
    let rows: Vec<Row<'_>> = texts
        .iter()
        .zip(0..)
        .map(|((uid, unmapped), row)| {
            let unmapped = unmapped.as_deref().map(|text| ("unmapped", Value::Text(text)));
            (START + row * 1_000_000, [("metadata.uid", Value::Text(uid))].into_iter().chain(unmapped).collect())
        })
        .collect();
    let mut ingest = lake.ingest(options).await.unwrap();
    for rows in rows.chunks(ROWS.div_ceil(commits)) {
        ingest.append("api_activity", batch(6003, rows)).await.unwrap();
        ingest.commit().await.unwrap();
    }
    lake
}

/// Columns of the rows that a hunt reads, by these filters and these texts.
async fn read(lake: &Lake, filters: &[Expr], sought: Option<&str>) -> Vec<RecordBatch> {
    let session = session(lake).await;
    let texts = ["n", "path", "list"].map(member_column).into_iter().chain([REST.to_owned()]).collect::<Vec<_>>();
    let (files, others) = session.for_hunts("api_activity", &texts).unwrap();
    assert!(others.is_none(), "every row is in a file for hunts");
    let files = files.unwrap();
    let files = match sought {
        Some(text) => files.with_any_of(&[vec![vec![text.to_owned()]]]),
        None => files,
    };
    let state = session.context().state();
    let plan = datafusion::catalog::TableProvider::scan(&files, &state, None, filters, None).await.unwrap();
    datafusion::physical_plan::collect(Arc::clone(&plan), session.context().task_ctx()).await.unwrap()
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn check_members(batches: &[RecordBatch]) {
    assert_eq!(rows(batches), ROWS);
    for batch in batches {
        let columns = [
            "metadata.uid".to_owned(),
            member_column("n"),
            member_column("path"),
            member_column("list"),
            REST.to_owned(),
        ];
        let columns = columns.map(|column| cast(batch.column_by_name(&column).unwrap(), &DataType::Utf8).unwrap());
        let text = |column: usize, row: usize| {
            let texts = columns[column].as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        for row in 0..batch.num_rows() {
            let number: usize = text(0, row).unwrap()[1..].parse().unwrap();
            let of = [1, 2, 3, 4].map(|column| text(column, row));
            let some = |text: &str| Some(text.to_owned());
            let expected = match number % 7 {
                0 => [Some(number.to_string()), Some(format!(r#""C:\\users\\{number}""#)), None, None],
                1 => [some("null"), None, None, some(r#"{"deep":{"n":1}}"#)],
                2 => [None, None, None, some(r#"{"n":1,"path":"x","n":2}"#)],
                3 => [some("true"), None, None, some(r#"{"a.b":"dotted"}"#)],
                4 => [None, None, None, some("no object")],
                5 if number == 69_900 => [None, some(r#""run TarnaDump::all""#), None, None],
                5 => [None, None, some("[1,2]"), some(r#"{"lists":[{"n":1}]}"#)],
                _ => [None, None, None, None],
            };
            assert_eq!(of, expected, "row {number}");
        }
    }
}

#[tokio::test]
async fn members_are_columns_or_in_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path(), IngestOptions::default(), 1).await;
    check_members(&read(&lake, &[], None).await);
}

#[tokio::test]
async fn compaction_adds_what_hunts_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path(), IngestOptions { for_hunts: false, ..IngestOptions::default() }, 4).await;
    let (files, _) = session(&lake).await.for_hunts("api_activity", &[]).unwrap();
    assert!(files.is_none(), "not yet");
    compact(&lake, "api_activity", &CompactOptions { files_min: 2, ..CompactOptions::default() }, false).await.unwrap();
    check_members(&read(&lake, &[], None).await);
}

#[tokio::test]
async fn rows_that_cannot_be_meant_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path(), IngestOptions::default(), 1).await;
    let uids = |batches: &[RecordBatch]| -> Vec<String> {
        let uids =
            batches.iter().map(|batch| cast(batch.column_by_name("metadata.uid").unwrap(), &DataType::Utf8).unwrap());
        uids.flat_map(|uids| uids.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    // A block has 1,024 rows, and there are more false alarms than none.
    let found = read(&lake, &[], Some("tarnadump::")).await;
    assert!(uids(&found).contains(&"u69900".to_owned()));
    assert!(rows(&found) <= 4 * 1024, "{} rows", rows(&found));
    assert_eq!(rows(&read(&lake, &[], Some("tarnanothing::")).await), 0);

    let at = |row: i64| lit(ScalarValue::TimestampMicrosecond(Some(START + row * 1_000_000), Some("UTC".into())));
    let late = [ident("time").gt_eq(at(69_000))];
    let found = read(&lake, &late, None).await;
    assert!((1_000..ROWS / 2).contains(&rows(&found)), "{} rows", rows(&found));
    assert!((69_000..ROWS).all(|row| uids(&found).contains(&format!("u{row}"))));
    assert_eq!(rows(&read(&lake, &[ident("time").lt(at(1_000))], Some("tarnadump::")).await), 0, "not both");
}
