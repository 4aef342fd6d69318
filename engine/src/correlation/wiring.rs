//! Who takes whose matches, and where in a match each value stands.
//!
//! A match's values are those of the fields that [`Engine::captures`] names for its rule, or [`Engine::passes`] for its
//! correlation, in that order.

use crate::bind::{Engine, RuleIx};
use ahash::AHashMap;
use tarn_rules::correlation::{Correlation, Referred};

/// What one correlation takes of one of its rules' matches. Where an alias has no field for the rule, nothing stands.
pub struct Taker {
    pub correlation: usize,
    /// The rule's place in the correlation.
    pub place: usize,
    /// Where the group's values stand.
    pub group: Vec<Option<usize>>,
    /// Where the measured values stand.
    pub measured: Vec<Option<usize>>,
    /// Where the values stand that the correlation's own matches pass on.
    pub passed: Vec<Passed>,
}

/// A value of a correlation's match.
#[derive(Clone, Copy)]
pub enum Passed {
    /// The group's.
    Group(usize),
    /// The last match's.
    Last(Option<usize>),
}

/// An engine's correlations and what they take.
pub struct Wiring {
    takers: AHashMap<Referred, Vec<Taker>>,
}

impl Wiring {
    /// An engine's.
    pub fn new(engine: &Engine) -> Self {
        let mut takers: AHashMap<Referred, Vec<Taker>> = AHashMap::new();
        for (i, correlation) in engine.correlations().iter().enumerate() {
            for (place, reference) in correlation.rules.iter().enumerate() {
                let of_rule = takers.entry(reference.to).or_default();
                // A rule that is named twice, by id and by name, counts once.
                if of_rule.iter().all(|taker| taker.correlation != i) {
                    of_rule.push(taker(engine, correlation, i, place));
                }
            }
        }
        Self { takers }
    }

    /// Who takes the matches of a rule or correlation.
    pub fn takers(&self, of: Referred) -> &[Taker] {
        self.takers.get(&of).map_or(&[], Vec::as_slice)
    }
}

fn taker(engine: &Engine, correlation: &Correlation, number: usize, place: usize) -> Taker {
    let fields = match correlation.rules[place].to {
        Referred::Rule(rule) => u32::try_from(rule).ok().and_then(|rule| engine.captures(RuleIx(rule))),
        Referred::Correlation(below) => engine.passes(below),
    };
    let stands = |field: &str| fields.unwrap_or_default().iter().position(|f| f == field);
    let of = |name: &String| correlation.field_of(name, place).and_then(stands);
    let passed = |field: &String| match correlation.group_by.iter().position(|name| name == field) {
        Some(at) => Passed::Group(at),
        None => Passed::Last(stands(field)),
    };
    Taker {
        correlation: number,
        place,
        group: correlation.group_by.iter().map(of).collect(),
        measured: correlation.measured().iter().map(of).collect(),
        passed: engine.passes(number).unwrap_or_default().iter().map(passed).collect(),
    }
}
