//! `tarn ingest`: logs into a lake.

use super::arguments::{LakeArgs, SourceArg, SourcesArgs, ZoneArg};
use super::block_on;
use crate::loading::{Loader, Summary};
use crate::output::{Format, print_rows};
use crate::{input, progress};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tarn_ingest::mapper::MapOptions;
use tarn_lake::{IngestOptions, LakeError};

/// Put logs into a lake as OCSF tables
///
/// The lake is made where there is none. A file that is in the lake already adds nothing, and one that has grown adds
/// what is new. What is no record goes to the table dead_letters with its bytes and the reason.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn ingest --lake ./lake cloudtrail/ events.evtx audit.log.gz
  kubectl logs … | tarn ingest --lake s3://bucket/lake --source kubernetes -")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// Logs: files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    zone: ZoneArg,
    /// How to print the rows added per table
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let inputs = input::expand(&self.paths)?;
        let sources = self.sources.load()?;
        let source = self.source.resolve(&sources)?;
        let zone = self.zone.zone;
        let started = Instant::now();
        let bar = progress::bytes(input::size(&inputs));
        let mut failed = 0;
        let summary: Summary = block_on(async {
            let lake = self.lake.open_or_create().await?;
            let options = MapOptions { ingest_time: chrono::Utc::now().timestamp_micros(), zone, coverage: false };
            let mut loader = Loader::new(lake.ingest(IngestOptions::default()).await?, sources, source, options)?;
            for input in &inputs {
                bar.set_message(input.name());
                if let Err(error) = loader.load(input, &bar).await {
                    // What the lake refuses ends the run; what one input lacks does not stop the others.
                    if error.downcast_ref::<LakeError>().is_some_and(|e| !matches!(e, LakeError::Input { .. })) {
                        return Err(error);
                    }
                    eprintln!("error: {}: {error:#}", input.name());
                    failed += 1;
                }
            }
            bar.set_message("committing");
            loader.finish().await
        })??;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let read = input::size(&inputs) as f64 / 1e6;
        eprintln!(
            "{} inputs ingested, {} already there, {failed} unreadable: {} records in {seconds:.1} s ({:.1} MB/s), \
             {:.1} MB written",
            summary.ingested - failed.min(summary.ingested),
            summary.skipped,
            summary.records,
            read / seconds.max(1e-9),
            summary.bytes as f64 / 1e6,
        );
        let row = |(table, rows): (&String, &u64)| {
            [("table".to_owned(), table.as_str().into()), ("rows".to_owned(), (*rows).into())].into_iter().collect()
        };
        let rows: Vec<_> = summary.rows.iter().map(row).collect();
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
