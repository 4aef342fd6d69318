//! Which tests `--only` means, and the list of those that may run.

use crate::output::{Format, print_rows};
use serde_json::json;
use std::process::ExitCode;
use tarn_simulations::atomic::allowed::{List, digest};
use tarn_simulations::atomic::campaign;
use tarn_simulations::atomic::definition::Test;

/// Whether an id of `--only` means a test.
pub fn is_of(test: &Test, id: &str) -> bool {
    let technique = test.technique.as_str();
    let below = technique.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    below || (id.len() >= 8 && test.guid.starts_with(&id.to_ascii_lowercase())) || campaign::id(test) == id
}

/// Prints the Linux tests, and whether each may run.
pub fn print_list<'a>(
    tests: impl Iterator<Item = &'a Test>,
    list: &List,
    format: Option<Format>,
) -> anyhow::Result<ExitCode> {
    let row = |test: &Test| {
        let (may_run, reason) = match list.check(test) {
            Ok(allowed) => (true, allowed.reason.clone()),
            Err(refused) => (false, refused.to_string()),
        };
        let cells = [
            ("technique", json!(test.technique)),
            ("guid", json!(test.guid)),
            ("name", json!(test.name)),
            ("executor", json!(test.executor.name)),
            ("root", json!(test.executor.elevation_required)),
            ("runs", json!(may_run)),
            ("reason", json!(reason)),
            ("digest", json!(digest(test))),
        ];
        cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let rows: Vec<_> = tests.filter(|t| t.platforms.iter().any(|p| p == "linux")).map(row).collect();
    print_rows(&rows, Format::or_default(format))?;
    Ok(ExitCode::SUCCESS)
}
