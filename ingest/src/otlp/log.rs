//! Log records.

use super::event::{self, Body};
use super::object::{Object, head};
use super::records::Records;
use super::{Limits, OtlpError};
use crate::container::Block;
use crate::source::Sources;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

/// The records of a request.
///
/// **Errors**: [`OtlpError::TooLarge`].
pub fn block(
    request: ExportLogsServiceRequest,
    sources: Option<&Sources>,
    limits: &Limits,
) -> Result<Block, OtlpError> {
    let mut records = Records::new(limits);
    for of_resource in request.resource_logs {
        let resource = (of_resource.resource.as_ref(), of_resource.schema_url.as_str());
        for of_scope in of_resource.scope_logs {
            let head = head("log", resource, (of_scope.scope.as_ref(), &of_scope.schema_url));
            for record in of_scope.log_records {
                push(&record, head.clone(), sources, &mut records)?;
            }
        }
    }
    Ok(records.block)
}

fn push(
    record: &LogRecord,
    mut object: Object,
    sources: Option<&Sources>,
    records: &mut Records<'_>,
) -> Result<(), OtlpError> {
    object.number("timeUnixNano", record.time_unix_nano);
    object.number("observedTimeUnixNano", record.observed_time_unix_nano);
    object.number("severityNumber", record.severity_number);
    object.text("severityText", &record.severity_text);
    object.text("eventName", &record.event_name);
    let body = object.value("body", record.body.as_ref());
    let attributes = object.attributes("attributes", &record.attributes);
    object.number("droppedAttributesCount", record.dropped_attributes_count);
    object.number("flags", record.flags);
    object.id("traceId", &record.trace_id);
    object.id("spanId", &record.span_id);
    object.end();
    let text = &object.0;
    let body = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => Some(Body::Text(text)),
        Some(Value::KvlistValue(_)) => body.and_then(|range| text.get(range)).map(Body::Object),
        _ => None,
    };
    let attributes_text = attributes.and_then(|range| text.get(range));
    let time = if record.time_unix_nano > 0 { record.time_unix_nano } else { record.observed_time_unix_nano };
    let event = sources.and_then(|sources| event::of(body, attributes_text, time, sources));
    records.push(event.as_deref(), text, record.attributes.len())
}
