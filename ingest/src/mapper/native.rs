//! Records that are OCSF already: kept as they are, column by column.

use super::{MapOptions, Numbered, unmapped};
use crate::source::{TimeFormat, parse_time};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tarn_schema_ocsf::flatten::{Flat, flatten};
use tarn_schema_ocsf::record::Value;
use tarn_schema_ocsf::{BatchBuilder, ClassUid, LeafType, Schema, Slot, TableSchema};

/// Tables whose columns are those that records brought so far.
#[derive(Default)]
pub struct Tables {
    tables: BTreeMap<ClassUid, Table>,
    finished: Vec<Numbered>,
}

struct Table {
    paths: Vec<String>,
    builder: BatchBuilder,
    /// Whose the builder's rows are.
    numbers: Vec<i64>,
}

impl Table {
    fn finish(&mut self, class: ClassUid) -> Numbered {
        Numbered { class, batch: self.builder.finish(), numbers: std::mem::take(&mut self.numbers) }
    }
}

impl Tables {
    /// Adds a record with a number.
    ///
    /// **Errors**: why it is no OCSF record.
    pub fn push(
        &mut self,
        json: &str,
        original: &str,
        uid: &str,
        number: i64,
        options: &MapOptions,
    ) -> Result<(), String> {
        let record: Json = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let record = record.as_object().ok_or("expected an object")?;
        let mut flat = flatten(record).map_err(|e| e.to_string())?;
        let class = flat.class.ok_or("class_uid: expected an integer")?;
        let kept = std::mem::take(&mut flat.unknown);
        let Table { builder, numbers, .. } = self.table(class, &flat)?;
        if let (Some(slot), Some(time)) = (builder.schema().slot("time"), time(record)) {
            let _ = builder.set(slot, Value::Time(time));
        }
        for (path, value) in flat.leaves.iter().filter(|(path, _)| path != "unmapped") {
            if let Some(slot) = builder.schema().slot(path) {
                leaf(builder, slot, value);
            }
        }
        for (list, objects) in &flat.objects {
            for object in objects {
                let mut begun = false;
                for (child, value) in object {
                    let Some(slot) = builder.schema().slot(&format!("{list}[].{child}")) else { continue };
                    if !std::mem::replace(&mut begun, true) {
                        builder.begin_object(slot);
                    }
                    leaf(builder, slot, value);
                }
            }
        }
        let mut fallbacks = Vec::new();
        for (path, value) in [
            ("metadata.uid", Value::Text(uid)),
            ("time", Value::Time(options.ingest_time)),
            ("raw_data", Value::Text(original)),
        ] {
            if let Some(slot) = builder.schema().slot(path).filter(|s| !builder.is_set(*s)) {
                let _ = builder.set(slot, value);
                if path == "time" {
                    fallbacks.push(path);
                }
            }
        }
        // One that is no object is among those that OCSF has no attribute for.
        let own = flat.leaves.iter().find(|(path, _)| path == "unmapped").map(|(_, value)| value);
        if let Some(slot) = builder.schema().slot("unmapped")
            && let Some(text) = left_over(own, &kept, &fallbacks)
        {
            let _ = builder.set(slot, Value::Text(&text));
        }
        builder.end_row();
        numbers.push(number);
        Ok(())
    }

    /// The class's table, with a column for everything that the record brings.
    fn table(&mut self, class: ClassUid, flat: &Flat) -> Result<&mut Table, String> {
        let schema = Schema::v1_8();
        let mut wanted: Vec<String> = ["time", "metadata.uid", "unmapped", "raw_data"].map(str::to_owned).to_vec();
        wanted.extend(flat.leaves.iter().map(|(path, _)| path.clone()));
        for (list, objects) in &flat.objects {
            wanted.extend(objects.iter().flatten().map(|(child, _)| format!("{list}[].{child}")));
        }
        wanted.retain(|path| schema.leaf(class, path).is_ok());
        let mut old = self.tables.remove(&class);
        let mut paths = old.as_mut().map_or_else(Vec::new, |old| std::mem::take(&mut old.paths));
        let before = paths.len();
        for path in wanted {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let table = match old {
            Some(table) if paths.len() == before => Table { paths, ..table },
            old => {
                if let Some(mut old) = old.filter(|old| !old.builder.is_empty()) {
                    self.finished.push(old.finish(class));
                }
                let schema = TableSchema::new(class, paths.iter().map(String::as_str)).map_err(|e| e.to_string())?;
                Table { paths, builder: BatchBuilder::new(Arc::new(schema)), numbers: Vec::new() }
            }
        };
        Ok(self.tables.entry(class).or_insert(table))
    }

    /// Bytes of text that wait.
    pub fn pending_bytes(&self) -> usize {
        self.tables.values().map(|table| table.builder.text_bytes()).sum()
    }

    /// All rows so far.
    pub fn drain(&mut self) -> Vec<Numbered> {
        let mut out = std::mem::take(&mut self.finished);
        let full = self.tables.iter_mut().filter(|(_, table)| !table.builder.is_empty());
        out.extend(full.map(|(class, table)| table.finish(*class)));
        out
    }
}

/// What no column takes: what the record itself has in `unmapped`, and beside it what OCSF has no attribute for.
fn left_over(own: Option<&Json>, kept: &[(String, Json)], fallbacks: &[&str]) -> Option<String> {
    let own = own.filter(|own| !own.is_null());
    if kept.is_empty() && fallbacks.is_empty() {
        return own.map(Json::to_string);
    }
    let mut all: Vec<(&str, String)> = kept.iter().map(|(path, value)| (path.as_str(), value.to_string())).collect();
    match own {
        Some(Json::Object(members)) => {
            all.extend(members.iter().map(|(name, value)| (name.as_str(), value.to_string())))
        }
        own => all.extend(own.map(|own| ("unmapped", own.to_string()))),
    }
    let mut all: Vec<(&str, &str)> = all.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut text = String::new();
    unmapped::write(&mut text, &mut all, &mut Vec::new(), &[], fallbacks);
    Some(text)
}

/// A record's time: milliseconds, as OCSF has it, or what other producers write.
fn time(record: &serde_json::Map<String, Json>) -> Option<i64> {
    let parse = |name: &str, format| match record.get(name)? {
        Json::Number(n) => parse_time(&n.to_string(), format, chrono_tz::Tz::UTC),
        Json::String(text) => parse_time(text, format, chrono_tz::Tz::UTC),
        _ => None,
    };
    let utc = |name| parse(name, TimeFormat::Utc);
    parse("time", TimeFormat::Epoch).or_else(|| utc("time")).or_else(|| utc("time_dt"))
}

fn leaf(builder: &mut BatchBuilder, slot: Slot, value: &Json) {
    let mut set = |value: &Json| {
        let text;
        let value = match (slot.leaf_type(), value) {
            (LeafType::Json, value) => {
                text = value.to_string();
                Value::Text(&text)
            }
            // OCSF's timestamps are milliseconds.
            (LeafType::Timestamp, value) => Value::Time(value.as_i64().unwrap_or_default().saturating_mul(1_000)),
            (_, Json::String(text)) => Value::Text(text),
            (_, Json::Bool(b)) => Value::Bool(*b),
            (_, Json::Number(n)) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or_default()), Value::Int),
            _ => return,
        };
        let _ = builder.set(slot, value);
    };
    match value {
        Json::Array(items) if slot.is_list() => items.iter().for_each(set),
        value => set(value),
    }
}
