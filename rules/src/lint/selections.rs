//! Selections that nothing uses, and modifiers and keys that do nothing.

use super::{Check, Out, Run, Severity, Subject};
use crate::lower::{means, mentions};
use crate::parse::condition::{Condition, Quantifier};
use crate::parse::yaml::Yaml;

pub const CHECKS: &[Check] = &[
    Check {
        name: "unused-selection",
        severity: Severity::Warning,
        about: "a selection that no condition uses",
        run: Run::Each(unused),
    },
    Check {
        name: "empty-quantifier",
        severity: Severity::Note,
        about: "`not 1 of filter_*` without a selection of such a name",
        run: Run::Each(empty),
    },
    Check { name: "single-all", severity: Severity::Note, about: "`all` on one value", run: Run::Each(single_all) },
    Check {
        name: "null-in-list",
        severity: Severity::Note,
        about: "null among other values, which Sigma does not have",
        run: Run::Each(null_in_list),
    },
    Check {
        name: "timeframe",
        severity: Severity::Warning,
        about: "`timeframe`, which has no meaning since Sigma 2",
        run: Run::Each(timeframe),
    },
];

fn unused(subject: &Subject<'_>, out: &mut Out<'_>) {
    // A condition that names something else does not load, and that is said.
    let Some(detections) = subject.detections().filter(|_| subject.lowered.is_some()) else { return };
    for (name, _) in &detections.selections {
        // A leading underscore says that it is kept on purpose.
        if !name.starts_with('_') && !detections.conditions.iter().any(|c| mentions(c, name)) {
            let message = format!("no condition uses the selection {name:?}");
            let hint = "name it in the condition, or take it out (`_` in front keeps it)";
            out.say(subject, subject.line(name), message, hint);
        }
    }
}

fn empty(subject: &Subject<'_>, out: &mut Out<'_>) {
    fn walk(condition: &Condition, found: &mut impl FnMut(&str)) {
        match condition {
            Condition::And(list) | Condition::Or(list) => list.iter().for_each(|c| walk(c, found)),
            Condition::Not(inner) => walk(inner, found),
            Condition::Some(Quantifier::AtLeast(_), Some(pattern)) => found(pattern),
            Condition::Some(..) | Condition::Selection(_) => {}
        }
    }
    let Some(detections) = subject.detections() else { return };
    let is_there = |pattern: &str| detections.selections.iter().any(|(name, _)| means(Some(pattern), name));
    for condition in &detections.conditions {
        walk(condition, &mut |pattern| {
            if !is_there(pattern) {
                let message = format!("no selection is called {pattern:?}");
                out.say(subject, subject.line("condition"), message, "take that part out of the condition");
            }
        });
    }
}

fn single_all(subject: &Subject<'_>, out: &mut Out<'_>) {
    subject.items(&mut |selection, item| {
        if item.field.is_some() && item.values.len() == 1 && item.modifiers.iter().any(|m| m == "all") {
            let line = subject.line_of_item(selection, item, None);
            out.say(subject, line, format!("{}: `all` of a single value", item.key), "take `|all` away");
        }
    });
}

fn null_in_list(subject: &Subject<'_>, out: &mut Out<'_>) {
    subject.items(&mut |selection, item| {
        if item.values.len() > 1 && item.values.contains(&Yaml::Null) {
            let line = subject.line_of_item(selection, item, None);
            let message = format!("{}: null among other values", item.key);
            out.say(subject, line, message, "engines differ here: give `field: null` a selection of its own");
        }
    });
}

fn timeframe(subject: &Subject<'_>, out: &mut Out<'_>) {
    if subject.document.content.get("detection").and_then(|d| d.get("timeframe")).is_some() {
        let hint = "count over time with a correlation rule (`type: event_count`, `timespan`)";
        out.say(subject, subject.line("timeframe"), "`timeframe` has no meaning without an aggregation", hint);
    }
}
