//! What of the log's frames the ledger wants: records of Artifact Signing and Key Release that came as OCSF, whoever sent
//! them, and every record of the tables that are marked as evidence, whatever it was mapped from ([`super::mapped`]).
//!
//! **Bounds**: [`PIECE_BYTES`] of records and documents at a time, and those of one frame.

use super::super::frame::{Frame, Kind};
use super::mapped::Mapped;
use crate::causes::with_causes;
use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tarn_attest::ledger::{Entry, EntryError};
use tarn_ingest::identity::record_uid;
use tarn_ingest::source::Sources;
use tarn_lake::log::Frames;
use tarn_schema_ocsf::ClassUid;

/// Records and documents that are appended at once.
const PIECE_BYTES: usize = 16 << 20;
/// Records of few bytes that are.
const PIECE_ENTRIES: usize = 8192;
/// Artifact Signing and Key Release of the extension `trust`, which are evidence always.
const CLASSES: [ClassUid; 2] = [ClassUid(99_906_001), ClassUid(99_903_001)];

/// Which frame is the last with evidence, so that a log of events alone is not read for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Marks {
    last: Arc<AtomicU64>,
    classes: Arc<[(ClassUid, Finder<'static>)]>,
    /// Log sources of which mapping makes rows of the tables that are marked.
    mapped: Arc<[String]>,
}

impl Marks {
    /// Of a log whose frames up to `last` were not looked at. `more` classes are evidence, too.
    pub fn new(last: u64, more: &[ClassUid], sources: &Sources) -> Self {
        let classes = CLASSES.iter().chain(more).map(|class| (*class, Finder::new(&class.to_string()).into_owned()));
        let mapped = sources.iter().filter(|source| source.kinds.iter().any(|kind| more.contains(&kind.class)));
        Self {
            last: Arc::new(AtomicU64::new(last)),
            classes: classes.collect(),
            mapped: mapped.map(|source| source.name.clone()).collect(),
        }
    }

    /// Looks at a frame, before mapping gets it.
    pub fn see(&self, sequence: u64, frame: &Frame) {
        if self.may_have(frame) {
            self.last.fetch_max(sequence, Ordering::Release);
        }
    }

    /// Whether a frame may have evidence: a class's number stands somewhere in it, or mapping may give it one.
    fn may_have(&self, frame: &Frame) -> bool {
        let json = frame.block.json.as_bytes();
        match frame.kind {
            Kind::Evidence { .. } => true,
            Kind::Events { .. } | Kind::Findings { .. } => {
                self.are_mapped(frame) || self.classes.iter().any(|(_, number)| number.find(json).is_some())
            }
            Kind::Updates { .. } | Kind::Idle { .. } | Kind::Metrics { .. } => false,
        }
    }

    /// Whether mapping may make evidence of a frame's events.
    fn are_mapped(&self, frame: &Frame) -> bool {
        match &frame.kind {
            Kind::Events { source: Some(name), .. } => self.mapped.contains(name),
            Kind::Events { source: None, .. } => !self.mapped.is_empty(),
            _ => false,
        }
    }

    /// Whether a class's records are.
    pub fn is_evidence(&self, class: u64) -> bool {
        self.classes.iter().any(|(evidence, _)| u64::from(evidence.0) == class)
    }

    /// The last frame that may have evidence.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }
}

/// What a stretch of the log has for the ledger.
#[derive(Default)]
pub struct Piece {
    /// Its records.
    pub entries: Vec<Entry>,
    /// Up to this frame.
    pub through: u64,
    /// Records that cannot be leaves.
    pub refused: u64,
}

/// Reads frames after `range.start`, up to `range.end` at most.
///
/// **Errors**: a log that cannot be read.
pub fn read(
    frames: &mut Frames,
    marks: &Marks,
    sources: &Arc<Sources>,
    writer: uuid::Uuid,
    range: Range<u64>,
) -> anyhow::Result<Piece> {
    let (mut piece, mut bytes) = (Piece { through: range.start, ..Piece::default() }, 0);
    let mut mapped = Mapped::new(sources.clone());
    while piece.through < range.end && bytes < PIECE_BYTES && piece.entries.len() < PIECE_ENTRIES {
        let Some(next) = frames.next() else {
            // Of those that were left when it stopped, some were cut since.
            piece.through = range.end;
            break;
        };
        let (sequence, payload) = next?;
        if sequence > range.end {
            piece.through = range.end;
            break;
        }
        let frame = Frame::decode(&payload)?.at(writer, sequence);
        if marks.may_have(&frame) {
            bytes += payload.len();
            let mut taken = as_it_came(&frame, marks, sources);
            if marks.are_mapped(&frame) {
                let came: HashSet<usize> = taken.iter().map(|(number, _)| *number).collect();
                taken.extend(mapped.of(&frame, marks).into_iter().filter(|(number, _)| !came.contains(number)));
                taken.sort_by_key(|(number, _)| *number);
            }
            for (number, entry) in taken {
                match entry {
                    Ok(entry) => piece.entries.push(entry),
                    Err(error) => {
                        piece.refused += 1;
                        let error = with_causes(&error);
                        tracing::warn!(error, sequence, record = number, "a record cannot be a leaf of the ledger");
                    }
                }
            }
        }
        piece.through = sequence;
    }
    Ok(piece)
}

/// A record's place in its frame, and its leaf, if it can be one.
pub type Numbered = (usize, Result<Entry, EntryError>);

/// A frame's evidence that came as OCSF.
fn as_it_came(frame: &Frame, marks: &Marks, sources: &Sources) -> Vec<Numbered> {
    let document = match &frame.kind {
        Kind::Evidence { document, .. } => Some(Bytes::copy_from_slice(document)),
        _ => None,
    };
    let only = frame.source(sources).map(|source| source.id);
    let mut taken = Vec::new();
    for (number, record) in frame.block.records.iter().enumerate() {
        // What mapping makes a row of another class is no evidence, whatever it says of itself.
        let Ok(mut value) = serde_json::from_str::<Value>(frame.block.json(record)) else { continue };
        let class = value.get("class_uid").and_then(Value::as_u64);
        if !class.is_some_and(|class| marks.is_evidence(class)) || !sources.of(&frame.block, record, only).native {
            continue;
        }
        let uid = uid(&mut value, || record_uid(&frame.block, record));
        taken.push((number, uid.and_then(|uid| Entry::new(&uid, &value, document.clone()))));
    }
    taken
}

/// A record's `metadata.uid`; one without gets that of its row, as mapping makes it.
fn uid(record: &mut Value, of_row: impl FnOnce() -> String) -> Result<String, EntryError> {
    if let Some(Value::String(uid)) = record.pointer("/metadata/uid") {
        return Ok(uid.clone());
    }
    let uid = of_row();
    match record.get_mut("metadata") {
        Some(Value::Object(metadata)) => {
            metadata.insert("uid".to_owned(), uid.clone().into());
        }
        _ => record["metadata"] = serde_json::json!({ "uid": uid }),
    }
    Ok(uid)
}
