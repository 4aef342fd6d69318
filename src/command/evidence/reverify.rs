//! `tarn evidence reverify`: records that passed, verified again from the documents that the ledger has.

use super::{place, rfc3339, told};
use crate::command::arguments::{LakeArgs, time};
use crate::command::{Usage, block_on, ledger_key};
use crate::output::{Format, print_rows};
use crate::recording::{Rows, append_all};
use crate::trust;
use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_attest::Digest;
use tarn_attest::ledger::{Entry, Ledger, Log, Outcome, records_after};
use tarn_attest::ocsf::Evidence;
use tarn_attest::reverify::{Again, Standing, Today, again};
use tarn_attest::sigstore::Verifier;

/// Verify again what passed, from the documents in the ledger, under today's roots, identities and policies
///
/// Prints a row for each record that holds no longer, and for each that cannot be told; exit code 1 when one holds no longer.
/// With --policies, each is verified by the policy of its name; without, it must still be signed by the identity that it
/// names. With --record, what holds no longer is a record of its own (activity Reverify), once for each policy file and root,
/// in the ledger and in the tables, where rules find it.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn evidence reverify --lake ./lake --trusted-root trusted_root.json
  tarn evidence reverify --lake ./lake --policies policies.toml --since 2026-11-01 --record --ledger-key evidence.key")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The trust policies (docs/attest.md)
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    /// The trusted root of policies that name none; that of Sigstore's public instance by default
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Records that were verified from this time on: a day (2026-11-26) or a time (2026-11-26T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Record what holds no longer
    #[arg(long, requires_all = ["policies", "ledger_key"])]
    record: bool,
    /// The signing key of the lake's evidence ledger: a file, or one of AWS KMS, awskms:///KEY?name=NAME
    #[arg(long, value_name = "FILE_OR_KMS_KEY", requires = "record")]
    ledger_key: Option<String>,
    /// Hand rows to the daemon over this lake, so that its rules see them; its token is read from TARN_TOKEN
    #[arg(long, value_name = "URL", requires = "record")]
    to: Option<Url>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What a pass over the ledger found.
#[derive(Default)]
struct Found {
    rows: Vec<Map<String, Value>>,
    /// To be recorded.
    entries: Vec<Entry>,
    recorded: usize,
    records: usize,
    lost: usize,
    unknown: usize,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let root = self.trusted_root.as_deref().map(trust::root).transpose();
        let root = root.map_err(|e| Usage(format!("--trusted-root: {e}")))?;
        let today = match &self.policies {
            Some(path) => Today::Policies(trust::policies(path, root).map_err(|e| Usage(format!("--policies: {e}")))?),
            None => Today::Root(Arc::new(root.map_or_else(Verifier::production, Ok)?)),
        };
        let found = block_on(self.pass(&today))??;
        print_rows(&found.rows, Format::or_default(self.format))?;
        let Found { records, lost, unknown, recorded, .. } = found;
        eprintln!("records that passed: {records}, hold no longer: {lost}, cannot be told: {unknown}");
        if self.record {
            eprintln!("recorded: {recorded} that were not before");
        }
        Ok(if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Goes through the ledger, a batch at a time.
    async fn pass(&self, today: &Today) -> anyhow::Result<Found> {
        let lake = self.lake.open().await?;
        let (store, prefix) = place(&lake);
        let rows = Rows::new(&lake, self.to.as_ref())?;
        let signer = match self.ledger_key.as_deref() {
            Some(key) => Some(ledger_key::signer(key).await.context("--ledger-key")?),
            None => None,
        };
        // A ledger that is not there must not be begun.
        Log::open_as_described(store.clone(), &prefix).await.map_err(told)?;
        let mut ledger = match signer {
            Some(signer) => Some(Ledger::open(store.clone(), &prefix, signer).await?),
            None => None,
        };
        let (mut found, mut size, now) = (Found::default(), 0, Utc::now());
        while let Some(logged) = records_after(&store, &prefix, size).await? {
            size += logged.len() as u64;
            for logged in &logged {
                let again =
                    again(today, logged, now).filter(|again| self.since.is_none_or(|since| again.time >= since));
                if let Some(again) = again {
                    found.add(&logged.uid, &again, logged.raw.clone())?;
                }
            }
            let entries = std::mem::take(&mut found.entries);
            if let Some(ledger) = &mut ledger {
                let outcomes = append_all(ledger, &entries).await?;
                found.recorded += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Appended(_))).count();
            }
        }
        if ledger.is_some() {
            rows.follow().await?;
        }
        Ok(found)
    }
}

impl Found {
    fn add(&mut self, uid: &str, again: &Again, document: Option<Bytes>) -> anyhow::Result<()> {
        self.records += 1;
        match &again.standing {
            Standing::Holds => return Ok(()),
            Standing::Unknown { .. } => self.unknown += 1,
            Standing::Lost { evidence, .. } => {
                self.lost += 1;
                if let Some(evidence) = evidence {
                    self.entries.push(Entry::new(&evidence.uid, &evidence.value, document)?);
                }
            }
        }
        self.rows.push(row(uid, again));
        Ok(())
    }
}

fn row(uid: &str, again: &Again) -> Map<String, Value> {
    let (standing, reason, detail, record) = match &again.standing {
        Standing::Holds => ("holds", None, None, None),
        Standing::Unknown { why } => ("unknown", None, Some(*why), None),
        Standing::Lost { reason, detail, evidence } => {
            ("lost", Some(reason.as_str()), Some(detail.as_str()), evidence.as_deref())
        }
    };
    let artifact = again.artifact.digest.as_ref().map(Digest::to_string).or_else(|| again.artifact.name.clone());
    let cells = [
        ("uid", json!(uid)),
        ("artifact", json!(artifact)),
        ("policy", json!(again.policy)),
        ("verified_at", json!(rfc3339(again.time.timestamp_millis()))),
        ("standing", json!(standing)),
        ("reason", json!(reason)),
        ("detail", json!(detail)),
        ("record", json!(record.map(|record: &Evidence| record.uid.as_str()))),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
