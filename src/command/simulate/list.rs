//! `tarn simulate list`: the techniques that can be tried, and what runs here.

use crate::command::Usage;
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_simulations::atomic::allowed::List;
use tarn_simulations::stratus::{self, Binary};

/// List the techniques that are known, with platform, telemetry and what runs here
///
/// Stratus Red Team's techniques can be replayed from recordings, and run for real where the binary is installed; the
/// reviewed tests of Atomic Red Team run here in a sandbox, from a checkout that `tarn simulate atomic` is given.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate list
  tarn simulate list --platform aws --format csv
  tarn simulate list --platform linux")]
pub struct Args {
    /// Only of this platform, such as aws
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// The Stratus Red Team binary [default: stratus, where it is on the path]
    #[arg(long, value_name = "FILE")]
    stratus: Option<PathBuf>,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let wanted = |platform: &str| self.platform.as_ref().is_none_or(|p| p.eq_ignore_ascii_case(platform));
        let binary = Binary::find(self.stratus.as_deref());
        let runs = if binary.is_some() { "replay, stratus" } else { "replay" };
        let of_stratus = stratus::table()?.into_iter().filter(|t| wanted(&t.platform)).map(|technique| {
            row([
                json!(technique.id),
                json!(technique.name),
                json!(technique.platform),
                json!(technique.telemetry),
                json!(technique.attack.join(" ")),
                json!(technique.rules.len()),
                json!(runs),
            ])
        });
        let mut rows: Vec<Map<String, Value>> = of_stratus.collect();
        let techniques = rows.len();
        if wanted("linux") {
            let sandbox = if cfg!(target_os = "linux") { "atomic" } else { "" };
            rows.extend(List::shipped()?.entries().iter().map(|test| {
                // What rules there are for it is what a run shows.
                let (platform, telemetry) = (json!("linux"), json!("auditd"));
                let attack = json!(test.technique);
                row([json!(test.guid), json!(test.reason), platform, telemetry, attack, Value::Null, json!(sandbox)])
            }));
        }
        let tests = rows.len() - techniques;
        if rows.is_empty() {
            let known: BTreeSet<String> = stratus::table()?.into_iter().map(|t| t.platform).collect();
            let known: Vec<String> = known.into_iter().chain(["linux".into()]).collect();
            return Err(Usage(format!("nothing is of this platform; known are {}", known.join(", "))).into());
        }
        print_rows(&rows, Format::or_default(self.format))?;
        let stratus = match binary {
            Some(binary) => format!("{} is installed", binary.version()),
            None => "stratus is not installed: recordings can be replayed".into(),
        };
        eprintln!("{techniques} techniques of Stratus Red Team ({stratus}); {tests} tests of Atomic Red Team");
        Ok(ExitCode::SUCCESS)
    }
}

fn row(cells: [Value; 7]) -> Map<String, Value> {
    let names = ["technique", "name", "platform", "telemetry", "attack", "rules", "runs"];
    names.into_iter().map(str::to_owned).zip(cells).collect()
}
