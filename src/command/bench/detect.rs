//! `tarn bench detect`: how fast rules run over lanes, here and in rsigma.

use super::lane::{Lane, Log, Origin, Written};
use super::program::{Program, Rsigma, Run, fill};
use super::{hints, table, variations};
use crate::command::arguments::{PlaceholderArgs, load_rules};
use crate::command::named_file::NamedFile;
use crate::output::{Format, print_rows};
use crate::progress;
use anyhow::Context;
use clap::Args as ClapArgs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::TempDir;

/// Measure detection: events and megabytes a second, memory, and the same of rsigma where that is installed
///
/// Runs `tarn detect` and `rsigma engine eval --logsource-routing` in turn, as processes of their own, on the same
/// lanes, and prints medians. Start-up (an empty input) is measured in the same turns and given apart; net rates are without it.
/// Events that rsigma gets have product, service and category added for its routing; rates count the original's bytes.
/// Lanes are written to the system's temporary folder first, so nothing is made or decompressed while the clock runs; with --hunt
/// also to lakes, through which `tarn hunt` goes in the same turns.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn bench detect --rules sigma/rules
  tarn bench detect --rules sigma/rules --lane my-logs.ndjson.gz --events 400000 --runs 5
  tarn bench detect --rules sigma/rules/windows --lane windows.ndjson --threads 1 --hunt
  tarn bench detect --rules sigma/rules --times 10 --format json")]
pub struct Args {
    /// Rules: files or folders; repeat it for more
    #[arg(long, required = true, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Events to measure on; repeat it for more lanes. Without one: lanes of Windows, CloudTrail and Kubernetes, from the seed
    #[arg(long = "lane", value_name = "FILE")]
    lanes: Vec<PathBuf>,
    /// Events of each lane: a file's are grown to as many (see `tarn bench lane --help`), or cut
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seed of what is made
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Numbers of threads to measure Tarn with
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Runs of each program on each lane
    #[arg(long, default_value_t = 3, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// So many times the rules: with variations of them, whose literals differ in some letters and digits
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100))]
    times: u32,
    /// Measure `tarn hunt` as well, through lakes that have the lanes' events
    #[arg(long)]
    hunt: bool,
    /// The rsigma to compare with [default: the one on the path, if any]
    #[arg(long, value_name = "FILE", conflicts_with = "alone")]
    rsigma: Option<PathBuf>,
    /// Measure Tarn alone
    #[arg(long)]
    alone: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// A lane on disk.
struct Ready {
    name: String,
    written: Written,
    plain: PathBuf,
    hinted: PathBuf,
    lake: PathBuf,
}

/// What was measured on one lane.
pub struct Measured {
    /// The lane's name.
    pub lane: String,
    /// The lane's size, without hints.
    pub size: Written,
    /// Each program's runs.
    pub programs: Vec<Runs>,
}

