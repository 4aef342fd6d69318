//! `tarn sources list`: the known log sources.

use crate::command::arguments::SourcesArgs;
use crate::output::{Format, print_rows};
use clap::Args as ClapArgs;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use tarn_schema_ocsf::Schema;

/// List the known log sources, in the order in which records are tried on them
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn sources list
  tarn sources list --sources my-sources/ --format json")]
pub struct Args {
    #[command(flatten)]
    sources: SourcesArgs,
    /// How to print rows
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let sources = self.sources.load()?;
        let mut rows = Vec::new();
        for source in sources.iter() {
            let class = |uid| Schema::v1_8().class(uid).map(|c| c.table());
            let classes: BTreeSet<String> = source.kinds.iter().filter_map(|k| class(k.class)).collect();
            let logsources: BTreeSet<&str> =
                source.logsources.iter().filter_map(|l| l.category.as_deref().or(l.service.as_deref())).collect();
            let cells = [
                ("name", json!(source.name)),
                ("version", json!(source.version)),
                ("products", json!(source.products.join(", "))),
                ("kinds", json!(source.kinds.len())),
                ("fields", json!(source.field_names().len())),
                ("logsources", json!(logsources.len())),
                ("classes", json!(classes.into_iter().collect::<Vec<_>>().join(", "))),
            ];
            rows.push(cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        }
        print_rows(&rows, Format::or_default(self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}
