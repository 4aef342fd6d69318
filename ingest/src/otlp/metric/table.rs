//! Data points as rows of the table `metrics`.
//!
//! **Shape**: a row a point. Of all: `time`, `start_time`, `ingest_time` (UTC, to the microsecond), `name`, `description`, `unit`,
//! `type` (`gauge`, `sum`, `histogram`, `exponential_histogram`, `summary`), `temporality` (`delta`, `cumulative`),
//! `is_monotonic`, `attributes`, `service.name`, `resource`, `scope.name`, `scope.version`, `scope.attributes`, `exemplars`,
//! `flags`, `metadata.uid`. Of numbers: `value`, and for integers `int_value`, which is exact. Of distributions: `count`,
//! `sum`, `min`, `max`, `buckets`, `quantiles`. `attributes`, `resource`, `scope.attributes`, `buckets`, `quantiles` and
//! `exemplars` are JSON, with the names of OTLP/JSON. A NaN or an infinity is null in a column of numbers.
//!
//! **Fails**: never on a record that [`super::block`] made; another is a dead letter of the caller's.

use crate::container::{Block, RecordSpan};
use crate::identity::record_uid;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// The table's name.
pub const TABLE: &str = "metrics";

/// Texts, in this order, then times and numbers: what [`Columns`] holds.
const TEXTS: [&str; 16] = [
    "name",
    "description",
    "unit",
    "type",
    "temporality",
    "service.name",
    "scope.name",
    "scope.version",
    "metadata.uid",
    "attributes",
    "resource",
    "scope.attributes",
    "buckets",
    "quantiles",
    "exemplars",
    "metadata",
];
/// The first of [`TEXTS`] that is JSON.
const JSON_FROM: usize = 9;
const TIMES: [&str; 3] = ["time", "start_time", "ingest_time"];
const DOUBLES: [&str; 4] = ["value", "sum", "min", "max"];
const INTS: [&str; 3] = ["int_value", "count", "flags"];

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let times = TIMES.iter().map(|name| Field::new(*name, timestamp.clone(), true));
    let text = |(i, name): (usize, &&str)| {
        let field = Field::new(*name, DataType::Utf8, true);
        let json = || HashMap::from([("ocsf.type".to_owned(), "json".to_owned())]);
        if i < JSON_FROM { field } else { field.with_metadata(json()) }
    };
    let doubles = DOUBLES.iter().map(|name| Field::new(*name, DataType::Float64, true));
    let ints = INTS.iter().map(|name| Field::new(*name, DataType::Int64, true));
    let monotonic = std::iter::once(Field::new("is_monotonic", DataType::Boolean, true));
    let fields = times.chain(TEXTS.iter().enumerate().map(text)).chain(doubles).chain(ints).chain(monotonic);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// A point as [`super::block`] writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
    #[serde(borrow, default)]
    scope: Scope<'a>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    unit: Option<Cow<'a, str>>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(default)]
    aggregation_temporality: i32,
    #[serde(default)]
    is_monotonic: bool,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    start_time_unix_nano: u64,
    #[serde(default)]
    time_unix_nano: u64,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    as_int: Option<i64>,
    #[serde(borrow, default)]
    as_double: Option<&'a RawValue>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(borrow, default)]
    sum: Option<&'a RawValue>,
    #[serde(borrow, default)]
    min: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bucket_counts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    explicit_bounds: Option<&'a RawValue>,
    #[serde(borrow, default)]
    scale: Option<&'a RawValue>,
    #[serde(borrow, default)]
    zero_count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    zero_threshold: Option<&'a RawValue>,
    #[serde(borrow, default)]
    positive: Option<&'a RawValue>,
    #[serde(borrow, default)]
    negative: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quantile_values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exemplars: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Scope<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Service<'a> {
    #[serde(borrow, default, rename = "service.name")]
    name: Option<Cow<'a, str>>,
}

fn raw(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get)
}

fn double(value: Option<&RawValue>) -> Option<f64> {
    value?.get().parse().ok()
}

