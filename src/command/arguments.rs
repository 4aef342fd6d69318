//! Arguments that several commands share, and what they mean.

use crate::command::Usage;
use crate::config;
use crate::hunting::Span;
use crate::report::{Runs, report_load, report_rules};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use tarn_engine::{Engine, Report};
use tarn_ingest::source::{SourceId, Sources};
use tarn_lake::{Lake, LakeError, StoreOptions};
use tarn_rules::{LoadOptions, Ruleset};

/// Log sources: those that come with Tarn, and the user's own.
#[derive(Args, Clone, Debug)]
pub struct SourcesArgs {
    /// A folder of log sources of your own (`<name>/mapping.toml`), tried before the built-in ones
    #[arg(long, value_name = "FOLDER")]
    pub sources: Option<PathBuf>,
}

impl SourcesArgs {
    /// The sources.
    ///
    /// **Errors**: a mapping that does not compile, by file and key.
    pub fn load(&self) -> anyhow::Result<Arc<Sources>> {
        let sources = match &self.sources {
            None => Sources::builtin()?,
            Some(folder) => Sources::with_folder(folder).map_err(|e| Usage(format!("--sources: {e}")))?,
        };
        Ok(Arc::new(sources))
    }
}

/// The one source that records are of, where the user says so.
#[derive(Args, Clone, Debug)]
pub struct SourceArg {
    /// The log source of all records; without it, each record's is recognised (`tarn sources list` has the names)
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}

impl SourceArg {
    /// The source's number.
    ///
    /// **Errors**: [`Usage`] when there is no such source.
    pub fn resolve(&self, sources: &Sources) -> anyhow::Result<Option<SourceId>> {
        let Some(name) = &self.source else { return Ok(None) };
        match sources.named(name) {
            Some(source) => Ok(Some(source.id)),
            None => {
                let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
                Err(Usage(format!("there is no log source {name:?}; there are {}", names.join(", "))).into())
            }
        }
    }
}

/// The zone of times that name none.
#[derive(Args, Clone, Debug)]
pub struct ZoneArg {
    /// The zone of times that name none, such as Europe/Oslo
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = zone)]
    pub zone: Tz,
}

fn zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "expected a zone of the IANA database, such as Europe/Oslo".to_owned())
}

/// What rules are read with.
#[derive(Args, Clone, Debug)]
pub struct PlaceholderArgs {
    /// A value of a placeholder for `|expand`; repeat it for more
    #[arg(long = "placeholder", value_name = "NAME=VALUE", value_parser = key_value)]
    pub placeholders: Vec<(String, String)>,
}

impl PlaceholderArgs {
    /// What rules are loaded with.
    pub fn options(&self) -> LoadOptions {
        let mut options = LoadOptions::default();
        for (name, value) in &self.placeholders {
            options.placeholders.entry(name.clone()).or_default().push(value.clone());
        }
        options
    }
}

/// Looks whether every path can be read.
///
/// **Errors**: [`Usage`] for one that cannot.
pub fn rules_are_there(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        std::fs::metadata(path).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}

/// Loads the rules under some paths.
///
/// **Errors**: [`Usage`] when a path is not there or no rule is found; rules that do not load are in the set.
pub fn load_rules(paths: &[PathBuf], placeholders: &PlaceholderArgs) -> anyhow::Result<Ruleset> {
    rules_are_there(paths)?;
    let set = tarn_rules::load(paths, &placeholders.options());
    if set.rules.is_empty() && set.errors.is_empty() && set.correlations.is_empty() {
        let list: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        return Err(Usage(format!("no Sigma rule (*.yml, *.yaml) under {}", list.join(", "))).into());
    }
    Ok(set)
}

/// Loads the rules under some paths, and says on stderr what does not load.
///
/// **Errors**: as [`load_rules`].
pub fn load_and_report(paths: &[PathBuf], placeholders: &PlaceholderArgs) -> anyhow::Result<Ruleset> {
    let set = load_rules(paths, placeholders)?;
    report_load(&set);
    Ok(set)
}

/// Says how many rules of an engine cannot run.
///
/// **Errors**: [`Usage`] when none can.
pub fn report_engine(engine: &Engine, reports: &[Report]) -> anyhow::Result<Runs> {
    let runs = report_rules(reports);
    if engine.is_empty() {
        return Err(Usage("no rule can run: `tarn rules check` says why".into()).into());
    }
    Ok(runs)
}

/// How many threads match.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThreadsArg {
    /// Threads that match; as many as there are processors by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ThreadsArg {
    /// The number.
    pub fn count(self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }
}

/// The part of a lake that is gone through.
#[derive(Args, Clone, Copy, Debug)]
pub struct SpanArgs {
    /// Events from this time on: a day (2026-11-26) or a time (2026-11-26T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
}

impl SpanArgs {
    /// The span.
    ///
    /// **Errors**: [`Usage`] for one that ends before it begins.
    pub fn span(self) -> anyhow::Result<Span> {
        let Self { since, until } = self;
        match (since, until) {
            (Some(since), Some(until)) if since >= until => {
                Err(Usage(format!("--since {since} is not before --until {until}")).into())
            }
            _ => Ok(Span { since, until }),
        }
    }

    /// Whether any of it was given.
    pub fn is_given(self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

/// Reads a time: RFC 3339, or a day, which begins at midnight UTC.
///
/// **Errors**: what was expected.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| day())
        .map_err(|_| format!("expected a day (2026-11-26) or a time (2026-11-26T08:00:00Z), got {text:?}"))
}

/// Where the lake is.
#[derive(Args, Clone, Debug)]
pub struct LakeArgs {
    /// The lake: a folder, or a URL (file://, s3://, gs://, az://)
    #[arg(long, value_name = "URL")]
    pub lake: String,
    /// An option of the object store, such as aws_region=eu-north-1; the environment's AWS_*, GOOGLE_* and AZURE_* are
    /// read as well
    #[arg(long = "store-option", value_name = "KEY=VALUE", value_parser = key_value)]
    pub store_options: Vec<(String, String)>,
}

/// Reads `NAME=VALUE`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected a name, = and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl LakeArgs {
    fn options(&self) -> StoreOptions {
        StoreOptions::new(config::store_options().chain(self.store_options.iter().cloned()))
    }

    /// Opens the lake.
    ///
    /// **Errors**: [`Usage`] when there is none; what else the lake says.
    pub async fn open(&self) -> anyhow::Result<Lake> {
        Lake::open(&self.lake, &self.options()).await.map_err(|error| match error {
            LakeError::Missing { .. } | LakeError::NotALake { .. } => Usage(error.to_string()).into(),
            other => other.into(),
        })
    }

    /// Opens the lake or makes it.
    pub async fn open_or_create(&self) -> anyhow::Result<Lake> {
        Ok(Lake::open_or_create(&self.lake, &self.options()).await?)
    }
}
