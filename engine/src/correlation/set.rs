//! The correlations of an engine: those that can match, their references as the engine numbers them, and what they need
//! of events.

use crate::bind::{Report, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use tarn_rules::correlation::{Bound, Condition, Correlation, Measure, Referred};

/// A reference that no match will come from.
const NOWHERE: Referred = Referred::Rule(usize::MAX);

/// Correlations that run.
#[derive(Default)]
pub(crate) struct Correlations {
    list: Vec<Correlation>,
    captures: BTreeMap<Referred, Vec<String>>,
    /// What only gives to correlations.
    hidden: BTreeSet<Referred>,
}

impl Correlations {
    /// Takes those that can match; `rules` are the engine's numbers of the rule set's rules. Every one gets a report.
    pub fn new(correlations: Vec<Correlation>, rules: &[Option<usize>]) -> (Self, Vec<Report>) {
        // Whether each can match; one over another that cannot is found out in a later turn.
        let mut runs = vec![true; correlations.len()];
        loop {
            let can = |to: &Referred| match to {
                Referred::Rule(i) => rules.get(*i).is_some_and(Option::is_some),
                Referred::Correlation(i) => runs[*i],
            };
            let next: Vec<bool> = correlations.iter().map(|c| can_match(c, &can)).collect();
            if next == runs {
                break;
            }
            runs = next;
        }
        let mut next = 0;
        let numbers: Vec<Option<usize>> = runs
            .iter()
            .map(|runs| {
                next += usize::from(*runs);
                runs.then(|| next - 1)
            })
            .collect();
        let lead = |to: Referred| match to {
            Referred::Rule(i) => rules.get(i).copied().flatten().map_or(NOWHERE, Referred::Rule),
            Referred::Correlation(i) => numbers[i].map_or(NOWHERE, Referred::Correlation),
        };
        let (mut set, mut reports) = (Self::default(), Vec::new());
        for (mut correlation, runs) in correlations.into_iter().zip(&runs) {
            let mut missing = Vec::new();
            for reference in &mut correlation.rules {
                reference.to = lead(reference.to);
                if reference.to == NOWHERE {
                    missing.push(format!("the rule {:?} cannot run", reference.name));
                }
            }
            reports.push(Report {
                id: correlation.about.id.clone(),
                title: correlation.about.title.clone(),
                file: correlation.about.file.clone(),
                verdict: match runs {
                    true => Verdict::Evaluable { sources: Vec::new(), warnings: missing },
                    false => Verdict::NotEvaluable(missing.join(", ")),
                },
                field_uses: 0,
                unknown_uses: 0,
                unknown: Vec::new(),
            });
            if *runs {
                set.list.push(correlation);
            }
        }
        set.captures = captures(&set.list);
        let of = |c: &Correlation| c.rules.iter().map(|r| r.to).collect::<Vec<_>>();
        set.hidden = set.list.iter().flat_map(of).collect();
        for shown in set.list.iter().filter(|c| c.generate).flat_map(of) {
            set.hidden.remove(&shown);
        }
        (set, reports)
    }

    /// All of them.
    pub fn list(&self) -> &[Correlation] {
        &self.list
    }

    /// Fields by rule.
    pub fn captures(&self) -> impl Iterator<Item = (usize, &[String])> {
        self.captures.iter().filter_map(|(of, fields)| match of {
            Referred::Rule(rule) => Some((*rule, fields.as_slice())),
            Referred::Correlation(_) => None,
        })
    }

    /// Fields of a rule's events, or of a correlation's matches; none where no correlation takes it.
    pub fn captured(&self, of: Referred) -> Option<&[String]> {
        self.captures.get(&of).map(Vec::as_slice)
    }

    /// Whether it gives findings of its own.
    pub fn is_shown(&self, of: Referred) -> bool {
        !self.hidden.contains(&of)
    }
}

/// Whether enough of its rules can match.
fn can_match(correlation: &Correlation, can: &impl Fn(&Referred) -> bool) -> bool {
    let able: Vec<bool> = correlation.rules.iter().map(|r| can(&r.to)).collect();
    let count = able.iter().filter(|a| **a).count() as f64;
    let by_rules = matches!(correlation.measure, Measure::Temporal | Measure::TemporalOrdered);
    count > 0.0
        && match &correlation.condition {
            Condition::Bounds(bounds) if by_rules => bounds.iter().all(|(bound, n)| match bound {
                Bound::Greater | Bound::GreaterOrEqual => bound.holds(count, *n),
                Bound::Equal => count >= *n,
                Bound::Less | Bound::LessOrEqual | Bound::NotEqual => true,
            }),
            Condition::Rules(expr) if correlation.condition.is_monotone() => expr.holds(&|place| able[place]),
            _ => true,
        }
}

/// Fields that correlations need of each rule's events and of each correlation's matches.
fn captures(correlations: &[Correlation]) -> BTreeMap<Referred, Vec<String>> {
    let mut out = BTreeMap::new();
    for correlation in correlations {
        for (place, reference) in correlation.rules.iter().enumerate().filter(|(_, r)| r.to != NOWHERE) {
            // Everything that is taken is here, with fields or without.
            out.entry(reference.to).or_default();
            for name in correlation.group_by.iter().chain(correlation.measured()) {
                if let Some(field) = correlation.field_of(name, place) {
                    capture(correlations, reference.to, field, &mut out);
                }
            }
        }
    }
    out
}

fn capture(correlations: &[Correlation], of: Referred, field: &str, out: &mut BTreeMap<Referred, Vec<String>>) {
    let fields = out.entry(of).or_default();
    if fields.iter().any(|f| f == field) {
        return;
    }
    fields.push(field.to_owned());
    let Referred::Correlation(number) = of else { return };
    let correlation = &correlations[number];
    // A group's own value is at hand; any other is the last event's.
    if correlation.group_by.iter().all(|name| name != field) {
        for reference in correlation.rules.iter().filter(|r| r.to != NOWHERE) {
            capture(correlations, reference.to, field, out);
        }
    }
}
