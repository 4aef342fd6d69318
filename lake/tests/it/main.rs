//! The lake from outside: what is ingested is there once, whatever happens, and SQL finds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arrival;
mod by_dictionary;
mod crash;
mod events;
mod faulty;
mod files;
mod followed;
mod for_hunts;
mod format;
mod ingest;
mod live;
mod log;
mod paths;
mod slt;
mod sql;
mod upkeep;
mod views;
mod writers;
