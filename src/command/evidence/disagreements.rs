//! `tarn evidence disagreements`: where others decided otherwise than the admission webhook.

use super::rfc3339;
use crate::command::arguments::{LakeArgs, SpanArgs};
use crate::command::{block_on, ledger_key};
use crate::hunting::Span;
use crate::output::{Format, print_rows};
use crate::recording::{Rows, append_all, times};
use anyhow::Context as _;
use chrono::Utc;
use clap::Args as ClapArgs;
use futures::TryStreamExt;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use tarn_attest::admission::disagreements::{Disagreement, Disagreements, IMAGE_POLICY};
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, Signer};
use tarn_attest::lineage::Row;
use tarn_lake::{Lake, SqlOptions, SqlSession};
use tarn_schema_ocsf::nest;

/// Show where another decided otherwise than the admission webhook (tarn attest admission)
///
/// A policy engine (Kyverno, policy-controller, Gatekeeper, another webhook) about the same image or the same request; an
/// API server's audit log in which what was refused was let in, or the other way round. Exit code 1 where there is one.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence disagreements --lake ./lake --since 2026-11-01
  tarn evidence disagreements --lake ./lake --decider kyverno --format json
  tarn evidence disagreements --lake s3://bucket/lake --record --ledger-key evidence.key")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// Only deciders whose name has this in it, in any case; repeat it for more
    #[arg(long, value_name = "TEXT")]
    decider: Vec<String>,
    /// Keep them as records: a Detection Finding each, once a day
    #[arg(long)]
    record: bool,
    /// The key of the lake's evidence ledger, to which the records go first: a file, or one of AWS KMS
    #[arg(long, value_name = "FILE_OR_KMS_KEY", requires = "record")]
    ledger_key: Option<String>,
    /// Hand rows to the daemon over this lake, so that its rules see them; its token is read from TARN_TOKEN
    #[arg(long, value_name = "URL", requires = "record")]
    to: Option<Url>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let span = self.span.span()?;
        let found = block_on(async {
            let lake = self.lake.open().await?;
            let mut found = find(&lake.sql(&SqlOptions::default()).await?, span).await?;
            let wanted: Vec<String> = self.decider.iter().map(|text| text.to_lowercase()).collect();
            found
                .retain(|one| wanted.is_empty() || wanted.iter().any(|text| one.decider.to_lowercase().contains(text)));
            if self.record {
                let signer = match &self.ledger_key {
                    Some(key) => Some(ledger_key::signer(key).await.context("--ledger-key")?),
                    None => None,
                };
                let added = record(&lake, &found, signer, self.to.as_ref()).await?;
                eprintln!("recorded: {added} new of {}", found.len());
            }
            anyhow::Ok(found)
        })??;
        print_rows(&found.iter().map(row).collect::<Vec<_>>(), Format::or_default(self.format))?;
        Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn row(found: &Disagreement) -> Map<String, Value> {
    let cells = [
        ("decider", json!(found.decider)),
        ("theirs", json!(found.theirs.as_str())),
        ("ours", json!(found.ours.as_str())),
        ("about", json!(found.about)),
        ("workload", json!(found.workload)),
        ("count", json!(found.count)),
        ("first_time", json!(rfc3339(found.first_time))),
        ("last_time", json!(rfc3339(found.last_time))),
        ("our_record", json!(found.our_record)),
        ("their_record", json!(found.their_record)),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the webhook's records have, and no other's.
const OURS: &str = "\"metadata.product.name\" = 'Tarn' AND \"metadata.log_name\" = 'admission'";

async fn find(session: &SqlSession, span: Span) -> anyhow::Result<Vec<Disagreement>> {
    let mut held = Disagreements::default();
    let table = session.tables().find(|table| table.name == "api_activity");
    let columns = ["metadata.product.name", "metadata.log_name", "metadata.correlation_uid", "raw_data", "action_id"];
    let has = |column: &&str| table.as_ref().is_some_and(|table| table.schema.field_with_name(column).is_ok());
    if !columns.iter().all(has) {
        eprintln!("the lake has no decision of the admission webhook");
        return Ok(Vec::new());
    }
    each(session, &format!("{OURS}{}", within(span)), |row| held.ours(row)).await?;
    if held.is_empty() {
        eprintln!("the lake has no decision of the admission webhook");
    }
    held.begin();
    let others = format!(
        "({OURS}) IS NOT TRUE AND (action_id IS NOT NULL OR \"metadata.log_name\" = 'audit')
         AND (\"metadata.correlation_uid\" IN (SELECT \"metadata.correlation_uid\" FROM api_activity WHERE {OURS})
              OR contains(raw_data, '@sha256:') OR contains(raw_data, '{IMAGE_POLICY}')){}",
        within(span)
    );
    if !held.is_empty() {
        each(session, &others, |row| held.theirs(row)).await?;
    }
    let (found, left_out) = held.finish();
    if left_out > 0 {
        eprintln!("{left_out} decisions or disagreements more than are held: --since and --until narrow it");
    }
    Ok(found)
}

fn within(span: Span) -> String {
    let since = span.since.map_or_else(String::new, |time| format!(" AND time >= '{}'", time.to_rfc3339()));
    let until = span.until.map_or_else(String::new, |time| format!(" AND time < '{}'", time.to_rfc3339()));
    since + &until
}

/// The API's records for which a condition holds, one by one.
async fn each(session: &SqlSession, condition: &str, mut take: impl FnMut(Row)) -> anyhow::Result<()> {
    let mut stream = session.query(&format!("SELECT * FROM api_activity WHERE {condition}")).await?;
    while let Some(batch) = stream.try_next().await? {
        let rows = nest::Rows::new(&batch);
        (0..batch.num_rows()).for_each(|row| take(rows.to_json(row)));
    }
    Ok(())
}

/// Keeps what is not kept yet, and gives how many that were.
async fn record(
    lake: &Lake,
    found: &[Disagreement],
    signer: Option<Signer>,
    to: Option<&Url>,
) -> anyhow::Result<usize> {
    let now = Utc::now();
    let mut evidence: Vec<_> = found.iter().map(|one| one.to_ocsf(now)).collect();
    let uids: Vec<&str> = evidence.iter().map(|evidence| evidence.uid.as_str()).collect();
    let session = lake.sql(&SqlOptions::default()).await?;
    let known = times(&session, "detection_finding", "metadata.uid", &uids).await?;
    evidence.retain(|evidence| !known.contains_key(&evidence.uid));
    let rows = Rows::new(lake, to)?;
    if let Some(signer) = signer {
        let prefix = object_store::path::Path::from(LAKE_PREFIX);
        let mut ledger = Ledger::open(lake.store().clone(), &prefix, signer).await?;
        let entries = evidence.iter().map(|evidence| Ok(Entry::new(&evidence.uid, &evidence.value, None)?));
        append_all(&mut ledger, &entries.collect::<anyhow::Result<Vec<_>>>()?).await?;
        rows.follow().await?;
    } else {
        let mut lines = Vec::new();
        for evidence in &evidence {
            lines.extend(evidence.to_canonical()?);
            lines.push(b'\n');
        }
        rows.add("tarn evidence disagreements", lines).await?;
    }
    Ok(evidence.len())
}
