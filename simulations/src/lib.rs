//! Telemetry made on purpose: an ordinary day of a small company, with an intrusion inside it.
//!
//! A seed fixes every byte, so a demo, a benchmark and a test can speak of the same day; [`lane`] makes as many events of one
//! log as a benchmark asks for, or more of a sample that its user has. The day is vendor logs, as the vendors' products
//! would have written them; nothing that makes it reads or writes files.
//!
//! Attacks that are tried, and what was seen of them: [`score`] says which techniques were detected.

pub mod atomic;
mod background;
mod company;
pub mod daemon;
mod day;
mod intrusion;
pub mod labelled;
pub mod lane;
pub mod navigator;
pub mod replay;
pub mod score;
pub mod stratus;

pub use day::{Day, Event, Source};
