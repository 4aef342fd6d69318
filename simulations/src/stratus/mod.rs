//! Stratus Red Team's techniques: our own table of them, and its binary, where that is installed.
//!
//! Source: <https://stratus-red-team.cloud>. The table's ATT&CK ids and rules are ours.

mod binary;
mod detonate;
mod table;
mod telemetry;

pub use binary::Binary;
pub use detonate::{Detonation, Stop, detonate};
pub use table::{TableError, Technique, ids, table};
pub use telemetry::{Patience, wait};
