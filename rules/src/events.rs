//! A rule's own test events: `<rule>.events.yml` beside `<rule>.yml`.
//!
//! ```yaml
//! - name: the key is for somebody else      # what the event shows
//!   fires: true
//!   event: { eventName: CreateAccessKey, … }
//! ```

use serde::Deserialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// One event and whether the rule has to fire on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// What it shows.
    pub name: String,
    /// Whether the rule must fire.
    pub fires: bool,
    /// The event as its source writes it.
    pub event: serde_json::Value,
}

/// An events file that cannot be read.
#[derive(Debug, Error)]
#[error("{}: {reason}", file.display())]
pub struct EventsError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

/// Whether a file name is that of test events.
pub fn is_events_file(name: &str) -> bool {
    name.ends_with(".events.yml") || name.ends_with(".events.yaml")
}

/// The test events of the rule in `file`; none when it has no events file.
///
/// **Errors**: [`EventsError`] when the file is there and is not a list of test events.
pub fn of_rule(file: &Path) -> Result<Option<Vec<TestEvent>>, EventsError> {
    let path = file.with_extension("events.yml");
    if !path.is_file() {
        return Ok(None);
    }
    let error = |reason: String| EventsError { file: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|e| error(e.to_string()))?;
    yaml_serde::from_str(&text).map(Some).map_err(|e| error(e.to_string()))
}
