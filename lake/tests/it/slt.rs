//! Runs `tests/slt/*.slt`: statements with the rows, or the error, that they give.
//!
//! ```text
//! query            or: query unordered, error
//! SELECT …
//! ----
//! rows, cells apart by a tab; for `error`, a part of the message
//! (empty line)
//! ```

use crate::events::{lake_in, session, small};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use tarn_lake::SqlSession;

#[tokio::test]
async fn all_files() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut cases = 0;
    for entry in std::fs::read_dir(scripts).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for case in text.split("\n\n").map(str::trim).filter(|c| !c.is_empty()) {
            cases += 1;
            check(&session, case).await.unwrap_or_else(|e| panic!("{}: {case}\n{e}", path.display()));
        }
    }
    assert!(cases > 20, "only {cases} cases");
}

async fn check(session: &SqlSession, case: &str) -> Result<(), String> {
    let lines: Vec<&str> = case.lines().filter(|l| !l.starts_with('#')).collect();
    let Some((kind, rest)) = lines.split_first() else { return Ok(()) };
    let border = rest.iter().position(|l| *l == "----").ok_or("no ----")?;
    let (sql, expected) = (rest[..border].join("\n"), &rest[border + 1..]);
    let result = rows(session, &sql).await;
    match (*kind, result) {
        ("error", Err(message)) if message.contains(expected[0]) => Ok(()),
        ("error", other) => Err(format!("got {other:?}")),
        (_, Err(message)) => Err(message),
        (kind, Ok(mut found)) => {
            let mut expected: Vec<String> = expected.iter().map(|l| (*l).to_owned()).collect();
            if kind == "query unordered" {
                found.sort();
                expected.sort();
            }
            if found == expected { Ok(()) } else { Err(format!("got:\n{}", found.join("\n"))) }
        }
    }
}

async fn rows(session: &SqlSession, sql: &str) -> Result<Vec<String>, String> {
    let stream = session.query(sql).await.map_err(|e| e.to_string())?;
    let batches: Vec<_> = stream.try_collect().await.map_err(|e| e.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("\t"));
        }
    }
    Ok(rows)
}
