//! The rows of a large estate, straight as OCSF columns: a month of five classes, from a seed.
//!
//! Values are as skewed as those of real logs: few users, hosts and programs make most events, many make few, and some
//! appear once. A chunk of rows depends on the seed and its place alone, so that chunks can be made in any order.

use anyhow::Context;
use arrow::array::RecordBatch;
use chrono::{Days, NaiveDate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::sync::Arc;
use tarn_schema_ocsf::record::{BatchBuilder, TableSchema, Value};
use tarn_schema_ocsf::{ClassUid, Schema};

/// Days of an estate, and the last of them.
pub const DAYS: u64 = 30;
pub const LAST_DAY: Option<NaiveDate> = NaiveDate::from_ymd_opt(2026, 3, 17);

/// Rows of a chunk.
pub const CHUNK_ROWS: u64 = 65_536;

const MICROS_PER_DAY: i64 = 86_400_000_000;
const COMMON: [&str; 9] = [
    "time",
    "class_uid",
    "category_uid",
    "activity_id",
    "type_uid",
    "severity_id",
    "status_id",
    "metadata.uid",
    "metadata.product.name",
];

/// A class of the estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Process,
    Network,
    Authentication,
    Dns,
    Api,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Process, Self::Network, Self::Authentication, Self::Dns, Self::Api];

    /// How much of the estate it is, in percent.
    pub fn percent(self) -> u64 {
        match self {
            Self::Process => 40,
            Self::Network => 25,
            Self::Authentication => 15,
            Self::Dns | Self::Api => 10,
        }
    }

    fn uid(self) -> u32 {
        match self {
            Self::Process => 1007,
            Self::Network => 4001,
            Self::Authentication => 3002,
            Self::Dns => 4003,
            Self::Api => 6003,
        }
    }

    fn product(self) -> &'static str {
        match self {
            Self::Process | Self::Authentication => "Windows",
            Self::Network => "Zeek",
            Self::Dns => "Resolver",
            Self::Api => "CloudTrail",
        }
    }

    fn own_columns(self) -> &'static [&'static str] {
        match self {
            Self::Process => &[
                "device.hostname",
                "actor.user.name",
                "actor.process.name",
                "actor.process.pid",
                "process.name",
                "process.pid",
                "process.file.path",
                "process.cmd_line",
            ],
            Self::Network => &[
                "device.hostname",
                "src_endpoint.ip",
                "src_endpoint.port",
                "dst_endpoint.ip",
                "dst_endpoint.port",
                "connection_info.protocol_name",
                "traffic.bytes_in",
                "traffic.bytes_out",
            ],
            Self::Authentication => {
                &["device.hostname", "user.name", "src_endpoint.ip", "logon_type_id", "auth_protocol", "is_remote"]
            }
            Self::Dns => &["src_endpoint.ip", "query.hostname", "query.type", "rcode_id"],
            Self::Api => &[
                "actor.user.name",
                "api.operation",
                "api.service.name",
                "cloud.account.uid",
                "cloud.region",
                "src_endpoint.ip",
            ],
        }
    }
}

/// A chunk's place: rows of a class on a day, which are spread over its `share` of the day.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    pub class: Class,
    pub day: u64,
    pub number: u64,
    pub rows: u64,
    /// Which part of the day, and of how many.
    pub share: (u64, u64),
}

/// The chunks of an estate of `events` rows, day by day.
pub fn chunks(events: u64) -> impl Iterator<Item = Chunk> {
    (0..DAYS).flat_map(move |day| {
        Class::ALL.into_iter().flat_map(move |class| {
            let all = events * class.percent() / 100;
            let rows = all * (day + 1) / DAYS - all * day / DAYS;
            let parts = rows.div_ceil(CHUNK_ROWS);
            (0..parts).map(move |number| {
                let rows = rows * (number + 1) / parts - rows * number / parts;
                Chunk { class, day, number, rows, share: (number, parts) }
            })
        })
    })
}

/// Makes rows.
pub struct Estate {
    seed: u64,
    schemas: Vec<(Class, Arc<TableSchema>)>,
}

