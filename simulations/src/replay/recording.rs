//! Recorded telemetry: files of any form that Tarn reads, one recording each.
//!
//! **IO**: reads files. A recording belongs to the technique that its file is named after, or to an ATT&CK id that its file
//! or folder begins with.

use crate::score::Trial;
use crate::stratus::Technique;
use chrono::{DateTime, Utc};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_ingest::container::{Blocks, ContainerError, Limits};
use tarn_ingest::fields::{FieldReader, FieldRequest};
use tarn_ingest::source::Sources;
use tarn_rules::Ruleset;
use thiserror::Error;

/// A file that cannot be replayed.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be opened.
    #[error("{}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be read as what it says it is.
    #[error("{}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: ContainerError,
    },
    /// No record in it says when it happened.
    #[error("{}: no record with a time; its log source may not be known (`tarn sources explain` tells)", .0.display())]
    Timeless(PathBuf),
    /// There is no file.
    #[error("no recording under {}", .0.display())]
    Empty(PathBuf),
}

/// A record as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When it happened; of one that does not say, when the one before it did.
    pub time: DateTime<Utc>,
    /// Its JSON, one line.
    pub text: String,
    /// What its vendor identifies it by, where that is in its text.
    pub uid: Option<String>,
}

/// A file's records, in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub file: PathBuf,
    /// The records, at least one.
    pub records: Vec<Recorded>,
}

/// Reads recordings. **Bounds**: none; all of them are in memory until they are sent.
pub struct Recordings {
    reader: FieldReader,
    now: DateTime<Utc>,
}

impl Recordings {
    /// With these log sources; `now` tells the year of times without one.
    pub fn new(sources: Arc<Sources>, now: DateTime<Utc>) -> Self {
        Self { reader: FieldReader::new(sources, FieldRequest::default()), now }
    }

    /// All recordings under some paths: files, and what is in folders, in the order of names.
    ///
    /// **Errors**: [`RecordingError`], the first.
    pub fn read_all(&mut self, paths: &[PathBuf]) -> Result<Vec<Recording>, RecordingError> {
        let mut recordings = Vec::new();
        for path in paths {
            let before = recordings.len();
            for entry in walkdir::WalkDir::new(path).sort_by_file_name().follow_links(true) {
                let opened = |e: walkdir::Error| RecordingError::Open { file: path.clone(), source: e.into() };
                let entry = entry.map_err(opened)?;
                if entry.file_type().is_file() && !entry.file_name().to_string_lossy().starts_with('.') {
                    recordings.push(self.read(entry.path())?);
                }
            }
            if recordings.len() == before {
                return Err(RecordingError::Empty(path.clone()));
            }
        }
        Ok(recordings)
    }

    /// One file.
    ///
    /// **Errors**: [`RecordingError`].
    pub fn read(&mut self, path: &Path) -> Result<Recording, RecordingError> {
        let opened = |source| RecordingError::Open { file: path.to_owned(), source };
        let read = |source| RecordingError::Read { file: path.to_owned(), source };
        let mut blocks = Blocks::open(File::open(path).map_err(opened)?, Limits::default()).map_err(read)?;
        let mut records: Vec<(Option<i64>, Recorded)> = Vec::new();
        while let Some(block) = blocks.next_block().map_err(read)? {
            self.reader.read(&block, None);
            for (row, record) in block.records.iter().enumerate() {
                let identity = self.reader.identity(&block, row, self.now.timestamp_micros());
                let text = one_line(block.json(record));
                let uid = Some(identity.uid).filter(|uid| uid.len() >= 8 && text.contains(&format!("\"{uid}\"")));
                records.push((identity.time, Recorded { time: DateTime::UNIX_EPOCH, text, uid }));
            }
        }
        let first = records.iter().find_map(|(time, _)| *time);
        let mut last = first.ok_or_else(|| RecordingError::Timeless(path.to_owned()))?;
        let mut records: Vec<Recorded> = records
            .into_iter()
            .map(|(time, record)| {
                last = time.unwrap_or(last);
                Recorded { time: DateTime::from_timestamp_micros(last).unwrap_or_default(), ..record }
            })
            .collect();
        records.sort_by_key(|record| record.time);
        Ok(Recording { file: path.to_owned(), records })
    }
}

