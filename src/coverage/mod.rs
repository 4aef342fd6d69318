//! ATT&CK and ATLAS coverage: what rules name, against the telemetry that arrives.
//!
//! A rule covers a technique when it can run and, where a lake is known, when rows of a log source of its own are in it.
//! A correlation does when the rules that it takes do; rules that only give to correlations count by these. Ids that
//! ATT&CK revoked count as what replaced them; a rule covers a technique by its sub-techniques as well.

pub mod navigator;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};
use tarn_engine::{Report, Verdict};
use tarn_ingest::source::Sources;
use tarn_rules::correlation::Referred;
use tarn_rules::{About, Level, Rule, Ruleset, attack};
pub use telemetry::Telemetry;

/// What keeps a rule from counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its log source or fields are not known here.
    NotEvaluable,
    /// Its log source does not arrive.
    Silent,
    /// Nothing.
    Counts,
}

/// A technique and its rules.
#[derive(Clone, Debug, Default)]
pub struct Technique {
    /// Rules that name it.
    pub rules: usize,
    /// Those that can run.
    pub evaluable: usize,
    /// Those that count.
    pub counting: usize,
    /// The highest level of those.
    pub level: Option<Level>,
    /// Their titles.
    pub titles: BTreeSet<String>,
    /// Log sources of those that would count if they arrived.
    pub wanted: BTreeSet<String>,
}

impl Technique {
    /// In a word.
    pub fn status(&self) -> &'static str {
        match (self.counting, self.evaluable, self.rules) {
            (1.., ..) => "covered",
            (_, 1.., _) => "no telemetry",
            (_, _, 1..) => "not evaluable",
            _ => "no rule",
        }
    }
}

/// What is covered.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By id: techniques and sub-techniques of ATT&CK, techniques of ATLAS.
    pub techniques: BTreeMap<String, Technique>,
    /// Rules that count.
    pub counting: usize,
    /// Rules and correlations in all.
    pub rules: usize,
}

impl Coverage {
    /// The coverage of rules with their reports, correlations behind them. Without telemetry every evaluable rule counts.
    pub fn new(set: &Ruleset, reports: &[Report], sources: &Sources, telemetry: Option<&Telemetry>) -> Self {
        let states = states(set, reports, sources, telemetry);
        let hidden: BTreeSet<Referred> =
            set.correlations.iter().filter(|c| !c.generate).flat_map(|c| c.rules.iter().map(|r| r.to)).collect();
        let rules = set.rules.iter().enumerate().map(|(i, r)| (Referred::Rule(i), &r.about, Some(r)));
        let correlations = set.correlations.iter().enumerate().map(|(i, c)| (Referred::Correlation(i), &c.about, None));
        let mut out = Self::default();
        for ((referred, about, rule), state) in rules.chain(correlations).zip(states) {
            out.rules += 1;
            if hidden.contains(&referred) {
                continue;
            }
            out.counting += usize::from(state == State::Counts);
            for id in techniques(about) {
                out.techniques.entry(id).or_default().add(about, rule, state);
            }
        }
        out
    }

    /// Whether a technique or one of its sub-techniques is covered.
    pub fn covers(&self, id: &str) -> bool {
        let below = |other: &str| other.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.techniques.iter().any(|(other, technique)| technique.counting > 0 && below(other))
    }

    /// Techniques and sub-techniques of a tactic that rules name.
    pub fn of_tactic<'a>(&'a self, tactic: &'a str) -> impl Iterator<Item = (&'a str, &'a Technique)> {
        let own = move |id: &str| attack::tactics_of(id).is_some_and(|all| all.iter().any(|(t, _)| *t == tactic));
        self.techniques.iter().filter(move |(id, _)| own(id)).map(|(id, technique)| (id.as_str(), technique))
    }
}

impl Technique {
    fn add(&mut self, about: &About, rule: Option<&Rule>, state: State) {
        self.rules += 1;
        self.evaluable += usize::from(state >= State::Silent);
        if state == State::Counts {
            self.counting += 1;
            self.level = self.level.max(Some(about.level));
            self.titles.insert(about.title.clone());
        } else if state == State::Silent {
            self.wanted.extend(rule.map(|r| r.logsource.to_string()));
        }
    }
}

/// The techniques of a rule's tags, as ATT&CK has them now.
fn techniques(about: &About) -> BTreeSet<String> {
    let now = |id: &String| attack::replaced_by(id).unwrap_or_else(|| id.clone());
    let of_attack = about.attack.techniques.iter().map(now);
    of_attack.chain(about.tags.iter().filter_map(|tag| attack::atlas(tag))).collect()
}

/// The state of every rule, then of every correlation.
fn states(set: &Ruleset, reports: &[Report], sources: &Sources, telemetry: Option<&Telemetry>) -> Vec<State> {
    let mut states: Vec<State> =
        set.rules.iter().zip(reports).map(|(rule, report)| state(rule, report, sources, telemetry)).collect();
    let rules = set.rules.len();
    states.resize(rules + set.correlations.len(), State::NotEvaluable);
    // Correlations over correlations: as deep as these stand upon each other.
    for _ in 0..set.correlations.len() {
        let mut changed = false;
        for (i, correlation) in set.correlations.iter().enumerate() {
            if !matches!(reports.get(rules + i).map(|r| &r.verdict), Some(Verdict::Evaluable { .. })) {
                continue;
            }
            let of = |to: Referred| match to {
                Referred::Rule(r) => states[r],
                Referred::Correlation(c) => states[rules + c],
            };
            let state = correlation.rules.iter().map(|r| of(r.to)).min().unwrap_or(State::NotEvaluable);
            changed |= std::mem::replace(&mut states[rules + i], state) != state;
        }
        if !changed {
            break;
        }
    }
    states
}

fn state(rule: &Rule, report: &Report, sources: &Sources, telemetry: Option<&Telemetry>) -> State {
    let Verdict::Evaluable { sources: names, .. } = &report.verdict else { return State::NotEvaluable };
    let Some(telemetry) = telemetry else { return State::Counts };
    let logsource = &rule.logsource;
    let (product, category) = (logsource.product.as_deref(), logsource.category.as_deref());
    let bindings = sources.bind(product, category, logsource.service.as_deref());
    let arrives = bindings.iter().any(|b| names.contains(&sources.source(b.source).name) && telemetry.has(b));
    if arrives { State::Counts } else { State::Silent }
}
