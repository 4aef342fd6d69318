//! A file's statistics: gathered while writing, as JSON in the Delta log, and read back for planning.
//!
//! Delta protocol, "Per-file statistics". Texts are cut to 32 characters: a minimum to a prefix, a maximum to a prefix
//! and the last code point there is, so both stay bounds.

use crate::table::schema::has_statistics;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute;
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use datafusion::common::ScalarValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const TEXT_CHARS: usize = 32;

/// The least and the greatest value of a column in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Text(String),
    Int(i64),
    Time(i64),
}

/// Gathers the statistics of one column of a file, array by array.
#[derive(Debug)]
pub(crate) struct Gathered {
    name: String,
    nulls: u64,
    range: Option<(Bound, Bound)>,
}

fn bounds(array: &ArrayRef) -> Option<(Bound, Bound)> {
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            let (min, max) = (compute::min_string(texts)?, compute::max_string(texts)?);
            Some((Bound::Text(min.to_owned()), Bound::Text(max.to_owned())))
        }
        DataType::Int32 => {
            let ints = array.as_primitive::<Int32Type>();
            Some((Bound::Int(compute::min(ints)?.into()), Bound::Int(compute::max(ints)?.into())))
        }
        DataType::Int64 => {
            let ints = array.as_primitive::<Int64Type>();
            Some((Bound::Int(compute::min(ints)?), Bound::Int(compute::max(ints)?)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            Some((Bound::Time(compute::min(times)?), Bound::Time(compute::max(times)?)))
        }
        _ => None,
    }
}

impl Gathered {
    /// None for a column that gets no statistics.
    pub(crate) fn of(name: &str) -> Option<Self> {
        has_statistics(name).then(|| Self { name: name.to_owned(), nulls: 0, range: None })
    }

    pub(crate) fn add(&mut self, array: &ArrayRef) {
        self.nulls += array.null_count() as u64;
        if let Some((min, max)) = bounds(array) {
            self.range = Some(match self.range.take() {
                Some((a, b)) => (a.min(min), b.max(max)),
                None => (min, max),
            });
        }
    }
}

/// The JSON of an add action of a file with these rows and columns.
pub(crate) fn to_json<'a>(rows: usize, columns: impl IntoIterator<Item = &'a Gathered>) -> String {
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for column in columns {
        nulls.insert(column.name.clone(), json!(column.nulls));
        let Some((least, greatest)) = &column.range else { continue };
        if let (Some(least), Some(greatest)) = (lower(least), upper(greatest)) {
            min.insert(column.name.clone(), least);
            max.insert(column.name.clone(), greatest);
        }
    }
    json!({ "numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls }).to_string()
}

/// `stats` with a full null count for the columns of `table` that get statistics and that the file does not hold.
pub(crate) fn with_absent(stats: &str, table: &Schema) -> String {
    let Ok(mut parsed) = serde_json::from_str::<Value>(stats) else { return stats.to_owned() };
    let rows = parsed.get("numRecords").cloned();
    if let (Some(rows), Some(Value::Object(nulls))) = (rows, parsed.get_mut("nullCount")) {
        for field in table.fields().iter().filter(|f| has_statistics(f.name())) {
            nulls.entry(field.name().clone()).or_insert_with(|| rows.clone());
        }
    }
    parsed.to_string()
}

/// Years that every reader's timestamp parser takes.
fn time_text(micros: i64) -> Option<Value> {
    let time = DateTime::<Utc>::from_timestamp_micros(micros)?;
    (1..=9999)
        .contains(&chrono::Datelike::year(&time))
        .then(|| json!(time.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

fn lower(bound: &Bound) -> Option<Value> {
    match bound {
        Bound::Text(text) => Some(json!(text.chars().take(TEXT_CHARS).collect::<String>())),
        Bound::Int(int) => Some(json!(int)),
        Bound::Time(micros) => time_text(*micros),
    }
}

fn upper(bound: &Bound) -> Option<Value> {
    match bound {
        Bound::Text(text) => {
            let mut chars = text.chars();
            let mut cut: String = chars.by_ref().take(TEXT_CHARS).collect();
            match chars.next() {
                None => {}
                Some(char::MAX) => return None,
                Some(_) => cut.push(char::MAX),
            }
            Some(json!(cut))
        }
        Bound::Int(int) => Some(json!(int)),
        Bound::Time(micros) => time_text(*micros),
    }
}

/// Days since 1970 of a partition value.
pub(crate) fn parse_day(text: &str) -> Option<i32> {
    let day = text.parse::<NaiveDate>().ok()?;
    Some(Date32Type::from_naive_date(day))
}

/// A file's statistics as the log tells them.
#[derive(Clone, Debug, Default)]
pub struct FileStats {
    /// Rows in the file.
    pub rows: Option<u64>,
    /// Columns of which the log says anything: most have nothing, and tables have many files.
    columns: Vec<(FieldRef, ColumnStats)>,
}

/// What the log says of one column of one file.
#[derive(Clone, Debug, Default)]
pub struct ColumnStats {
    /// No value is less; of the column's type.
    pub min: Option<ScalarValue>,
    /// No value is greater; of the column's type.
    pub max: Option<ScalarValue>,
    /// Nulls, exactly.
    pub nulls: Option<u64>,
}

fn scalar(value: &Value, data_type: &DataType, greatest: bool) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Utf8 => ScalarValue::Utf8(Some(value.as_str()?.to_owned())),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value.as_i64()?).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let mut micros = DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp_micros();
            // Other writers cut to milliseconds, as the protocol allows.
            if greatest && micros % 1000 == 0 {
                micros = micros.saturating_add(999);
            }
            ScalarValue::TimestampMicrosecond(Some(micros), zone.clone())
        }
        _ => return None,
    })
}

