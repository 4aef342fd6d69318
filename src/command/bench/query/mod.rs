//! `tarn bench query`: what questions cost over a large lake.

mod estate;
mod questions;

use crate::command::{Usage, block_on};
use crate::output::{Format, print_rows};
use crate::progress;
use anyhow::Context;
use chrono::Utc;
use clap::Args as ClapArgs;
use estate::{Chunk, Class, Estate, chunks};
use futures::StreamExt;
use questions::QUESTIONS;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Instant;
use tarn_lake::{IngestOptions, Lake, SqlOptions, StoreOptions, with_arrival};

/// Measure SQL: ten questions of a security operations centre over a month of events
///
/// Where the lake has nothing yet, it is made first, of a seed: processes, connections, logons, name lookups and API calls,
/// straight to Parquet. Each question is asked several times over; the first time tells what cold caches cost, the median
/// what it costs then.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn bench query --lake ./estate --events 100000000
  tarn bench query --lake ./estate --runs 9 --format ndjson
  tarn bench query --lake ./estate --list")]
pub struct Args {
    /// The lake: a folder or URL
    #[arg(long, value_name = "LAKE")]
    lake: String,
    /// Events of a lake that is made
    #[arg(long, default_value_t = 10_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000_000))]
    events: u64,
    /// Seed of what is made
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How often each question is asked
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Only this question
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print the questions and ask none
    #[arg(long)]
    list: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let asked: Vec<_> = QUESTIONS.iter().filter(|q| self.only.as_ref().is_none_or(|only| only == q.name)).collect();
        if asked.is_empty() {
            return Err(Usage("no such question; --list prints them".to_owned()).into());
        }
        if self.list {
            let row = |q: &&questions::Question| object(json!({ "question": q.name, "why": q.why, "sql": q.sql }));
            print_rows(&asked.iter().map(row).collect::<Vec<_>>(), Format::or_default(self.format))?;
            return Ok(ExitCode::SUCCESS);
        }
        if cfg!(debug_assertions) {
            eprintln!("warning: this is a debug build; `cargo build --release` makes one that is worth measuring");
        }
        let mut options = SqlOptions::default();
        if let Some(threads) = self.threads {
            options.partitions = usize::from(threads);
        }
        let rows = block_on(async {
            let lake = Lake::open_or_create(&self.lake, &StoreOptions::default()).await?;
            if lake.table_names().await?.is_empty() {
                make(&lake, self.events, self.seed).await?;
            }
            let mut rows = Vec::new();
            for question in asked {
                rows.push(ask(&lake, question, &options, self.runs).await?);
            }
            anyhow::Ok(rows)
        })??;
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Writes an estate, a commit a day, as merges leave their files.
async fn make(lake: &Lake, events: u64, seed: u64) -> anyhow::Result<()> {
    let estate = std::sync::Arc::new(Estate::new(seed)?);
    let now = estate::LAST_DAY.and_then(|day| day.and_hms_opt(0, 0, 0)).context("no such day")?.and_utc();
    let mut ingest = lake.ingest(IngestOptions { now, ..IngestOptions::default() }).await?;
    let clock = ingest.clock();
    let bar = progress::events(events);
    let tables = Class::ALL.map(|class| Ok((class, Estate::table(class)?)));
    let tables: Vec<(Class, String)> = tables.into_iter().collect::<anyhow::Result<_>>()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let made = futures::stream::iter(chunks(events)).map(|chunk: Chunk| {
        let estate = estate.clone();
        tokio::task::spawn_blocking(move || (chunk, estate.rows(&chunk)))
    });
    let mut made = std::pin::pin!(made.buffered(threads));
    let mut day = 0;
    while let Some(done) = made.next().await {
        let (chunk, rows) = done?;
        if chunk.day != day {
            day = chunk.day;
            ingest.commit().await?;
        }
        let rows = rows?;
        let first = clock.take(rows.num_rows(), Utc::now());
        let rows = with_arrival(&rows, (first..).take(rows.num_rows()).collect())?;
        let table = tables.iter().find(|(class, _)| *class == chunk.class).context("no such table")?;
        ingest.append(&table.1, rows).await?;
        bar.inc(chunk.rows);
    }
    ingest.commit().await?;
    bar.finish_and_clear();
    Ok(())
}

async fn ask(
    lake: &Lake,
    question: &questions::Question,
    options: &SqlOptions,
    runs: u16,
) -> anyhow::Result<Map<String, Value>> {
    let mut millis = Vec::new();
    let mut answers = 0;
    let session = lake.sql(options).await?;
    for _ in 0..runs {
        let begun = Instant::now();
        let mut batches = session.query(question.sql).await.with_context(|| question.name)?;
        answers = 0;
        while let Some(batch) = batches.next().await {
            answers += batch?.num_rows();
        }
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let rounded = |ms: f64| (ms * 10.0).round() / 10.0;
    let first = millis.first().copied().unwrap_or(0.0);
    millis.sort_by(f64::total_cmp);
    let (least, median) =
        (millis.first().copied().unwrap_or(0.0), millis.get(millis.len() / 2).copied().unwrap_or(0.0));
    Ok(object(json!({
        "question": question.name, "why": question.why, "answers": answers,
        "first_ms": rounded(first), "median_ms": rounded(median), "least_ms": rounded(least),
    })))
}
