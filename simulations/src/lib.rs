//! Telemetry made on purpose: an ordinary day of a small company, with an intrusion inside it.
//!
//! A seed fixes every byte, so a demo, a benchmark and a test can speak of the same day; [`lane`] makes as many events of one
//! log as a benchmark asks for, or more of a sample that its user has. Attack replays and their
//! scoring will stand here too. Nothing here reads or writes files, and nothing knows rules or OCSF: the day is
//! vendor logs, as the vendors' products would have written them.

mod background;
mod company;
mod day;
mod intrusion;
pub mod lane;

pub use day::{Day, Event, Source};
