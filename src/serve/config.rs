//! The daemon's configuration: one TOML file, and the environment over it.
//!
//! A variable `TARN_SERVE__LISTEN__HTTP` stands for the key `listen.http`; its value is TOML where that parses, else a
//! text. Unknown keys are errors, and every error names its key.

use super::evidence::EvidenceConfig;
use super::repeats::RepeatsConfig;
use crate::command::Usage;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tarn_connectors::access::Grant;
use tarn_connectors::listen::TlsFiles;
use tarn_connectors::query::QueryLimits;
use tarn_connectors::sink::AlertsConfig;
use tarn_connectors::source::{syslog, tail};
use tarn_lake::upkeep::HOURS_MIN;

/// What variables begin with.
const PREFIX: &str = "TARN_SERVE__";

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

/// The daemon's own traces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// A collector's URL for OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`. What it asks for in headers is
    /// given by the variable `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.
    pub endpoint: String,
    /// The share of traces that are kept, 0 to 1; one that a sender began is kept if the sender keeps it.
    #[serde(default = "one")]
    pub sample: f64,
}

fn one() -> f64 {
    1.0
}

/// Addresses; an empty list turns a protocol off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// HTTP: OTLP, push, Splunk HEC, SQL, metrics.
    pub http: Vec<SocketAddr>,
    /// OTLP over gRPC.
    pub grpc: Vec<SocketAddr>,
    /// PostgreSQL's protocol.
    pub postgres: Vec<SocketAddr>,
    /// Arrow Flight SQL.
    pub flight_sql: Vec<SocketAddr>,
    /// Elasticsearch's bulk API; by convention port 9200.
    pub elasticsearch: Vec<SocketAddr>,
    /// Syslog over TCP, or TLS where that is configured; by convention ports 601 and 6514.
    pub syslog_tcp: Vec<SocketAddr>,
    /// Syslog over UDP; by convention port 514.
    pub syslog_udp: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        Self {
            http: loopback(4318),
            grpc: loopback(4317),
            postgres: loopback(5433),
            flight_sql: loopback(8815),
            elasticsearch: Vec::new(),
            syslog_tcp: Vec::new(),
            syslog_udp: Vec::new(),
        }
    }
}

/// The durable log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A prefix of an object store (`s3://bucket/log`) that has the log instead of the state's folder, for machines
    /// whose disks do not outlive them.
    pub store: Option<String>,
    /// Size of a segment.
    pub segment_mib: u64,
    /// Events are refused, to be sent again, beyond this.
    pub disk_mib: u64,
    /// How long a group of appends waits for more, at most.
    pub group_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { store: None, segment_mib: 64, disk_mib: 4096, group_ms: 2 }
    }
}

/// Upkeep of the lake's tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upkeep {
    /// Whether this daemon does it.
    pub enabled: bool,
    /// Minutes between two looks for files to merge.
    pub every_minutes: u64,
    /// Largest size of a merged file.
    pub target_mib: u64,
    /// Files of a day that are worth a merge.
    pub files_min: usize,
    /// Days that are kept, by table; `*` stands for all others. Without an entry, rows stay for ever.
    pub retain_days: BTreeMap<String, u32>,
    /// Versions of so many hours stay readable.
    pub vacuum_hours: u32,
}

impl Default for Upkeep {
    fn default() -> Self {
        let retain_days = BTreeMap::new();
        Self { enabled: true, every_minutes: 1, target_mib: 128, files_min: 8, retain_days, vacuum_hours: 168 }
    }
}

impl Upkeep {
    /// How long rows of a table are kept.
    pub fn days_of(&self, table: &str) -> Option<u32> {
        self.retain_days.get(table).or_else(|| self.retain_days.get("*")).copied()
    }
}

/// Commits to the lake.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commit {
    /// The longest that a row waits.
    pub seconds: u64,
    /// Memory of rows after which none waits longer.
    pub mib: usize,
}

impl Default for Commit {
    fn default() -> Self {
        Self { seconds: 10, mib: 128 }
    }
}

