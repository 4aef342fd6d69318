//! What is due, and what becomes of a try.

use super::letter::Letter;
use super::store::{ALERTS, DUE, LETTERS, Tables, decoded};
use super::{Outbox, OutboxError};
use crate::sink::config::Pace;
use crate::sink::message::{Message, Told};
use crate::sink::retry::{self, Verdict};
use rand::Rng;
use redb::ReadOnlyTable;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// Characters of a reason that are kept.
const REASON_MAX: usize = 500;
/// A try that is further away than any wait means that the clock was set back: it is due.
const SLACK_MS: i64 = 2 * 3_600_000;

/// What a worker may do now.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Letters that are due, with their messages.
    pub due: Vec<(u64, Message)>,
    /// When the next one is, if it is not due yet.
    pub next_ms: Option<i64>,
}

impl Outbox {
    /// At most `room` letters of a sink that are due at `now` and not among `busy`.
    pub(super) fn claim(
        &self,
        sink: &str,
        pace: &Pace,
        room: usize,
        busy: &BTreeSet<u64>,
        now: i64,
    ) -> Result<Claim, redb::Error> {
        self.store.read(|transaction| {
            let mut claim = Claim::default();
            let (letters, alerts) = (transaction.open_table(LETTERS)?, transaction.open_table(ALERTS)?);
            let due = transaction.open_table(DUE)?;
            let far = now.saturating_add(pace.retry_max.ms()).saturating_add(SLACK_MS);
            for row in due.range((sink, i64::MIN, 0)..=(sink, i64::MAX, u64::MAX))? {
                let (key, _) = row?;
                let (_, due_ms, id) = key.value();
                if busy.contains(&id) {
                    continue;
                }
                if due_ms > now && due_ms <= far {
                    claim.next_ms = Some(due_ms);
                    break;
                }
                if claim.due.len() >= room {
                    break;
                }
                if let Some(row) = letters.get(id)? {
                    claim.due.push((id, message(&decoded(row.value())?, &alerts)?));
                }
            }
            Ok(claim)
        })
    }

    /// Writes down what became of tries at `now`.
    pub(super) fn settle(&self, pace: &Pace, tried: &[(u64, Verdict)], now: i64) -> Result<(), OutboxError> {
        let waits: Vec<i64> = tried.iter().map(|(_, verdict)| self.jitter_of(verdict)).collect();
        let limits = self.plan().limits;
        self.store.write(|tables| {
            for ((id, verdict), jitter) in tried.iter().zip(&waits) {
                // One that was dropped meanwhile is no longer there.
                if let Some(letter) = tables.letter(*id)? {
                    tables.settle(*id, &letter, verdict, pace, *jitter, now)?;
                }
            }
            tables.make_room(limits, now)
        })?;
        Ok(())
    }

    /// A random number for a verdict that needs one, in parts of `JITTER`.
    fn jitter_of(&self, verdict: &Verdict) -> i64 {
        match verdict {
            Verdict::Retry { .. } => {
                self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=JITTER)
            }
            _ => 0,
        }
    }
}

/// What jitter is given in parts of.
const JITTER: i64 = 1_000_000;

impl Tables<'_> {
    fn settle(
        &mut self,
        id: u64,
        letter: &Letter,
        verdict: &Verdict,
        pace: &Pace,
        jitter: i64,
        now: i64,
    ) -> Result<(), redb::Error> {
        let tries = letter.tries.saturating_add(1);
        let short = |reason: &String| reason.chars().take(REASON_MAX).collect::<String>();
        match verdict {
            Verdict::Delivered => {
                self.discard(id, letter)?;
                self.delivered(id, now)?;
                self.count(&letter.sink, "delivered", 1)
            }
            Verdict::Retry { reason, after } => {
                let wait = retry::wait(pace, tries, *after, jitter as f64 / JITTER as f64);
                let due_ms = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
                let next = Letter { tries, due_ms, reason: Some(short(reason)), ..letter.clone() };
                if due_ms - letter.since_ms > pace.give_up_after.ms() {
                    self.replace(id, letter, &next)?;
                    return self.bury(id, &next, short(reason), now);
                }
                self.replace(id, letter, &next)?;
                self.count(&letter.sink, "retried", 1)
            }
            Verdict::Never { reason } | Verdict::Gone { reason } => {
                let tried = Letter { tries, ..letter.clone() };
                self.replace(id, letter, &tried)?;
                self.bury(id, &tried, short(reason), now)
            }
        }
    }
}

/// The message of a letter.
fn message(
    letter: &Letter,
    alerts: &ReadOnlyTable<u64, (&'static [u8], &'static str)>,
) -> Result<Message, redb::Error> {
    let mut told = Vec::with_capacity(letter.alerts.len());
    for id in &letter.alerts {
        if let Some(row) = alerts.get(*id)? {
            let (alert, finding) = row.value();
            // Alerts were made of it, so it is JSON; `null` stands for one that was too large.
            let finding = RawValue::from_string(finding.to_owned()).ok().filter(|json| json.get() != "null");
            told.push(Told { alert: Arc::new(decoded(alert)?), finding });
        }
    }
    Ok(Message {
        key: letter.key.clone(),
        route: letter.route.clone(),
        group: letter.group.clone(),
        created_ms: letter.created_ms,
        held_back: letter.held_back,
        severity: letter.severity,
        alerts: told,
        change: letter.change.clone(),
    })
}
