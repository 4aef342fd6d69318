//! Tests of the whole: the crates' edges, and the binary as its users call it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod admission;
mod architecture;
#[cfg(target_os = "linux")]
mod atomic;
mod attest;
mod backtest;
mod bad_input;
mod bench;
mod command;
mod coverage;
mod demo;
mod enclave;
mod evidence;
mod hunt;
mod images;
mod ingest;
mod kms;
mod lineage;
mod named_files;
mod real_logs;
mod reverify;
mod rules;
mod rules_lint;
mod serve;
mod signed;
mod simulate;
mod slo;
mod threats;
