//! The `dead_letters` table: what could not be read as a record, with its bytes and the reason.
//!
//! **Shape**: `container` text, `record` Int64 (1-based), `offset` Int64 (null when unknown), `bytes` binary, `reason`
//! text, `ingest_time` timestamp. Its day is that of `ingest_time`.

use arrow::array::{BinaryBuilder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// The table's name.
pub const TABLE: &str = "dead_letters";

/// The table's columns.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("container", DataType::Utf8, true),
        Field::new("record", DataType::Int64, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("bytes", DataType::Binary, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("ingest_time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The file or stream.
    pub container: &'a str,
    /// 1-based number of the record in it.
    pub record: u64,
    /// Of its first byte, when known.
    pub offset: Option<u64>,
    /// As they came.
    pub bytes: &'a [u8],
    /// Why it is no record.
    pub reason: &'a str,
}

/// Dead letters as a batch of [`schema`].
///
/// **Errors**: over 2 GiB of bytes in one batch.
pub fn batch<'a>(
    letters: impl IntoIterator<Item = DeadLetter<'a>>,
    ingest_time: DateTime<Utc>,
) -> Result<RecordBatch, ArrowError> {
    let (mut containers, mut reasons) = (StringBuilder::new(), StringBuilder::new());
    let (mut records, mut offsets) = (Int64Builder::new(), Int64Builder::new());
    let mut bytes = BinaryBuilder::new();
    let mut total = 0usize;
    for letter in letters {
        total += letter.bytes.len();
        if total > i32::MAX as usize {
            return Err(ArrowError::InvalidArgumentError("over 2 GiB of dead letters in one batch".to_owned()));
        }
        containers.append_value(letter.container);
        records.append_value(i64::try_from(letter.record).unwrap_or(i64::MAX));
        offsets.append_option(letter.offset.and_then(|o| i64::try_from(o).ok()));
        bytes.append_value(letter.bytes);
        reasons.append_value(letter.reason);
    }
    let containers = containers.finish();
    let rows = arrow::array::Array::len(&containers);
    let times = TimestampMicrosecondArray::from_value(ingest_time.timestamp_micros(), rows).with_timezone("UTC");
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(containers),
            Arc::new(records.finish()),
            Arc::new(offsets.finish()),
            Arc::new(bytes.finish()),
            Arc::new(reasons.finish()),
            Arc::new(times),
        ],
    )
}
