//! Golden records of a log source: what its mapping makes of `<case>.input.*`, as `<case>.expected.json` has it.
//!
//! Reads no files: the caller brings the bytes. Left out of a golden record is what is the same in all of a run or not
//! of the mapping: `raw_data`, `metadata.version` and `metadata.processed_time`.

use crate::container::{Blocks, ContainerError, Limits};
use crate::mapper::{MapOptions, Mapper};
use crate::source::Sources;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tarn_schema_ocsf::nest;
use tarn_schema_ocsf::validate::{Severity, Violation, validate};

/// When golden records come in: 2026-06-01T00:00:00Z, microseconds.
pub const INGEST_TIME: i64 = 1_780_272_000_000_000;

/// What became of an input.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Records in canonical OCSF, by time and class.
    pub records: Vec<Map<String, Value>>,
    /// Reasons of dead letters.
    pub dead: Vec<String>,
    /// Records and dead letters that the container gave.
    pub count: usize,
}

/// A container's bytes through the whole ingest lane.
///
/// **Errors**: the bytes are no container.
pub fn map(sources: &Arc<Sources>, bytes: Vec<u8>) -> Result<Mapped, ContainerError> {
    let mut mapper = Mapper::new(sources.clone(), MapOptions { ingest_time: INGEST_TIME, ..MapOptions::default() });
    let mut blocks = Blocks::open(std::io::Cursor::new(bytes), Limits::default())?;
    let mut count = 0;
    while let Some(block) = blocks.next_block()? {
        count += block.records.len() + block.dead.len();
        mapper.push(&block, None);
    }
    let (batches, dead) = mapper.drain();
    let rows = batches.iter().flat_map(|(_, batch)| (0..batch.num_rows()).map(|row| nest::to_json(batch, row)));
    let mut records: Vec<_> = rows.collect();
    records.sort_by_key(|r| (r["time"].as_i64(), r["class_uid"].as_i64()));
    Ok(Mapped { records, dead: dead.iter().map(|d| d.reason.to_string()).collect(), count })
}

impl Mapped {
    /// The text of the golden file.
    pub fn text(&self) -> String {
        let dead = self.dead.iter().map(|d| json!({ "dead": d }));
        let shown: Vec<Value> = self.records.iter().cloned().map(shown).chain(dead).collect();
        // Values serialise.
        serde_json::to_string_pretty(&shown).unwrap_or_default() + "\n"
    }

    /// What makes records invalid OCSF: the record's number in [`Mapped::records`], and the violation.
    pub fn violations(&self) -> Vec<(usize, Violation)> {
        let of = |(i, record): (usize, &Map<String, Value>)| {
            let found = validate(&Value::Object(record.clone()));
            found.into_iter().filter(|v| v.severity == Severity::Error).map(move |v| (i, v))
        };
        self.records.iter().enumerate().flat_map(of).collect()
    }
}

fn shown(mut record: Map<String, Value>) -> Value {
    record.remove("raw_data");
    if let Some(Value::Object(metadata)) = record.get_mut("metadata") {
        metadata.remove("version");
        metadata.remove("processed_time");
    }
    sorted(Value::Object(record))
}

/// Columns stand in the order in which all mappings name them; a golden record does not depend on that.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
