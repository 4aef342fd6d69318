//! `tarn demo`: an ordinary day with an intrusion in it, through the whole path.

use super::{Usage, block_on};
use crate::findings::Alert;
use crate::output::{Format, RowPrinter};
use crate::stream::{Stream, Totals};
use crate::{progress, report};
use anyhow::Context;
use chrono::{DateTime, NaiveDate};
use clap::Args as ClapArgs;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;
use tarn_engine::Engine;
use tarn_ingest::source::Sources;
use tarn_lake::{IngestOptions, Lake, SqlOptions, StoreOptions};
use tarn_simulations::Day;

/// Stream a day of sample telemetry with an intrusion in it through mapping, detection and a lake
///
/// The telemetry is made on the spot (CloudTrail, Windows and Kubernetes logs of a small company; the same seed makes the
/// same bytes), the rules are Tarn's own. Ends with the findings, the rate, and three SQL queries with their answers.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn demo
  tarn demo --lake ./demo-lake && tarn sql --lake ./demo-lake 'SHOW TABLES'")]
pub struct Args {
    /// Keep the lake in this folder, which must be empty or absent; a temporary one by default
    #[arg(long, value_name = "FOLDER")]
    lake: Option<PathBuf>,
    /// Ordinary events around the intrusion
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    events: u32,
    /// Seed of the telemetry
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// The day of the demo's telemetry: fixed, as the seed fixes the rest of it.
const DATE: Option<NaiveDate> = NaiveDate::from_ymd_opt(2026, 3, 17);

/// What is announced: the others are rows that give context.
const ANNOUNCED: tarn_rules::Level = tarn_rules::Level::Medium;

/// Questions an analyst asks next; the second line says why.
const QUERIES: [(&str, &str); 3] = [
    (
        "Who and what stands behind the findings in the cloud? Findings join the events that they stand on.",
        "SELECT f.severity, f.finding_info.title AS finding, e.actor.user.name AS \"user\", e.src_endpoint.ip AS ip, count(*) AS n
FROM detection_finding f JOIN api_activity e ON e.metadata.uid = f.finding_info.related_events[1].uid
WHERE f.severity_id >= 3 GROUP BY 1, 2, 3, 4 ORDER BY min(e.time)",
    ),
    (
        "What else did that address do?",
        "SELECT actor.user.name AS \"user\", api.operation, count(*) AS n, min(time) AS first, max(time) AS last
FROM api_activity WHERE src_endpoint.ip = '203.0.113.77' GROUP BY 1, 2 ORDER BY first",
    ),
    (
        "How did it begin? Processes on the workstation, with what started them.",
        "SELECT time, actor.process.name AS parent, process.name, process.cmd_line AS command
FROM process_activity
WHERE device.hostname = 'WS-105.fjord.example' AND activity_id = 1 AND process.user.name = 'e.novak'
  AND time BETWEEN TIMESTAMP '2026-03-17T13:05:00Z' AND TIMESTAMP '2026-03-17T13:20:00Z'
ORDER BY time LIMIT 12",
    ),
];

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let temporary = self.lake.is_none().then(tempfile::tempdir).transpose()?;
        let folder = match (&self.lake, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().join("lake"),
            (None, None) => anyhow::bail!("no folder for the lake"),
        };
        let sources = Arc::new(Sources::builtin()?);
        let (engine, reports) = Engine::new(sources, tarn_rules::pack());
        report::report_rules(&reports);
        let engine = Arc::new(engine);
        let mut out = std::io::stdout();
        writeln!(
            out,
            "An ordinary day of a small company, {} events of CloudTrail, Windows and Kubernetes logs, with an intrusion \
             inside it; {} rules watch.\n",
            grouped(self.events.into()),
            engine.len()
        )?;
        block_on(self.stream(engine, &folder))??;
        if temporary.is_some() {
            writeln!(out, "\nThe lake was temporary. Keep one to ask more: tarn demo --lake ./demo-lake")?;
        } else {
            let folder = folder.display();
            writeln!(out, "\nAsk more: tarn sql --lake {folder} 'SHOW TABLES'")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn stream(&self, engine: Arc<Engine>, folder: &Path) -> anyhow::Result<()> {
        let location = folder.to_str().context("the folder's name is not UTF-8")?;
        let lake = Lake::open_or_create(location, &StoreOptions::default()).await?;
        if !lake.table_names().await?.is_empty() {
            return Err(Usage(format!("{location} has tables already: give the demo a folder of its own")).into());
        }
        let mut ingest = lake.ingest(IngestOptions::default()).await?;
        let started = Instant::now();
        let bar = progress::events(u64::from(self.events));
        let stream = Stream { engine: engine.clone(), now: chrono::Utc::now() };
        let mut repeats: BTreeMap<String, u64> = BTreeMap::new();
        let alert = |alert: Alert<'_>| {
            let count = repeats.entry(alert.about.id.clone()).or_default();
            *count += 1;
            if *count == 1 && alert.about.level >= ANNOUNCED {
                bar.suspend(|| announce(&alert));
            }
        };
        let seen = |totals: &Totals| bar.set_position(totals.records);
        let telemetry = telemetry(self.events as usize, self.seed)?;
        let totals = stream.run(telemetry, &mut ingest, alert, seen).await?;
        bar.finish_and_clear();
        let (made, rows) = (totals.records + totals.findings, totals.rows);
        anyhow::ensure!(made == rows, "{made} records and findings came, and {rows} rows are in the lake");
        let seconds = started.elapsed().as_secs_f64();
        let mut out = std::io::stdout();
        writeln!(
            out,
            "\n{} findings of {} rules, with those below medium. {} events in {seconds:.1} s: {} a second, {:.1} MB/s, \
             made, mapped, matched and written on {} threads.",
            grouped(totals.findings),
            repeats.len(),
            grouped(totals.records),
            grouped((totals.records as f64 / seconds) as u64),
            totals.bytes as f64 / 1e6 / seconds,
            std::thread::available_parallelism().map_or(1, usize::from),
        )?;
        let session = lake.sql(&SqlOptions::default()).await?;
        for (question, sql) in QUERIES {
            writeln!(out, "\n{question}\n\n{sql}\n")?;
            let mut rows = session.query(sql).await?;
            let mut printer = RowPrinter::new(rows.schema(), Format::Table, false);
            while let Some(batch) = rows.next().await {
                printer.print(batch?)?;
            }
            printer.finish()?;
        }
        Ok(())
    }
}

