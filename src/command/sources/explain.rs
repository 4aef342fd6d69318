//! `tarn sources explain`: what is recognised in logs, and how much of them lands in typed columns.

use crate::command::arguments::{SourceArg, SourcesArgs};
use crate::output::{Format, print_rows};
use crate::{input, progress};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_ingest::mapper::{FieldCoverage, MapOptions, Mapper};
use tarn_ingest::source::Sources;
use tarn_schema_ocsf::Schema;

/// Say what logs are, and how much of them lands in typed columns
///
/// A row per source and kind of event: its class, and how many field occurrences went to typed columns, to JSON columns
/// (the vendor's free-form parts), to `unmapped` though the source's inventory names them (kept), were added by the
/// shipper, or went to `unmapped` without being named anywhere (unknown). With --fields, a
/// row per field.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn sources explain logs/
  tarn sources explain --fields events.ndjson --format csv")]
pub struct Args {
    /// Logs: files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A row per field
    #[arg(long)]
    fields: bool,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    sources: SourcesArgs,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let inputs = input::expand(&self.paths)?;
        let sources = self.sources.load()?;
        let source = self.source.resolve(&sources)?;
        let mut mapper = Mapper::new(sources.clone(), MapOptions { coverage: true, ..MapOptions::default() });
        let bar = progress::bytes(input::size(&inputs));
        let mut events = 0;
        for input in &inputs {
            let mut blocks = input.blocks(&bar)?;
            while let Some(block) = blocks.next_block()? {
                events += block.records.len();
                mapper.push(&block, source);
                mapper.drain();
            }
        }
        bar.finish_and_clear();
        let mut rows = Vec::new();
        for (name, kinds) in &mapper.coverage().sources {
            let mut whole = FieldCoverage::default();
            for (kind, fields) in kinds {
                let of_kind = sum(fields.values());
                whole = sum([whole, of_kind].iter());
                match self.fields {
                    false => rows.push(row(name, kind, class(&sources, name, kind), &of_kind)),
                    true => rows.extend(fields.iter().map(|(field, c)| row(name, kind, json!(field), c))),
                }
            }
            let known = whole.typed + whole.kept;
            eprintln!(
                "{name}: {:.2} % of {known} documented field occurrences are typed ({} more are free-form, {} the \
                 shipper's, {} unknown)",
                100.0 * whole.typed as f64 / known.max(1) as f64,
                whole.json,
                whole.shipper,
                whole.unknown,
            );
        }
        print_rows(&rows, Format::or_default(self.format))?;
        eprintln!("{events} events");
        Ok(ExitCode::SUCCESS)
    }
}

fn sum<'a>(list: impl Iterator<Item = &'a FieldCoverage>) -> FieldCoverage {
    list.fold(FieldCoverage::default(), |a, b| FieldCoverage {
        typed: a.typed + b.typed,
        json: a.json + b.json,
        kept: a.kept + b.kept,
        shipper: a.shipper + b.shipper,
        unknown: a.unknown + b.unknown,
    })
}

fn class(sources: &Sources, source: &str, kind: &str) -> Value {
    let kinds = sources.named(source).into_iter().flat_map(|s| &s.kinds);
    let class = kinds.filter(|k| k.name == kind).find_map(|k| Schema::v1_8().class(k.class));
    json!(class.map(|c| c.table()))
}

fn row(source: &str, kind: &str, what: Value, c: &FieldCoverage) -> Map<String, Value> {
    let typed = 100.0 * c.typed as f64 / (c.typed + c.kept).max(1) as f64;
    let cells = [
        ("source", json!(source)),
        ("kind", json!(if kind.is_empty() { "(other)" } else { kind })),
        ("class_or_field", what),
        ("typed", json!(c.typed)),
        ("json", json!(c.json)),
        ("kept", json!(c.kept)),
        ("shipper", json!(c.shipper)),
        ("unknown", json!(c.unknown)),
        ("typed_percent", json!((typed * 100.0).round() / 100.0)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
