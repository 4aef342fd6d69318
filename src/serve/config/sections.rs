//! The daemon's own sections of the configuration, with what they are where they are left out.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

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
        Self { enabled: true, every_minutes: 1, target_mib: 64, files_min: 8, retain_days, vacuum_hours: 168 }
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
        Self { seconds: 10, mib: 96 }
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
        Self { body_mib: 16, decompressed_mib: 64, body_seconds: 30, connections: 1024, frames_mib: 64, wait_ms: 2000 }
    }
}
