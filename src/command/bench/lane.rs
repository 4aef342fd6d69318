//! `tarn bench lane`: events to measure with, from a seed or grown from a sample, into a file or a pipe.

use super::hints;
use crate::command::Usage;
use crate::{input, progress};
use anyhow::Context;
use chrono::NaiveDate;
use clap::{Args as ClapArgs, ValueEnum};
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tarn_simulations::Source;
use tarn_simulations::lane::{Background, Sample};

/// Write a lane: events to measure with, one JSON object a line, none of them twice
///
/// Without a sample, the events are the ordinary ones of `tarn demo`'s company. With one, its events come first, and more
/// are made of them until there are as many as asked for: with new values of the same form in each member, as often as
/// the sample has values in it that had not been seen before. The same sample and seed give the same bytes.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn bench lane --log windows --events 1000000 --out windows.ndjson
  tarn bench lane my-logs.ndjson.gz --events 400000 --seed 7 | other-engine")]
pub struct Args {
    /// Events to make more of: a file or folder of any kind that `tarn detect` reads, or - for standard input
    #[arg(value_name = "SAMPLE", conflicts_with = "log")]
    sample: Option<PathBuf>,
    /// The log to make, where there is no sample
    #[arg(long, value_enum, default_value = "windows")]
    log: Log,
    /// How many events; by default 100,000, or as many as the sample has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seed of what is made
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Add `product`, `service` and `category` to each event, for engines that route by them, such as rsigma
    #[arg(long)]
    hints: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A log that can be made from nothing but a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// Sysmon and Security events of Windows, as NXLog ships them
    Windows,
    /// AWS CloudTrail records
    Cloudtrail,
    /// Audit events of a Kubernetes API server
    Kubernetes,
}

impl Log {
    /// What its lanes are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Cloudtrail => "cloudtrail",
            Self::Kubernetes => "kubernetes",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Windows => Source::Windows,
            Self::Cloudtrail => Source::CloudTrail,
            Self::Kubernetes => Source::Kubernetes,
        }
    }
}

/// Events of a generated lane, unless the user says how many.
pub const EVENTS: u64 = 100_000;

/// The day of generated lanes: fixed, as the seed fixes the rest.
const DATE: Option<NaiveDate> = NaiveDate::from_ymd_opt(2026, 3, 17);

/// A sample beyond this is not learned from: it has to be in memory.
const SAMPLE_BYTES_MAX: usize = 512 << 20;

/// What a lane is made of.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A seed.
    Log(Log),
    /// A file's events.
    Sample(PathBuf),
}

/// A lane to be written.
#[derive(Clone, Debug)]
pub struct Lane {
    /// What of.
    pub origin: Origin,
    /// How many events; none for as many as the sample has, or [`EVENTS`].
    pub events: Option<u64>,
    /// The seed.
    pub seed: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events.
    pub events: u64,
    /// Bytes, with the ends of lines.
    pub bytes: u64,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let origin = self.sample.map_or(Origin::Log(self.log), Origin::Sample);
        let lane = Lane { origin, events: self.events, seed: self.seed };
        let out: Box<dyn Write> = match &self.out {
            Some(path) => Box::new(create(path)?),
            None => Box::new(std::io::stdout().lock()),
        };
        let written = if self.hints {
            let plain = tempfile::NamedTempFile::new().context("no file for the lane")?;
            let written = lane.write(plain.as_file())?;
            hints::write(plain.path(), out)?;
            written
        } else {
            lane.write(out)?
        };
        if let Some(path) = &self.out {
            eprintln!("{} events, {:.1} MB: {}", written.events, written.bytes as f64 / 1e6, path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    Ok(File::create(path).map_err(|e| Usage(format!("{}: {e}", path.display())))?)
}

impl Lane {
    /// What the lane is called: its log, or its sample's file without the endings.
    pub fn name(&self) -> String {
        match &self.origin {
            Origin::Log(log) => log.name().to_owned(),
            Origin::Sample(path) => {
                let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                let plain = [".gz", ".zst"].iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
                let plain = [".ndjson", ".jsonl", ".json"].iter().find_map(|end| plain.strip_suffix(end));
                plain.unwrap_or(&file).to_owned()
            }
        }
    }

    /// Writes the lane to a file.
    ///
    /// **Errors**: as of [`Lane::write`].
    pub fn write_to(&self, path: &Path) -> anyhow::Result<Written> {
        self.write(create(path)?)
    }

    /// Writes the lane as it is made. **Bounds**: a sample that is to grow is in memory, up to 512 MiB of it.
    ///
    /// **Errors**: [`Usage`] when the sample is not there or has no event; a sample with too little in it to vary.
    pub fn write(&self, out: impl Write) -> anyhow::Result<Written> {
        let bar = progress::events(self.events.unwrap_or(EVENTS));
        let mut out = Lines { out: BufWriter::with_capacity(256 << 10, out), written: Written::default(), bar };
        match (&self.origin, self.events) {
            (Origin::Log(log), events) => {
                let date = DATE.context("no such day")?;
                for event in Background::new(log.source(), date, events.unwrap_or(EVENTS), self.seed) {
                    out.line(event.as_bytes())?;
                }
            }
            (Origin::Sample(path), None) => {
                out.bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
                each_event(path, &mut |event| out.line(compact(event)?.as_bytes()).map(|()| true))?;
            }
            (Origin::Sample(path), Some(events)) => {
                let mut grown = learn(path, events)?.grow(events, self.seed);
                while let Some(event) = grown.next_event().with_context(|| path.display().to_string())? {
                    out.line(event)?;
                }
            }
        }
        out.bar.finish_and_clear();
        out.out.flush()?;
        match (&self.origin, out.written.events) {
            (Origin::Sample(path), 0) => Err(Usage(format!("{}: no event is in it", path.display())).into()),
            _ => Ok(out.written),
        }
    }
}

/// Lines that are counted.
struct Lines<W: Write> {
    out: BufWriter<W>,
    written: Written,
    bar: ProgressBar,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, event: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(event)?;
        self.out.write_all(b"\n")?;
        self.written.events += 1;
        self.written.bytes += event.len() as u64 + 1;
        if self.written.events.is_multiple_of(1_024) {
            self.bar.set_position(self.written.events);
        }
        Ok(())
    }
}

/// The sample, as far as it is needed for `events` events, and as it fits.
fn learn(path: &Path, events: u64) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    each_event(path, &mut |event| {
        sample.push(event)?;
        if sample.bytes() >= SAMPLE_BYTES_MAX {
            eprintln!("warning: {}: the first {} events are the sample", path.display(), sample.len());
        }
        Ok((sample.len() as u64) < events && sample.bytes() < SAMPLE_BYTES_MAX)
    })?;
    Ok(sample)
}

/// Gives each event under a path to `see`, until that has enough.
fn each_event(path: &Path, see: &mut dyn FnMut(&str) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let inputs = input::expand(&[path.to_owned()])?;
    for input in &inputs {
        let mut blocks = input.blocks(&ProgressBar::hidden()).with_context(|| input.name())?;
        while let Some(block) = blocks.next_block().with_context(|| input.name())? {
            for letter in &block.dead {
                eprintln!("warning: {}: record {}: {}; left out", input.name(), letter.number, letter.reason);
            }
            for record in &block.records {
                if !see(block.json(record))? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// An event in one line.
fn compact(event: &str) -> anyhow::Result<std::borrow::Cow<'_, str>> {
    if event.contains(['\n', '\r']) {
        return Ok(serde_json::from_str::<serde_json::Value>(event)?.to_string().into());
    }
    Ok(event.into())
}
