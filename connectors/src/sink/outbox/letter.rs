//! Letters: messages as the outbox keeps them, with what became of their tries.

use super::store::{Tables, decoded, encoded};
use crate::sink::change::Change;
use crate::sink::route::GroupValue;
use crate::sink::severity::Severity;
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

/// A message to one sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub sink: String,
    pub route: String,
    pub group: Vec<GroupValue>,
    /// The idempotency key.
    pub key: String,
    /// Ids of its alerts; it holds each of them.
    pub alerts: Vec<u64>,
    pub held_back: u64,
    pub severity: Severity,
    pub created_ms: i64,
    /// Since when it is tried: its age counts from here.
    pub since_ms: i64,
    /// When it is tried next; of a dead one, when it died.
    pub due_ms: i64,
    pub tries: u32,
    /// What went wrong the last time.
    pub reason: Option<String>,
    pub dead: bool,
    /// The change that it tells of; none where it tells of alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// Dead letters go before any that waits, when there is no room.
const SHELF_DEAD: u8 = 0;

impl Letter {
    /// One that is to be tried at `now`, without alerts.
    pub fn new(sink: &str, route: &str, key: &str, severity: Severity, now: i64) -> Self {
        Self {
            sink: sink.to_owned(),
            route: route.to_owned(),
            group: Vec::new(),
            key: key.to_owned(),
            alerts: Vec::new(),
            held_back: 0,
            severity,
            created_ms: now,
            since_ms: now,
            due_ms: now,
            tries: 0,
            reason: None,
            dead: false,
            change: None,
        }
    }

    fn shelf(&self) -> u8 {
        if self.dead { SHELF_DEAD } else { self.severity.rank() }
    }
}

impl Tables<'_> {
    /// The letter of an id.
    pub fn letter(&self, id: u64) -> Result<Option<Letter>, redb::Error> {
        let row = self.letters.get(id)?;
        row.map(|row| decoded(row.value())).transpose()
    }

    /// Puts a new letter in; it takes over its alerts' references.
    pub fn post(&mut self, letter: &Letter) -> Result<u64, redb::Error> {
        let id = self.next_id()?;
        self.insert(id, letter)?;
        Ok(id)
    }

    /// Puts a letter in under an id that is free.
    pub fn insert(&mut self, id: u64, letter: &Letter) -> Result<(), redb::Error> {
        self.letters.insert(id, encoded(letter)?.as_slice())?;
        self.shelf.insert((letter.shelf(), id), ())?;
        if letter.dead {
            self.dead.insert(id, letter.sink.as_str())?;
        } else {
            self.due.insert((letter.sink.as_str(), letter.due_ms, id), ())?;
            self.oldest.insert((letter.sink.as_str(), id), letter.since_ms)?;
        }
        Ok(())
    }

    /// Takes a letter out, and leaves its alerts as they are.
    fn take_out(&mut self, id: u64, letter: &Letter) -> Result<(), redb::Error> {
        self.letters.remove(id)?;
        self.shelf.remove((letter.shelf(), id))?;
        self.dead.remove(id)?;
        self.due.remove((letter.sink.as_str(), letter.due_ms, id))?;
        self.oldest.remove((letter.sink.as_str(), id))?;
        Ok(())
    }

    /// Puts another state in a letter's place.
    pub fn replace(&mut self, id: u64, old: &Letter, new: &Letter) -> Result<(), redb::Error> {
        self.take_out(id, old)?;
        self.insert(id, new)
    }

    /// Takes a letter out for good, with the alerts that only it needed.
    pub fn discard(&mut self, id: u64, letter: &Letter) -> Result<(), redb::Error> {
        self.take_out(id, letter)?;
        letter.alerts.iter().try_for_each(|alert| self.release(*alert))
    }

    /// Makes a dead letter of one that waits.
    pub fn bury(&mut self, id: u64, letter: &Letter, reason: String, now: i64) -> Result<(), redb::Error> {
        let dead = Letter { dead: true, due_ms: now, reason: Some(reason), ..letter.clone() };
        self.replace(id, letter, &dead)?;
        self.count(&letter.sink, "buried", 1)
    }
}