/// A finding's line, as it happens.
fn announce(alert: &Alert<'_>) {
    let rule = alert.about;
    let time = alert.event_time.and_then(DateTime::from_timestamp_micros).unwrap_or_default();
    let level = rule.level.to_string();
    let (on, off) = match (std::io::stdout().is_terminal(), rule.level >= tarn_rules::Level::High) {
        (true, true) => ("\x1b[31m", "\x1b[0m"),
        (true, false) => ("\x1b[33m", "\x1b[0m"),
        (false, _) => ("", ""),
    };
    let techniques = rule.attack.techniques.join(" ");
    // A closed pipe ends the demo at its next write.
    let _ =
        writeln!(std::io::stdout(), "{}  {on}{level:8}{off}  {}  {techniques}", time.format("%H:%M:%S"), rule.title);
}

/// The day's events as a stream of lines, made while they are read.
fn telemetry(events: usize, seed: u64) -> anyhow::Result<impl Read + Send + 'static> {
    const CHUNK_BYTES: usize = 256 << 10;
    let date = DATE.context("no such day")?;
    let (send, chunks) = sync_channel(8);
    std::thread::spawn(move || {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4096);
        for event in Day::new(date, events, seed) {
            chunk.extend_from_slice(event.json.as_bytes());
            chunk.push(b'\n');
            if chunk.len() >= CHUNK_BYTES && send.send(std::mem::take(&mut chunk)).is_err() {
                return;
            }
        }
        // Nobody reads on: nobody misses the last chunk.
        let _ = send.send(chunk);
    });
    Ok(Chunks { chunks, chunk: Vec::new(), at: 0 })
}

struct Chunks {
    chunks: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk, 0),
                Err(_) => return Ok(0),
            }
        }
        let n = buffer.len().min(self.chunk.len() - self.at);
        buffer[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// A number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
