//! The verifiers as their callers see them: cases of the Sigstore conformance suite, a log and keys made here, and what
//! attackers make of both; the ledger, in which what was logged is proved and what was changed is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod admission;
mod attacks;
mod cases;
mod certificates;
mod conformance;
mod disagreements;
mod dsse;
mod evidence;
mod fuzz;
mod json;
mod ledger;
mod lineage;
mod oci;
mod ocsf;
mod policies;
mod policy;
mod provenance;
#[cfg(feature = "registry")]
mod registry;
mod webhook;
mod world;
