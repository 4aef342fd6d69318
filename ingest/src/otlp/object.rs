//! One JSON object as it is written: members that say nothing are left out, as proto3 does.

use super::value::{push_number, push_object, push_value};
use crate::json::push_string;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::ops::Range;

/// An object's text without its closing brace.
#[derive(Clone, Debug)]
pub struct Object(pub String);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// Begins a member.
    pub fn key(&mut self, key: &str) -> &mut String {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        push_string(&mut self.0, key);
        self.0.push(':');
        &mut self.0
    }

    /// A text, unless it is empty.
    pub fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            push_string(self.key(key), text);
        }
    }

    /// A number, unless it is zero.
    pub fn number<N: std::fmt::Display + Default + PartialEq>(&mut self, key: &str, number: N) {
        if number != N::default() {
            push_number(self.key(key), number);
        }
    }

    /// Bytes in hexadecimal digits, unless there are none.
    pub fn id(&mut self, key: &str, id: &[u8]) {
        self.text(key, &hex::encode(id));
    }

    /// Attributes, unless there are none; gives where their object stands.
    pub fn attributes(&mut self, key: &str, attributes: &[KeyValue]) -> Option<Range<usize>> {
        (!attributes.is_empty()).then(|| {
            let start = self.key(key).len();
            push_object(&mut self.0, attributes);
            start..self.0.len()
        })
    }

    /// A value, null where it is of no kind; gives where it stands.
    pub fn value(&mut self, key: &str, value: Option<&AnyValue>) -> Option<Range<usize>> {
        value.map(|value| {
            let start = self.key(key).len();
            push_value(&mut self.0, Some(value));
            start..self.0.len()
        })
    }

    /// Objects, unless there are none.
    pub fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Object, &T)) {
        if items.is_empty() {
            return;
        }
        self.key(key).push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            let mut object = Object::new();
            write(&mut object, item);
            self.0.push_str(object.end());
        }
        self.0.push(']');
    }

    /// The whole text.
    pub fn end(&mut self) -> &str {
        self.0.push('}');
        &self.0
    }
}

/// What all records of a scope begin with: `signal`, `resource` and `scope` are always there.
pub fn head(
    signal: &str,
    (resource, resource_schema_url): (Option<&Resource>, &str),
    (scope, scope_schema_url): (Option<&InstrumentationScope>, &str),
) -> Object {
    let mut head = Object::new();
    head.text("otlpSignal", signal);
    push_object(head.key("resource"), resource.map_or(&[], |r| &r.attributes));
    if let Some(resource) = resource {
        head.number("resourceDroppedAttributesCount", resource.dropped_attributes_count);
        head.list("resourceEntityRefs", &resource.entity_refs, |object, entity| {
            object.text("schemaUrl", &entity.schema_url);
            object.text("type", &entity.r#type);
            for (key, names) in [("idKeys", &entity.id_keys), ("descriptionKeys", &entity.description_keys)] {
                let out = object.key(key);
                out.push('[');
                for (i, name) in names.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    push_string(out, name);
                }
                out.push(']');
            }
        });
    }
    head.text("resourceSchemaUrl", resource_schema_url);
    let mut inner = Object::new();
    if let Some(scope) = scope {
        inner.text("name", &scope.name);
        inner.text("version", &scope.version);
        inner.attributes("attributes", &scope.attributes);
        inner.number("droppedAttributesCount", scope.dropped_attributes_count);
    }
    head.key("scope").push_str(inner.end());
    head.text("scopeSchemaUrl", scope_schema_url);
    head
}
