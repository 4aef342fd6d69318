//! Back-tests: what rules would have found in a lake or in logs, counted by rule, before they are shipped.
//!
//! The data are gone through as `tarn hunt` and `tarn detect` do it. Findings are counted, not kept: [`Tallies`] says with
//! which bounds.

mod cost;
mod diff;
mod files;
mod lake;
mod report;
mod tally;
mod version;

pub use cost::Weights;
pub use diff::Diff;
pub use files::Files;
pub use lake::LakeSpan;
pub use report::{Tried, rows};
pub use tally::{Tallies, Tally};
pub use version::Version;

use std::sync::Arc;
use tarn_engine::Engine;

/// Columns whose values are counted as entities, where a class has them: who, where, from where, what.
const ENTITIES: &[&str] = &[
    "actor.user.name",
    "actor.user.uid",
    "user.name",
    "device.hostname",
    "src_endpoint.ip",
    "src_endpoint.hostname",
    "dst_endpoint.hostname",
    "actor.process.name",
    "process.name",
    "process.file.path",
    "api.operation",
];

/// Which of the passes over the data this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The only one: nothing is compared.
    Only,
    /// With new rules, to be compared.
    New,
    /// With old rules, to be compared. What is odd about the data was told before.
    Old,
}

/// What rules are replayed over.
pub enum Data {
    /// A lake, or some days of it.
    Lake(LakeSpan),
    /// Log files.
    Files(Files),
}

impl Data {
    /// What an engine's rules find.
    ///
    /// **Errors**: the data cannot be read; a file that cannot is named on stderr, and the others are read.
    pub async fn replay(&self, engine: &Arc<Engine>, pass: Pass) -> anyhow::Result<Tallies> {
        match self {
            Self::Lake(lake) => lake.replay(engine, pass).await,
            Self::Files(files) => files.replay(engine, pass),
        }
    }

    /// What each rule takes of the matching time, over a sample.
    pub async fn weigh(&self, engine: &Arc<Engine>) -> anyhow::Result<Weights> {
        match self {
            Self::Lake(lake) => lake.weigh(engine).await,
            Self::Files(files) => files.weigh(engine),
        }
    }
}