/// Line breaks of JSON stand between tokens only.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

impl Recording {
    /// What it is called: its file, without endings that say how it is packed.
    pub fn name(&self) -> String {
        let mut name = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for ending in [".gz", ".zst", ".json", ".ndjson", ".jsonl", ".log", ".evtx", ".parquet", ".txt"] {
            if let Some(rest) = name.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
                name = rest.to_owned();
            }
        }
        name
    }

    /// The trial that it is: of a known technique, of an ATT&CK id, or of nothing that a rule could name.
    pub fn trial(&self, techniques: &[Technique], rules: &Ruleset) -> Trial {
        let name = self.name();
        if let Some(technique) = techniques.iter().find(|t| t.id == name) {
            return technique.trial(rules);
        }
        let folder = self.file.parent().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned());
        let attack = [Some(name.clone()), folder].into_iter().flatten().find_map(|text| attack_id(&text));
        let attack = attack.into_iter().collect();
        Trial { id: name.clone(), name, platform: "recorded".into(), attack, ..Trial::default() }
    }
}

/// The ATT&CK id that a text begins with: `T1059.004-shell` is of T1059.004.
fn attack_id(text: &str) -> Option<String> {
    let rest = text.strip_prefix(['T', 't'])?;
    let digits = |text: &str, n: usize| text.len() >= n && text.bytes().take(n).all(|b| b.is_ascii_digit());
    if !digits(rest, 4) {
        return None;
    }
    let (technique, after) = rest.split_at(4);
    match after.strip_prefix(['.', '_']).filter(|sub| digits(sub, 3)) {
        Some(sub) if !sub[3..].starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            Some(format!("T{technique}.{}", &sub[..3]))
        }
        _ if after.starts_with(|c: char| c.is_ascii_alphanumeric()) => None,
        _ => Some(format!("T{technique}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_tell_the_technique() {
        for (name, id) in [
            ("T1059.004-shell", Some("T1059.004")),
            ("t1003", Some("T1003")),
            ("T1003.1", Some("T1003")),
            ("T10031", None),
            ("aws.defense-evasion", None),
            ("T1059.004x", Some("T1059")),
            ("é", None),
            ("Té", None),
        ] {
            assert_eq!(attack_id(name).as_deref(), id, "{name}");
        }
        let recording = |file: &str| Recording { file: file.into(), records: Vec::new() };
        assert_eq!(recording("a/aws.x.y-z.json.gz").name(), "aws.x.y-z");
        let rules = Ruleset::default();
        assert_eq!(recording("T1070.004/day.ndjson").trial(&[], &rules).attack, ["T1070.004"]);
        let techniques = crate::stratus::table().unwrap();
        let trial = recording("aws.defense-evasion.cloudtrail-stop.json").trial(&techniques, &tarn_rules::pack());
        assert_eq!((trial.attack, trial.expected.is_empty()), (vec!["T1685.002".to_owned()], false));
    }

    #[test]
    fn records_are_read_in_order_with_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        let event = |id: &str, time: &str| {
            format!(r#"{{"eventSource":"s","eventName":"n","eventID":"{id}","eventTime":"{time}"}}"#)
        };
        let late = event("event-two", "2024-07-31T12:46:42Z");
        let text = format!("[\n{late},\n {}\n, {{\"plain\":1}}]", event("event-one", "2024-07-31T12:46:41Z"));
        std::fs::write(&file, text).unwrap();
        let mut recordings = Recordings::new(Arc::new(Sources::builtin().unwrap()), DateTime::UNIX_EPOCH);
        let recording = recordings.read(&file).unwrap();
        let uids: Vec<_> = recording.records.iter().map(|r| r.uid.as_deref()).collect();
        assert_eq!(uids, [Some("event-one"), None, Some("event-two")]);
        std::fs::write(&file, "{\"plain\":1}").unwrap();
        assert!(matches!(recordings.read(&file), Err(RecordingError::Timeless(_))));
    }
}
