//! Conditions that never or always hold, and parts of them that cannot matter.
//!
//! What follows from one test implying another is certain. What follows from a field having one value only is less
//! certain, as a field may hold a list: such findings are warnings.

mod prove;
mod relate;

use super::{Check, Out, Run, Severity, Subject};
use crate::expr::{Expr, Test};
use crate::lower::{Lowered, means};
use crate::parse::condition::{Condition, Quantifier};
use prove::{Fields, impossible};

pub const CHECKS: &[Check] = &[
    Check {
        name: "never-true",
        severity: Severity::Error,
        about: "a condition that no event can satisfy",
        run: Run::Each(never),
    },
    Check {
        name: "always-true",
        severity: Severity::Error,
        about: "a condition or a selection that every event satisfies",
        run: Run::Each(always),
    },
    Check {
        name: "contradiction",
        severity: Severity::Error,
        about: "a selection that contradicts itself, such as one field with two values at once",
        run: Run::Each(contradiction),
    },
    Check {
        name: "swallowed-selection",
        severity: Severity::Error,
        about: "a selection whose events a filter takes all away",
        run: Run::Each(swallowed),
    },
    Check {
        name: "idle-filter",
        severity: Severity::Note,
        about: "a filter that takes away nothing the rule selects",
        run: Run::Each(idle),
    },
    Check {
        name: "redundant-value",
        severity: Severity::Note,
        about: "a value that another value of the same list already matches",
        run: Run::Each(redundant),
    },
];

const LISTS: &str = "unless the field holds a list";

/// Whether parts are impossible together, and how sure that is.
fn refuted(parts: &[(&Expr, bool)], severity: Severity) -> Option<Severity> {
    if impossible(parts, Fields::Lists) {
        return Some(severity);
    }
    impossible(parts, Fields::Single).then_some(Severity::Warning.min(severity))
}

fn never(subject: &Subject<'_>, out: &mut Out<'_>) {
    let Some(lowered) = &subject.lowered else { return };
    // Those say more.
    if lowered.selections.values().any(|s| impossible(&[(s, true)], Fields::Single))
        || swallowed_by(subject, lowered).is_some()
    {
        return;
    }
    let Some(severity) = refuted(&[(&lowered.condition, true)], out.check.severity) else { return };
    let sure = if severity == Severity::Error { String::new() } else { format!(", {LISTS}") };
    let message = format!("no event can satisfy the condition{sure}");
    let hint = "one part demands what another forbids: look at the fields that both name";
    out.say_as(severity, subject, subject.line("condition"), message, hint);
}

fn always(subject: &Subject<'_>, out: &mut Out<'_>) {
    let Some(lowered) = &subject.lowered else { return };
    if impossible(&[(&lowered.condition, false)], Fields::Lists) {
        let hint = "every event of the log source would be a finding: demand something of it";
        out.say(subject, subject.line("condition"), "every event satisfies the condition", hint);
        return;
    }
    for (name, selection) in &lowered.selections {
        if impossible(&[(selection, false)], Fields::Lists) {
            let message = format!("every event satisfies the selection {name:?}");
            let hint = "take it out of the condition, or demand something";
            out.say_as(Severity::Warning, subject, subject.line(name), message, hint);
        }
    }
}

fn contradiction(subject: &Subject<'_>, out: &mut Out<'_>) {
    for (name, selection) in subject.lowered.iter().flat_map(|l| &l.selections) {
        let Some(severity) = refuted(&[(selection, true)], out.check.severity) else { continue };
        let sure = if severity == Severity::Error { String::new() } else { format!(", {LISTS}") };
        let message = format!("no event can satisfy the selection {name:?}{sure}");
        let hint = "one field cannot have two values: write a list, or two selections and `or`";
        out.say_as(severity, subject, subject.line(name), message, hint);
    }
}

fn swallowed(subject: &Subject<'_>, out: &mut Out<'_>) {
    let Some(lowered) = &subject.lowered else { return };
    if let Some(name) = swallowed_by(subject, lowered) {
        let message = format!("what the condition excludes takes away everything that {name:?} selects");
        out.say(subject, subject.line(&name), message, "narrow the filter, or the selection is of no use");
    }
}

/// The first selection of whose events the condition's exclusions leave none.
fn swallowed_by(subject: &Subject<'_>, lowered: &Lowered) -> Option<String> {
    subject.detections()?.conditions.iter().find_map(|condition| {
        let parts = Parts::of(condition, lowered)?;
        let left = |name: &String| {
            let own = lowered.selections.get(name)?;
            let mut all = vec![(own, true)];
            all.extend(parts.excluded.iter().map(|(_, e)| (*e, false)));
            let alone = impossible(&[(own, true)], Fields::Lists);
            (!alone && impossible(&all, Fields::Lists)).then(|| name.clone())
        };
        parts.wanted.iter().find_map(left)
    })
}

