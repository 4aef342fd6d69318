//! Dead letters: what could not be delivered, why, and what to do about it.

use super::letter::Letter;
use super::store::{ALERTS, DEAD, LETTERS, Tables, decoded};
use super::{Outbox, OutboxError};
use crate::sink::alert::Alert;
use crate::sink::severity::Severity;
use redb::ReadableTable;
use serde::Serialize;

/// A message that could not be delivered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetter {
    /// What [`Which::These`] names it by.
    pub id: u64,
    /// The sink that did not get it.
    pub sink: String,
    /// The route that sent it there.
    pub route: String,
    /// Its idempotency key.
    pub key: String,
    /// Uids of its findings.
    pub findings: Vec<String>,
    /// The title of its first finding's rule.
    pub title: String,
    /// The worst of its alerts.
    pub severity: Severity,
    /// When it was put together, milliseconds since 1970.
    pub created_ms: i64,
    /// When it was given up, milliseconds since 1970.
    pub dead_ms: i64,
    /// How often it was tried.
    pub tries: u32,
    /// What went wrong the last time.
    pub reason: String,
}

/// Which dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All.
    All,
    /// All of a sink.
    Sink(&'a str),
    /// Those with these ids.
    These(&'a [u64]),
}

impl Outbox {
    /// At most `max` dead letters with ids above `after`, oldest first.
    ///
    /// **Errors**: [`OutboxError::Store`].
    pub fn dead(&self, after: u64, max: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        let found = self.store.read(|transaction| {
            let (letters, alerts) = (transaction.open_table(LETTERS)?, transaction.open_table(ALERTS)?);
            let mut found = Vec::new();
            for row in transaction.open_table(DEAD)?.range(after.saturating_add(1)..)?.take(max) {
                let id = row?.0.value();
                let Some(row) = letters.get(id)? else { continue };
                let letter: Letter = decoded(row.value())?;
                let mut told: Vec<Alert> = Vec::new();
                for id in &letter.alerts {
                    if let Some(row) = alerts.get(*id)? {
                        told.push(decoded(row.value().0)?);
                    }
                }
                // The end of an incident has no alerts.
                let resolved = letter.change.filter(|_| letter.alerts.is_empty()).map(|change| change.uid);
                found.push(DeadLetter {
                    id,
                    sink: letter.sink,
                    route: letter.route,
                    key: letter.key,
                    title: told.first().map(|alert| alert.rule.title.clone()).unwrap_or_default(),
                    findings: told.into_iter().map(|alert| alert.uid).chain(resolved).collect(),
                    severity: letter.severity,
                    created_ms: letter.created_ms,
                    dead_ms: letter.due_ms,
                    tries: letter.tries,
                    reason: letter.reason.unwrap_or_default(),
                });
            }
            Ok(found)
        })?;
        Ok(found)
    }

    /// Tries dead letters again, from now, under the keys that they had; how many. Those of sinks that are not
    /// configured stay.
    ///
    /// **Errors**: [`OutboxError::Store`]; nothing was changed then.
    pub fn retry_dead(&self, which: Which<'_>) -> Result<usize, OutboxError> {
        let (plan, now) = (self.plan(), self.now());
        let revived = self.each_dead(which, |tables, id, letter| {
            if !plan.sinks.contains_key(letter.sink.as_str()) {
                return Ok(false);
            }
            let waits = Letter { dead: false, tries: 0, since_ms: now, due_ms: now, reason: None, ..letter.clone() };
            tables.replace(id, letter, &waits)?;
            Ok(true)
        })?;
        self.woken.send_replace(());
        Ok(revived)
    }

    /// Forgets dead letters; how many.
    ///
    /// **Errors**: [`OutboxError::Store`]; nothing was changed then.
    pub fn discard_dead(&self, which: Which<'_>) -> Result<usize, OutboxError> {
        let discard = |tables: &mut Tables<'_>, id, letter: &Letter| {
            tables.discard(id, letter)?;
            tables.forget(id)?;
            Ok(true)
        };
        Ok(self.each_dead(which, discard)?)
    }

    fn each_dead(
        &self,
        which: Which<'_>,
        mut change: impl FnMut(&mut Tables<'_>, u64, &Letter) -> Result<bool, redb::Error>,
    ) -> Result<usize, redb::Error> {
        self.store.write(|tables| {
            let mut ids = Vec::new();
            for row in tables.dead.iter()? {
                ids.push(row?.0.value());
            }
            let mut changed = 0;
            for id in ids {
                let Some(letter) = tables.letter(id)? else { continue };
                let meant = match which {
                    Which::All => true,
                    Which::Sink(sink) => letter.sink == sink,
                    Which::These(these) => these.contains(&id),
                };
                if meant && change(tables, id, &letter)? {
                    changed += 1;
                }
            }
            Ok(changed)
        })
    }
}
