//! Rows keep the numbers of their records, whichever table and batch they end in.

use arrow::array::AsArray;
use std::sync::Arc;
use tarn_ingest::container::{Blocks, Limits};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;

/// Records of two classes of one source and of one that is OCSF already, whose columns change under way.
fn records() -> Vec<String> {
    let call =
        |name: &str| format!(r#"{{"eventVersion":"1.09","eventSource":"s3.amazonaws.com","eventName":"{name}"}}"#);
    let native = |more: &str| {
        format!(r#"{{"class_uid":6003,"category_uid":6,"metadata":{{"version":"1.8.0"}},"time":1773743400000{more}}}"#)
    };
    vec![
        call("ConsoleLogin"),
        native(""),
        call("ListBuckets"),
        native(r#","status_id":1"#),
        "{\"no\": \"source\"}".to_owned(),
        native(""),
        call("DeleteBucket"),
        native(r#","api":{"operation":"A"}"#),
        call("ConsoleLogin"),
    ]
}

#[test]
fn rows_have_the_numbers_of_their_records() {
    let records = records();
    let mut mapper = Mapper::new(Arc::new(Sources::builtin().unwrap()), MapOptions::default());
    // The second time, the columns are known.
    for (first, batches) in [(1_000, 6), (2_000, 4)] {
        let text = records.join("\n");
        let mut blocks = Blocks::open(std::io::Cursor::new(text.into_bytes()), Limits::default()).unwrap();
        let block = blocks.next_block().unwrap().unwrap();
        assert_eq!(block.records.len(), records.len());
        mapper.push_numbered(&block, None, first);
        let (rows, dead) = mapper.drain_numbered();
        assert_eq!((dead.len(), rows.len()), (0, batches));
        let mut seen = Vec::new();
        for rows in rows {
            assert!(rows.numbers.is_sorted() && rows.numbers.len() == rows.batch.num_rows());
            let originals = rows.batch.column_by_name("raw_data").unwrap().as_string::<i32>();
            for (number, original) in rows.numbers.iter().zip(originals.iter().flatten()) {
                assert_eq!(original, records[(number - first) as usize]);
                seen.push(number - first);
            }
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..records.len() as i64));
    }
}