/// A program's runs over one lane, and over nothing.
pub struct Runs {
    /// The program.
    pub program: Program,
    /// Runs over the lane.
    pub full: Vec<Run>,
    /// Runs over an empty input.
    pub empty: Vec<Run>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        for lane in &self.lanes {
            NamedFile::by("--lane", lane).is_there()?;
        }
        if cfg!(debug_assertions) {
            eprintln!("warning: this is a debug build; `cargo build --release` makes one that is worth measuring");
        }
        let folder = tempfile::tempdir().context("no folder for lanes")?;
        let rsigma = if self.alone { None } else { Rsigma::find(self.rsigma.as_deref())? };
        let (rules, count) = self.rules(&folder)?;
        let programs = self.programs(rsigma);
        let lanes = self.lanes(&folder, programs.iter().any(|p| matches!(p, Program::Rsigma(_))))?;
        let no_rows = folder.path().join("no-rows");
        if self.hunt {
            let nothing = tempfile::NamedTempFile::new_in(&folder)?;
            fill(&no_rows, nothing.path())?;
        }
        let measured = self.measure(&programs, &rules, &lanes, &no_rows)?;
        let format = Format::or_default(self.format);
        print_rows(&table::rows(&measured, count, format), format)?;
        Ok(ExitCode::SUCCESS)
    }

    /// One path that both programs take, and how many rules are there.
    fn rules(&self, folder: &TempDir) -> anyhow::Result<(PathBuf, usize)> {
        let placeholders = PlaceholderArgs { placeholders: Vec::new() };
        let count = |paths: &[PathBuf]| anyhow::Ok(load_rules(paths, &placeholders)?.rules.len());
        let loaded = count(&self.rules).context("--rules")?;
        match &self.rules[..] {
            [one] if self.times == 1 => Ok((one.clone(), loaded)),
            several => {
                let together = folder.path().join("rules");
                std::fs::create_dir(&together)?;
                variations::write(several, self.times, self.seed, &together)?;
                let count = count(std::slice::from_ref(&together))?;
                Ok((together, count))
            }
        }
    }

    fn programs(&self, rsigma: Option<Rsigma>) -> Vec<Program> {
        match &rsigma {
            Some(rsigma) => eprintln!("comparing with {}", rsigma.version),
            None if self.alone => {}
            None => eprintln!("no rsigma on the path: Tarn alone (--rsigma FILE names one)"),
        }
        let mut threads = self.threads.clone();
        threads.sort_unstable();
        threads.dedup();
        let hunts = threads.iter().copied().map(Program::Hunt).filter(|_| self.hunt).collect::<Vec<_>>();
        threads.into_iter().map(Program::Tarn).chain(hunts).chain(rsigma.map(Program::Rsigma)).collect()
    }

    fn lanes(&self, folder: &TempDir, with_hints: bool) -> anyhow::Result<Vec<Ready>> {
        let logs = [Log::Windows, Log::Cloudtrail, Log::Kubernetes].map(Origin::Log).to_vec();
        let samples = self.lanes.iter().cloned().map(Origin::Sample).collect();
        let origins: Vec<Origin> = if self.lanes.is_empty() { logs } else { samples };
        let make = |(number, origin): (usize, Origin)| {
            let lane = Lane { origin, events: self.events, seed: self.seed };
            let path = |what: &str| folder.path().join(format!("{number}-{what}.ndjson"));
            let (plain, hinted, lake) = (path("lane"), path("hinted"), folder.path().join(format!("{number}-lake")));
            let written = lane.write_to(&plain)?;
            if with_hints {
                hints::write(&plain, std::fs::File::create(&hinted)?)?;
            }
            if self.hunt {
                fill(&lake, &plain)?;
            }
            Ok(Ready { name: lane.name(), written, plain, hinted, lake })
        };
        origins.into_iter().enumerate().map(make).collect()
    }

    /// Every program on nothing and on every lane, in turn, and all of it again.
    fn measure(
        &self,
        programs: &[Program],
        rules: &Path,
        lanes: &[Ready],
        no_rows: &Path,
    ) -> anyhow::Result<Vec<Measured>> {
        let bar = progress::steps(u64::from(self.runs) * (programs.len() * (lanes.len() + 1)) as u64);
        let runs = |program: &Program| Runs { program: program.clone(), full: Vec::new(), empty: Vec::new() };
        let of_lane = |lane: &Ready| Measured {
            lane: lane.name.clone(),
            size: lane.written,
            programs: programs.iter().map(runs).collect(),
        };
        let mut measured: Vec<Measured> = lanes.iter().map(of_lane).collect();
        for _ in 0..self.runs {
            for (i, program) in programs.iter().enumerate() {
                bar.set_message(format!("{} starts", program.name()));
                let run = program.run(rules, matches!(program, Program::Hunt(_)).then_some(no_rows))?;
                measured.iter_mut().for_each(|lane| lane.programs[i].empty.push(run));
                bar.inc(1);
            }
            for (lane, measured) in lanes.iter().zip(&mut measured) {
                for (program, runs) in programs.iter().zip(&mut measured.programs) {
                    bar.set_message(format!("{} on {}", program.name(), lane.name));
                    let input = match program {
                        Program::Tarn(_) => &lane.plain,
                        Program::Hunt(_) => &lane.lake,
                        Program::Rsigma(_) => &lane.hinted,
                    };
                    runs.full.push(program.run(rules, Some(input))?);
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        Ok(measured)
    }
}
