//! Atomic Red Team tests, run in a sandbox and captured.
//!
//! Tests are read from Atomic Red Team's YAML ([`definition`]), chosen by a list of reviewed ones ([`allowed`]), and run each
//! in a sandbox of its own ([`run`], [`sandbox`]). What their processes did comes out as audit events in LAUREL's form
//! ([`laurel`]), which the source `linux_auditd` reads. Nothing here knows rules. Nothing runs outside a sandbox, nor
//! without standing on the list as it was reviewed.

pub mod allowed;
#[cfg(target_os = "linux")]
pub mod campaign;
pub mod definition;
pub mod inputs;
pub mod judge;
pub mod laurel;
pub mod plan;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod spec;
