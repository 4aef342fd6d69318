//! `tarn simulate list`: the techniques that can be tried, and what runs here.

use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_simulations::stratus::{self, Binary};

/// List the techniques that are known, with platform, telemetry and what runs here
///
/// Recordings of all of them can be replayed; `stratus` says which can be run for real, as the binary is installed.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn simulate list
  tarn simulate list --platform aws --format csv")]
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
        let row = |technique: stratus::Technique| {
            let cells = [
                ("technique", json!(technique.id)),
                ("name", json!(technique.name)),
                ("platform", json!(technique.platform)),
                ("telemetry", json!(technique.telemetry)),
                ("attack", json!(technique.attack.join(" "))),
                ("rules", json!(technique.rules.len())),
                ("runs", json!(runs)),
            ];
            cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        let techniques = stratus::table()?.into_iter().filter(|t| wanted(&t.platform));
        let rows: Vec<serde_json::Map<_, _>> = techniques.map(row).collect();
        print_rows(&rows, Format::or_default(self.format))?;
        match binary {
            Some(binary) => eprintln!("{} techniques; {} is installed", rows.len(), binary.version()),
            None => eprintln!("{} techniques; stratus is not installed: recordings can be replayed", rows.len()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
