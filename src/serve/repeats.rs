//! Records that came in before, such as those of a request whose acknowledgement was lost: dropped within a window.
//!
//! A record is known by a digest of its log source, its sender and its text. Only what is on disk is known, so that a repeat is
//! acknowledged for what has happened. What two requests bring at the same moment is kept twice. After a restart the window
//! begins with what the durable log still has.
//!
//! **Bounds**: [`RepeatsConfig::records_max`] digests of 16 bytes; with more, the window is shorter.

use super::frame::{Frame, Kind};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tarn_ingest::container::{Block, RecordSpan};

/// How long a record is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepeatsConfig {
    /// Seconds at least; 0 for no window.
    pub window_seconds: u64,
    /// Digests at most.
    pub records_max: usize,
}

impl Default for RepeatsConfig {
    /// No window; two million.
    fn default() -> Self {
        Self { window_seconds: 0, records_max: 2_000_000 }
    }
}

/// Of a record.
type Known = [u8; 16];

/// The window. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Repeats {
    config: RepeatsConfig,
    seen: Arc<Mutex<Seen>>,
}

/// Two halves: when the newer one is as old as the window, or half of what may be, the older one is forgotten.
#[derive(Debug)]
struct Seen {
    newer: HashSet<Known>,
    older: HashSet<Known>,
    begun: Instant,
}

/// What a delivery has that was not there before, to be remembered once it is on disk.
#[derive(Debug, Default)]
pub struct Fresh(Vec<Known>);

impl Repeats {
    /// An empty window; none where there is to be none.
    pub fn new(config: RepeatsConfig, now: Instant) -> Option<Self> {
        let seen = Seen { newer: HashSet::new(), older: HashSet::new(), begun: now };
        (config.window_seconds > 0).then(|| Self { config, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Drops what is known from a block, and gives what is not. Of equal records in one block all stay: they were sent at once.
    pub fn drop_known(&self, block: &mut Block, source: Option<&str>, sender: Option<&str>) -> Fresh {
        let digests: Vec<Known> = block.records.iter().map(|record| known(block, record, source, sender)).collect();
        let seen = self.seen();
        let is_new: Vec<bool> =
            digests.iter().map(|digest| !seen.newer.contains(digest) && !seen.older.contains(digest)).collect();
        drop(seen);
        let mut at = is_new.iter();
        block.records.retain(|_| at.next().copied().unwrap_or(true));
        Fresh(digests.into_iter().zip(is_new).filter_map(|(digest, is_new)| is_new.then_some(digest)).collect())
    }

    /// Remembers what is on disk now.
    pub fn remember(&self, fresh: Fresh, now: Instant) {
        let mut seen = self.seen();
        let is_old = now.saturating_duration_since(seen.begun) >= Duration::from_secs(self.config.window_seconds);
        if is_old || seen.newer.len() + fresh.0.len() > self.config.records_max / 2 {
            seen.older = std::mem::take(&mut seen.newer);
            seen.begun = now;
        }
        seen.newer.extend(fresh.0);
    }

    /// Remembers a frame that was on disk at the start.
    pub fn remember_frame(&self, frame: &Frame, now: Instant) {
        if let Kind::Events { source, sender } = &frame.kind {
            let (source, sender) = (source.as_deref(), sender.as_deref());
            let digests = frame.block.records.iter().map(|record| known(&frame.block, record, source, sender));
            self.remember(Fresh(digests.collect()), now);
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(block: &Block, record: &RecordSpan, source: Option<&str>, sender: Option<&str>) -> Known {
    let mut digest = Sha256::new();
    for part in [source.unwrap_or_default(), sender.unwrap_or_default()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(block.original(record));
    let mut known = [0; 16];
    known.copy_from_slice(&digest.finalize()[..16]);
    known
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn block(texts: &[&str]) -> Block {
        let mut block = Block::default();
        for (number, text) in (1..).zip(texts) {
            block.push(number, text);
        }
        block
    }

    fn left(repeats: &Repeats, texts: &[&str], sender: &str) -> (Vec<u64>, Fresh) {
        let mut block = block(texts);
        let fresh = repeats.drop_known(&mut block, None, Some(sender));
        (block.records.iter().map(|record| record.number).collect(), fresh)
    }

    #[test]
    fn what_is_on_disk_is_dropped_within_the_window() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let config = RepeatsConfig { window_seconds: 10, records_max: 8 };
        let repeats = Repeats::new(config, begun).unwrap();
        let (all, fresh) = left(&repeats, &["{\"a\":1}", "{\"a\":1}", "{\"b\":1}"], "x");
        assert_eq!(all, [1, 2, 3], "equal ones that come together are two");
        assert_eq!(left(&repeats, &["{\"a\":1}"], "x").0, [1], "it is not on disk yet");
        repeats.remember(fresh, at(1));
        assert_eq!(left(&repeats, &["{\"c\":1}", "{\"a\":1}", "{\"b\":1}"], "x").0, [1]);
        assert_eq!(left(&repeats, &["{\"a\":1}"], "y").0, [1], "of another sender");
        // It is known for the window, and for less than two.
        repeats.remember(Fresh::default(), at(10));
        assert!(left(&repeats, &["{\"a\":1}"], "x").0.is_empty());
        repeats.remember(Fresh::default(), at(20));
        assert_eq!(left(&repeats, &["{\"a\":1}"], "x").0, [1]);
        // Many make it shorter.
        for n in 0..20 {
            let (_, fresh) = left(&repeats, &[&format!("{{\"n\":{n}}}")], "x");
            repeats.remember(fresh, at(21));
        }
        assert!(left(&repeats, &["{\"n\":19}"], "x").0.is_empty());
        assert_eq!(left(&repeats, &["{\"n\":1}"], "x").0, [1]);
        let seen = repeats.seen();
        assert!(seen.newer.len() + seen.older.len() <= 8);
        drop(seen);
        assert!(Repeats::new(RepeatsConfig::default(), begun).is_none());
    }
}
