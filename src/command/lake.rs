//! `tarn lake`: what a lake holds, and views for other engines.

use super::arguments::LakeArgs;
use super::block_on;
use crate::output::{Format, print_rows};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::json;
use std::process::ExitCode;
use tarn_lake::views::{Dialect, create_views};

/// Look at a lake, and open it to other engines
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print each table's version, rows, files and size
    #[command(after_help = "Example:\n  tarn lake info --lake ./lake")]
    Info {
        #[command(flatten)]
        lake: LakeArgs,
        /// How to print rows
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Print CREATE VIEW statements whose columns have underscores instead of dots
    #[command(after_help = "Example:\n  tarn lake views --lake ./lake --dialect duckdb-files | duckdb lake.db")]
    Views {
        #[command(flatten)]
        lake: LakeArgs,
        /// Whose SQL
        #[arg(long, value_enum, default_value = "duckdb")]
        dialect: ViewDialect,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ViewDialect {
    /// DuckDB with its delta extension: views follow the tables
    Duckdb,
    /// DuckDB alone: views name the files of now
    DuckdbFiles,
    /// Spark SQL with Delta Lake
    Spark,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        block_on(async {
            match self.command {
                Command::Info { lake, format } => {
                    let lake = lake.open().await?;
                    let row = |t: &tarn_lake::table::TableSnapshot| {
                        let cells = [
                            ("table", json!(t.name)),
                            ("version", json!(t.version)),
                            ("rows", json!(t.rows())),
                            ("files", json!(t.files.len())),
                            ("bytes", json!(t.bytes())),
                            ("columns", json!(t.schema.fields().len())),
                            ("location", json!(lake.table_location(&t.name))),
                        ];
                        cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                    };
                    let rows: Vec<_> = lake.tables().await?.iter().map(row).collect();
                    print_rows(&rows, Format::or_default(format))?;
                }
                Command::Views { lake, dialect } => {
                    let lake = lake.open().await?;
                    let dialect = match dialect {
                        ViewDialect::Duckdb => Dialect::DuckDb,
                        ViewDialect::DuckdbFiles => Dialect::DuckDbFiles,
                        ViewDialect::Spark => Dialect::Spark,
                    };
                    let views = create_views(&lake, &lake.tables().await?, dialect);
                    std::io::Write::write_all(&mut std::io::stdout(), views.as_bytes())?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })?
    }
}
