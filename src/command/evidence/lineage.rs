//! `tarn evidence lineage`: from a commit to the sessions of what was built of it, and back.

use crate::command::arguments::{LakeArgs, SpanArgs};
use crate::command::{Usage, block_on};
use crate::hunting::Span;
use crate::output::{self, print_rows};
use arrow::array::{ArrayRef, StringArray};
use clap::{Args as ClapArgs, ValueEnum};
use futures::TryStreamExt;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use tarn_attest::Digest;
use tarn_attest::lineage::{self, Lineage, NAMED_MAX, Pod, Records, Row, Stage};
use tarn_lake::{SqlOptions, SqlSession};
use tarn_schema_ocsf::nest::Rows;

/// Rows of one question; of more, the newest.
const ROWS_MAX: usize = 2_000;

/// Show how what runs came to be: commit, build, SBOM, signature, transparency entry, admission, workload, attestation,
/// key release and inference session, each with the record that says so
///
/// Starts from any of them: an image's digest (sha256:…), a commit, a build, a workload (NAMESPACE/NAME, name or uid), a key
/// or a session of the key broker. Missing and failing links come first. Exit code 1 where a link is missing or failing, 2
/// for a starting point that no record knows.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence lineage sha256:01fc02c56ab2de8f84d1a494f8db9962f71c482dccf522a9d46ca586e5640b5b --lake ./lake
  tarn evidence lineage ml/scorer-7d9c --lake s3://bucket/lake --since 2026-11-01
  tarn evidence lineage kbs:///models/scorer/weights --lake ./lake --through key_release
  tarn evidence lineage 4b825dc642cb6eb9a060e54bf8d69288fbee4904 --lake ./lake --format dot | dot -Tsvg > lineage.svg")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// Where to start
    #[arg(value_name = "DIGEST|COMMIT|POD|KEY")]
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
            find(&Questions { session, span }, &self.start, self.through).await
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

/// The chains that a starting point belongs to.
///
/// **Errors**: [`Usage`] where no record knows it; what the lake says.
async fn find(questions: &Questions, start: &str, through: Stage) -> anyhow::Result<Lineage> {
    let mut artifacts = BTreeSet::new();
    if start.parse::<Digest>().is_ok() {
        artifacts.insert(start.to_owned());
        let records = questions.records(&artifacts).await?;
        if !records.signing.is_empty() || !records.activity.is_empty() || !records.keys.is_empty() {
            return Ok(Lineage::new(&artifacts, &records, through));
        }
        artifacts.clear();
    }
    let known = questions.artifacts(start, &mut artifacts).await?;
    if !known {
        return Err(Usage(format!(
            "no record knows {start:?}; expected an image's digest (sha256:…), a commit, a workload, a key or a session"
        ))
        .into());
    }
    if artifacts.is_empty() {
        eprintln!(
            "no record says which image {start:?} is of: it was named by a tag, or its requests are not recorded"
        );
    }
    let records = questions.records(&artifacts).await?;
    Ok(Lineage::new(&artifacts, &records, through))
}

/// The questions to a lake, each about a set of names at once.
struct Questions {
    session: SqlSession,
    span: Span,
}

impl Questions {
    /// The digests of the artifacts that a commit, a build, a workload, a key or a session belongs to, and whether any
    /// record knows it at all.
    async fn artifacts(&self, start: &str, artifacts: &mut BTreeSet<String>) -> anyhow::Result<bool> {
        let one = [start.to_owned()];
        let columns =
            ["provenance.source_commit", "provenance.invocation_uid", "attestation.uid", "signer.uid", "metadata.uid"];
        let signing = self.among("artifact_signing", &columns, &one).await?;
        let mut known = !signing.is_empty();
        for row in &signing {
            let uid = row.get("artifact").and_then(|artifact| artifact.get("uid")).and_then(Value::as_str);
            artifacts.extend(uid.map(str::to_owned));
        }
        let columns = [
            "key_release_info.key_uri",
            "key_release_info.key_uid",
            "key_release_info.session_uid",
            "key_release_info.uid",
            "metadata.uid",
        ];
        let keys = self.among("key_release", &columns, &one).await?;
        known |= !keys.is_empty();
        artifacts.extend(keys.iter().flat_map(|row| lineage::keys(row).0));
        let (namespace, name) = match start.split_once('/') {
            Some((namespace, name)) if !name.contains('/') => (Some(namespace), name),
            _ => (None, start),
        };
        let is = |pod: &Pod| {
            let named = pod.name == name && namespace.is_none_or(|namespace| pod.namespace == namespace);
            named || pod.uid == start
        };
        for row in self.naming("api_activity", &[name.to_owned()], "").await? {
            if lineage::pods(&row).iter().any(is) {
                known = true;
                artifacts.extend(lineage::named_digests(&row));
            }
        }
        while artifacts.len() > NAMED_MAX {
            artifacts.pop_last();
        }
        Ok(known)
    }

