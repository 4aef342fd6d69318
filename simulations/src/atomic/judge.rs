//! What rules say of captured tests: their events through the source `linux_auditd` and the matcher, in this process.
//!
//! All tests' events are one container, as a file of them would be: an event's `metadata.uid` is the one that the file's
//! event has in a lake. Correlations see a test at a time: what two tests do is no attack of either.

use crate::score::Finding;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tarn_engine::correlation::{Correlator, Limits, Match};
use tarn_engine::{Engine, Hit, Matcher, finding};
use tarn_ingest::container::Block;
use tarn_ingest::fields::FieldReader;
use tarn_rules::About;

/// The source whose form captured events have.
const SOURCE: &str = "linux_auditd";

/// What was made of one test's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Each event's `metadata.uid`, in their order.
    pub uids: Vec<String>,
    /// What rules found.
    pub findings: Vec<Finding>,
}

/// Judges one test after the other.
pub struct Judge {
    engine: Arc<Engine>,
    reader: FieldReader,
    matcher: Matcher,
    /// The digest of the first event, which identifies the container.
    origin: Option<[u8; 32]>,
    records: u64,
}

impl Judge {
    /// With an engine's rules.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let reader = FieldReader::new(engine.sources().clone(), engine.request());
        Self { reader, matcher: Matcher::new(engine.clone()), engine, origin: None, records: 0 }
    }

    /// Judges a test's events, one JSON object a line; findings are of the time `now`.
    pub fn judge(&mut self, lines: &[String], now: DateTime<Utc>) -> Judged {
        let micros = now.timestamp_micros();
        let mut block = Block::default();
        for line in lines {
            block.origin = *self.origin.get_or_insert_with(|| Sha256::digest(line).into());
            self.records += 1;
            block.push(self.records, line);
        }
        self.reader.read(&block, self.engine.sources().named(SOURCE).map(|s| s.id));
        let identities: Vec<_> = (0..lines.len()).map(|row| self.reader.identity(&block, row, micros)).collect();
        let mut findings = Vec::new();
        let mut correlator = Correlator::new(self.engine.clone(), Limits::default());
        let mut correlated = Vec::new();
        for Hit { row, rule } in self.matcher.evaluate(self.reader.rows()) {
            let row = *row as usize;
            let identity = &identities[row];
            if self.engine.is_shown(*rule) {
                let about = &self.engine.rule(*rule).about;
                findings.push(found(about, finding::uid(about, &identity.uid), vec![identity.uid.clone()], now));
            }
            if let Some(fields) = self.engine.captures(*rule) {
                let values = fields.iter().map(|name| self.reader.value(row, name)).collect();
                let (time, uid) = (identity.time.unwrap_or(micros), identity.uid.as_str().into());
                correlator.push(Match { rule: *rule, time, uid, values }, &mut correlated);
            }
        }
        correlator.finish(&mut correlated);
        for hit in correlated.iter().filter(|c| self.engine.is_correlation_shown(c.correlation)) {
            let about = &self.engine.correlations()[hit.correlation].about;
            let events = hit.events.iter().map(|uid| uid.to_string()).collect();
            findings.push(found(about, hit.uid(&self.engine), events, now));
        }
        Judged { uids: identities.into_iter().map(|identity| identity.uid).collect(), findings }
    }
}

fn found(about: &About, uid: String, events: Vec<String>, seen: DateTime<Utc>) -> Finding {
    Finding {
        uid,
        rule: about.id.clone(),
        title: about.title.clone(),
        level: about.level,
        attack: about.attack.techniques.clone(),
        events,
        seen,
    }
}
