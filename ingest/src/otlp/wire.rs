//! Protobuf messages before they are decoded: how deep they nest, and how much they would take in memory.
//!
//! Two bytes on the wire can become a struct of hundreds: what would be too many is refused here, before any is made.
//! Wire format: protobuf.dev/programming-guides/encoding.

use super::schema::{Kind, Message};
use super::{Limits, OtlpError};

/// Messages in messages that are read, where prost would stop at 100.
pub const DEPTH_MAX: usize = 96;

/// What is left of the limits.
struct Budget<'a> {
    limits: &'a Limits,
    messages: usize,
    records: usize,
}

/// Looks through a message of this type.
///
/// **Errors**: [`OtlpError`]: more than the limits, or no protobuf.
pub fn check(bytes: &[u8], message: &Message, limits: &Limits) -> Result<(), OtlpError> {
    let mut budget = Budget { limits, messages: limits.messages_max, records: limits.records_max };
    budget.message(bytes, message, DEPTH_MAX)
}

impl Budget<'_> {
    fn message(&mut self, mut rest: &[u8], message: &Message, depth: usize) -> Result<(), OtlpError> {
        let broken =
            || OtlpError::Protobuf { message: message.name, reason: "the bytes end inside a field".to_owned() };
        while !rest.is_empty() {
            let key = varint(&mut rest).ok_or_else(broken)?;
            let length = match key & 7 {
                0 => varint(&mut rest).map(|_| 0),
                1 => Some(8),
                5 => Some(4),
                2 => varint(&mut rest).and_then(|n| usize::try_from(n).ok()),
                other => {
                    let reason = format!("wire type {other}");
                    return Err(OtlpError::Protobuf { message: message.name, reason });
                }
            };
            let (value, after) = rest.split_at_checked(length.ok_or_else(broken)?).ok_or_else(broken)?;
            rest = after;
            let field = u32::try_from(key >> 3).ok().and_then(|tag| message.tagged(tag));
            if let Some(Kind::Message(inner)) = field.filter(|_| key & 7 == 2).map(|field| &field.kind) {
                self.count(inner)?;
                let deeper = depth.checked_sub(1).ok_or(OtlpError::TooDeep { limit: DEPTH_MAX })?;
                self.message(value, inner, deeper)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, inner: &Message) -> Result<(), OtlpError> {
        let limit = self.limits.messages_max;
        self.messages = self.messages.checked_sub(1).ok_or(OtlpError::TooManyValues { limit })?;
        if inner.record {
            let limit = self.limits.records_max;
            self.records = self.records.checked_sub(1).ok_or(OtlpError::TooManyRecords { limit })?;
        }
        Ok(())
    }
}

/// A base-128 number, of ten bytes at most.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
