//! What rsigma routes events by: `product`, `service` and `category` in each event, as Tarn's own log sources tell them.
//!
//! Without them, rsigma tries the rules of every log source on every event. An event of several categories (`registry_set`
//! and `registry_event`) takes the first that the source's mapping names. rsigma wants Sigma's field names on top, so
//! events of EVTX dumps are made flat; those of shippers that nest them (Winlogbeat) are left, and its rules do not fire.

use crate::input::Input;
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use tarn_ingest::fields::{FieldReader, FieldRequest};
use tarn_ingest::source::{Route, Sources};

/// Writes `lane` with hints.
///
/// **Errors**: reading or writing.
pub fn write(lane: &Path, out: impl Write) -> anyhow::Result<()> {
    let sources = Arc::new(Sources::builtin()?);
    // No rule asks for anything: what is left is each event's route.
    let mut reader = FieldReader::new(sources.clone(), FieldRequest::default());
    let mut blocks = Input::File(lane.to_owned()).blocks(&ProgressBar::hidden())?;
    let mut out = BufWriter::with_capacity(256 << 10, out);
    while let Some(block) = blocks.next_block()? {
        reader.read(&block, None);
        let rows = reader.rows();
        for (row, record) in block.records.iter().enumerate() {
            let mut event = flat(serde_json::from_str(block.json(record))?);
            hint(&mut event, &sources, rows.route(rows.route_of(row)));
            serde_json::to_writer(&mut out, &event)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

/// An EVTX dump's event with its data and the parts of its header that rules name on top; others as they are.
fn flat(event: Map<String, Value>) -> Map<String, Value> {
    const HEADER: [&str; 8] =
        ["Channel", "Computer", "Level", "Task", "Opcode", "Keywords", "EventRecordID", "Version"];
    let Some(Value::Object(dump)) = event.get("Event") else { return event };
    let is_data = |(name, _): &(&String, &Value)| !name.starts_with('#');
    let members = |value: &Value| -> Map<String, Value> {
        let members = value.as_object().into_iter().flatten();
        members.filter(is_data).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut out = dump.get("EventData").map(members).unwrap_or_default();
    // UserData holds one element, and the fields in it.
    let user_data = dump.get("UserData").map(members).unwrap_or_default();
    out.extend(user_data.values().find(|value| value.is_object()).map(members).unwrap_or_default());
    let system = dump.get("System").unwrap_or(&Value::Null);
    for name in HEADER.into_iter().filter(|name| !system[*name].is_null()) {
        out.entry(name).or_insert_with(|| system[name].clone());
    }
    let id = &system["EventID"];
    out.insert("EventID".into(), id.get("#text").unwrap_or(id).clone());
    out.insert("Provider_Name".into(), system["Provider"]["#attributes"]["Name"].clone());
    out
}

/// An event of no known log source stays as it is.
fn hint(event: &mut Map<String, Value>, sources: &Sources, route: &Route) {
    let entries: Vec<_> = route.logsources.iter().filter_map(|id| sources.logsource(*id)).collect();
    let of_source = sources.source(route.source).products.first();
    let product = entries.iter().find_map(|entry| entry.product.as_ref()).or(of_source);
    let service = entries.iter().find_map(|entry| entry.service.as_ref());
    let category = entries.iter().find_map(|entry| entry.category.as_ref());
    if product.is_none() {
        return;
    }
    for (name, value) in [("product", product), ("service", service), ("category", category)] {
        event.shift_remove(name);
        event.extend(value.map(|value| (name.to_owned(), Value::from(value.as_str()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_evtx_dumps_are_made_flat() -> anyhow::Result<()> {
        let dump = r##"{"Event": {"#attributes": {"xmlns": "x"},
            "System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}}, "EventID": {"#text": 11},
                "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "a", "Correlation": null},
            "EventData": {"#attributes": {}, "Image": "b.exe"}}}"##;
        let flattened = serde_json::to_string(&flat(serde_json::from_str(dump)?))?;
        let expected = r#"{"Image":"b.exe","Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"a","EventID":11,"Provider_Name":"Microsoft-Windows-Sysmon"}"#;
        assert_eq!(flattened, expected);
        let other = r#"{"Event":"x","a":{"b":1}}"#;
        assert_eq!(serde_json::to_string(&flat(serde_json::from_str(other)?))?, other);
        Ok(())
    }
}
