//! Spans.

use super::object::{Object, head};
use super::records::Records;
use super::{Limits, OtlpError};
use crate::container::Block;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

/// The records of a request.
///
/// **Errors**: [`OtlpError::TooLarge`].
pub fn block(request: ExportTraceServiceRequest, limits: &Limits) -> Result<Block, OtlpError> {
    let mut records = Records::new(limits);
    for of_resource in request.resource_spans {
        let resource = (of_resource.resource.as_ref(), of_resource.schema_url.as_str());
        for of_scope in of_resource.scope_spans {
            let head = head("span", resource, (of_scope.scope.as_ref(), &of_scope.schema_url));
            for span in of_scope.spans {
                push(&span, head.clone(), &mut records)?;
            }
        }
    }
    Ok(records.block)
}

fn push(span: &Span, mut object: Object, records: &mut Records<'_>) -> Result<(), OtlpError> {
    object.id("traceId", &span.trace_id);
    object.id("spanId", &span.span_id);
    object.text("traceState", &span.trace_state);
    object.id("parentSpanId", &span.parent_span_id);
    object.number("flags", span.flags);
    object.text("name", &span.name);
    object.number("kind", span.kind);
    object.number("startTimeUnixNano", span.start_time_unix_nano);
    object.number("endTimeUnixNano", span.end_time_unix_nano);
    object.attributes("attributes", &span.attributes);
    object.number("droppedAttributesCount", span.dropped_attributes_count);
    object.list("events", &span.events, |object, event| {
        object.number("timeUnixNano", event.time_unix_nano);
        object.text("name", &event.name);
        object.attributes("attributes", &event.attributes);
        object.number("droppedAttributesCount", event.dropped_attributes_count);
    });
    object.number("droppedEventsCount", span.dropped_events_count);
    object.list("links", &span.links, |object, link| {
        object.id("traceId", &link.trace_id);
        object.id("spanId", &link.span_id);
        object.text("traceState", &link.trace_state);
        object.attributes("attributes", &link.attributes);
        object.number("droppedAttributesCount", link.dropped_attributes_count);
        object.number("flags", link.flags);
    });
    object.number("droppedLinksCount", span.dropped_links_count);
    if let Some(status) = &span.status {
        let mut inner = Object::new();
        inner.number("code", status.code);
        inner.text("message", &status.message);
        object.key("status").push_str(inner.end());
    }
    let text = object.end();
    records.push(None, text, span.attributes.len())
}
