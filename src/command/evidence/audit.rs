//! `tarn evidence audit`: the whole ledger, read and held against what others know of it.

use super::{KeyArg, WitnessArgs, place, told};
use crate::command::arguments::LakeArgs;
use crate::command::block_on;
use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::output::{Format, print_rows};
use crate::recording::{Rows, times};
use chrono::Utc;
use clap::Args as ClapArgs;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_attest::ledger::{AuditOptions, Checkpoint, Report, audit};
use tarn_attest::ocsf::{Evidence, broken_ledger};
use tarn_lake::{Lake, SqlOptions};

/// Read the whole ledger, name the first thing that is not as it was logged, and say what cannot be excluded
///
/// Changed, removed and reordered records are found with the public key alone. A ledger that was rolled back or written
/// anew, and back-dated records, are found by checkpoints that were kept elsewhere (--known) and by witnesses'
/// cosignatures on them (--witness). Exit code 1 when something is found.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence audit --lake ./lake --key evidence.pub --record
  tarn evidence audit --lake ./lake --key evidence.pub --record --to http://127.0.0.1:4318
  tarn evidence audit --lake ./lake --key evidence.pub --known checkpoint-2026-10-01 --witness w1.pub")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    key: KeyArg,
    /// A checkpoint of this ledger that was kept elsewhere; repeat it for more
    #[arg(long, value_name = "FILE")]
    known: Vec<PathBuf>,
    #[command(flatten)]
    witnesses: WitnessArgs,
    /// How many seconds later than the checkpoint a witness may have signed, before a record counts as back-dated
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    slack: u32,
    /// Record a ledger that is broken, once, in the lake's table `artifact_signing`, where rules find it
    #[arg(long)]
    record: bool,
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
        let (key, witnesses) = (self.key.load()?, self.witnesses.load()?);
        let checkpoint = |path: &PathBuf| -> anyhow::Result<Checkpoint> {
            let file = NamedFile::by("--known", path);
            Checkpoint::verify(&file.bytes(SMALL_BYTES_MAX)?, &key).map_err(|e| file.wrong(e).into())
        };
        let known = self.known.iter().map(checkpoint).collect::<anyhow::Result<Vec<_>>>()?;
        let report = block_on(async {
            let lake = self.lake.open().await?;
            let (store, prefix) = place(&lake);
            let slack_ms = i64::from(self.slack) * 1000;
            let options = AuditOptions { key: &key, known: &known, witnesses: &witnesses, slack_ms };
            let report = audit(store, &prefix, &options).await.map_err(told)?;
            if let Some(divergence) = report.divergence.as_ref().filter(|_| self.record) {
                let uri = format!("{}{prefix}", lake.url());
                let evidence = broken_ledger(key.origin(), &uri, &report, divergence, Utc::now());
                keep(&lake, &Rows::new(&lake, self.to.as_ref())?, &evidence).await?;
            }
            anyhow::Ok(report)
        })??;
        print_rows(&rows(&report), Format::or_default(self.format))?;
        eprintln!("{} leaves, root {}", report.leaves, hex::encode(report.root));
        Ok(if report.divergence.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Makes a row of the record that a ledger is broken: there alone, as such a ledger is no place for it.
async fn keep(lake: &Lake, rows: &Rows, evidence: &Evidence) -> anyhow::Result<()> {
    let uid = evidence.uid.as_str();
    let session = lake.sql(&SqlOptions::default()).await?;
    if times(&session, "artifact_signing", "metadata.uid", &[uid]).await?.is_empty() {
        rows.add("tarn evidence audit", evidence.to_canonical()?).await?;
    }
    eprintln!("recorded: {uid}");
    Ok(())
}

fn rows(report: &Report) -> Vec<Map<String, Value>> {
    let verdict = match &report.divergence {
        Some(divergence) => ("divergence", divergence.kind(), divergence.to_string()),
        None => ("whole", "whole", "every leaf, record, tile and index is as it was logged".to_owned()),
    };
    let caveats = report.caveats.iter().map(|caveat| ("not_excluded", caveat.kind(), caveat.to_string()));
    let row = |(result, kind, message): (&str, &str, String)| {
        let cells = [
            ("result", json!(result)),
            ("kind", json!(kind)),
            ("leaves", json!(report.leaves)),
            ("root", json!(hex::encode(report.root))),
            ("message", json!(message)),
        ];
        cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    std::iter::once(verdict).chain(caveats).map(row).collect()
}
