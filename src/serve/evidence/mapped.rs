//! Records of tables that are marked as evidence, made of events that did not come as OCSF: what mapping makes of them, anew,
//! out of the log.
//!
//! Mapping gives the same of the same frame. So the bytes of such a record are fixed when it comes in, though nobody sent
//! them: the row as nested OCSF, with the original in `raw_data`. Without `metadata.processed_time`, which is another each
//! time that a sender repeats itself, a repeated event is the leaf that it was.

use super::super::frame::Frame;
use super::records::{Marks, Numbered};
use serde_json::{Map, Value};
use std::sync::Arc;
use tarn_attest::ledger::{Entry, EntryError, INTEGER_MAX};
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_schema_ocsf::nest::Rows;

/// Maps what the lake maps, as it does.
pub struct Mapped {
    sources: Arc<Sources>,
    /// From the first frame on that needs it.
    mapper: Option<Mapper>,
}

impl Mapped {
    /// By the same sources.
    pub fn new(sources: Arc<Sources>) -> Self {
        Self { sources, mapper: None }
    }

    /// The evidence that a frame's records become.
    pub fn of(&mut self, frame: &Frame, marks: &Marks) -> Vec<Numbered> {
        let only = frame.source(&self.sources).map(|source| source.id);
        let mapper = self.mapper.get_or_insert_with(|| Mapper::new(self.sources.clone(), MapOptions::default()));
        mapper.set_ingest_time(frame.time);
        mapper.push_numbered(&frame.block, only, 0);
        let (tables, _) = mapper.drain_numbered();
        let mut taken = Vec::new();
        for table in tables.iter().filter(|table| marks.is_evidence(table.class.0.into())) {
            let rows = Rows::new(&table.batch);
            let entry = |(row, number): (usize, &i64)| (*number as usize, entry(rows.to_json(row)));
            taken.extend(table.numbers.iter().enumerate().map(entry));
        }
        taken
    }
}

fn entry(row: Map<String, Value>) -> Result<Entry, EntryError> {
    let mut record = Value::Object(row);
    if let Some(metadata) = record.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("processed_time");
    }
    exact(&mut record);
    let uid = record.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    Entry::new(&uid, &record, None)
}

/// Integers that no double holds become texts, as RFC 7493 (section 2.2) says: the event's own fields have such numbers,
/// and RFC 8785 would round them.
fn exact(value: &mut Value) {
    match value {
        Value::Number(n) => {
            let magnitude = n.as_u64().or_else(|| n.as_i64().map(i64::unsigned_abs));
            if magnitude.is_some_and(|magnitude| magnitude > INTEGER_MAX) {
                *value = n.to_string().into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(exact),
        Value::Object(members) => members.values_mut().for_each(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
