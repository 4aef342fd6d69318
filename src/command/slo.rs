//! `tarn slo`: service levels over evidence, and whether they are met.

use super::arguments::{LakeArgs, SpanArgs, key_value};
use super::{Usage, block_on};
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use futures::TryStreamExt;
use serde_json::{Map, Value};
use std::process::ExitCode;
use tarn_lake::SqlOptions;
use tarn_lake::sql::slo::{SLO, Window};
use tarn_schema_ocsf::nest::Rows;

/// The names of service levels, as the view gives them, in the order in which they are printed.
const NAMES: [&str; 6] = [
    "attested_deployments",
    "attestation_latency_p50",
    "attestation_latency_p95",
    "policy_rejections",
    "policy_recall",
    "key_release_refusals",
];

/// Show service levels over evidence, and fail below a bound
///
/// Ratios come with Wilson's interval at 95 %, times are in seconds. What was not observed has no value, neither 0 nor 100 %.
/// The same numbers, and what they stand on, are views of tarn sql: slo (all of them), slo_attested_deployments, slo_attestation_latency,
/// slo_policy_enforcement, slo_key_release_refusals, evidence_deployments, evidence_verdicts. Exit code 1 below a bound.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn slo --lake ./lake
  tarn slo --lake s3://bucket/lake --since 2026-11-01 --until 2026-12-01 --format json
  tarn slo --lake ./lake --fail-under attested_deployments=0.95 --fail-under policy_recall=0.99
  tarn slo --lake ./lake --fail-over attestation_latency_p95=3600 --fail-unknown")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// Fail where the value is less; repeat it for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = bound)]
    fail_under: Vec<(String, f64)>,
    /// Fail where the value is more; repeat it for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = bound)]
    fail_over: Vec<(String, f64)>,
    /// Fail where a bound is given and nothing was observed
    #[arg(long)]
    fail_unknown: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

fn bound(text: &str) -> Result<(String, f64), String> {
    let (name, value) = key_value(text)?;
    if !NAMES.contains(&name.as_str()) {
        return Err(format!("there is no {name:?}; there are {}", NAMES.join(", ")));
    }
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((name, number)),
        _ => Err(format!("expected a number, got {value:?}")),
    }
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let span = self.span.span()?;
        let window = Window {
            since: span.since.map(|time| time.timestamp_micros()),
            until: span.until.map(|time| time.timestamp_micros()),
        };
        let rows = block_on(async {
            let session = self.lake.open().await?.sql(&SqlOptions::default()).await?.within(window);
            let mut rows = Vec::new();
            for batch in session.query(&format!("SELECT * FROM {SLO}")).await?.try_collect::<Vec<_>>().await? {
                rows.extend((0..batch.num_rows()).map(|row| whole(&Rows::new(&batch).to_json(row))));
            }
            rows.sort_by_key(|row| NAMES.iter().position(|name| row.get("name").is_some_and(|own| own == name)));
            anyhow::Ok(rows)
        })??;
        print_rows(&rows, Format::or_default(self.format))?;
        let mut met = true;
        for (bounds, under) in [(&self.fail_under, true), (&self.fail_over, false)] {
            for (name, bound) in bounds {
                met &= self.holds(&rows, name, *bound, under)?;
            }
        }
        Ok(if met { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// Whether a bound holds; says on stderr where not.
    fn holds(&self, rows: &[Map<String, Value>], name: &str, bound: f64, under: bool) -> anyhow::Result<bool> {
        let row = rows.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(name));
        let row = row.ok_or_else(|| Usage(format!("there is no {name:?}")))?;
        let (holds, found) = match row.get("value").and_then(Value::as_f64) {
            None => (!self.fail_unknown, "nothing was observed".to_owned()),
            Some(value) if under => (value >= bound, format!("{value} is less than {bound}")),
            Some(value) => (value <= bound, format!("{value} is more than {bound}")),
        };
        if !holds {
            eprintln!("{name}: {found}");
        }
        Ok(holds)
    }
}

/// All columns, nulls among them: what was not observed is told.
fn whole(row: &Map<String, Value>) -> Map<String, Value> {
    let columns = ["name", "value", "lower", "upper", "numerator", "denominator", "unit"];
    columns.iter().map(|name| ((*name).to_owned(), row.get(*name).cloned().unwrap_or(Value::Null))).collect()
}
