//! What rsigma routes events by: `product`, `service` and `category` in each event, as Tarn's own log sources tell them.
//!
//! Without them, rsigma tries the rules of every log source on every event. An event of several categories (`registry_set`
//! and `registry_event`) takes the first that the source's mapping names. rsigma wants Sigma's field names on top, so
//! lanes of nested events (EVTX dumps, Winlogbeat's) are measured as they are, and its rules do not fire on them.

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
        let batch = reader.batch();
        for (record, route) in batch.records.iter().zip(&batch.routes) {
            let text = block.json(&block.records[*record as usize]);
            let mut event: Map<String, Value> = serde_json::from_str(text)?;
            hint(&mut event, &sources, reader.route(*route));
            serde_json::to_writer(&mut out, &event)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
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
