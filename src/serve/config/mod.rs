//! The daemon's configuration: one TOML file, and the environment over it. Every error names its key.

mod check;
mod read;
mod sections;

pub use sections::{Commit, Detection, Limits, Listen, LogConfig, TracesConfig, Upkeep};

use super::evidence::EvidenceConfig;
use super::repeats::RepeatsConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tarn_connectors::access::Grant;
use tarn_connectors::listen::TlsFiles;
use tarn_connectors::query::QueryLimits;
use tarn_connectors::sink::AlertsConfig;
use tarn_connectors::source::{syslog, tail};

/// All of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The lake: a folder, or a URL of an object store.
    pub lake: String,
    /// A local folder for the durable log and what must survive a restart.
    pub state: PathBuf,
    /// Sigma rules: files and folders. None: Tarn's own.
    #[serde(default)]
    pub rules: Vec<PathBuf>,
    /// A folder of log sources of your own.
    pub sources: Option<PathBuf>,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// Certificates of every listener.
    pub tls: Option<TlsFiles>,
    /// Who may do what; without any, everyone on this machine may do everything.
    #[serde(default)]
    pub access: Vec<Grant>,
    /// The durable log.
    #[serde(default)]
    pub log: LogConfig,
    /// Commits to the lake.
    #[serde(default)]
    pub commit: Commit,
    /// Upkeep of the lake's tables.
    #[serde(default)]
    pub upkeep: Upkeep,
    /// Matching of events.
    #[serde(default)]
    pub detection: Detection,
    /// Limits on what comes in.
    #[serde(default)]
    pub limits: Limits,
    /// Whether records that came in before are dropped.
    #[serde(default)]
    pub repeats: RepeatsConfig,
    /// Files that grow, by a name under which positions in them are remembered.
    #[serde(default)]
    pub tail: BTreeMap<String, tail::Options>,
    /// Limits on syslog.
    #[serde(default)]
    pub syslog: syslog::Options,
    /// Limits on SQL.
    #[serde(default)]
    pub query: QueryLimits,
    /// Documents that show where software is from, and the ledger of what came of them.
    #[serde(default)]
    pub evidence: EvidenceConfig,
    /// Where findings are sent.
    #[serde(default)]
    pub alerts: AlertsConfig,
    /// Where the daemon's own traces are sent; none without it.
    pub traces: Option<TracesConfig>,
}

impl Config {
    /// The largest delivery: what a body may be once decompressed, with the originals of its records, where those are
    /// not the records themselves, and the envelope that each may have.
    pub fn delivery_bytes_max(&self) -> usize {
        4 * (self.limits.decompressed_mib << 20)
    }

    /// The largest frame: a delivery and its head, or a piece of findings.
    pub fn frame_bytes_max(&self) -> usize {
        (self.delivery_bytes_max() + (16 << 20)).max(96 << 20)
    }
}

#[cfg(test)]
mod tests;
