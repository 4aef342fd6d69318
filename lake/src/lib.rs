//! The lake: one Delta table per OCSF class on any object store, what was ingested already, read-only SQL on it, and
//! the durable log of what is on its way there.
//!
//! Knows batches, tables and files; knows no sources and no rules. A lake is a folder or an object-store prefix:
//!
//! ```text
//! tarn.json                      format version
//! tables/<class>/                a Delta table: _delta_log/, event_day=YYYY-MM-DD/*.parquet
//! ingest/log/<sequence>.json     one entry per commit group: its files per table, the containers it holds
//! ingest/done/<sequence>         that every table has that group
//! ingest/checkpoint.json         the containers of all entries up to a sequence
//! ```
//!
//! `docs/lake.md` says how they relate, and what a crash leaves behind.

mod arrival;
mod buffers;
mod durable;
mod error;
mod folder;
mod format;
mod lake;
mod location;

pub mod dead_letter;
pub mod ingest;
pub mod live;
pub mod log;
pub mod sql;
pub mod table;
pub mod upkeep;
pub mod views;

pub use arrival::{Clock, with_arrival};
pub use error::LakeError;
pub use ingest::{CommitSummary, Container, Decision, Ingest, IngestOptions};
pub use lake::Lake;
pub use live::{Chunk, Committer, Live, LiveOptions};
pub use location::StoreOptions;
pub use sql::{Originals, SqlError, SqlOptions, SqlSession};
