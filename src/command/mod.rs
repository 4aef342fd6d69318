//! The commands, one module each, and what they share: usage errors and exit codes.

mod arguments;
mod attest;
mod bench;
mod config;
mod demo;
mod detect;
mod enclave;
mod evidence;
mod findings;
mod hunt;
mod ingest;
mod lake;
pub mod ledger_key;
mod named_file;
mod ocsf;
mod rules;
mod serve;
mod simulate;
mod slo;
mod sources;
mod sql;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Streaming security data lake and detection engine.
#[derive(Parser)]
#[command(name = "tarn", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Config(config::Args),
    Detect(detect::Args),
    Findings(findings::Args),
    Hunt(hunt::Args),
    Ingest(ingest::Args),
    Sql(sql::Args),
    Rules(rules::Args),
    Sources(sources::Args),
    Ocsf(ocsf::Args),
    Lake(lake::Args),
    Attest(attest::Args),
    Evidence(evidence::Args),
    Slo(slo::Args),
    Enclave(enclave::Args),
    Simulate(simulate::Args),
    Bench(bench::Args),
}

impl Cli {
    /// Runs the command; a failed check is a code, a failed run an error.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Demo(args) => args.run(),
            Command::Serve(args) => args.run(),
            Command::Config(args) => args.run(),
            Command::Detect(args) => args.run(),
            Command::Findings(args) => args.run(),
            Command::Hunt(args) => args.run(),
            Command::Ingest(args) => args.run(),
            Command::Sql(args) => args.run(),
            Command::Rules(args) => args.run(),
            Command::Sources(args) => args.run(),
            Command::Ocsf(args) => args.run(),
            Command::Lake(args) => args.run(),
            Command::Attest(args) => args.run(),
            Command::Evidence(args) => args.run(),
            Command::Slo(args) => args.run(),
            Command::Enclave(args) => args.run(),
            Command::Simulate(args) => args.run(),
            Command::Bench(args) => args.run(),
        }
    }
}

/// The caller's mistake: a path that is not there, an option that cannot be. Exit code 2.
#[derive(Debug, Clone)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// 2 for wrong usage, 1 for anything else.
pub fn failure_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Usage>().is_some() { 2 } else { 1 }
}

/// A runtime for the commands that touch a lake; the rest need none.
pub fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}
