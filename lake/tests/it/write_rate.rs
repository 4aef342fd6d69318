//! How fast rows become files: prints a rate, asserts none. Run with `--release -- --ignored --nocapture write_rate`.

use crate::events::{START, batch, lake_in};
use tarn_lake::IngestOptions;
use tarn_schema_ocsf::record::Value;

#[tokio::test]
#[ignore = "a measurement"]
async fn write_rate() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    let mut ingest = lake.ingest(IngestOptions::default()).await.unwrap();
    let path = std::env::var("TARN_WRITE_RATE_LINES").expect("TARN_WRITE_RATE_LINES names a file of lines");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let batches: Vec<_> = lines
        .chunks(4096)
        .map(|chunk| {
            let uids: Vec<String> = (0..chunk.len()).map(|i| format!("{i:032x}")).collect();
            let row = |(i, line): (usize, &&'static str)| (i, *line);
            let _ = row;
            let rows: Vec<_> = chunk
                .iter()
                .enumerate()
                .map(|(i, line)| {
                    let third = |n: usize| line.get(n * 40..n * 40 + 24).unwrap_or("short");
                    let values = vec![
                        ("metadata.uid", Value::Text(uids[i].as_str())),
                        ("raw_data", Value::Text(*line)),
                        ("unmapped", Value::Text(line.get(line.len() / 2..).unwrap_or("{}"))),
                        ("message", Value::Text(third(1))),
                        ("actor.user.name", Value::Text(third(2))),
                        ("api.operation", Value::Text(third(3))),
                        ("src_endpoint.ip", Value::Text(third(4))),
                    ];
                    (START + (i as i64 * 7919) % 100_000_000, values)
                })
                .collect();
            batch(6003, &rows)
        })
        .collect();
    let start = std::time::Instant::now();
    for batch in batches {
        ingest.append("api_activity", batch).await.unwrap();
    }
    let summary = ingest.commit().await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let rate = text.len() as f64 / 1e6 / seconds;
    println!("{} lines, {:.0} MB/s of lines, {} bytes written, {:.2}s", lines.len(), rate, summary.bytes, seconds);
}
