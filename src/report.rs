//! Words on stderr: what became of rules, what was no record, and how fast it went.

use crate::detection::Seen;
use anyhow::Context;
use base64::Engine as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use tarn_engine::correlation::{Correlator, Exceptions};
use tarn_engine::{Engine, Report, Verdict};
use tarn_ingest::DeadLetter;
use tarn_rules::Ruleset;

/// Messages of one kind beyond this are only counted.
const SHOWN_MAX: u64 = 10;

/// Says what did not load.
pub fn report_load(set: &Ruleset) {
    for error in set.errors.iter().take(SHOWN_MAX as usize) {
        eprintln!("warning: {error}");
    }
    if set.errors.len() as u64 > SHOWN_MAX {
        eprintln!("warning: … and {} more rules that do not load", set.errors.len() as u64 - SHOWN_MAX);
    }
    for filter in set.filters.iter().filter(|f| !f.unknown.is_empty()) {
        let (file, names) = (filter.file.display(), filter.unknown.join(", "));
        eprintln!("warning: {file}: the filter names rules that are not there: {names}");
    }
    for filter in set.filters.iter().filter(|f| !f.negates) {
        eprintln!("warning: {}: {}", filter.file.display(), keeps_only());
    }
}

/// Says what correlations could not take by their rules, and which of their groups were forgotten.
pub fn report_exceptions(engine: &Engine, correlator: &mut Correlator) {
    let Exceptions { late, early, dropped, evicted: _ } = correlator.exceptions();
    for (count, what) in [
        (late, "matches came too late for their correlations"),
        (early, "matches were correlated before all earlier ones were there, as too many waited"),
        (dropped, "matches left windows of correlations early, or were not measured, as the windows were full"),
    ] {
        if count > 0 {
            eprintln!("warning: {count} {what}");
        }
    }
    let forgotten = correlator.forgotten();
    for (i, count) in correlator.evicted().iter().enumerate().filter(|(_, count)| **count > 0) {
        let first = forgotten.iter().find(|f| f.correlation == i).map(|f| &f.group).into_iter().flatten();
        // Values are an attacker's to choose: they are short here, and do nothing to a terminal.
        let short = |value: &str| format!("{:?}", value.chars().take(100).collect::<String>());
        let value = |v: &Option<String>| v.as_deref().map_or_else(|| "absent".to_owned(), short);
        let first: Vec<String> = first.map(|(name, v)| format!("{name}: {}", value(v))).collect();
        let first = if first.is_empty() { String::new() } else { format!("; the first is {}", first.join(", ")) };
        let title = &engine.correlations()[i].about.title;
        eprintln!("warning: {count} groups of the correlation {title:?} were forgotten, as there were too many{first}");
    }
}

/// What a filter without a `not` does.
pub fn keeps_only() -> &'static str {
    "the filter leaves only what it selects; with `not` in its condition it takes that away"
}

/// How many rules there are, and how many of them run.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// Rules that loaded.
    pub loaded: usize,
    /// Rules that run.
    pub evaluable: usize,
}

/// Says how many rules cannot run.
pub fn report_rules(reports: &[Report]) -> Runs {
    let evaluable = reports.iter().filter(|r| matches!(r.verdict, Verdict::Evaluable { .. })).count();
    if evaluable < reports.len() {
        let missing = reports.len() - evaluable;
        let many = if missing == 1 { "rule is" } else { "rules are" };
        eprintln!(
            "{missing} of {} {many} for other log sources or fields: `tarn rules check` names them",
            reports.len()
        );
    }
    Runs { loaded: reports.len(), evaluable }
}

/// What was no record: said, and kept in a file where the user wants that.
pub struct DeadLetters {
    file: Option<BufWriter<File>>,
    count: u64,
}

impl DeadLetters {
    /// Letters go to `file`, too.
    ///
    /// **Errors**: it cannot be made.
    pub fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
        Ok(Self { file: file.map(open).transpose()?.map(BufWriter::new), count: 0 })
    }

    /// Letters of one input.
    pub fn take(&mut self, input: &str, letters: &[DeadLetter]) -> anyhow::Result<()> {
        for letter in letters {
            self.count += 1;
            if self.count <= SHOWN_MAX {
                let offset = letter.offset.map(|o| format!(" (byte {o})")).unwrap_or_default();
                eprintln!("warning: {input}: record {}{offset}: {}", letter.number, letter.reason);
            }
            if let Some(file) = &mut self.file {
                let line = serde_json::json!({
                    "file": input, "record": letter.number, "offset": letter.offset,
                    "reason": letter.reason.to_string(),
                    "bytes": base64::engine::general_purpose::STANDARD.encode(&letter.bytes),
                });
                writeln!(file, "{line}")?;
            }
        }
        Ok(())
    }

    /// Says how many there were, and where their bytes are.
    ///
    /// **Errors**: the file's.
    pub fn finish(mut self) -> anyhow::Result<()> {
        match &mut self.file {
            Some(file) => file.flush()?,
            None if self.count > 0 => {
                eprintln!("{} dead letters in all; --dead-letters FILE keeps their bytes", self.count);
            }
            None => {}
        }
        Ok(())
    }

    /// The same, of letters that a table keeps.
    pub fn finish_in(&self, table: &str) {
        if self.count > 0 {
            eprintln!("{} dead letters in all; their bytes are in {table}", self.count);
        }
    }
}

/// Counts of a run of detection.
pub struct Stats {
    runs: Runs,
    bytes: u64,
    started: Instant,
    records: u64,
    dead: u64,
    /// Findings so far.
    pub findings: u64,
}

impl Stats {
    /// Starts the clock. `bytes` are those of all inputs on disk.
    pub fn new(runs: Runs, bytes: u64) -> Self {
        Self { runs, bytes, started: Instant::now(), records: 0, dead: 0, findings: 0 }
    }

    /// Counts a block.
    pub fn count(&mut self, seen: &Seen) {
        self.records += seen.records;
        self.dead += seen.dead.len() as u64;
        self.findings += seen.findings;
    }

    /// Prints the counts on stderr.
    pub fn print(&self, threads: usize, inputs: usize) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let megabytes = self.bytes as f64 / 1e6;
        eprintln!("rules      {} loaded, {} run", self.runs.loaded, self.runs.evaluable);
        eprintln!("inputs     {inputs} ({megabytes:.1} MB on disk)");
        eprintln!("events     {} ({} dead letters)", self.records, self.dead);
        eprintln!("findings   {}", self.findings);
        eprintln!(
            "time       {seconds:.3} s with {threads} thread{}: {:.0} events/s, {:.1} MB/s",
            if threads == 1 { "" } else { "s" },
            self.records as f64 / seconds,
            megabytes / seconds
        );
        if let Some(peak) = peak_memory() {
            eprintln!("memory     {:.1} MB at its peak", peak as f64 / 1e6);
        }
    }
}

/// The largest resident memory of this process so far, bytes; where the system says it (Linux).
pub fn peak_memory() -> Option<u64> {
    peak_memory_of("self")
}

/// The same, of a process by its number.
pub fn peak_memory_of(process: impl std::fmt::Display) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
