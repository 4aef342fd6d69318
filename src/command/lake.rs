//! `tarn lake`: what a lake holds, its upkeep, and views for other engines.

use super::arguments::LakeArgs;
use super::{Usage, block_on};
use crate::output::{Format, print_rows};
use arrow::datatypes::Date32Type;
use chrono::Utc;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;
use tarn_lake::Lake;
use tarn_lake::upkeep::{self, CompactOptions, HOURS_MIN};
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
    /// Merge the small files of each day into larger ones, sorted by time
    ///
    /// Rows stay as they are, and so do answers; readers of an older version go on. The old files stay in the store until
    /// `tarn lake vacuum`. Safe beside readers and writers; `tarn serve` does it by itself.
    #[command(
        after_help = "Examples:\n  tarn lake compact --lake ./lake --dry-run\n  tarn lake compact --lake ./lake --table api_activity"
    )]
    Compact {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        which: Which,
        /// Largest size of a merged file; one of half of it is left alone
        #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=4096))]
        target_mib: u64,
        /// Files of a day that are worth a merge; where this runs every few minutes, 8 is better
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..))]
        files_min: u16,
    },
    /// Remove the days that ended longer ago than an age
    ///
    /// Rows whose time cannot be true go by the age of their file. The files stay in the store until `tarn lake vacuum`.
    #[command(
        after_help = "Examples:\n  tarn lake retain --lake ./lake --days 365 --dry-run\n  tarn lake retain --lake ./lake --days 30 --table dns_activity"
    )]
    Retain {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        which: Which,
        /// Days that are kept
        #[arg(long, value_name = "N")]
        days: u32,
    },
    /// Delete files that no recent version of a table has, and what writers that were killed left behind
    #[command(
        after_help = "Examples:\n  tarn lake vacuum --lake ./lake --dry-run\n  tarn lake vacuum --lake ./lake --hours 48"
    )]
    Vacuum {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        which: Which,
        /// Versions of so many hours stay readable; at least 24, as writers and readers may be at the files
        #[arg(long, value_name = "H", default_value_t = 168)]
        hours: u32,
        /// Allow fewer than 24 hours. Only when nothing else reads or writes this lake: a commit that is under way would lose
        /// its files
        #[arg(long)]
        force: bool,
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

/// Which tables, and whether for real.
#[derive(ClapArgs)]
struct Which {
    /// Only this table
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Which {
    /// The tables' names. **Errors**: [`Usage`] for a table that is not there.
    async fn tables(&self, lake: &Lake) -> anyhow::Result<Vec<String>> {
        let names = lake.table_names().await?;
        match &self.table {
            Some(name) if !names.contains(name) => {
                Err(Usage(format!("no table {name}; `tarn lake info` lists them")).into())
            }
            Some(name) => Ok(vec![name.clone()]),
            None => Ok(names),
        }
    }

    fn print(&self, rows: &[Value]) -> anyhow::Result<()> {
        let rows: Vec<_> = rows.iter().filter_map(Value::as_object).cloned().collect();
        print_rows(&rows, Format::or_default(self.format))
    }
}

async fn compact(lake: &Lake, which: &Which, options: &CompactOptions) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for table in which.tables(lake).await? {
        for done in upkeep::compact(lake, &table, options, which.dry_run).await? {
            let day = Date32Type::to_naive_date_opt(done.day).map(|day| day.to_string());
            rows.push(json!({
                "table": table, "event_day": day, "files": done.files, "rows": done.rows,
                "bytes_before": done.bytes_before, "bytes_after": (!which.dry_run).then_some(done.bytes_after),
            }));
        }
    }
    which.print(&rows)
}

async fn retain(lake: &Lake, which: &Which, days: u32) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for table in which.tables(lake).await? {
        let gone = upkeep::retain(lake, &table, days, Utc::now(), which.dry_run).await?;
        if gone.files > 0 {
            rows.push(json!({ "table": table, "files": gone.files, "rows": gone.rows, "bytes": gone.bytes }));
        }
    }
    which.print(&rows)
}

async fn vacuum(lake: &Lake, which: &Which, hours: u32) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for table in which.tables(lake).await? {
        let gone = upkeep::vacuum(lake, &table, hours, which.dry_run).await?;
        rows.extend(gone.files.into_iter().map(|file| json!({ "table": table, "file": file })));
    }
    which.print(&rows)
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
                    let row = |t: &std::sync::Arc<tarn_lake::table::TableSnapshot>| {
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
                Command::Compact { lake, which, target_mib, files_min } => {
                    let options = CompactOptions {
                        target_bytes: target_mib << 20,
                        files_min: usize::from(files_min),
                        outliers: true,
                    };
                    compact(&lake.open().await?, &which, &options).await?;
                }
                Command::Retain { lake, which, days } => retain(&lake.open().await?, &which, days).await?,
                Command::Vacuum { lake, which, hours, force } => {
                    if hours < HOURS_MIN && !force {
                        let message = format!("--hours {hours}: fewer than {HOURS_MIN} take --force; see --help");
                        return Err(Usage(message).into());
                    }
                    vacuum(&lake.open().await?, &which, hours).await?;
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
