//! The bulk API's body: lines of actions, each followed by its document.
//!
//! `create` and `index` are taken; `update` and `delete` change what is there, which a log does not. Source: Elasticsearch
//! 8, "Bulk API".

use crate::source::embedded::Embedded;
use serde::Deserialize;
use std::collections::BTreeMap;
use tarn_ingest::Reason;
use tarn_ingest::container::{Block, Limits};
use tarn_ingest::json::end_of_value;
use tarn_ingest::source::Sources;
use thiserror::Error;

/// What is done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Add it, unless one with its id is there.
    Create,
    /// Add it.
    Index,
    /// Change it.
    Update,
    /// Take it away.
    Delete,
}

impl Verb {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Where a document goes; what else an action says is of no use here.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Target {
    /// The index that it names.
    #[serde(rename = "_index")]
    pub index: Option<String>,
    /// The document's id.
    #[serde(rename = "_id")]
    pub id: Option<String>,
}

/// One action, and what became of it.
#[derive(Debug)]
pub struct Item {
    /// What was asked.
    pub verb: Verb,
    /// For which document.
    pub target: Target,
    /// Why it is not taken, if it is not.
    pub refused: Option<ItemError>,
}

/// Why a document is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ItemError {
    /// It is no record; it is kept as a dead letter.
    #[error("the document is kept as a dead letter: {0}")]
    Document(Reason),
    /// It would change what is there.
    #[error("events are added and stay as they are: create and index are taken, {} is not", verb.name())]
    Verb {
        /// What was asked.
        verb: Verb,
    },
}

/// A body that is no bulk request: nothing of it is taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BulkError {
    /// A line that is no action.
    #[error("Malformed action/metadata line [{line}], expected an object with one of create, index, update and delete")]
    Action {
        /// Its number, from 1.
        line: usize,
    },
    /// An action that names no index, in a request that does not, either.
    #[error("Validation Failed: index is missing in line [{line}]")]
    Index {
        /// Its number, from 1.
        line: usize,
    },
    /// An action without its document.
    #[error("The bulk request must be terminated by a newline, and line [{line}] be followed by a document")]
    Document {
        /// The action's number, from 1.
        line: usize,
    },
    /// No action at all.
    #[error("Validation Failed: no requests added")]
    Empty,
    /// More than are taken at once.
    #[error("more than the {limit} actions that are taken at once")]
    Many {
        /// The limit.
        limit: usize,
    },
}

/// The actions of a body, in order, and the records of their documents. `index` is what the address names.
///
/// **Errors**: [`BulkError`] about the first line that is wrong.
pub fn read(body: &[u8], index: Option<&str>, sources: &Sources) -> Result<(Vec<Item>, Block), BulkError> {
    let limit = Limits::default().block_records;
    let mut records = Embedded::new(sources);
    let mut items = Vec::new();
    let lines = memchr::memchr_iter(b'\n', body).chain([body.len()]);
    let mut start = 0;
    let mut lines =
        lines.enumerate().map(|(number, end)| (number + 1, &body[std::mem::replace(&mut start, end + 1)..end]));
    while let Some((line, action)) = lines.next() {
        if action.trim_ascii().is_empty() {
            continue;
        }
        if items.len() == limit {
            return Err(BulkError::Many { limit });
        }
        let (verb, mut target) = parse(action).ok_or(BulkError::Action { line })?;
        if target.index.is_none() {
            target.index = Some(index.ok_or(BulkError::Index { line })?.to_owned());
        }
        let mut refused = matches!(verb, Verb::Update | Verb::Delete).then_some(ItemError::Verb { verb });
        if verb != Verb::Delete {
            let document = lines.next().map(|(_, document)| document.trim_ascii());
            let document = document.filter(|d| !d.is_empty()).ok_or(BulkError::Document { line })?;
            if refused.is_none() {
                refused = add(document, &mut records).err().map(ItemError::Document);
            }
        }
        items.push(Item { verb, target, refused });
    }
    if items.is_empty() { Err(BulkError::Empty) } else { Ok((items, records.finish())) }
}

fn parse(action: &[u8]) -> Option<(Verb, Target)> {
    let mut action: BTreeMap<Verb, Option<Target>> = serde_json::from_slice(action).ok()?;
    let (verb, target) = action.pop_first().filter(|_| action.is_empty())?;
    Some((verb, target.unwrap_or_default()))
}

fn add(document: &[u8], records: &mut Embedded<'_>) -> Result<(), Reason> {
    match object(document) {
        Ok(text) => {
            if !records.object(text, text) {
                records.record(text, text);
            }
            Ok(())
        }
        Err(reason) => {
            records.dead(document, reason.clone());
            Err(reason)
        }
    }
}

fn object(document: &[u8]) -> Result<&str, Reason> {
    use tarn_ingest::json::Stop;
    let limit = Limits::default().record_bytes_max;
    if document.len() > limit {
        return Err(Reason::TooLarge { bytes: document.len() as u64, limit });
    }
    let text = std::str::from_utf8(document).map_err(|_| Reason::NotUtf8)?;
    match end_of_value(document, 0) {
        Ok(end) if end < document.len() => Err(Reason::BrokenJson { at: end, expected: "the end of the line" }),
        Ok(_) if document[0] == b'{' => Ok(text),
        Ok(_) => Err(Reason::NotAnObject),
        Err(Stop::Incomplete) => Err(Reason::Truncated),
        Err(Stop::Broken { at, expected }) => Err(Reason::BrokenJson { at, expected }),
    }
}
