//! Stratus Red Team's techniques: our own table of them, and its binary, where that is installed.
//!
//! Source: <https://stratus-red-team.cloud>. The table's ATT&CK ids and rules are ours.

mod binary;
mod table;

pub use binary::Binary;
pub use table::{TableError, Technique, table};
