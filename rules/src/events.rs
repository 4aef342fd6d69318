//! A rule's own test events: `<rule>.events.yml` beside `<rule>.yml` (or `.events.json`, which is YAML, too).
//!
//! ```yaml
//! - name: the key is for somebody else      # what the event shows
//!   fires: true
//!   event: { eventName: CreateAccessKey, … }
//! ```
//!
//! An event is what its source writes. Running them takes sources, so it happens elsewhere.

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
    /// The source that writes it, where that cannot be recognised.
    #[serde(default)]
    pub source: Option<String>,
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

const ENDINGS: [&str; 3] = ["events.yml", "events.yaml", "events.json"];
const BYTES_MAX: u64 = 4 << 20;

/// Whether a file name is that of test events.
pub fn is_events_file(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|rest| rest.ends_with('.')))
}

/// The test events of the rule in `file`; none when it has no events file.
///
/// **Errors**: [`EventsError`] when the file is there and is not a list of test events, or is longer than 4 MiB.
pub fn of_rule(file: &Path) -> Result<Option<Vec<TestEvent>>, EventsError> {
    let Some(path) = ENDINGS.iter().map(|e| file.with_extension(e)).find(|p| p.is_file()) else { return Ok(None) };
    let error = |reason: String| EventsError { file: path.clone(), reason };
    let length = path.metadata().map_err(|e| error(e.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(error(format!("{length} bytes; the limit is {BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| error(e.to_string()))?;
    yaml_serde::from_str(&text).map(Some).map_err(|e| error(e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn events_stand_beside_their_rule() {
        let folder = std::env::temp_dir().join(format!("tarn-rules-events-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rule = folder.join("a.yml");
        assert!(of_rule(&rule).unwrap().is_none());
        let json = r#"[{"name": "n", "fires": true, "source": "windows", "event": {"A": 1}}]"#;
        std::fs::write(folder.join("a.events.json"), json).unwrap();
        let events = of_rule(&rule).unwrap().unwrap();
        assert!(events[0].fires && events[0].event["A"] == 1 && events[0].source.as_deref() == Some("windows"));
        std::fs::write(folder.join("a.events.yml"), "- name: n\n  fire: true\n").unwrap();
        assert!(of_rule(&rule).unwrap_err().to_string().contains("fire"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(is_events_file("a.events.yml") && !is_events_file("events.yml") && !is_events_file("a.yml"));
    }
}
