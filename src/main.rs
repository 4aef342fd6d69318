//! The `tarn` binary: arguments and wiring. Domain logic stands in the crates.
//!
//! Data goes to stdout, words to stderr. Exit codes: 0 success, 1 a failed check or run, 2 wrong usage.

mod backtest;
mod causes;
mod command;
mod config;
mod coverage;
mod daemon;
mod detection;
mod findings;
mod hunting;
mod input;
mod lineage;
mod loading;
mod mapping;
mod output;
mod progress;
mod recording;
mod report;
mod serve;
mod stream;
mod trust;

use clap::Parser;
use std::process::ExitCode;

/// The daemon's threads hand large arrays to each other, of which the system's allocator keeps more than there are.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = command::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        // A closed pipe (`tarn … | head`) is how readers say that they have enough.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes::with_causes(error.as_ref()));
            ExitCode::from(command::failure_code(&error))
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let of_json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(of_json)
    };
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
