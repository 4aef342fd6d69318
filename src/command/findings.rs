//! `tarn findings`: findings of a daemon that runs, and what people do with them.

use super::{Usage, block_on};
use crate::daemon::Daemon;
use crate::output::{Format, print_rows};
use clap::{Args as ClapArgs, Subcommand};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
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
        let daemon = Daemon::new(&self.url, "--url")?;
        let at = |below: &[&str]| daemon.at(&[&["v1", "findings"], below].concat());
        let rows = match self.command {
            Command::List { status, severity, since, limit } => {
                let mut url = at(&[]);
                let given = [("status", status), ("severity", severity), ("since", since)];
                for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    url.query_pairs_mut().append_pair(name, &value);
                }
                url.query_pairs_mut().append_pair("limit", &limit.to_string());
                let answer = ask(&daemon, daemon.request(Method::GET, url))?;
                answer["findings"].as_array().into_iter().flatten().map(brief).collect()
            }
            Command::Show { uid } => {
                let answer = ask(&daemon, daemon.request(Method::GET, at(&[&uid])))?;
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
                let told = ask(&daemon, daemon.request(Method::PATCH, at(&[&uid])).json(&change))?;
                told.as_object().cloned().into_iter().collect::<Vec<_>>()
            }
        };
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// **Errors**: as [`Daemon::ask`].
fn ask(daemon: &Daemon, request: RequestBuilder) -> anyhow::Result<Value> {
    block_on(daemon.ask(request))?
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
