//! Parquet: a whole file, or a sound one with bytes changed: pairs of offset (two bytes) and value.
#![no_main]
#![allow(clippy::unwrap_used)]

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Int32Type};
use libfuzzer_sys::fuzz_target;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use tarn_fuzz::container::{SMALL, blocks, read};
use tarn_ingest::container::Limits;

static FILES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();

fuzz_target!(
    init: {
        // The parquet crate's own panics are caught where it is called; only what comes through to here is a finding.
        std::panic::set_hook(Box::new(|_| {}));
        let level = ZstdLevel::try_new(1).unwrap();
        let files = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(level)].map(file);
        assert!(files.iter().all(|f| read(f, Limits::default()).unwrap().records.len() == 3));
        let _ = FILES.set(files);
    },
    |data: &[u8]| {
        let run = || {
            let changed;
            let file = if data.starts_with(b"PAR1") { data } else { changed = with(data); &changed };
            let _ = blocks(file, SMALL);
            let _ = read(file, Limits::default());
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            eprintln!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text"));
            std::process::abort();
        }
    }
);

fn with(data: &[u8]) -> Vec<u8> {
    let (first, changes) = data.split_first().unwrap_or((&0, &[]));
    let mut file = FILES.get().unwrap()[usize::from(*first) % 3].clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
        file[at] = change[2];
    }
    // Without its magic it is no Parquet for the container.
    file[..4].copy_from_slice(b"PAR1");
    file
}

/// Three rows with nested, listed and timed columns.
fn file(compression: Compression) -> Vec<u8> {
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
    let name = Arc::new(Field::new("name", names.data_type().clone(), true));
    let columns: [(&str, ArrayRef); 5] = [
        ("class_uid", Arc::new(Int64Array::from(vec![6003; 3]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_773_743_400_000_000), None, Some(-1)]))),
        ("time_dt", Arc::new(TimestampMicrosecondArray::from(vec![1_773_743_400_000_000; 3]))),
        ("api", Arc::new(StructArray::from(vec![(name, names)]))),
        (
            "ports",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
            ])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties =
        WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(2)).build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}