impl FileStats {
    pub(crate) fn parse(text: Option<&str>, schema: &Schema) -> Self {
        let parsed: Option<Value> = text.and_then(|t| serde_json::from_str(t).ok());
        let Some(parsed) = parsed else { return Self::default() };
        let column = |field: &FieldRef| {
            let value = |kind: &str| parsed.get(kind).and_then(|values| values.get(field.name()));
            let stats = ColumnStats {
                min: value("minValues").and_then(|v| scalar(v, field.data_type(), false)),
                max: value("maxValues").and_then(|v| scalar(v, field.data_type(), true)),
                nulls: value("nullCount").and_then(Value::as_u64),
            };
            let known = stats.min.is_some() || stats.max.is_some() || stats.nulls.is_some();
            known.then(|| (Arc::clone(field), stats))
        };
        Self {
            rows: parsed.get("numRecords").and_then(Value::as_u64),
            columns: schema.fields().iter().filter_map(column).collect(),
        }
    }

    /// What the log says of a column; none where that is nothing.
    pub fn column(&self, name: &str) -> Option<&ColumnStats> {
        self.columns.iter().find(|(field, _)| field.name() == name).map(|(_, stats)| stats)
    }

    /// The least `time`, in µs.
    pub(crate) fn earliest(&self) -> Option<i64> {
        self.times("time").0
    }

    /// The least and the greatest of a column of times, in µs, where the log says them.
    pub(crate) fn times(&self, column: &str) -> (Option<i64>, Option<i64>) {
        let micros = |value: &Option<ScalarValue>| match value {
            Some(ScalarValue::TimestampMicrosecond(micros, _)) => *micros,
            _ => None,
        };
        self.column(column).map_or((None, None), |of| (micros(&of.min), micros(&of.max)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Field;

    #[test]
    fn long_texts_stay_bounds_and_absurd_times_are_left_out() {
        let schema = Schema::new(vec![
            Field::new("user.name", DataType::Utf8, true),
            Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ]);
        let long = "ü".repeat(40);
        let columns: [ArrayRef; 2] = [
            Arc::new(StringArray::from(vec![Some("a"), Some(long.as_str()), None])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1, i64::MAX]).with_timezone("UTC")),
        ];
        let gathered = schema.fields().iter().zip(&columns).map(|(field, array)| {
            let mut gathered = Gathered::of(field.name()).unwrap();
            gathered.add(array);
            gathered
        });
        let stats = FileStats::parse(Some(&to_json(3, &gathered.collect::<Vec<_>>())), &schema);
        assert_eq!(stats.rows, Some(3));
        let name = stats.column("user.name").unwrap();
        assert_eq!(name.nulls, Some(1));
        assert_eq!(name.min, Some(ScalarValue::from("a")));
        let Some(ScalarValue::Utf8(Some(max))) = &name.max else { unreachable!() };
        assert!(max.as_str() > long.as_str() && max.chars().count() == TEXT_CHARS + 1);
        let time = stats.column("time").unwrap();
        assert!(time.min.is_none() && time.max.is_none());
    }
}
