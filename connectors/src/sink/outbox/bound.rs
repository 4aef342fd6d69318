//! What goes when there is no room: alerts are also rows in the lake, and a full disk would stop detection.
//!
//! First the oldest dead letter, then the oldest waiting letter of the lowest severity, which may be the newest of all.
//! Where only groups and throttles hold alerts, their waiting ends early. All that goes is counted as `dropped`.

use super::Plan;
use super::store::Tables;
use redb::ReadableTable;

/// How much the outbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Alerts.
    pub entries: u64,
    /// Bytes of alerts and their findings.
    pub bytes: u64,
}

impl Tables<'_> {
    /// Drops until what is left is within the limits.
    pub fn make_room(&mut self, limits: Limits, now: i64) -> Result<(), redb::Error> {
        while self.meta("entries")? > limits.entries || self.meta("bytes")? > limits.bytes {
            let first = self.shelf.pop_first()?.map(|(key, _)| key.value().1);
            match first {
                Some(id) => self.drop_letter(id)?,
                None => {
                    self.fire_all(&|_| true, now)?;
                    if self.shelf.first()?.is_none() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn drop_letter(&mut self, id: u64) -> Result<(), redb::Error> {
        let Some(letter) = self.letter(id)? else { return Ok(()) };
        self.discard(id, &letter)?;
        self.forget(id)?;
        self.count(&letter.sink, "dropped", letter.alerts.len() as u64)
    }

    /// Makes dead letters of what waits for sinks that a plan does not have.
    pub fn reconcile(&mut self, plan: &Plan, now: i64) -> Result<(), redb::Error> {
        self.fire_all(&|sink| !plan.sinks.contains_key(sink), now)?;
        let mut orphans = Vec::new();
        for row in self.oldest.iter()? {
            let (key, _) = row?;
            let (sink, id) = key.value();
            if !plan.sinks.contains_key(sink) {
                orphans.push(id);
            }
        }
        for id in orphans {
            if let Some(letter) = self.letter(id)? {
                self.bury(id, &letter, format!("there is no sink {:?} any more", letter.sink), now)?;
            }
        }
        self.make_room(plan.limits, now)
    }
}