/// Rows so far.
#[derive(Default)]
pub struct Rows {
    texts: [StringBuilder; TEXTS.len()],
    times: [TimestampMicrosecondBuilder; TIMES.len()],
    doubles: [Float64Builder; DOUBLES.len()],
    ints: [Int64Builder; INTS.len()],
    monotonic: BooleanBuilder,
    rows: usize,
}

impl Rows {
    /// Adds a record's row; `time` is when it came in, microseconds since 1970.
    ///
    /// **Errors**: the JSON is no data point; nothing was added.
    pub fn push(&mut self, block: &Block, record: &RecordSpan, time: i64) -> Result<(), serde_json::Error> {
        let point: Point<'_> = serde_json::from_str(block.json(record))?;
        // `service.name` is a text by convention; another value is in `resource` all the same.
        let service = serde_json::from_str::<Service<'_>>(point.resource.get()).ok().and_then(|service| service.name);
        let temporality = match point.aggregation_temporality {
            1 => Some("delta"),
            2 => Some("cumulative"),
            _ => None,
        };
        let (uid, buckets) = (record_uid(block, record), point.buckets());
        let texts: [Option<&str>; TEXTS.len()] = [
            Some(&point.name),
            point.description.as_deref(),
            point.unit.as_deref(),
            Some(&point.r#type),
            temporality,
            service.as_deref(),
            point.scope.name.as_deref(),
            point.scope.version.as_deref(),
            Some(&uid),
            raw(point.attributes),
            Some(point.resource.get()),
            raw(point.scope.attributes),
            buckets.as_deref(),
            raw(point.quantile_values),
            raw(point.exemplars),
            raw(point.metadata),
        ];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.append_option(text);
        }
        let micros = |nanos: u64| (nanos != 0).then(|| i64::try_from(nanos / 1000).unwrap_or(i64::MAX));
        let times = [micros(point.time_unix_nano), micros(point.start_time_unix_nano), Some(time)];
        for (column, time) in self.times.iter_mut().zip(times) {
            column.append_option(time);
        }
        let value = double(point.as_double).or(point.as_int.map(|int| int as f64));
        let doubles = [value, double(point.sum), double(point.min), double(point.max)];
        for (column, double) in self.doubles.iter_mut().zip(doubles) {
            column.append_option(double);
        }
        let count = point.count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        for (column, int) in self.ints.iter_mut().zip([point.as_int, count, Some(i64::from(point.flags))]) {
            column.append_option(int);
        }
        self.monotonic.append_option((point.r#type == "sum").then_some(point.is_monotonic));
        self.rows += 1;
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows so far; none are left.
    ///
    /// **Errors**: none that the columns here could give.
    pub fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        self.rows = 0;
        let utc = |column: &mut TimestampMicrosecondBuilder| column.finish().with_timezone("UTC");
        let times = self.times.iter_mut().map(|column| Arc::new(utc(column)) as ArrayRef);
        let texts = self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let doubles = self.doubles.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let ints = self.ints.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let columns = times.chain(texts).chain(doubles).chain(ints);
        let mut columns: Vec<ArrayRef> = columns.collect();
        columns.push(Arc::new(self.monotonic.finish()));
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}

impl Point<'_> {
    /// What a distribution says of its buckets.
    fn buckets(&self) -> Option<String> {
        let members = [
            ("explicitBounds", self.explicit_bounds),
            ("bucketCounts", self.bucket_counts),
            ("scale", self.scale),
            ("zeroCount", self.zero_count),
            ("zeroThreshold", self.zero_threshold),
            ("positive", self.positive),
            ("negative", self.negative),
        ];
        let mut text = String::new();
        for (name, raw) in members.iter().filter_map(|(name, raw)| Some((name, (*raw)?))) {
            let _ = write!(text, "{}\"{name}\":{}", if text.is_empty() { '{' } else { ',' }, raw.get());
        }
        (!text.is_empty()).then(|| text + "}")
    }
}
