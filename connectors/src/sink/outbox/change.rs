//! Changes of findings that were told: an incident ends, and whoever wants to follow is told of each.
//!
//! **An incident** is a message to a receiver that keeps such: it is open until all findings of the message are closed.
//! It ends by a message of its own, under its key, which is posted once the receiver has the first: no end overtakes
//! its beginning. **Bounds**: the oldest incidents of too many are forgotten, and stay open at the receiver.

use super::letter::Letter;
use super::store::{Tables, decoded, encoded};
use super::{Outbox, OutboxError, Plan};
use crate::sink::alert::{Alert, Draft, FindingError};
use crate::sink::change::Change;
use crate::sink::registry::Follows;
use redb::ReadableTableMetadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Incidents that are remembered.
const INCIDENTS_MAX: u64 = 100_000;

/// A message that a receiver keeps as open, by its letter's id.
#[derive(Debug, Serialize, Deserialize)]
struct Incident {
    /// The letter, as it was posted.
    letter: Letter,
    /// Uids of its findings that are not closed.
    open: BTreeSet<String>,
    /// Whether the receiver has it.
    delivered: bool,
    /// The last change that closed one.
    change: Option<Change>,
}

impl Outbox {
    /// Keeps what follows from these changes, one OCSF JSON text each, before it returns. Blocks for a disk sync, where
    /// there is a sink that follows findings.
    ///
    /// `sequence` is as that of [`Outbox::offer`]. A text that is no change is counted and left out.
    ///
    /// **Errors**: [`OutboxError::Store`]; nothing was taken then, and the same changes may come again.
    pub fn change<S: AsRef<str>>(&self, sequence: u64, records: &[S]) -> Result<(), OutboxError> {
        let plan = self.plan();
        if plan.sinks.values().all(|sink| sink.sink.follows() == Follows::Nothing) {
            return Ok(());
        }
        let read = |text: &str| -> Result<(Change, Alert), FindingError> {
            Ok((Change::of(text)?, Draft::of(text)?.with_entities(&self.events)))
        };
        let read: Vec<_> = records.iter().map(|text| (text.as_ref(), read(text.as_ref()))).collect();
        self.take_once(sequence, &plan, |tables, now| {
            for (text, read) in &read {
                match read {
                    Ok((change, alert)) => tables.change(&plan, change, alert, text, now)?,
                    Err(error) => {
                        tracing::warn!(%error, sequence, "a change of a finding is told to nobody");
                        tables.count("", "unreadable", 1)?;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Tables<'_> {
    fn change(
        &mut self,
        plan: &Plan,
        change: &Change,
        alert: &Alert,
        record: &str,
        now: i64,
    ) -> Result<(), redb::Error> {
        let follows = |name: &str| plan.sinks.get(name).map(|sink| sink.sink.follows());
        for name in plan.sinks.keys().filter(|name| change.closes && follows(name) == Some(Follows::Closing)) {
            self.close(name, change, now)?;
        }
        // Where an alert of it would go now.
        for (route, sink) in plan.routes.of(alert).unwrap_or_default() {
            if follows(sink) == Some(Follows::Changes) {
                let id = self.keep(alert, record)?;
                let letter = Letter::new(sink, &route.name, &change.record, alert.severity, now);
                self.post(&Letter { alerts: vec![id], change: Some(change.clone()), ..letter })?;
            }
        }
        Ok(())
    }

    /// A finding is closed; the last of its incident ends that, if the receiver has it.
    fn close(&mut self, sink: &str, change: &Change, now: i64) -> Result<(), redb::Error> {
        let of = self.open.remove((sink, change.uid.as_str()))?.map(|id| id.value());
        let Some((id, mut incident)) = self.incident(of)? else { return Ok(()) };
        incident.open.remove(&change.uid);
        incident.change = Some(change.clone());
        self.put_or_end(id, incident, now)
    }

    /// Remembers a letter with alerts of these findings as an incident.
    pub fn begin(&mut self, id: u64, letter: &Letter, findings: BTreeSet<String>) -> Result<(), redb::Error> {
        while self.incidents.len()? >= INCIDENTS_MAX {
            let Some(first) = self.incidents.pop_first()?.map(|(id, row)| (id.value(), row.value().to_vec())) else {
                break;
            };
            let (id, incident): (u64, Incident) = (first.0, decoded(&first.1)?);
            self.let_go(id, &incident)?;
        }
        for uid in &findings {
            self.open.insert((letter.sink.as_str(), uid.as_str()), id)?;
        }
        let incident = Incident { letter: letter.clone(), open: findings, delivered: false, change: None };
        self.incidents.insert(id, encoded(&incident)?.as_slice())?;
        Ok(())
    }

    /// The receiver has the letter of that id.
    pub fn delivered(&mut self, id: u64, now: i64) -> Result<(), redb::Error> {
        let Some((id, incident)) = self.incident(Some(id))? else { return Ok(()) };
        self.put_or_end(id, Incident { delivered: true, ..incident }, now)
    }

    /// The letter of that id will never get to the receiver.
    pub fn forget(&mut self, id: u64) -> Result<(), redb::Error> {
        let Some((id, incident)) = self.incident(Some(id))? else { return Ok(()) };
        self.incidents.remove(id)?;
        self.let_go(id, &incident)
    }

    fn incident(&self, id: Option<u64>) -> Result<Option<(u64, Incident)>, redb::Error> {
        let Some(id) = id else { return Ok(None) };
        let row = redb::ReadableTable::get(&self.incidents, id)?;
        row.map(|row| Ok((id, decoded(row.value())?))).transpose()
    }

    fn let_go(&mut self, id: u64, incident: &Incident) -> Result<(), redb::Error> {
        for uid in &incident.open {
            let key = (incident.letter.sink.as_str(), uid.as_str());
            if redb::ReadableTable::get(&self.open, key)?.is_some_and(|of| of.value() == id) {
                self.open.remove(key)?;
            }
        }
        Ok(())
    }

    fn put_or_end(&mut self, id: u64, incident: Incident, now: i64) -> Result<(), redb::Error> {
        if !(incident.delivered && incident.open.is_empty()) {
            self.incidents.insert(id, encoded(&incident)?.as_slice())?;
            return Ok(());
        }
        self.incidents.remove(id)?;
        let Letter { sink, route, key, severity, .. } = incident.letter;
        let letter = Letter::new(&sink, &route, &key, severity, now);
        self.post(&Letter { change: incident.change, ..letter }).map(drop)
    }
}
