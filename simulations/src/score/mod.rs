//! The score: which of the techniques that were tried were seen, by which rule, how fast, and what else was alarmed.
//!
//! **In**: [`Trial`]s, each with the uids of the records that belong to it, and [`Finding`]s as a daemon has them. A
//! finding belongs to the trials that one of its events belongs to (of a correlation: its related events). **Out**: a
//! [`Scorecard`], which [`render`] prints. No IO, no clock: times are arguments.
//!
//! **Matching** (ATT&CK): a finding names a trial's technique when the ids are the same, or one is the other's parent
//! ([`attack`]; revoked ids count as what replaced them).

pub mod attack;
mod card;
mod outcome;
pub mod record;
pub mod render;
pub mod wilson;

pub use card::{Alarm, Run, Scorecard, Technique, Totals};
pub use outcome::{Fired, Outcome};

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tarn_rules::Level;

/// From this level on, a finding is an alert that somebody looks at.
pub const ALERT: Level = Level::Medium;

/// One technique that was to be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Its id, such as `aws.defense-evasion.cloudtrail-stop`.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What telemetry it is of, such as `AWS`; suites of JUnit go by it.
    pub platform: String,
    /// ATT&CK ids that a rule may name to have meant it.
    pub attack: Vec<String>,
    /// Ids of the rules that are there for it; empty where none is.
    pub expected: BTreeSet<String>,
    /// Whether it ran. Where it did not, nothing is said of it.
    pub ran: bool,
    /// How many records were sent for it, or came of it.
    pub records: usize,
    /// `metadata.uid` of these records → when each was sent; at least of those that some finding stands on.
    pub uids: BTreeMap<String, DateTime<Utc>>,
    /// Why nothing ran, where that is known.
    pub skipped: Option<String>,
}

/// A finding, as far as the score asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `finding_info.uid`.
    pub uid: String,
    /// The rule's id.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// The rule's level.
    pub level: Level,
    /// ATT&CK technique ids of the rule.
    pub attack: Vec<String>,
    /// `metadata.uid` of the events that it stands on.
    pub events: Vec<String>,
    /// When a reader could first see it.
    pub seen: DateTime<Utc>,
}

/// Records of the benign part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Background {
    /// How many there were.
    pub records: usize,
    /// `metadata.uid` of those that some finding stands on; others need not be here.
    pub uids: HashSet<String>,
}

/// Scores `trials` by `findings`; findings of neither a trial nor the background are somebody else's and left out.
pub fn score(run: Run, trials: &[Trial], findings: &[Finding], background: Option<&Background>) -> Scorecard {
    let mut attributed = HashSet::new();
    let techniques: Vec<Technique> = trials
        .iter()
        .map(|trial| {
            let of_trial = |f: &&Finding| f.events.iter().any(|uid| trial.uids.contains_key(uid));
            let own: Vec<&Finding> = findings.iter().filter(of_trial).collect();
            attributed.extend(own.iter().map(|f| f.uid.as_str()));
            let outcome = trial.ran.then(|| outcome::of(trial, &own));
            Technique::new(trial, outcome)
        })
        .collect();
    let is_false = |f: &&Finding| {
        let known = background.is_some_and(|b| f.events.iter().any(|uid| b.uids.contains(uid)));
        known && f.level >= ALERT && !attributed.contains(f.uid.as_str())
    };
    let false_alarms = background.map(|_| card::alarms(findings.iter().filter(is_false)));
    Scorecard::new(run, techniques, background.map(|b| b.records), false_alarms)
}

#[cfg(test)]
pub(crate) mod tests;
