//! `tarn sources test`: golden records of log sources.

use crate::command::Usage;
use crate::output::{Format, print_rows};
use anyhow::Context;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tarn_ingest::golden;
use tarn_ingest::source::Sources;

/// Test a folder of log sources against their golden records
///
/// Beside a source's mapping.toml stand `<case>.input.json` (or .log, .evtx, …) and `<case>.expected.json`: the records
/// that the mapping has to make of it. They also have to be valid OCSF. Exit code 1 when one differs or is not.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn sources test ingest/sources
  tarn sources test --bless my-sources/    # write what the mappings give now")]
pub struct Args {
    /// A folder of log sources (`<name>/mapping.toml`)
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Write the expected files anew; read the difference before you keep it
    #[arg(long)]
    bless: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let sources = Arc::new(Sources::with_folder(&self.folder).map_err(|e| Usage(e.to_string()))?);
        let inputs = inputs(&self.folder)?;
        if inputs.is_empty() {
            let folder = self.folder.display();
            return Err(Usage(format!("{folder}: no <source>/<case>.input.* in this folder")).into());
        }
        let mut rows = Vec::new();
        for input in &inputs {
            rows.push(self.check(&sources, input)?);
        }
        let failed = rows.iter().filter(|r| r["status"] == "failed").count();
        print_rows(&rows, Format::or_default(self.format))?;
        eprintln!("{} cases, {failed} failed", rows.len());
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn check(&self, sources: &Arc<Sources>, input: &Path) -> anyhow::Result<Map<String, Value>> {
        let mapped = golden::map(sources, std::fs::read(input)?)?;
        let name = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let case = name.split(".input.").next().unwrap_or_default();
        let expected = input.with_file_name(format!("{case}.expected.json"));
        let text = mapped.text();
        let why = if let Some((record, violation)) = mapped.violations().into_iter().next() {
            Some(format!("record {}: {violation}", record + 1))
        } else if self.bless {
            std::fs::write(&expected, &text).with_context(|| format!("cannot write {}", expected.display()))?;
            None
        } else {
            difference(&std::fs::read_to_string(&expected).unwrap_or_default(), &text)
        };
        let cells = [
            ("status", json!(if why.is_none() { "passed" } else { "failed" })),
            ("file", json!(input.display().to_string())),
            ("records", json!(mapped.records.len())),
            ("dead", json!(mapped.dead.len())),
            ("why", json!(why.unwrap_or_default())),
        ];
        Ok(cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

fn inputs(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(2).max_depth(2).sort_by_file_name() {
        let path = entry?.into_path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().contains(".input.")) {
            out.push(path);
        }
    }
    Ok(out)
}

/// The first line that differs.
fn difference(expected: &str, got: &str) -> Option<String> {
    if expected.is_empty() {
        return Some("there is no expected file; --bless writes it".into());
    }
    let (mut expected, mut got) = (expected.lines(), got.lines());
    for line in 1.. {
        match (expected.next(), got.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let said = |l: Option<&str>| l.map_or("the end".to_owned(), |l| l.trim().to_owned());
                return Some(format!("line {line}: expected {}, got {}", said(a), said(b)));
            }
        }
    }
    None
}
