//! `tarn sql`: questions to a lake.

use super::arguments::{LakeArgs, PlaceholderArgs, SourcesArgs, load_and_report};
use super::{Usage, block_on};
use crate::output::{Format, RowPrinter};
use anyhow::Context as _;
use clap::Args as ClapArgs;
use futures::StreamExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tarn_engine::hunt::Sigma;
use tarn_ingest::source::Sources;
use tarn_lake::{SqlError, SqlOptions, SqlSession};
use tarn_rules::Ruleset;
use tarn_schema_ocsf::Schema;

/// Run one SQL query over a lake's tables
///
/// Tables are named as OCSF classes; columns are OCSF paths, written without quotes (actor.user.name). Read-only:
/// SELECT, EXPLAIN, SHOW TABLES, DESCRIBE. With --rules, sigma('<rule>') is a table of the events on which the rule fires
/// (time, event_uid, event_day, class, rule_id, rule_title, level). JSON columns are read with json_get(unmapped, 'path').
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn sql --lake ./lake 'SHOW TABLES'
  tarn sql --lake ./lake 'DESCRIBE api_activity'
  tarn sql --lake ./lake \"SELECT time, actor.user.name, api.operation FROM api_activity WHERE status_id = 2 LIMIT 20\"
  tarn sql --lake ./lake --rules rules/ \"SELECT s.time, p.process.cmd_line FROM sigma('my-rule.yml') s
      JOIN process_activity p ON p.metadata.uid = s.event_uid\"
  tarn sql --lake ./lake --nested 'SELECT * FROM process_activity LIMIT 1'")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The query; - reads it from standard input
    #[arg(value_name = "SQL")]
    sql: String,
    /// Rules for sigma('id, name, title or file'), the table of the events on which they fire: files or folders
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourcesArgs,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
    /// Print rows as nested OCSF JSON instead of flat dotted columns
    #[arg(long)]
    nested: bool,
    /// Memory that a query may use for sorts, joins and aggregates, MiB
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..))]
    memory: u32,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let format = match (self.nested, self.format) {
            (true, None) => Format::Ndjson,
            (true, Some(Format::Table | Format::Csv)) => {
                return Err(Usage("--nested goes with --format json or ndjson".into()).into());
            }
            (_, format) => Format::or_default(format),
        };
        let sql = match self.sql.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())?,
            sql => sql.to_owned(),
        };
        block_on(async {
            let lake = self.lake.open().await?;
            let options = SqlOptions { memory_bytes: (self.memory as usize) << 20, ..SqlOptions::default() };
            let session = lake.sql(&options).await?;
            let rules = match self.rules.as_slice() {
                [] => Ruleset::default(),
                paths => load_and_report(paths, &self.placeholders).context("--rules")?,
            };
            register_sigma(&session, self.sources.load()?, rules).await?;
            let mut stream = session.query(&sql).await?;
            let mut printer = RowPrinter::new(stream.schema(), format, self.nested);
            while let Some(batch) = stream.next().await {
                printer.print(batch.map_err(|e| SqlError::Failed(Box::new(e)))?)?;
            }
            printer.finish()?;
            Ok(ExitCode::SUCCESS)
        })?
    }
}

/// Makes the rules known to SQL.
async fn register_sigma(session: &SqlSession, sources: Arc<Sources>, rules: Ruleset) -> anyhow::Result<()> {
    let mut tables = Vec::new();
    for table in session.tables() {
        if let Some(class) = Schema::v1_8().class_named(&table.name) {
            tables.push((class.uid, session.context().table_provider(table.name.as_str()).await?));
        }
    }
    session.register_udtf("sigma", Arc::new(Sigma::new(sources, rules, tables)));
    Ok(())
}
