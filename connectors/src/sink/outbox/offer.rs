//! Offering: findings in, one durable transaction.

use super::gather::Branch;
use super::store::Tables;
use super::{Outbox, OutboxError, Plan};
use crate::sink::alert::{Alert, Draft, FindingError};
use crate::sink::registry::Follows;

impl Outbox {
    /// Keeps what the routes say of these findings, one OCSF JSON text each, before it returns. Blocks for a disk sync.
    ///
    /// `sequence` is the position in the log that they come from, and rises: findings of a sequence at or below
    /// [`Outbox::taken`] change nothing. A text that is no finding is counted and left out.
    ///
    /// **Errors**: [`OutboxError::Store`]; nothing was taken then, and the same offer may come again.
    pub fn offer<S: AsRef<str>>(&self, sequence: u64, findings: &[S]) -> Result<(), OutboxError> {
        if sequence <= self.taken()? {
            return Ok(());
        }
        let plan = self.plan();
        let findings: Vec<&str> = findings.iter().map(AsRef::as_ref).collect();
        let alerts = self.read(&plan, &findings);
        self.take_once(sequence, &plan, |tables, now| {
            let apart = sequence <= tables.meta("apart")?;
            for (alert, finding) in alerts.iter().zip(&findings) {
                match alert {
                    Ok(alert) => tables.take(&plan, alert, finding, apart, now)?,
                    Err(error) => {
                        tracing::warn!(%error, sequence, "a finding makes no alert");
                        tables.count("", "unreadable", 1)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Takes what a sequence has, unless it was taken.
    pub(super) fn take_once(
        &self,
        sequence: u64,
        plan: &Plan,
        take: impl FnOnce(&mut Tables<'_>, i64) -> Result<(), redb::Error>,
    ) -> Result<(), OutboxError> {
        let now = self.now();
        self.store.write(|tables| {
            if sequence <= tables.meta("taken")? {
                return Ok(());
            }
            take(tables, now)?;
            tables.make_room(plan.limits, now)?;
            tables.set_meta("taken", sequence)
        })?;
        self.woken.send_replace(());
        Ok(())
    }

    /// The alerts of findings. Evidence is mapped, and attestation looked up, only where somebody may be told: these take
    /// longer than all else.
    fn read(&self, plan: &Plan, findings: &[&str]) -> Vec<Result<Alert, FindingError>> {
        let is_told = |draft: &Draft<'_>| plan.routes.ask_for_entities(draft.alert());
        let drafts: Vec<Result<Draft<'_>, FindingError>> = findings.iter().map(|text| Draft::of(text)).collect();
        let told = drafts.iter().zip(findings).filter(|(draft, _)| draft.as_ref().is_ok_and(is_told));
        let told: Vec<&str> = told.map(|(_, text)| *text).collect();
        let answers = match &self.attesting {
            Some(attesting) if !told.is_empty() => attesting(&told),
            _ => Vec::new(),
        };
        let mut answers = answers.into_iter();
        let alert = |draft: Result<Draft<'_>, FindingError>| {
            let draft = draft?;
            Ok(match is_told(&draft) {
                true => Alert { attestation: answers.next().unwrap_or_default(), ..draft.with_entities(&self.events) },
                false => draft.without_entities(),
            })
        };
        drafts.into_iter().map(alert).collect()
    }

    /// The last sequence whose findings were kept; 0 before the first.
    ///
    /// **Errors**: [`OutboxError::Store`].
    pub fn taken(&self) -> Result<u64, OutboxError> {
        let taken = self.store.read(|transaction| {
            let table = transaction.open_table(super::store::META)?;
            let taken = table.get("taken")?.map_or(0, |value| value.value());
            Ok(taken)
        });
        Ok(taken?)
    }
}

impl Tables<'_> {
    fn take(&mut self, plan: &Plan, alert: &Alert, finding: &str, apart: bool, now: i64) -> Result<(), redb::Error> {
        self.count("", "offered", 1)?;
        let Some(ways) = plan.routes.of(alert) else { return self.count("", "unrouted", 1) };
        if ways.is_empty() {
            return Ok(());
        }
        let id = self.keep(alert, finding)?;
        for (route, sink) in ways {
            self.hold(id)?;
            let resolves = plan.sinks.get(sink).is_some_and(|sink| sink.sink.follows() == Follows::Closing);
            self.accept(&Branch { route, sink, resolves, apart }, id, alert, now)?;
        }
        // What kept it lets go: the letters, groups and throttles hold it now.
        self.release(id)
    }
}
