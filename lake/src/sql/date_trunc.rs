//! `date_trunc` for times in UTC, which all of the lake's are: hours and days by arithmetic.
//!
//! DataFusion's own (55.2) asks the calendar of the time zone for each row as soon as a type names a zone, also where that is
//! UTC. So it is given the times without their zone here, and its answer gets the zone back.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::datetime::date_trunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// The function, in place of DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateTrunc {
    inner: Arc<ScalarUDF>,
}

impl DateTrunc {
    pub(super) fn new() -> Self {
        Self { inner: date_trunc() }
    }
}

/// The type without its zone, where that is UTC.
fn without_zone(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if matches!(zone.as_ref(), "UTC" | "Z" | "+00:00") => {
            Some(DataType::Timestamp(*unit, None))
        }
        _ => None,
    }
}

fn with_type(field: &FieldRef, data_type: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// The same numbers as another type of timestamp.
fn retyped(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let data = array.to_data().into_builder().data_type(data_type.clone()).build();
    Ok(arrow::array::make_array(data?))
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zoned = args.return_field.data_type().clone();
        let Some(naive) = without_zone(&zoned) else { return self.inner.invoke_with_args(args) };
        if let [_, time] = args.args.as_mut_slice()
            && let ColumnarValue::Array(array) = time
            && *array.data_type() == zoned
        {
            *array = retyped(array, &naive)?;
        } else {
            return self.inner.invoke_with_args(args);
        }
        args.return_field = with_type(&args.return_field, naive.clone());
        if let Some(field) = args.arg_fields.get_mut(1) {
            *field = with_type(field, naive.clone());
        }
        match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(array) if *array.data_type() == naive => {
                Ok(ColumnarValue::Array(retyped(&array, &zoned)?))
            }
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(cast(&array, &zoned)?)),
            ColumnarValue::Scalar(value) => Ok(ColumnarValue::Scalar(value.cast_to(&zoned)?)),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema, TimeUnit};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    async fn answer(context: &SessionContext, sql: &str) -> String {
        pretty_format_batches(&context.sql(sql).await.unwrap().collect().await.unwrap()).unwrap().to_string()
    }

    #[tokio::test]
    async fn answers_are_those_of_datafusion() {
        let (theirs, ours) = (SessionContext::new(), SessionContext::new());
        ours.register_udf(ScalarUDF::from(DateTrunc::new()));
        // Before 1970, at edges, and none.
        let mut times: Vec<Option<i64>> = (-40..40).map(|n| Some(n * 1_234_567_890_123 + n)).collect();
        times.extend([None, Some(0), Some(-1), Some(86_400_000_000), Some(86_399_999_999)]);
        for zone in ["UTC", "+00:00", "Europe/Oslo"] {
            let array = TimestampMicrosecondArray::from(times.clone()).with_timezone(zone);
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
            let schema = Arc::new(Schema::new(vec![Field::new("time", data_type, true)]));
            let batch = RecordBatch::try_new(schema, vec![Arc::new(array)]).unwrap();
            for context in [&theirs, &ours] {
                let _ = context.deregister_table("x");
                context.register_batch("x", batch.clone()).unwrap();
            }
            for part in ["second", "minute", "hour", "day", "week", "month", "quarter", "year"] {
                let sql = format!(
                    "SELECT date_trunc('{part}', time) AS t, arrow_typeof(date_trunc('{part}', time)) AS of, count(*)
                     FROM x GROUP BY 1 ORDER BY 1"
                );
                assert_eq!(answer(&ours, &sql).await, answer(&theirs, &sql).await, "{part} {zone}");
            }
        }
        let plain =
            "SELECT date_trunc('hour', TIMESTAMP '2026-03-17T10:30:00'), date_trunc('day', '2026-03-17T10:30:00')";
        assert_eq!(answer(&ours, plain).await, answer(&theirs, plain).await);
    }
}
