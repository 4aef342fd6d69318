//! `tarn findings`: findings of a daemon that runs, and what people do with them.

use super::{Usage, block_on};
use crate::config;
use crate::output::{Format, print_rows};
use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tarn_connectors::attestation::Attestation;

/// List findings, show what was done with one, and change its status, assignee and verdict
///
/// Talks to a daemon over HTTP; the token is read from TARN_TOKEN. Reading needs a grant with query, changing one with
/// respond.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn findings list --status new --severity high --since 24h
  tarn findings show 3f1c0a52c7d94c0e8c5b6d0f8f6e2a11
  tarn findings set 3f1c0a52c7d94c0e8c5b6d0f8f6e2a11 --status in_progress --assignee kim
  tarn findings set 3f1c0a52c7d94c0e8c5b6d0f8f6e2a11 --status resolved --verdict false_positive --comment 'a drill'
  tarn findings list --format ndjson --url https://tarn.example.org:4318")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The daemon
    #[arg(long, global = true, default_value = "http://127.0.0.1:4318")]
    url: Url,
    /// How to print rows
    #[arg(long, global = true, value_enum)]
    format: Option<Format>,
}

#[derive(Subcommand)]
enum Command {
    /// Print findings as they are now, the latest change first
    List {
        /// new, in_progress, suppressed or resolved
        #[arg(long)]
        status: Option<String>,
        /// informational, low, medium, high, critical or fatal
        #[arg(long)]
        severity: Option<String>,
        /// Made or changed since: a time (2026-01-31T12:00:00Z), or so long ago (24h, 7d)
        #[arg(long)]
        since: Option<String>,
        /// As many at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Print the history of a finding: a row for its making and for each change; and, as words, whether the images that it
    /// is about were attested
    Show {
        /// The finding's uid
        uid: String,
    },
    /// Change a finding; what is not given stays
    Set {
        /// The finding's uid
        uid: String,
        /// new, in_progress, suppressed or resolved
        #[arg(long)]
        status: Option<String>,
        /// Who works on it; an empty text: nobody
        #[arg(long)]
        assignee: Option<String>,
        /// false_positive, true_positive, disregard, suspicious, benign, test, insufficient_data, security_risk,
        /// managed_externally or duplicate
        #[arg(long)]
        verdict: Option<String>,
        /// Words for the history
        #[arg(long)]
        comment: Option<String>,
    },
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let rows = match self.command {
            Command::List { status, severity, since, limit } => {
                let mut url = at(&self.url, &[])?;
                let given = [("status", status), ("severity", severity), ("since", since)];
                for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    url.query_pairs_mut().append_pair(name, &value);
                }
                url.query_pairs_mut().append_pair("limit", &limit.to_string());
                let answer = ask(Method::GET, url, None)?;
                answer["findings"].as_array().into_iter().flatten().map(brief).collect()
            }
            Command::Show { uid } => {
                let answer = ask(Method::GET, at(&self.url, &[&uid])?, None)?;
                for image in answer["attestation"].as_array().into_iter().flatten() {
                    eprintln!("{}", Attestation::deserialize(image)?.to_string().escape_debug());
                }
                answer["history"].as_array().into_iter().flatten().filter_map(Value::as_object).cloned().collect()
            }
            Command::Set { uid, status, assignee, verdict, comment } => {
                let assignee = assignee.map(|name| if name.is_empty() { Value::Null } else { name.into() });
                let given = [
                    ("status", status.map(Value::from)),
                    ("assignee", assignee),
                    ("verdict", verdict.map(Value::from)),
                    ("comment", comment.map(Value::from)),
                ];
                let change: Map<String, Value> =
                    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
                if change.is_empty() {
                    return Err(Usage("give --status, --assignee, --verdict or --comment".into()).into());
                }
                let told = ask(Method::PATCH, at(&self.url, &[&uid])?, Some(&change.into()))?;
                told.as_object().cloned().into_iter().collect::<Vec<_>>()
            }
        };
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The address of findings, or of one.
fn at(base: &Url, below: &[&str]) -> anyhow::Result<Url> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut path) => drop(path.pop_if_empty().extend(["v1", "findings"]).extend(below)),
        Err(()) => return Err(Usage(format!("--url {base}: expected http://… or https://…")).into()),
    }
    Ok(url)
}

/// **Errors**: nobody answers; the daemon's own words.
fn ask(method: Method, url: Url, body: Option<&Value>) -> anyhow::Result<Value> {
    block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        let mut request = client.request(method, url.clone());
        if let Some(token) = config::secret("TARN_TOKEN") {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response =
            request.send().await.with_context(|| format!("no answer from {}", url.origin().ascii_serialization()))?;
        let (status, text) = (response.status(), response.text().await?);
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        anyhow::bail!("{}", answer["error"].as_str().map_or_else(|| status.to_string(), str::to_owned))
    })?
}

/// A finding as a row.
fn brief(finding: &Value) -> Map<String, Value> {
    let time = finding["time"].as_i64().and_then(chrono::DateTime::from_timestamp_millis);
    let cells = [
        ("title", finding["finding_info"]["title"].clone()),
        ("severity", finding["severity"].clone()),
        ("status", finding["status"].clone()),
        ("assignee", finding["assignee"]["name"].clone()),
        ("verdict", finding["verdict"].clone()),
        ("time", json!(time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)))),
        ("uid", finding["finding_info"]["uid"].clone()),
    ];
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
