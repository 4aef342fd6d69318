//! `tarn evidence lineage`: from a commit to the sessions of what was built of it, and back.

use crate::command::arguments::{LakeArgs, SpanArgs};
use crate::command::block_on;
use crate::lineage::Questions;
use crate::output::{self, print_rows};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tarn_attest::lineage::{self, Lineage, Stage};
use tarn_lake::SqlOptions;

/// Show how what runs came to be: commit, build, SBOM, signature, transparency entry, admission, workload, attestation,
/// key release and inference session, each with the record that says so
///
/// Starts from any of them: an image's digest (sha256:…), a commit, a build, a workload (NAMESPACE/NAME, name or uid), a
/// key or a session of the key broker, or a finding (its uid, or finding:UID). Missing and failing links come first, findings
/// on the image or its workloads last. Exit code 1 where a link is missing or failing, 2 for a starting point that no record
/// knows.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence lineage sha256:01fc02c56ab2de8f84d1a494f8db9962f71c482dccf522a9d46ca586e5640b5b --lake ./lake
  tarn evidence lineage ml/scorer-7d9c --lake s3://bucket/lake --since 2026-11-01
  tarn evidence lineage kbs:///models/scorer/weights --lake ./lake --through key_release
  tarn evidence lineage finding:3f1c0a52c7d94c0e8c5b6d0f8f6e2a11 --lake ./lake --through workload
  tarn evidence lineage 4b825dc642cb6eb9a060e54bf8d69288fbee4904 --lake ./lake --format dot | dot -Tsvg > lineage.svg")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// Where to start
    #[arg(value_name = "DIGEST|COMMIT|POD|KEY|FINDING")]
    start: String,
    #[command(flatten)]
    span: SpanArgs,
    /// The last link that is asked for
    #[arg(long, value_name = "LINK", default_value = "inference", value_parser = stage)]
    through: Stage,
    /// How to print it
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Rows, or a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns drawn for a person.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

fn stage(name: &str) -> Result<Stage, String> {
    let names = || Stage::ALL.map(Stage::name).join(", ");
    Stage::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let span = self.span.span()?;
        let lineage = block_on(async {
            let lake = self.lake.open().await?;
            let session = lake.sql(&SqlOptions::default()).await?;
            Questions { session, span }.lineage(&self.start, self.through).await
        })??;
        let default = if std::io::stdout().is_terminal() { Format::Table } else { Format::Ndjson };
        match self.format.unwrap_or(default) {
            Format::Table => print_rows(&rows(&lineage), output::Format::Table)?,
            Format::Json => print_rows(&rows(&lineage), output::Format::Json)?,
            Format::Ndjson => print_rows(&rows(&lineage), output::Format::Ndjson)?,
            Format::Dot => std::io::stdout().write_all(lineage::to_dot(&lineage).as_bytes())?,
            Format::Mermaid => std::io::stdout().write_all(lineage::to_mermaid(&lineage).as_bytes())?,
        }
        Ok(if lineage.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn rows(lineage: &Lineage) -> Vec<Map<String, Value>> {
    let row = |edge: &lineage::Edge| {
        let cells = [
            ("state", edge.state.name().into()),
            ("link", edge.stage.name().into()),
            ("artifact", edge.artifact.as_str().into()),
            ("from", edge.from.as_str().into()),
            ("to", edge.to.as_str().into()),
            ("record", edge.record.as_deref().into()),
            ("time", edge.time.map(super::rfc3339).into()),
            ("detail", edge.detail.as_str().into()),
        ];
        cells.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
    };
    lineage.edges.iter().map(row).collect()
}
