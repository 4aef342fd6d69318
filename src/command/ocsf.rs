//! `tarn ocsf`: canonical OCSF JSON out of a lake, and any OCSF JSON checked.

use super::arguments::LakeArgs;
use super::{Usage, block_on};
use crate::output::{Format, RowPrinter, print_rows};
use crate::{input, progress};
use clap::{Args as ClapArgs, Subcommand};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_lake::table::{ARRIVAL, EVENT_DAY, TableSnapshot};
use tarn_lake::{SqlError, SqlOptions, dead_letter};
use tarn_schema_ocsf::validate::{Severity, validate};

/// Export canonical OCSF JSON, or validate it
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Export(Export),
    Validate(Validate),
}

/// Print a lake's records as canonical, nested OCSF JSON, one a line
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn ocsf export --lake ./lake --class api_activity --since 2026-03-01 > events.ndjson
  tarn ocsf export --lake ./lake | tarn ocsf validate -")]
struct Export {
    #[command(flatten)]
    lake: LakeArgs,
    /// Only this table; all classes by default
    #[arg(long, value_name = "TABLE")]
    class: Option<String>,
    /// Only records from this time on (RFC 3339, or a day)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<chrono::DateTime<chrono::Utc>>,
    /// Only records before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<chrono::DateTime<chrono::Utc>>,
}

/// Check OCSF JSON against the schema, by the rules of OCSF's own server
///
/// Prints what is wrong, one violation a row with file, record, path, rule and value. Exit code 1 when a record is
/// invalid; warnings alone are fine.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn ocsf validate events.ndjson
  tarn ocsf export --lake ./lake | tarn ocsf validate --warnings -")]
struct Validate {
    /// OCSF records as JSON or NDJSON: files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print warnings as well
    #[arg(long)]
    warnings: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

fn time(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .map_err(|e| format!("{e}; expected 2026-03-01T00:00:00Z or 2026-03-01"))?;
    Ok(time.to_utc())
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Export(args) => block_on(args.run())?,
            Command::Validate(args) => args.run(),
        }
    }
}

impl Export {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let lake = self.lake.open().await?;
        let session = lake.sql(&SqlOptions::default()).await?;
        let tables: Vec<&TableSnapshot> = session
            .tables()
            .filter(|t| t.name != dead_letter::TABLE && self.class.as_ref().is_none_or(|class| *class == t.name))
            .collect();
        if let (Some(class), true) = (&self.class, tables.is_empty()) {
            return Err(Usage(format!("the lake has no table {class}; `tarn lake info` lists them")).into());
        }
        for table in tables {
            let mut stream = session.query(&self.select(table)).await?;
            let mut printer = RowPrinter::new(stream.schema(), Format::Ndjson, true);
            while let Some(batch) = stream.next().await {
                printer.print(batch.map_err(|e| SqlError::Failed(Box::new(e)))?)?;
            }
            printer.finish()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// All of a table's OCSF columns.
    fn select(&self, table: &TableSnapshot) -> String {
        let names =
            table.schema.fields().iter().map(|f| f.name()).filter(|n| ![ARRIVAL, EVENT_DAY].contains(&n.as_str()));
        let columns: Vec<String> = names.map(|n| format!("\"{}\"", n.replace('"', "\"\""))).collect();
        let bound = |sign: &str, time: &Option<chrono::DateTime<chrono::Utc>>| {
            time.map(|t| format!("time {sign} TIMESTAMP '{}'", t.to_rfc3339()))
        };
        let bounds: Vec<String> = [bound(">=", &self.since), bound("<", &self.until)].into_iter().flatten().collect();
        let filter = if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
        format!("SELECT {} FROM {}{filter}", columns.join(", "), table.name)
    }
}

impl Validate {
    fn run(self) -> anyhow::Result<ExitCode> {
        let inputs = input::expand(&self.paths)?;
        let bar = progress::bytes(input::size(&inputs));
        let (mut rows, mut records, mut invalid) = (Vec::new(), 0_u64, 0_u64);
        for input in &inputs {
            let name = input.name();
            let mut blocks = input.blocks(&bar)?;
            while let Some(block) = blocks.next_block()? {
                for letter in &block.dead {
                    records += 1;
                    invalid += 1;
                    rows.push(row(
                        &name,
                        letter.number,
                        "error",
                        "",
                        "not_json",
                        &Value::Null,
                        &letter.reason.to_string(),
                    ));
                }
                for record in &block.records {
                    records += 1;
                    let value: Value = serde_json::from_str(block.json(record))?;
                    let found = validate(&value);
                    invalid += u64::from(found.iter().any(|v| v.severity == Severity::Error));
                    for v in found.iter().filter(|v| self.warnings || v.severity == Severity::Error) {
                        let severity = if v.severity == Severity::Error { "error" } else { "warning" };
                        let value = v.value.clone().unwrap_or_default();
                        rows.push(row(
                            &name,
                            record.number,
                            severity,
                            &v.path,
                            &v.rule.to_string(),
                            &value,
                            &v.message,
                        ));
                    }
                }
            }
        }
        bar.finish_and_clear();
        print_rows(&rows, Format::or_default(self.format))?;
        eprintln!("{records} records, {invalid} invalid");
        Ok(if invalid == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn row(
    file: &str,
    record: u64,
    severity: &str,
    path: &str,
    rule: &str,
    value: &Value,
    message: &str,
) -> Map<String, Value> {
    let cells = [
        ("file", json!(file)),
        ("record", json!(record)),
        ("severity", json!(severity)),
        ("path", json!(path)),
        ("rule", json!(rule)),
        ("value", value.clone()),
        ("message", json!(message)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
