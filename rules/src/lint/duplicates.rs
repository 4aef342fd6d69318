//! Rules that are there twice: by id, by title, by what they detect.

use super::{Check, Out, Run, Severity, Subject};
use crate::expr::Expr;
use std::collections::HashMap;
use std::hash::Hash;

pub const CHECKS: &[Check] = &[
    Check {
        name: "duplicate-id",
        severity: Severity::Error,
        about: "an id that another rule has, too",
        run: Run::All(ids),
    },
    Check {
        name: "duplicate-title",
        severity: Severity::Warning,
        about: "a title that another rule has, too",
        run: Run::All(titles),
    },
    Check {
        name: "duplicate-detection",
        severity: Severity::Warning,
        about: "a rule that detects what another one does, on the same log source",
        run: Run::All(detections),
    },
];

fn ids(subjects: &[Subject<'_>], out: &mut Out<'_>) {
    let id = |s: &Subject<'_>| (!s.id().is_empty()).then(|| s.id().to_ascii_lowercase());
    again(subjects, id, |subject, first| {
        let message = format!("{} has this id, too", place(first));
        out.say(subject, subject.line("id"), message, "give one of them a new random UUID");
    });
}

fn titles(subjects: &[Subject<'_>], out: &mut Out<'_>) {
    // Two documents of one rule under one id are found by that.
    let title = |s: &Subject<'_>| Some(s.title().trim().to_lowercase());
    again(subjects, title, |subject, first| {
        if subject.id().is_empty() || subject.id() != first.id() {
            let message = format!("{} has this title, too", place(first));
            out.say(subject, subject.line("title"), message, "say in the title what sets it apart");
        }
    });
}

fn detections(subjects: &[Subject<'_>], out: &mut Out<'_>) {
    let meaning = |s: &Subject<'_>| {
        let lowered = s.lowered.as_ref().filter(|_| s.is_rule())?;
        Some((s.logsource.clone(), canonical(&lowered.condition)))
    };
    again(subjects, meaning, |subject, first| {
        if subject.id().is_empty() || subject.id() != first.id() {
            let message = format!("{} detects the same ({})", place(first), first.title());
            out.say(subject, subject.line("detection"), message, "keep one of them, or make one narrower");
        }
    });
}

/// A condition whatever the order of its parts.
fn canonical(expr: &Expr) -> String {
    let list = |list: &[Expr], word: &str| {
        let mut parts: Vec<String> = list.iter().map(canonical).collect();
        parts.sort();
        format!("({})", parts.join(word))
    };
    match expr {
        Expr::And(inner) => list(inner, " and "),
        Expr::Or(inner) => list(inner, " or "),
        Expr::Not(inner) => format!("not {}", canonical(inner)),
        Expr::Item(item) => item.to_string(),
    }
}

/// Calls `say` with every subject whose key an earlier one has, and that one.
fn again<'a, K: Eq + Hash>(
    subjects: &'a [Subject<'a>],
    key: impl Fn(&Subject<'_>) -> Option<K>,
    mut say: impl FnMut(&'a Subject<'a>, &'a Subject<'a>),
) {
    let mut first: HashMap<K, &Subject<'_>> = HashMap::new();
    for subject in subjects {
        let Some(key) = key(subject) else { continue };
        match first.get(&key) {
            Some(before) => say(subject, before),
            None => {
                first.insert(key, subject);
            }
        }
    }
}

fn place(subject: &Subject<'_>) -> String {
    format!("{}:{}", subject.file.display(), subject.begins())
}
