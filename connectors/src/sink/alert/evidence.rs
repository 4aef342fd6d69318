//! A finding's evidence as the lake has it: the event goes through its log source's mapping, as when it came in.

use serde_json::{Map, Value};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tarn_ingest::container::Block;
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_schema_ocsf::{Schema, nest};

/// A larger event is not mapped: its alert has no entities then, and a query by uid alone.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Maps evidence. One at a time: alerts are rare. The mapper is made for the first event.
pub struct EvidenceReader {
    sources: Arc<Sources>,
    mapper: Mutex<Option<Mapper>>,
}

impl fmt::Debug for EvidenceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EvidenceReader")
    }
}

/// What evidence is.
#[derive(Debug, Default)]
pub(super) enum Mapped {
    /// An event: its table, and its record.
    Record {
        /// The lake's table.
        table: String,
        /// Canonical OCSF.
        record: Map<String, Value>,
    },
    /// A correlation's group: fields and their values.
    Group(Map<String, Value>),
    /// Neither.
    #[default]
    Nothing,
}

impl EvidenceReader {
    /// Knows these log sources.
    pub fn new(sources: Arc<Sources>) -> Self {
        Self { sources, mapper: Mutex::default() }
    }

    /// What the data of a finding's evidence is.
    pub(super) fn read(&self, data: &str) -> Mapped {
        if data.len() > EVENT_BYTES_MAX {
            return Mapped::Nothing;
        }
        if let Some(group) = group(data) {
            return Mapped::Group(group);
        }
        let mut block = Block::default();
        block.push(1, data);
        let mut mapper = self.mapper.lock().unwrap_or_else(PoisonError::into_inner);
        let mapper = mapper.get_or_insert_with(|| Mapper::new(self.sources.clone(), MapOptions::default()));
        mapper.push(&block, None);
        let (rows, _) = mapper.drain();
        let Some((class, batch)) = rows.into_iter().find(|(_, batch)| batch.num_rows() > 0) else {
            return Mapped::Nothing;
        };
        match Schema::v1_8().class(class) {
            Some(class) => Mapped::Record { table: class.table(), record: nest::to_json(&batch, 0) },
            None => Mapped::Nothing,
        }
    }
}

/// A correlation's evidence has exactly `group`, `measure` and `count`.
fn group(data: &str) -> Option<Map<String, Value>> {
    if !data.starts_with("{\"group\":") {
        return None;
    }
    let Ok(Value::Object(mut members)) = serde_json::from_str(data) else { return None };
    if members.len() != 3 || !members.contains_key("measure") || !members.contains_key("count") {
        return None;
    }
    match members.remove("group") {
        Some(Value::Object(group)) => Some(group),
        _ => None,
    }
}
