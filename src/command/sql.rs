//! `tarn sql`: questions to a lake.

use super::arguments::LakeArgs;
use super::{Usage, block_on};
use crate::output::{Format, RowPrinter};
use clap::Args as ClapArgs;
use futures::StreamExt;
use std::process::ExitCode;
use tarn_lake::{SqlError, SqlOptions};

/// Run one SQL query over a lake's tables
///
/// Tables are named as OCSF classes; columns are OCSF paths, written without quotes (actor.user.name). Read-only:
/// SELECT, EXPLAIN, SHOW TABLES, DESCRIBE. JSON columns are read with json_get(unmapped, 'path').
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn sql --lake ./lake 'SHOW TABLES'
  tarn sql --lake ./lake 'DESCRIBE api_activity'
  tarn sql --lake ./lake \"SELECT time, actor.user.name, api.operation FROM api_activity WHERE status_id = 2 LIMIT 20\"
  tarn sql --lake ./lake --nested 'SELECT * FROM process_activity LIMIT 1'")]
pub struct Args {
    #[command(flatten)]
    lake: LakeArgs,
    /// The query; - reads it from standard input
    #[arg(value_name = "SQL")]
    sql: String,
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
