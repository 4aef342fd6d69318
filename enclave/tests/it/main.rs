//! Key release at its seams: documents in, verdicts out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod broker;
mod crowd;
mod fuzz;
mod jwe;
mod kms;
mod nitro;
mod policy;
mod real;
mod reasons;
mod sealed;
mod store;
mod tokens;
mod world;
