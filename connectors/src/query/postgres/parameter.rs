//! Values of `$1`, `$2`, …: their types, and what clients send for them, as text or in PostgreSQL's binary forms.

use super::rows;
use crate::query::{QueryError, Shape};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, TimeUnit};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use pgwire::api::Type;
use postgres_types::FromSql;
use rust_decimal::Decimal;
use std::sync::Arc;

/// One parameter: the type that its values are sent in, and the one that the statement takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    sent: Type,
    taken: DataType,
}

impl Parameter {
    /// The parameters of a statement. `declared` has the oids that the client gave, 0 where it gave none.
    pub fn all(shape: &Shape, declared: &[u32]) -> Vec<Self> {
        let count = shape.parameters.len().max(declared.len());
        let one = |at: usize| {
            let declared =
                declared.get(at).and_then(|oid| Type::from_oid(*oid)).filter(|type_| *type_ != Type::UNKNOWN);
            let planned = shape.parameters.get(at).cloned().flatten();
            let inferred = |taken: &DataType| rows::pg_type(&Arc::new(Field::new("", taken.clone(), true)));
            let sent = declared.or_else(|| planned.as_ref().map(inferred)).unwrap_or(Type::TEXT);
            let taken = planned.unwrap_or_else(|| natural(&sent));
            Self { sent, taken }
        };
        (0..count).map(one).collect()
    }

    /// Its oid.
    pub fn oid(&self) -> u32 {
        self.sent.oid()
    }

    /// An array of the one value.
    ///
    /// **Errors**: a value that is none of its type; `number` counts from 1.
    pub fn value(&self, number: usize, binary: bool, sent: Option<&Bytes>) -> Result<ArrayRef, QueryError> {
        let Some(sent) = sent else { return Ok(new_null_array(&self.taken, 1)) };
        let wrong = |why: String| QueryError::Parameter { message: format!("${number}: not a {}: {why}", self.sent) };
        let array = if binary {
            self.binary(sent).map_err(|error| wrong(error.to_string()))?
        } else {
            let text = std::str::from_utf8(sent).map_err(|error| wrong(error.to_string()))?;
            if self.sent == Type::BYTEA {
                let digits = text.strip_prefix("\\x").ok_or_else(|| wrong("it does not begin with \\x".into()))?;
                let bytes = hex::decode(digits).map_err(|error| wrong(error.to_string()))?;
                Arc::new(BinaryArray::from_vec(vec![&bytes]))
            } else {
                Arc::new(StringArray::from(vec![text])) as ArrayRef
            }
        };
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        if *array.data_type() == self.taken {
            return Ok(array);
        }
        let cast = |array: &ArrayRef, into| cast_with_options(array, into, &strict).map_err(|e| wrong(e.to_string()));
        if self.sent == Type::NUMERIC {
            return cast(&array, &self.taken);
        }
        // By way of the type that it is sent in, whose texts are the ones that count.
        cast(&cast(&array, &natural(&self.sent))?, &self.taken)
    }

    fn binary(&self, sent: &[u8]) -> Result<ArrayRef, Box<dyn std::error::Error + Sync + Send>> {
        let of = &self.sent;
        Ok(match *of {
            Type::BOOL => Arc::new(BooleanArray::from(vec![bool::from_sql(of, sent)?])),
            Type::INT2 => Arc::new(Int16Array::from(vec![i16::from_sql(of, sent)?])),
            Type::INT4 => Arc::new(Int32Array::from(vec![i32::from_sql(of, sent)?])),
            Type::INT8 => Arc::new(Int64Array::from(vec![i64::from_sql(of, sent)?])),
            Type::OID => Arc::new(Int64Array::from(vec![i64::from(u32::from_sql(of, sent)?)])),
            Type::FLOAT4 => Arc::new(Float32Array::from(vec![f32::from_sql(of, sent)?])),
            Type::FLOAT8 => Arc::new(Float64Array::from(vec![f64::from_sql(of, sent)?])),
            Type::NUMERIC => Arc::new(StringArray::from(vec![Decimal::from_sql(of, sent)?.to_string()])),
            Type::BYTEA => Arc::new(BinaryArray::from_vec(vec![sent])),
            Type::DATE => {
                let days = NaiveDate::from_sql(of, sent)?.signed_duration_since(NaiveDate::default()).num_days();
                Arc::new(Date32Array::from(vec![i32::try_from(days)?]))
            }
            Type::TIMESTAMP => {
                let micros = NaiveDateTime::from_sql(of, sent)?.and_utc().timestamp_micros();
                Arc::new(TimestampMicrosecondArray::from(vec![micros]))
            }
            Type::TIMESTAMPTZ => {
                let micros = DateTime::<Utc>::from_sql(of, sent)?.timestamp_micros();
                Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
            }
            Type::UUID => Arc::new(StringArray::from(vec![uuid::Uuid::from_slice(sent)?.to_string()])),
            _ => Arc::new(StringArray::from(vec![std::str::from_utf8(sent)?])),
        })
    }
}

/// The Arrow type that is nearest to PostgreSQL's.
fn natural(of: &Type) -> DataType {
    match *of {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 | Type::NUMERIC => DataType::Float64,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, Schema, TimestampMicrosecondType};

    fn parameter(taken: Option<DataType>, declared: u32) -> Parameter {
        let shape = Shape { schema: Arc::new(Schema::empty()), parameters: vec![taken] };
        Parameter::all(&shape, &[declared]).remove(0)
    }

    fn text(parameter: &Parameter, text: &'static str) -> Result<ArrayRef, QueryError> {
        parameter.value(1, false, Some(&Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn texts_become_what_the_statement_takes() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let taken = parameter(Some(time), 0);
        assert_eq!(taken.oid(), Type::TIMESTAMPTZ.oid());
        let value = text(&taken, "2025-03-01 10:00:00+00").unwrap();
        assert_eq!(value.as_primitive::<TimestampMicrosecondType>().value(0), 1_740_823_200_000_000);
        let number = parameter(Some(DataType::Int64), Type::INT4.oid());
        assert_eq!(text(&number, "-7").unwrap().as_primitive::<Int64Type>().value(0), -7);
        assert_eq!(text(&parameter(None, 0), "x").unwrap().data_type(), &DataType::Utf8);
        assert_eq!(number.value(1, false, None).unwrap().null_count(), 1);
        let wrong = text(&number, "seven").unwrap_err().to_string();
        assert!(wrong.starts_with("$1: not a int4: "), "{wrong}");
    }

    #[test]
    fn binary_values_are_read() {
        let number = parameter(Some(DataType::Int64), Type::INT2.oid());
        let value = number.value(1, true, Some(&Bytes::from_static(&[1, 0]))).unwrap();
        assert_eq!(value.as_primitive::<Int64Type>().value(0), 256);
        assert!(number.value(1, true, Some(&Bytes::from_static(&[1]))).is_err());
        let time = parameter(None, Type::TIMESTAMP.oid());
        let value = time.value(1, true, Some(&Bytes::from_static(&[0; 8]))).unwrap();
        assert_eq!(value.as_primitive::<TimestampMicrosecondType>().value(0), 946_684_800_000_000);
    }
}
