#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use arrow::array::{
    Array, Int32Array, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use serde_json::{Value, json};

fn column(name: &str, array: impl Array + 'static) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(array) as ArrayRef)
}

fn structure(columns: Vec<(&str, ArrayRef)>) -> StructArray {
    StructArray::from(
        columns.into_iter().map(|(n, a)| (Arc::new(Field::new(n, a.data_type().clone(), true)), a)).collect::<Vec<_>>(),
    )
}

/// Two rows as Security Lake writes them: nested structs, `time` in milliseconds beside `time_dt`, a map for `unmapped`.
fn lake() -> Bytes {
    let product = structure(vec![("name", Arc::new(StringArray::from(vec!["CloudTrail", "CloudTrail"])))]);
    let metadata = structure(vec![
        ("version", Arc::new(StringArray::from(vec!["1.1.0", "1.1.0"])) as ArrayRef),
        ("product", Arc::new(product)),
        ("logged_time", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_700_000_000_500_000), None]))),
    ]);
    let resource = structure(vec![("uid", Arc::new(StringArray::from(vec!["r1", "r2"])) as ArrayRef)]);
    let field = Arc::new(Field::new("element", resource.data_type().clone(), true));
    let resources = ListArray::new(field, OffsetBuffer::new(vec![0, 2, 2].into()), Arc::new(resource), None);
    let mut unmapped = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    unmapped.keys().append_value("eventType");
    unmapped.values().append_value("AwsApiCall");
    unmapped.append(true).unwrap();
    unmapped.append(true).unwrap();
    let batch = RecordBatch::try_from_iter([
        column("class_uid", Int32Array::from(vec![6003, 6003])),
        column("time", Int64Array::from(vec![1_700_000_000_000, 1_700_000_001_000])),
        column("time_dt", TimestampMicrosecondArray::from(vec![1_700_000_000_000_000, 1_700_000_001_000_000])),
        column("metadata", metadata),
        column("resources", resources),
        column("status", StringArray::from(vec![None, Some("Failure")])),
        column("unmapped", unmapped.finish()),
    ])
    .unwrap();
    let mut out = Vec::new();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1)).build();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out.into()
}

fn read(bytes: Bytes) -> Option<Block> {
    let (mut block, mut count) = (Block::default(), 0);
    let mut reader = RowReader::open(bytes).ok()?;
    while reader.read(
        &mut || {
            count += 1;
            count
        },
        &mut block,
    ) {}
    Some(block)
}

#[test]
fn rows_are_nested_ocsf() {
    let block = read(lake()).unwrap();
    let rows: Vec<Value> = block.records.iter().map(|r| serde_json::from_str(block.json(r)).unwrap()).collect();
    assert_eq!(
        rows[0],
        json!({
            "class_uid": 6003, "time": 1_700_000_000_000_i64, "time_dt": "2023-11-14T22:13:20Z",
            "metadata": { "version": "1.1.0", "product": { "name": "CloudTrail" }, "logged_time": 1_700_000_000_500_i64 },
            "resources": [{ "uid": "r1" }, { "uid": "r2" }], "unmapped": { "eventType": "AwsApiCall" },
        })
    );
    assert_eq!((rows.len(), &rows[1]["status"]), (2, &json!("Failure")));
}

#[test]
fn no_parquet_is_an_error() {
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\xffPAR1"] {
        assert!(RowReader::open(Bytes::copy_from_slice(bytes)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn broken_files_lose_no_row_silently(at in 0..2_000_usize, byte in any::<u8>(), cut in 0..4_000_usize) {
        let mut bytes = lake().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= byte;
        let _ = read(bytes.clone().into());
        bytes.truncate(cut % bytes.len());
        let _ = read(bytes.into());
    }
}
