//! Values, and Arrow builders of one leaf type that take them.

use crate::column::LeafType;
use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use std::sync::Arc;

/// A value to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// For text and JSON columns.
    Text(&'a str),
    /// For integer columns.
    Int(i64),
    /// For decimal columns.
    Float(f64),
    /// For true and false.
    Bool(bool),
    /// Microseconds since 1970, UTC.
    Time(i64),
}

pub(super) enum Values {
    Text(Texts),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// What a batch's texts may leave of their place.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// Texts. One batch has about as many as the one before it, so their place is taken at once, with some more: growing copies
/// it.
pub(super) struct Texts {
    texts: StringBuilder,
    /// Whether a value of this batch was written.
    begun: bool,
    /// Rows and bytes of the last batch with a value.
    last: (usize, usize),
}

impl Texts {
    fn new() -> Self {
        Self { texts: StringBuilder::with_capacity(0, 0), begun: false, last: (0, 0) }
    }

    /// Whether there was room: an array has no more than 2 GiB.
    fn push(&mut self, text: &str) -> bool {
        if i32::try_from(self.texts.values_slice().len() + text.len()).is_err() {
            return false;
        }
        if !std::mem::replace(&mut self.begun, true) {
            let ((rows, bytes), nulls) = (self.last, self.texts.len());
            self.texts = StringBuilder::with_capacity(rows.max(nulls), bytes + bytes / 4);
            self.texts.append_nulls(nulls);
        }
        self.texts.append_value(text);
        true
    }

    fn finish(&mut self) -> ArrayRef {
        let (bytes, capacity) = (self.texts.values_slice().len(), self.texts.values_capacity());
        if std::mem::take(&mut self.begun) {
            self.last = (self.texts.len(), bytes);
        }
        let mut texts = self.texts.finish();
        // Place that nothing took is given back where it is worth it.
        if capacity > bytes + SPARE_BYTES_MAX {
            texts.shrink_to_fit();
        }
        Arc::new(texts)
    }
}

impl Values {
    pub(super) fn new(leaf: LeafType) -> Self {
        match leaf {
            LeafType::Text | LeafType::Json => Self::Text(Texts::new()),
            LeafType::Int32 => Self::Int32(Int32Builder::new()),
            LeafType::Int64 => Self::Int64(Int64Builder::new()),
            LeafType::Float64 => Self::Float64(Float64Builder::new()),
            LeafType::Bool => Self::Bool(BooleanBuilder::new()),
            LeafType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(b) => b.texts.len(),
            Self::Int32(b) => b.len(),
            Self::Int64(b) => b.len(),
            Self::Float64(b) => b.len(),
            Self::Bool(b) => b.len(),
            Self::Timestamp(b) => b.len(),
        }
    }

    /// Nulls up to a length.
    pub(super) fn pad(&mut self, to: usize) {
        let n = to.saturating_sub(self.len());
        if n == 0 {
            return;
        }
        match self {
            Self::Text(b) => b.texts.append_nulls(n),
            Self::Int32(b) => b.append_nulls(n),
            Self::Int64(b) => b.append_nulls(n),
            Self::Float64(b) => b.append_nulls(n),
            Self::Bool(b) => b.append_nulls(n),
            Self::Timestamp(b) => b.append_nulls(n),
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(texts) => texts.finish(),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
        }
    }

    /// Whether the value is of the type; else nothing changes.
    pub(super) fn push(&mut self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(texts), Value::Text(v)) => return texts.push(v),
            (Self::Int32(b), Value::Int(v)) => match i32::try_from(v) {
                Ok(v) => b.append_value(v),
                Err(_) => return false,
            },
            (Self::Int64(b), Value::Int(v)) => b.append_value(v),
            (Self::Float64(b), Value::Float(v)) => b.append_value(v),
            (Self::Float64(b), Value::Int(v)) => b.append_value(v as f64),
            (Self::Bool(b), Value::Bool(v)) => b.append_value(v),
            (Self::Timestamp(b), Value::Time(v)) => b.append_value(v),
            _ => return false,
        }
        true
    }
}