impl Estate {
    /// **Errors**: a column that the schema does not have, which would be a defect of ours.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        let schema = |class: Class| {
            let columns = COMMON.iter().chain(class.own_columns()).copied();
            anyhow::Ok((class, Arc::new(TableSchema::new(ClassUid(class.uid()), columns)?)))
        };
        Ok(Self { seed, schemas: Class::ALL.into_iter().map(schema).collect::<Result<_, _>>()? })
    }

    /// The table of a class.
    pub fn table(class: Class) -> anyhow::Result<String> {
        let class = Schema::v1_8().class(ClassUid(class.uid())).context("no such class")?;
        Ok(class.table().to_string())
    }

    /// The rows of a chunk.
    pub fn rows(&self, chunk: &Chunk) -> anyhow::Result<RecordBatch> {
        let place = (chunk.day << 40) | ((chunk.class as u64) << 32) | chunk.number;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(place);
        let schema = self.schemas.iter().find(|(class, _)| *class == chunk.class).context("no such class")?;
        let mut rows = Rows { builder: BatchBuilder::new(schema.1.clone()), rng, text: String::new() };
        let first = LAST_DAY.and_then(|last| last.checked_sub_days(Days::new(DAYS - 1 - chunk.day)));
        let day = first.and_then(|day| day.and_hms_opt(0, 0, 0)).context("no such day")?.and_utc().timestamp_micros();
        let (part, parts) = (chunk.share.0 as i64, chunk.share.1 as i64);
        let (from, to) = (day + MICROS_PER_DAY * part / parts, day + MICROS_PER_DAY * (part + 1) / parts);
        for _ in 0..chunk.rows {
            let time = rows.rng.random_range(from..to);
            rows.row(chunk.class, time)?;
        }
        Ok(rows.builder.finish())
    }
}

struct Rows {
    builder: BatchBuilder,
    rng: ChaCha8Rng,
    text: String,
}

impl Rows {
    fn set(&mut self, path: &str, value: Value<'_>) -> anyhow::Result<()> {
        let slot = self.builder.schema().slot(path).with_context(|| format!("no column {path}"))?;
        self.builder.set(slot, value)?;
        Ok(())
    }

    fn int(&mut self, path: &str, value: i64) -> anyhow::Result<()> {
        self.set(path, Value::Int(value))
    }

    fn name(&mut self, path: &str, value: &str) -> anyhow::Result<()> {
        self.set(path, Value::Text(value))
    }

    fn made(&mut self, path: &str, value: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let _ = text.write_fmt(value);
        let done = self.name(path, &text);
        self.text = text;
        done
    }

