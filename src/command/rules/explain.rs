//! `tarn rules explain`: how a rule runs here, and why it did or did not fire on an event.

use crate::command::Usage;
use crate::command::arguments::{PlaceholderArgs, SourceArg, SourcesArgs, load_and_report};
use crate::input::Input;
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::{Engine, Matcher, RuleIx, Verdict};
use tarn_ingest::container::Block;
use tarn_ingest::fields::FieldReader;
use tarn_ingest::source::Sources;
use tarn_rules::Ruleset;

/// Explain how rules run here, or why they did or did not fire on an event
///
/// Shows each rule's condition, the log sources and OCSF classes that it is bound to, the columns that its fields are
/// read from, and the plan over each class table. With --event, shows instead what each part of the condition was on
/// that event, and the values that it saw.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn rules explain rules/sigma/aws/aws_root_account_used.yml
  tarn rules explain rule.yml --event Security.evtx:1042")]
pub struct Args {
    /// Rules: files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// An event: a file (or - for standard input) and the record's number in it, from 1, as findings name them
    #[arg(long, value_name = "FILE:N", value_parser = event)]
    event: Option<(Input, u64)>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

fn event(text: &str) -> Result<(Input, u64), String> {
    let (file, number) = text.rsplit_once(':').ok_or("expected a file, a colon and a record's number")?;
    let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{number:?} is no record's number"))?;
    Ok((if file == "-" { Input::Stdin } else { Input::File(file.into()) }, number))
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let set = load_and_report(&self.paths, &self.placeholders)?;
        let sources = self.sources.load()?;
        let loaded = set.errors.is_empty();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        match &self.event {
            Some((input, number)) => self.trace(sources, set, &record(input, *number)?, &mut out)?,
            None => {
                for (i, rule) in set.rules.iter().enumerate() {
                    if i > 0 {
                        out.write_all(b"\n")?;
                    }
                    out.write_all(tarn_engine::lower::explain(&sources, rule).as_bytes())?;
                }
                for correlation in &set.correlations {
                    let about = &correlation.about;
                    writeln!(
                        out,
                        "\ncorrelation {} ({}, {})\ncondition {correlation}",
                        about.title, about.id, about.level
                    )?;
                }
            }
        }
        out.flush()?;
        Ok(if loaded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn trace(&self, sources: Arc<Sources>, set: Ruleset, block: &Block, out: &mut impl Write) -> anyhow::Result<()> {
        let source = self.source.resolve(&sources)?;
        if set.rules.is_empty() {
            return Err(Usage("--event explains detection rules; here are only correlations, or none".into()).into());
        }
        for rule in &set.rules {
            writeln!(out, "rule {} ({}, {})", rule.about.title, rule.about.id, rule.about.level)?;
            // Alone, so that a rule that cannot run here says so.
            let alone = Ruleset { rules: vec![rule.clone()], ..Ruleset::default() };
            let (engine, reports) = Engine::new(sources.clone(), alone);
            let engine = Arc::new(engine);
            for report in &reports {
                match &report.verdict {
                    Verdict::Evaluable { warnings, .. } if warnings.is_empty() => {}
                    Verdict::Evaluable { warnings, .. } => {
                        writeln!(out, "unknown fields, taken as absent: {}", warnings.join(", "))?;
                    }
                    Verdict::NotEvaluable(why) => writeln!(out, "not evaluable: {why}")?,
                }
            }
            if engine.is_empty() {
                continue;
            }
            let mut reader = FieldReader::new(sources.clone(), engine.request());
            let mut matcher = Matcher::new(engine);
            reader.read(block, source);
            matcher.evaluate(reader.rows());
            let traces = matcher.trace(reader.rows(), 0, RuleIx(0));
            if traces.is_empty() {
                let name = &sources.source(reader.rows().route(reader.rows().route_of(0)).source).name;
                writeln!(out, "does not fire: the event is of source {name}, which the rule's log source is not from")?;
            }
            for trace in traces {
                write!(out, "{trace}")?;
            }
        }
        Ok(())
    }
}

/// A block of the one record.
fn record(input: &Input, number: u64) -> anyhow::Result<Block> {
    let name = input.name();
    let unreadable = |error: anyhow::Error| Usage(format!("{name}: {error:#}"));
    let mut blocks = input.blocks(&ProgressBar::hidden()).map_err(unreadable)?;
    while let Some(mut block) = blocks.next_block()? {
        if let Some(dead) = block.dead.iter().find(|d| d.number == number) {
            return Err(Usage(format!("{name}: record {number} is a dead letter: {}", dead.reason)).into());
        }
        block.records.retain(|r| r.number == number);
        if !block.records.is_empty() {
            return Ok(block);
        }
    }
    Err(Usage(format!("{name} has no record {number}")).into())
}
