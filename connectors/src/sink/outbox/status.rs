//! How the outbox does, for metrics.

use super::store::{COUNTS, DEAD, DUE, GROUPS, META, OLDEST};
use super::{Outbox, OutboxError};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use serde::Serialize;
use std::collections::BTreeMap;

/// How one sink does. Counts are since the outbox's file began, and of messages unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Messages that wait for a try, or are under way.
    pub waiting: u64,
    /// How long the oldest of them has, milliseconds.
    pub oldest_waiting_ms: Option<i64>,
    /// Messages that the receiver has.
    pub delivered: u64,
    /// Tries that failed and were followed by another.
    pub retried: u64,
    /// Dead letters that there are.
    pub dead: u64,
    /// Messages that became dead letters.
    pub buried: u64,
    /// Alerts that throttling held back.
    pub throttled: u64,
    /// Alerts that were dropped because the outbox was full.
    pub dropped: u64,
    /// Whether the receiver wants no more messages (HTTP 410), until the next configuration.
    pub gone: bool,
}

/// How the outbox does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// By name: those that are configured, and those with counts from before.
    pub sinks: BTreeMap<String, SinkStatus>,
    /// Findings that were offered.
    pub offered: u64,
    /// Findings that no route matched.
    pub unrouted: u64,
    /// Offered texts that were no findings.
    pub unreadable: u64,
    /// Alerts that are kept.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Groups that gather or may go on.
    pub groups: u64,
}

impl Outbox {
    /// How it does now.
    ///
    /// **Errors**: [`OutboxError::Store`].
    pub fn status(&self) -> Result<Status, OutboxError> {
        Ok(self.store.read(|transaction| self.read_status(transaction))?)
    }

    /// Whether its file could not be read or written the last time: then alerts wait.
    pub fn is_failing(&self) -> bool {
        self.store.is_failing()
    }

    /// A number that grows with each change of what it holds.
    pub fn changes(&self) -> u64 {
        self.store.changes()
    }

    /// How often its file could not be read or written, since the start.
    pub fn failures(&self) -> u64 {
        self.store.failures()
    }

    fn read_status(&self, transaction: &ReadTransaction) -> Result<Status, redb::Error> {
        let (plan, now) = (self.plan(), self.now());
        let mut status = Status::default();
        status.sinks.extend(plan.sinks.keys().map(|name| (name.to_string(), SinkStatus::default())));
        for row in transaction.open_table(COUNTS)?.iter()? {
            let (key, value) = row?;
            let ((sink, name), value) = (key.value(), value.value());
            if sink.is_empty() {
                match name {
                    "offered" => status.offered = value,
                    "unrouted" => status.unrouted = value,
                    "unreadable" => status.unreadable = value,
                    _ => {}
                }
                continue;
            }
            let of_sink = status.sinks.entry(sink.to_owned()).or_default();
            match name {
                "delivered" => of_sink.delivered = value,
                "retried" => of_sink.retried = value,
                "buried" => of_sink.buried = value,
                "throttled" => of_sink.throttled = value,
                "dropped" => of_sink.dropped = value,
                _ => {}
            }
        }
        let (due, oldest) = (transaction.open_table(DUE)?, transaction.open_table(OLDEST)?);
        for (name, of_sink) in &mut status.sinks {
            let name = name.as_str();
            of_sink.waiting = due.range((name, i64::MIN, 0)..=(name, i64::MAX, u64::MAX))?.count() as u64;
            let first = oldest.range((name, 0)..=(name, u64::MAX))?.next().transpose()?;
            of_sink.oldest_waiting_ms = first.map(|(_, since)| now.saturating_sub(since.value()).max(0));
            of_sink.gone = self.gone().contains(name);
        }
        for row in transaction.open_table(DEAD)?.iter()? {
            let (_, sink) = row?;
            status.sinks.entry(sink.value().to_owned()).or_default().dead += 1;
        }
        let meta = transaction.open_table(META)?;
        let number = |name| meta.get(name).map(|value| value.map_or(0, |value| value.value()));
        (status.entries, status.bytes) = (number("entries")?, number("bytes")?);
        status.groups = transaction.open_table(GROUPS)?.len()?;
        Ok(status)
    }
}
