//! Tests of a folder, from the list to their events and trials: what one run of `tarn simulate atomic` is made of.

use super::allowed::List;
use super::definition::Test;
use super::judge::Judged;
use super::laurel::{self, Identity};
use super::plan;
use super::run::Run;
use super::spec::{Captured, Outcome, Spec};
use crate::score::Trial;
use chrono::{DateTime, Utc};
use std::path::Path;
use std::time::Duration;

/// Process ids of two tests are so far apart; a sandbox never gets to as many.
const PIDS: i32 = 4096;

/// A test that was chosen, and how it runs or why it does not.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The test.
    pub test: Test,
    /// How its sandbox is told of it, or why it does not run.
    pub spec: Result<Spec, String>,
}

/// The tests of a list that a folder has, in the folder's order; `wanted` may leave some out.
#[must_use]
pub fn entries(
    tests: &[Test],
    list: &List,
    atomics: &Path,
    limit: Duration,
    wanted: &dyn Fn(&Test) -> bool,
) -> Vec<Entry> {
    let listed = |test: &&Test| list.entries().iter().any(|a| a.guid == test.guid);
    let entry = |test: &Test| {
        let planned = list.check(test).map_err(|refused| refused.to_string());
        let spec = planned.and_then(|a| plan::plan(test, a, atomics, limit).map_err(|e| e.to_string()));
        Entry { test: test.clone(), spec }
    };
    tests.iter().filter(listed).filter(|test| wanted(test)).map(entry).collect()
}

/// Writes tests' events as LAUREL's lines, one test after the other.
#[derive(Debug, Default)]
pub struct Writer {
    serial: u64,
    tests: i32,
}

impl Writer {
    /// A test's events, a JSON object each. Beside the event stand the test's GUID and technique, as two texts that no
    /// mapping reads.
    pub fn lines(&mut self, test: &Test, host: &str, captured: &[Captured]) -> Vec<String> {
        self.tests += 1;
        let pid_base = self.tests.saturating_mul(PIDS);
        let mut line = |captured: &Captured| {
            self.serial += 1;
            let mut event = laurel::event(captured, Identity { node: host, serial: self.serial, pid_base });
            event["ATOMIC_GUID"] = test.guid.as_str().into();
            event["ATOMIC_TECHNIQUE"] = test.technique.as_str().into();
            event.to_string()
        };
        captured.iter().map(&mut line).collect()
    }
}

/// The trial of a test: its technique is its folder's, its records what its processes did.
#[must_use]
pub fn trial(test: &Test, ran: Result<(&Run, &Judged), &str>) -> Trial {
    let mut trial = Trial {
        id: id(test),
        name: test.name.clone(),
        platform: "Linux".into(),
        attack: vec![test.technique.clone()],
        ..Trial::default()
    };
    match ran {
        Err(reason) => trial.skipped = Some(reason.to_owned()),
        Ok((run, judged)) => match &run.outcome {
            Outcome::Ran { .. } => {
                let times = run.captured.iter().map(|c| DateTime::<Utc>::from_timestamp_micros(c.time_us));
                let sent = judged.uids.iter().cloned().zip(times);
                trial.uids = sent.filter_map(|(uid, time)| Some((uid, time?))).collect();
                trial.records = judged.uids.len();
                trial.ran = true;
            }
            Outcome::Unmet { description } => trial.skipped = Some(format!("prerequisite not met: {description}")),
            Outcome::Failed { reason } => trial.skipped = Some(format!("no sandbox: {reason}")),
        },
    }
    trial
}

/// A test's name for machines: `T1082/486e88ea`.
#[must_use]
pub fn id(test: &Test) -> String {
    format!("{}/{}", test.technique, test.guid.get(..8).unwrap_or(&test.guid))
}

#[cfg(test)]
mod tests;
