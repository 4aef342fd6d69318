//! The programs that are measured, as children: their time, processor time, peak memory and findings.

use crate::command::named_file::NamedFile;
use crate::report::peak_memory_of;
use anyhow::Context;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a child's memory is looked at; what it takes in its last such while is missed.
const MEMORY_EVERY: Duration = Duration::from_millis(10);
/// Bytes of a failed child's last words.
const WORDS_MAX: usize = 2_000;
/// The unit of processor times in /proc, which is the same on every Linux that runs here.
const TICKS_PER_SECOND: f64 = 100.0;

/// A program to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// This binary's `detect`, with so many threads.
    Tarn(u16),
    /// This binary's `hunt`, with so many threads.
    Hunt(u16),
    /// `rsigma engine eval`.
    Rsigma(Rsigma),
}

/// An rsigma that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rsigma {
    path: PathBuf,
    /// What it calls itself.
    pub version: String,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of all its threads on processors, to a hundredth; none where the system does not say (it is not Linux).
    pub processor_seconds: Option<f64>,
    /// Largest resident memory, bytes.
    pub peak_bytes: Option<u64>,
    /// Lines that it wrote.
    pub findings: u64,
}

impl Rsigma {
    /// The one at `asked`, else the one on the path; none when there is none.
    ///
    /// **Errors**: [`Usage`] when `asked` does not run.
    pub fn find(asked: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let path = asked.unwrap_or(Path::new("rsigma"));
        let file = NamedFile::by("--rsigma", path);
        let version = Command::new(path).arg("--version").stdin(Stdio::null()).output();
        match version {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text.lines().next().unwrap_or("rsigma").trim().to_owned();
                Ok(Some(Self { path: path.to_owned(), version }))
            }
            Ok(_) if asked.is_none() => Ok(None),
            Err(_) if asked.is_none() => Ok(None),
            Ok(output) => Err(file.wrong(output.status).into()),
            Err(error) => Err(file.wrong(error).into()),
        }
    }

    /// It, to be given arguments.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }
}

impl Program {
    /// What it is called, with its version.
    pub fn name(&self) -> String {
        match self {
            Self::Tarn(_) => format!("tarn {}", env!("CARGO_PKG_VERSION")),
            Self::Hunt(_) => format!("tarn {} hunt", env!("CARGO_PKG_VERSION")),
            Self::Rsigma(rsigma) => rsigma.version.clone(),
        }
    }

    /// How many threads it was told to match with; none for one that is not told.
    pub fn threads(&self) -> Option<u16> {
        match self {
            Self::Tarn(threads) | Self::Hunt(threads) => Some(*threads),
            Self::Rsigma(_) => None,
        }
    }

    /// Whether it is the same with another number of threads.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Runs the program over a lane, a hunt over the lake that has its events, or over an empty input, and waits for its end.
    ///
    /// **Errors**: it does not start, or ends badly: with its last words.
    pub fn run(&self, rules: &Path, lane: Option<&Path>) -> anyhow::Result<Run> {
        let (mut command, good) = match self {
            Self::Tarn(threads) => {
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .args(["detect", "--threads", &threads.to_string(), "--rules"])
                    .arg(rules)
                    .arg(lane.unwrap_or(Path::new("-")));
                command.stdin(Stdio::null());
                (command, &[0][..])
            }
            Self::Hunt(threads) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["hunt", "--threads", &threads.to_string(), "--rules"]).arg(rules);
                command.arg("--lake").arg(lane.context("a hunt has a lake, if an empty one")?);
                command.stdin(Stdio::null());
                (command, &[0][..])
            }
            Self::Rsigma(rsigma) => {
                let mut command = rsigma.command();
                command.args(["engine", "eval", "--logsource-routing", "-r"]).arg(rules);
                command.stdin(lane.map(File::open).transpose()?.map_or_else(Stdio::null, Stdio::from));
                (command, &[0, 1][..])
            }
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (run, code, words) = watch(&mut command).with_context(|| format!("cannot run {command:?}"))?;
        anyhow::ensure!(code.is_some_and(|code| good.contains(&code)), "{command:?} failed: {words}");
        Ok(run)
    }
}

/// Writes a lane to a lake as `tarn ingest` does, and merges its files.
///
/// **Errors**: one of the two fails: with its last words.
pub fn fill(lake: &Path, lane: &Path) -> anyhow::Result<()> {
    let tarn = std::env::current_exe()?;
    let (mut ingest, mut compact) = (Command::new(&tarn), Command::new(&tarn));
    ingest.arg("ingest").arg(lane);
    compact.args(["lake", "compact"]);
    for command in [&mut ingest, &mut compact] {
        command.arg("--lake").arg(lake).stdin(Stdio::null());
        let done = command.output().with_context(|| format!("cannot run {command:?}"))?;
        anyhow::ensure!(done.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

fn watch(command: &mut Command) -> anyhow::Result<(Run, Option<i32>, String)> {
    let before = processor_seconds();
    let started = Instant::now();
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take().context("no output")?, child.stderr.take().context("no words")?);
    let (process, is_over) = (child.id(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let findings = scope.spawn(|| lines(stdout));
        let words = scope.spawn(|| last_words(stderr));
        let memory = scope.spawn(|| {
            let mut peak = None;
            while !is_over.load(Ordering::Relaxed) {
                // The last one counts: at first, a child still is its parent.
                peak = peak_memory_of(process).or(peak);
                std::thread::sleep(MEMORY_EVERY);
            }
            peak
        });
        let status = child.wait();
        let seconds = started.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let stopped = "a watching thread stopped";
        let run = Run {
            seconds,
            processor_seconds: processor_seconds().zip(before).map(|(now, before)| now - before),
            peak_bytes: memory.join().ok().context(stopped)?,
            findings: findings.join().ok().context(stopped)??,
        };
        let words = words.join().ok().context(stopped)??;
        Ok((run, status?.code(), words))
    })
}

fn lines(mut stdout: ChildStdout) -> std::io::Result<u64> {
    let (mut buffer, mut count) = (vec![0; 256 << 10], 0);
    loop {
        match stdout.read(&mut buffer)? {
            0 => return Ok(count),
            n => count += memchr::memchr_iter(b'\n', &buffer[..n]).count() as u64,
        }
    }
}

fn last_words(mut stderr: ChildStderr) -> std::io::Result<String> {
    let (mut buffer, mut words) = ([0; 4096], Vec::new());
    loop {
        match stderr.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&words).trim().to_owned()),
            n => {
                words.write_all(&buffer[..n])?;
                words.drain(..words.len().saturating_sub(WORDS_MAX));
            }
        }
    }
}

/// Seconds on processors of all children that have ended.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything: state is the 3rd field, cutime and cstime the 16th and 17th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}