    /// All records of some artifacts.
    async fn records(&self, artifacts: &BTreeSet<String>) -> anyhow::Result<Records> {
        let digests: Vec<String> = artifacts.iter().cloned().collect();
        let mut records = Records {
            signing: self.among("artifact_signing", &["artifact.uid"], &digests).await?,
            inventory: self.naming("software_info", &digests, "").await?,
            activity: self.naming("api_activity", &digests, "").await?,
            keys: self.among("key_release", &["artifact.uid", "tee_evidence.image.uid"], &digests).await?,
            inference: Vec::new(),
        };
        let pods: BTreeSet<Pod> = records.activity.iter().flat_map(lineage::pods).take(NAMED_MAX).collect();
        let mut names: Vec<String> = pods.iter().flat_map(|pod| [pod.name.clone(), pod.uid.clone()]).collect();
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        if self.has("api_activity", "metadata.log_name") {
            let audited = self.naming("api_activity", &names, "AND \"metadata.log_name\" = 'audit'").await?;
            records.activity.extend(audited);
        }
        let mut sessions: Vec<String> = records.keys.iter().flat_map(lineage::sessions).collect();
        sessions.sort();
        sessions.dedup();
        sessions.truncate(2 * NAMED_MAX);
        names.extend(sessions);
        for table in ["api_activity", "http_activity", "base_event"] {
            records.inference.extend(self.naming(table, &names, "AND contains(raw_data, 'gen_ai.')").await?);
        }
        Ok(records)
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.session.tables().any(|t| t.name == table && t.schema.field_with_name(column).is_ok())
    }

    /// The rows in which one of `columns` is one of `values`.
    async fn among(&self, table: &str, columns: &[&str], values: &[String]) -> anyhow::Result<Vec<Row>> {
        let list = (1..=values.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let columns = columns.iter().filter(|column| self.has(table, column));
        let any: Vec<String> = columns.map(|column| format!("\"{column}\" IN ({list})")).collect();
        self.ask(table, &any, "", values).await
    }

    /// The rows whose original event has one of `values` in it.
    async fn naming(&self, table: &str, values: &[String], and: &str) -> anyhow::Result<Vec<Row>> {
        let any: Vec<String> = match self.has(table, "raw_data") {
            true => (1..=values.len()).map(|n| format!("contains(raw_data, ${n})")).collect(),
            false => Vec::new(),
        };
        self.ask(table, &any, and, values).await
    }

    /// The newest rows for which any of the conditions holds.
    async fn ask(&self, table: &str, any: &[String], and: &str, values: &[String]) -> anyhow::Result<Vec<Row>> {
        if any.is_empty() || values.is_empty() {
            return Ok(Vec::new());
        }
        let literal = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339();
        let since = self.span.since.map_or_else(String::new, |time| format!(" AND time >= '{}'", literal(time)));
        let until = self.span.until.map_or_else(String::new, |time| format!(" AND time < '{}'", literal(time)));
        let sql = format!(
            "SELECT * FROM {table} WHERE ({}) {and}{since}{until} ORDER BY time DESC LIMIT {ROWS_MAX}",
            any.join(" OR ")
        );
        let values: Vec<ArrayRef> =
            values.iter().map(|value| Arc::new(StringArray::from(vec![value.as_str()])) as ArrayRef).collect();
        let mut found = Vec::new();
        let mut stream = self.session.query_with(&sql, &values).await?;
        while let Some(batch) = stream.try_next().await? {
            let rows = Rows::new(&batch);
            found.extend((0..batch.num_rows()).map(|row| rows.to_json(row)));
        }
        if found.len() == ROWS_MAX {
            eprintln!("{table}: only the newest {ROWS_MAX} records are looked at; --since and --until narrow it");
        }
        Ok(found)
    }
}
