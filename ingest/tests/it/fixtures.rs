//! Every source's golden records: `<case>.input.json|log` and, beside it, `<case>.expected.json`.
//!
//! `TARN_BLESS=1` writes what the mapping gives now; read the difference before it is committed.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tarn_ingest::container::{Blocks, Limits};
use tarn_ingest::fields::{FieldReader, FieldRequest};
use tarn_ingest::golden::{self, Mapped};
use tarn_ingest::source::Sources;
use tarn_schema_ocsf::validate::{Severity, validate};

/// A container's bytes through the whole ingest lane.
pub fn map(bytes: Vec<u8>) -> Mapped {
    static SOURCES: LazyLock<Arc<Sources>> = LazyLock::new(|| Arc::new(Sources::builtin().unwrap()));
    let mapped = golden::map(&SOURCES, bytes).unwrap();
    assert_eq!(mapped.records.len() + mapped.dead.len(), mapped.count, "records in are rows and dead letters");
    mapped
}

/// Fails where OCSF's rules do.
pub fn check_valid(name: &str, record: &Map<String, Value>) {
    let found = validate(&Value::Object(record.clone()));
    let errors: Vec<String> = found.iter().filter(|v| v.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{}", serde_json::to_string_pretty(record).unwrap());
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sources")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A source's golden inputs.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let input = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().contains(".input."));
    entries(folder).into_iter().filter(input).collect()
}

#[test]
fn every_kind_has_a_golden_record() {
    let sources = Arc::new(Sources::builtin().unwrap_or_else(|e| panic!("{e}")));
    let mut seen = BTreeSet::new();
    for input in entries(&self::sources()).iter().filter(|p| p.is_dir()).flat_map(|folder| inputs(folder)) {
        let mut reader = FieldReader::new(sources.clone(), FieldRequest::default());
        let bytes = std::io::Cursor::new(fs::read(&input).unwrap());
        let mut blocks = Blocks::open(bytes, Limits::default()).unwrap();
        while let Some(block) = blocks.next_block().unwrap() {
            reader.read(&block, None);
            let rows = reader.rows();
            seen.extend((0..rows.len()).map(|row| {
                let route = rows.route(rows.route_of(row));
                (route.source, route.kind)
            }));
        }
    }
    // A native source has no kinds of its own: its records have their class.
    let without = sources.iter().filter(|s| !s.native).flat_map(|source| {
        let missing = source.kinds.iter().enumerate().filter(|(i, _)| !seen.contains(&(source.id, *i as u16)));
        missing.map(|(_, kind)| format!("{}: {}", source.name, kind.name)).collect::<Vec<_>>()
    });
    let without: Vec<String> = without.collect();
    assert!(without.is_empty(), "kinds without a golden record: {without:#?}");
}

#[test]
fn mappings_give_the_expected_records() {
    let bless = std::env::var_os("TARN_BLESS").is_some();
    let mut without = Vec::new();
    let mut differing = Vec::new();
    let mut invalid = Vec::new();
    for folder in entries(&sources()).into_iter().filter(|p| p.join("mapping.toml").is_file()) {
        let inputs = inputs(&folder);
        if inputs.is_empty() {
            without.push(folder.display().to_string());
        }
        for input in inputs {
            let name = input.display().to_string();
            let mapped = map(fs::read(&input).unwrap());
            invalid.extend(mapped.violations().into_iter().map(|(i, why)| format!("{name}, record {}: {why}", i + 1)));
            for record in &mapped.records {
                assert!(record.contains_key("raw_data"), "{name}: a record without raw_data");
            }
            let text = mapped.text();
            let stem = name.split(".input.").next().unwrap();
            let golden = format!("{stem}.expected.json");
            if bless {
                fs::write(&golden, &text).unwrap();
            } else if fs::read_to_string(&golden).unwrap_or_default() != text {
                differing.push(format!("{name}\n{text}"));
            }
        }
    }
    assert!(invalid.is_empty(), "{invalid:#?}");
    assert!(differing.is_empty(), "{} differ from their .expected.json:\n{}", differing.len(), differing.join("\n"));
    assert!(without.is_empty(), "sources without fixtures: {without:?}");
}