/// Matching of events.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detection {
    /// How late an event may be for correlations, of event time; so long they wait.
    pub late_seconds: u32,
}

impl Default for Detection {
    fn default() -> Self {
        Self { late_seconds: crate::stream::LATENESS_S }
    }
}

/// Limits on what comes in.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A body as it is sent.
    pub body_mib: usize,
    /// A body once decompressed.
    pub decompressed_mib: usize,
    /// From a body's first byte to its last.
    pub body_seconds: u64,
    /// Connections of one listener.
    pub connections: usize,
    /// Frames in memory.
    pub frames_mib: usize,
    /// How long a delivery waits for room before it is refused.
    pub wait_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_mib: 16, decompressed_mib: 64, body_seconds: 30, connections: 1024, frames_mib: 128, wait_ms: 2000 }
    }
}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// **Errors**: [`Usage`], which names the file, and the key or the place in it.
    pub fn read(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let (name, text) = match path {
            None => ("the environment".to_owned(), String::new()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|e| Usage(format!("{name}: {e}")))?;
                (name, text)
            }
        };
        Self::parse(&name, &text, environment)
    }

    fn parse(name: &str, text: &str, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Usage(format!("{name}: {}", e.to_string().trim_end()));
        let mut table: toml::Table = text.parse().map_err(|e| wrong(&e))?;
        let mut changed = false;
        for (variable, value) in environment {
            let Some(keys) = variable.strip_prefix(PREFIX) else { continue };
            let keys = keys.to_lowercase();
            set(&mut table, &keys.split("__").collect::<Vec<_>>(), value)
                .map_err(|key| wrong(&format!("{variable}: {key} is no table")))?;
            changed = true;
        }
        for key in ["lake", "state"] {
            if !table.contains_key(key) {
                let upper = key.to_uppercase();
                return Err(wrong(&format!("{key} is not given: as --{key}, as a key, or as {PREFIX}{upper}")).into());
            }
        }
        // The text itself knows lines; what the environment changed only knows keys.
        let parsed = if changed { Self::deserialize(table) } else { toml::from_str(text) };
        let config: Self = parsed.map_err(|e| wrong(&e))?;
        config.check().map_err(|e| wrong(&e))?;
        Ok(config)
    }

    /// The largest delivery: what a body may be once decompressed, with the originals of its records, where those are
    /// not the records themselves, and the envelope that each may have.
    pub fn delivery_bytes_max(&self) -> usize {
        4 * (self.limits.decompressed_mib << 20)
    }

    /// The largest frame: a delivery and its head, or a piece of findings.
    pub fn frame_bytes_max(&self) -> usize {
        (self.delivery_bytes_max() + (16 << 20)).max(96 << 20)
    }

    fn check(&self) -> Result<(), String> {
        let at_least = |key: &str, value: u64, least: u64| {
            if value < least { Err(format!("{key}: expected at least {least}, found {value}")) } else { Ok(()) }
        };
        at_least("log.segment_mib", self.log.segment_mib, 1)?;
        at_least("log.disk_mib", self.log.disk_mib, 2 * self.log.segment_mib)?;
        at_least("log.disk_mib", self.log.disk_mib, 2 * (self.frame_bytes_max() as u64 >> 20))?;
        at_least("commit.seconds", self.commit.seconds, 1)?;
        at_least("commit.mib", self.commit.mib as u64, 1)?;
        at_least("limits.body_mib", self.limits.body_mib as u64, 1)?;
        at_least("limits.decompressed_mib", self.limits.decompressed_mib as u64, self.limits.body_mib as u64)?;
        at_least("limits.connections", self.limits.connections as u64, 1)?;
        at_least("limits.frames_mib", self.limits.frames_mib as u64, self.limits.decompressed_mib as u64)?;
        at_least("upkeep.every_minutes", self.upkeep.every_minutes, 1)?;
        at_least("upkeep.target_mib", self.upkeep.target_mib, 1)?;
        at_least("upkeep.files_min", self.upkeep.files_min as u64, 2)?;
        // Writers and readers may be at younger files.
        at_least("upkeep.vacuum_hours", u64::from(self.upkeep.vacuum_hours), u64::from(HOURS_MIN))?;
        if let Some(traces) = &self.traces {
            let url = url::Url::parse(&traces.endpoint);
            if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                return Err(format!("traces.endpoint: expected an http(s) URL, found {:?}", traces.endpoint));
            }
            if !(0.0..=1.0).contains(&traces.sample) {
                return Err(format!("traces.sample: expected 0 to 1, found {}", traces.sample));
            }
        }
        let named = |name: &&String| !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(name) = self.tail.keys().find(named) {
            return Err(format!("tail.{name}: expected a name of letters, digits, - and _"));
        }
        self.query.check().map_err(|error| error.to_string())?;
        let mut names: Vec<&str> = self.access.iter().map(|grant| grant.name.as_str()).collect();
        names.sort_unstable();
        for grant in &self.access {
            let zero = [
                ("ingest_mib_per_second", grant.ingest_mib_per_second == Some(0)),
                ("queries_max", grant.queries_max == Some(0)),
            ];
            if let Some((key, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
                return Err(format!("access.{}.{key}: expected at least 1", grant.name));
            }
        }
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("access: the name {:?} is given twice", pair[0])),
            None => Ok(()),
        }
    }
}

