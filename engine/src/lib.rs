//! Rules over events: which rule can see which events, all rules at once over field cells, and findings.
//!
//! [`Engine::new`] binds a rule set to the sources; a [`Matcher`] (one a thread) evaluates batches of cells; [`finding`]
//! makes OCSF Detection Findings of hits. No IO.

mod bind;
pub mod correlation;
mod cost;
pub mod finding;
pub mod hunt;
pub mod lower;
mod matcher;
pub mod testing;
pub mod trace;

pub use bind::{Engine, Report, RuleIx, UnknownField, Verdict};
pub use cost::Reads;
pub use matcher::{Hit, Matcher};