fn idle(subject: &Subject<'_>, out: &mut Out<'_>) {
    let (Some(lowered), Some(detections)) = (&subject.lowered, subject.detections()) else { return };
    let [condition] = detections.conditions.as_slice() else { return };
    let Some(parts) = Parts::of(condition, lowered) else { return };
    let demanded: Vec<(&Expr, bool)> = parts.demanded.iter().map(|e| (*e, true)).collect();
    if demanded.is_empty() || impossible(&demanded, Fields::Single) {
        return;
    }
    for (name, filter) in &parts.excluded {
        let with: Vec<(&Expr, bool)> = demanded.iter().copied().chain([(*filter, true)]).collect();
        if !impossible(&[(*filter, true)], Fields::Single) && impossible(&with, Fields::Single) {
            let message = format!("the filter {name:?} takes away nothing that the rule selects");
            let hint = "its values do not go with those of the selection: one of them is mistyped, or the filter is not needed";
            out.say(subject, subject.line(name), message, hint);
        }
    }
}

/// A condition of the form `… and not (…)`, as most are.
#[derive(Default)]
struct Parts<'a> {
    /// Selections that are named without a `not`.
    wanted: Vec<String>,
    /// Selections every one of which has to hold.
    demanded: Vec<&'a Expr>,
    /// Selections none of which may hold.
    excluded: Vec<(String, &'a Expr)>,
}

impl<'a> Parts<'a> {
    fn of(condition: &Condition, lowered: &'a Lowered) -> Option<Self> {
        let list = match condition {
            Condition::And(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut parts = Self::default();
        for part in list {
            match part {
                Condition::Not(inner) => parts.exclude(inner, lowered),
                other => parts.want(other, true, lowered),
            }
        }
        (!parts.excluded.is_empty()).then_some(parts)
    }

    fn want(&mut self, condition: &Condition, all: bool, lowered: &'a Lowered) {
        match condition {
            Condition::And(list) => list.iter().for_each(|c| self.want(c, all, lowered)),
            Condition::Or(list) => list.iter().for_each(|c| self.want(c, false, lowered)),
            Condition::Not(_) => {}
            Condition::Selection(name) => self.add(name, all, lowered),
            Condition::Some(quantifier, pattern) => {
                let all = all && *quantifier == Quantifier::All;
                for name in chosen(pattern.as_deref(), lowered) {
                    self.add(&name, all, lowered);
                }
            }
        }
    }

    fn add(&mut self, name: &str, demanded: bool, lowered: &'a Lowered) {
        if let Some(expr) = lowered.selections.get(name) {
            self.wanted.push(name.to_owned());
            if demanded {
                self.demanded.push(expr);
            }
        }
    }

    fn exclude(&mut self, condition: &Condition, lowered: &'a Lowered) {
        match condition {
            Condition::Or(list) => list.iter().for_each(|c| self.exclude(c, lowered)),
            Condition::Selection(name) => {
                if let Some(expr) = lowered.selections.get(name) {
                    self.excluded.push((name.clone(), expr));
                }
            }
            Condition::Some(Quantifier::AtLeast(1), pattern) => {
                for name in chosen(pattern.as_deref(), lowered) {
                    if let Some(expr) = lowered.selections.get(&name) {
                        self.excluded.push((name, expr));
                    }
                }
            }
            // Not all of them: any one may hold.
            Condition::And(_) | Condition::Not(_) | Condition::Some(..) => {}
        }
    }
}

fn chosen(pattern: Option<&str>, lowered: &Lowered) -> Vec<String> {
    lowered.selections.keys().filter(|name| means(pattern, name)).cloned().collect()
}

/// Values of one list beyond this are not compared with each other.
const VALUES_MAX: usize = 300;

fn redundant(subject: &Subject<'_>, out: &mut Out<'_>) {
    subject.items(&mut |selection, item| {
        let lists =
            item.modifiers.iter().any(|m| matches!(m.as_str(), "all" | "neq" | "re" | "windash" | "base64offset"));
        if lists || item.values.len() < 2 || item.values.len() > VALUES_MAX {
            return;
        }
        let tests: Vec<_> = item.values.iter().map(|value| super::patterns::test(item, value)).collect();
        let over = |(i, test): (usize, &Option<Test>)| {
            // Of two that are the same, the second is too much.
            let more = |(j, other): (usize, &Option<Test>)| {
                let (test, other) = (test.as_ref()?, other.as_ref()?);
                // `false` and `"false"`: some engines tell them apart.
                let spelled = item.values[i].scalar() == item.values[j].scalar() && item.values[i] != item.values[j];
                let more =
                    i != j && !spelled && relate::implies(test, other) && (!relate::implies(other, test) || j < i);
                more.then_some((i, j))
            };
            tests.iter().enumerate().find_map(more)
        };
        let pairs: Vec<(usize, usize)> = tests.iter().enumerate().filter_map(over).collect();
        let Some((i, j)) = pairs.first() else { return };
        let (Some(value), Some(by)) = (item.values[*i].scalar(), item.values[*j].scalar()) else { return };
        let more =
            if pairs.len() > 1 { format!("; {} more values are like that", pairs.len() - 1) } else { String::new() };
        let message = format!("{}: {by:?} already matches {value:?}{more}", item.key);
        let line = subject.line_of_item(selection, item, Some(&value));
        out.say(subject, line, message, "take the longer value out, or make the shorter one stricter");
    });
}