    /// One of `n`, the first far more often than the last.
    fn skewed(&mut self, n: u64) -> u64 {
        let u: f64 = self.rng.random();
        ((n as f64) * u * u * u) as u64
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    fn row(&mut self, class: Class, time: i64) -> anyhow::Result<()> {
        let activity = 1 + self.skewed(2) as i64;
        let uid = i64::from(class.uid());
        self.set("time", Value::Time(time))?;
        self.int("class_uid", uid)?;
        self.int("category_uid", uid / 1000)?;
        self.int("activity_id", activity)?;
        self.int("type_uid", uid * 100 + activity)?;
        self.int("severity_id", 1)?;
        let id: u128 = self.rng.random();
        self.made("metadata.uid", format_args!("{id:032x}"))?;
        self.name("metadata.product.name", class.product())?;
        match class {
            Class::Process => self.process(),
            Class::Network => self.network(),
            Class::Authentication => self.authentication(),
            Class::Dns => self.dns(),
            Class::Api => self.api(),
        }?;
        self.builder.end_row();
        Ok(())
    }

    fn process(&mut self) -> anyhow::Result<()> {
        let (host, user) = (self.skewed(5_000), self.skewed(8_000));
        self.made("device.hostname", format_args!("ws-{host:04}.corp.example"))?;
        self.made("actor.user.name", format_args!("user{user:04}"))?;
        self.int("status_id", 1)?;
        let parent = self.skewed(40);
        self.made("actor.process.name", format_args!("parent{parent:02}.exe"))?;
        let (pid, parent_pid) = (self.rng.random_range(4..65_000), self.rng.random_range(4..65_000));
        self.int("actor.process.pid", parent_pid)?;
        self.int("process.pid", pid)?;
        let argument: u32 = self.rng.random();
        if self.one_in(100_000) {
            self.made("process.name", format_args!("tool{argument:08x}.exe"))?;
            self.made(
                "process.file.path",
                format_args!("C:\\Users\\user{user:04}\\Downloads\\tool{argument:08x}.exe"),
            )?;
            return self.made("process.cmd_line", format_args!("tool{argument:08x}.exe --quiet"));
        }
        if self.one_in(20_000) {
            self.name("process.name", "powershell.exe")?;
            self.name("process.file.path", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe")?;
            let code: u128 = self.rng.random();
            return self
                .made("process.cmd_line", format_args!("powershell.exe -NoP -W Hidden -EncodedCommand {code:x}"));
        }
        let program = self.skewed(300);
        self.made("process.name", format_args!("program{program:03}.exe"))?;
        self.made(
            "process.file.path",
            format_args!("C:\\Program Files\\Vendor{}\\program{program:03}.exe", program % 60),
        )?;
        self.made(
            "process.cmd_line",
            format_args!(
                "\"C:\\Program Files\\Vendor{}\\program{program:03}.exe\" /task:{} /id {argument}",
                program % 60,
                host % 90
            ),
        )
    }

    fn network(&mut self) -> anyhow::Result<()> {
        let host = self.skewed(5_000);
        self.made("device.hostname", format_args!("ws-{host:04}.corp.example"))?;
        self.made("src_endpoint.ip", format_args!("10.{}.{}.7", host / 250, host % 250))?;
        let port = self.rng.random_range(1_024..65_535);
        self.int("src_endpoint.port", port)?;
        let (peer, service) = (self.skewed(60_000), self.skewed(12) as usize);
        self.made("dst_endpoint.ip", format_args!("198.18.{}.{}", peer / 250, peer % 250))?;
        const PORTS: [i64; 12] = [443, 80, 53, 445, 389, 88, 22, 3389, 8080, 25, 5985, 4444];
        self.int("dst_endpoint.port", PORTS[service % PORTS.len()])?;
        self.name("connection_info.protocol_name", if service == 2 { "udp" } else { "tcp" })?;
        let (sent, received) = (self.skewed(1 << 20) as i64, self.skewed(1 << 24) as i64);
        self.int("traffic.bytes_out", sent)?;
        self.int("traffic.bytes_in", received)
    }

    fn authentication(&mut self) -> anyhow::Result<()> {
        let (host, user) = (self.skewed(5_000), self.skewed(8_000));
        self.made("device.hostname", format_args!("ws-{host:04}.corp.example"))?;
        self.made("user.name", format_args!("user{user:04}"))?;
        // Most people come from where they always do.
        let from = if self.one_in(50) { self.skewed(60_000) } else { user };
        self.made("src_endpoint.ip", format_args!("10.{}.{}.9", 100 + from / 250, from % 250))?;
        let failed = self.one_in(25);
        self.int("status_id", if failed { 2 } else { 1 })?;
        const TYPES: [i64; 4] = [3, 2, 10, 5];
        let kind = self.skewed(4) as usize;
        self.int("logon_type_id", TYPES[kind % TYPES.len()])?;
        let old = self.one_in(5);
        self.name("auth_protocol", if old { "NTLM" } else { "Kerberos" })?;
        self.set("is_remote", Value::Bool(kind.is_multiple_of(2)))
    }

    fn dns(&mut self) -> anyhow::Result<()> {
        let host = self.skewed(5_000);
        self.made("src_endpoint.ip", format_args!("10.{}.{}.7", host / 250, host % 250))?;
        let domain = self.skewed(200_000);
        if self.one_in(5_000) {
            let label: u64 = self.rng.random();
            self.made("query.hostname", format_args!("{label:016x}.t{}.example.net", domain % 7))?;
            self.name("query.type", "TXT")?;
        } else {
            self.made("query.hostname", format_args!("www.site{domain:06}.example.com"))?;
            let long = self.one_in(3);
            self.name("query.type", if long { "AAAA" } else { "A" })?;
        }
        self.int("status_id", 1)?;
        let unknown = self.one_in(30);
        self.int("rcode_id", if unknown { 3 } else { 0 })
    }

    fn api(&mut self) -> anyhow::Result<()> {
        let user = self.skewed(1_500);
        self.made("actor.user.name", format_args!("user{user:04}"))?;
        let operation = self.skewed(400);
        self.made("api.operation", format_args!("Operation{operation:03}"))?;
        self.made("api.service.name", format_args!("service{:02}.amazonaws.com", operation % 40))?;
        let account = self.skewed(12);
        self.made("cloud.account.uid", format_args!("{:012}", 111_100_000_000 + account))?;
        // Most work where they always do.
        const REGIONS: [&str; 6] = ["eu-west-1", "us-east-1", "eu-central-1", "us-west-2", "ap-south-1", "sa-east-1"];
        let region = if self.one_in(3_000) { self.skewed(6) as usize + 3 } else { user as usize % 3 };
        self.name("cloud.region", REGIONS[region % REGIONS.len()])?;
        self.made("src_endpoint.ip", format_args!("203.0.113.{}", user % 250))?;
        let denied = self.one_in(40);
        self.int("status_id", if denied { 2 } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_seed_makes_the_same_rows_and_as_many_as_asked_for() {
        let estate = Estate::new(7).unwrap();
        let all: Vec<Chunk> = chunks(100_000).collect();
        assert_eq!(all.iter().map(|chunk| chunk.rows).sum::<u64>(), 100_000);
        let chunk = all.iter().rfind(|chunk| chunk.class == Class::Process).unwrap();
        let rows = estate.rows(chunk).unwrap();
        assert_eq!(rows.num_rows() as u64, chunk.rows);
        assert_eq!(rows, Estate::new(7).unwrap().rows(chunk).unwrap());
        assert_ne!(rows, Estate::new(8).unwrap().rows(chunk).unwrap());
        for class in Class::ALL {
            assert!(!Estate::table(class).unwrap().is_empty());
        }
    }
}
