//! What the targets share. Panics are meant: here they are findings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod attest;
#[cfg(feature = "data")]
pub mod container;
pub mod enclave;
pub mod kbs;
pub mod ledger;
pub mod mutate;
