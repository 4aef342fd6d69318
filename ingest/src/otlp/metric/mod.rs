//! Metrics: each data point is a record, with its metric, scope and resource; [`table`] makes rows of them.
//!
//! Metrics are no events: they have no OCSF class, no rule sees them, and they stand in a table of their own.

pub mod table;

use super::object::{Object, head};
use super::records::Records;
use super::value::{push_double, push_number};
use super::{Limits, OtlpError};
use crate::container::Block;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint, exemplar,
    number_data_point,
};

/// The data points of a request.
///
/// **Errors**: [`OtlpError::TooLarge`].
pub fn block(request: ExportMetricsServiceRequest, limits: &Limits) -> Result<Block, OtlpError> {
    let mut records = Records::new(limits);
    for of_resource in request.resource_metrics {
        let resource = (of_resource.resource.as_ref(), of_resource.schema_url.as_str());
        for of_scope in of_resource.scope_metrics {
            let head = head("metric", resource, (of_scope.scope.as_ref(), &of_scope.schema_url));
            for metric in of_scope.metrics {
                push(&metric, &head, &mut records)?;
            }
        }
    }
    Ok(records.block)
}

fn push(metric: &Metric, head: &Object, records: &mut Records<'_>) -> Result<(), OtlpError> {
    let mut head = head.clone();
    head.text("name", &metric.name);
    head.text("description", &metric.description);
    head.text("unit", &metric.unit);
    head.attributes("metadata", &metric.metadata);
    let of = |kind: &str, temporality: i32, is_monotonic: bool| {
        let mut head = head.clone();
        head.text("type", kind);
        head.number("aggregationTemporality", temporality);
        if is_monotonic {
            head.key("isMonotonic").push_str("true");
        }
        head
    };
    match &metric.data {
        // A metric without data has no points.
        None => Ok(()),
        Some(Data::Gauge(gauge)) => points(&of("gauge", 0, false), &gauge.data_points, number, records),
        Some(Data::Sum(sum)) => {
            let head = of("sum", sum.aggregation_temporality, sum.is_monotonic);
            points(&head, &sum.data_points, number, records)
        }
        Some(Data::Histogram(histogram)) => {
            let head = of("histogram", histogram.aggregation_temporality, false);
            points(&head, &histogram.data_points, distribution, records)
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let head = of("exponential_histogram", histogram.aggregation_temporality, false);
            points(&head, &histogram.data_points, exponential, records)
        }
        Some(Data::Summary(summary)) => points(&of("summary", 0, false), &summary.data_points, quantiles, records),
    }
}

/// Writes each point; `write` gives its attributes.
fn points<P>(
    head: &Object,
    points: &[P],
    write: impl Fn(&mut Object, &P) -> usize,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    for point in points {
        let mut object = head.clone();
        let attributes = write(&mut object, point);
        records.push(None, object.end(), attributes)?;
    }
    Ok(())
}

/// What all points have.
fn common(object: &mut Object, attributes: &[KeyValue], start: u64, time: u64, flags: u32) -> usize {
    object.attributes("attributes", attributes);
    object.number("startTimeUnixNano", start);
    object.number("timeUnixNano", time);
    object.number("flags", flags);
    attributes.len()
}

fn number(object: &mut Object, point: &NumberDataPoint) -> usize {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => push_double(object.key("asDouble"), value),
        Some(number_data_point::Value::AsInt(value)) => push_number(object.key("asInt"), value),
        None => {}
    }
    exemplars(object, &point.exemplars);
    common(object, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
}

fn distribution(object: &mut Object, point: &HistogramDataPoint) -> usize {
    totals(object, point.count, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
    numbers(object, "bucketCounts", &point.bucket_counts, |out, count| push_number(out, *count));
    numbers(object, "explicitBounds", &point.explicit_bounds, |out, bound| push_double(out, *bound));
    exemplars(object, &point.exemplars);
    common(object, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
}

fn exponential(object: &mut Object, point: &ExponentialHistogramDataPoint) -> usize {
    totals(object, point.count, [("sum", point.sum), ("min", point.min), ("max", point.max)]);
    object.number("scale", point.scale);
    object.number("zeroCount", point.zero_count);
    if point.zero_threshold != 0.0 {
        push_double(object.key("zeroThreshold"), point.zero_threshold);
    }
    for (key, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
        let Some(Buckets { offset, bucket_counts }) = buckets else { continue };
        let mut inner = Object::new();
        inner.number("offset", *offset);
        numbers(&mut inner, "bucketCounts", bucket_counts, |out, count| push_number(out, *count));
        object.key(key).push_str(inner.end());
    }
    exemplars(object, &point.exemplars);
    common(object, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
}

fn quantiles(object: &mut Object, point: &SummaryDataPoint) -> usize {
    totals(object, point.count, [("sum", Some(point.sum))]);
    object.list("quantileValues", &point.quantile_values, |object, at| {
        push_double(object.key("quantile"), at.quantile);
        push_double(object.key("value"), at.value);
    });
    common(object, &point.attributes, point.start_time_unix_nano, point.time_unix_nano, point.flags)
}

fn totals<const N: usize>(object: &mut Object, count: u64, totals: [(&str, Option<f64>); N]) {
    push_number(object.key("count"), count);
    for (key, total) in totals {
        if let Some(total) = total {
            push_double(object.key(key), total);
        }
    }
}

fn numbers<N>(object: &mut Object, key: &str, numbers: &[N], write: impl Fn(&mut String, &N)) {
    if numbers.is_empty() {
        return;
    }
    let out = object.key(key);
    out.push('[');
    for (i, number) in numbers.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        write(out, number);
    }
    out.push(']');
}

fn exemplars(object: &mut Object, exemplars: &[Exemplar]) {
    object.list("exemplars", exemplars, |object, exemplar| {
        match exemplar.value {
            Some(exemplar::Value::AsDouble(value)) => push_double(object.key("asDouble"), value),
            Some(exemplar::Value::AsInt(value)) => push_number(object.key("asInt"), value),
            None => {}
        }
        object.number("timeUnixNano", exemplar.time_unix_nano);
        object.id("spanId", &exemplar.span_id);
        object.id("traceId", &exemplar.trace_id);
        object.attributes("filteredAttributes", &exemplar.filtered_attributes);
    });
}