/// Sets a key; the error is the key that stands in the way.
fn set(table: &mut toml::Table, keys: &[&str], value: String) -> Result<(), String> {
    match keys {
        [] => Ok(()),
        [key] => {
            let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
            table.insert((*key).to_owned(), parsed.unwrap_or(toml::Value::String(value)));
            Ok(())
        }
        [key, rest @ ..] => {
            let inner = table.entry((*key).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            set(inner.as_table_mut().ok_or_else(|| (*key).to_owned())?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SMALL: &str = "lake = 'l'\nstate = 's'\n";

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::parse("tarn.toml", text, environment).map_err(|e| e.to_string())
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let config = parse(SMALL, &[]).unwrap();
        assert_eq!((config.lake.as_str(), config.commit.seconds), ("l", 10));
        let over = [("TARN_SERVE__LAKE", "s3://b/l"), ("TARN_SERVE__COMMIT__SECONDS", "3"), ("HOME", "/root")];
        let config = parse(SMALL, &over).unwrap();
        assert_eq!((config.lake.as_str(), config.commit.seconds), ("s3://b/l", 3));
        let over = [("TARN_SERVE__LISTEN__HTTP", "['127.0.0.1:0']")];
        assert_eq!(parse(SMALL, &over).unwrap().listen.http[0].port(), 0);
    }

    #[test]
    fn errors_name_their_key() {
        let error = |text: &str| parse(&format!("{SMALL}{text}"), &[]).unwrap_err();
        for (text, key) in [
            ("lakes = 1", "lakes"),
            ("[listen]\nhttp = ['nowhere']", "http"),
            ("[commit]\nseconds = 0", "commit.seconds"),
            ("[commit]\nseconds = 'x'", "seconds"),
            ("[detection]\nlate_seconds = -1", "late_seconds"),
            ("[log]\ndisk_mib = 1", "log.disk_mib"),
            ("[evidence]\nledger = 'evidence.key'", "ledger"),
            ("[[access]]\nname = 'a'\n[[access]]\nname = 'a'", "access"),
            ("[[access]]\nname = 'a'\ningest_mib_per_second = 0", "access.a.ingest_mib_per_second"),
        ] {
            let error = error(text);
            assert!(error.contains(key) && error.starts_with("tarn.toml"), "{text}: {error}");
        }
        let error = parse("lake = 'l'", &[]).unwrap_err();
        assert!(error.contains("state is not given") && error.contains("--state"), "{error}");
        let error = parse(SMALL, &[("TARN_SERVE__LAKE__X", "1")]).unwrap_err();
        assert!(error.contains("TARN_SERVE__LAKE__X"), "{error}");
    }
}
