//! Files: their names, and the test events beside them.

use super::{Check, Out, Run, Severity, Subject};
use crate::events::{self, TestCase};
use std::collections::BTreeMap;

pub const CHECKS: &[Check] = &[
    Check {
        name: "file-name",
        severity: Severity::Note,
        about: "a file that is not called in small letters, digits and underscores",
        run: Run::Each(name),
    },
    Check {
        name: "test-events",
        severity: Severity::Note,
        about: "no test events, in a collection that has them; or none that must fire, or none that must not",
        run: Run::All(tests),
    },
];

fn name(subject: &Subject<'_>, out: &mut Out<'_>) {
    if subject.document.number != 1 {
        return;
    }
    let name = subject.file.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")).unwrap_or(&name);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !stem.chars().all(fits) {
        let better: String = stem.to_ascii_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).collect();
        out.say(subject, 1, format!("the file is called {name:?}"), format!("call it `{better}.yml`"));
    }
}

fn tests(subjects: &[Subject<'_>], out: &mut Out<'_>) {
    let testable: Vec<&Subject<'_>> = subjects.iter().filter(|s| s.is_rule() || s.is_correlation()).collect();
    let mut read = BTreeMap::new();
    for subject in &testable {
        read.entry(subject.file).or_insert_with(|| {
            events::of_rule(subject.file).unwrap_or_else(|error| {
                let hint = "see `tarn rules test --help`";
                out.say_as(Severity::Warning, subject, 1, error.to_string(), hint);
                None
            })
        });
    }
    // A collection without any has its tests elsewhere.
    if read.values().all(Option::is_none) {
        return;
    }
    for subject in testable {
        let of_file = read.get(subject.file).and_then(Option::as_ref);
        let (key, thing) = match subject.is_rule() {
            true => ("event", "event"),
            false => ("events", "sequence of events"),
        };
        let (id, title) = (subject.id(), subject.title());
        let meant = |case: &&TestCase| {
            case.is_sequence() != subject.is_rule()
                && case.rule.as_ref().is_none_or(|rule| *rule == id || *rule == title)
        };
        let cases: Vec<&TestCase> = of_file.into_iter().flatten().filter(meant).collect();
        let line = subject.begins();
        if cases.is_empty() {
            let name = subject.file.with_extension("events.yml");
            let name = name.file_name().unwrap_or_default().to_string_lossy();
            out.say(subject, line, format!("no test {thing} is for the rule"), format!("put `{key}:` into {name}"));
        } else if cases.iter().all(|case| !case.fires) {
            out.say(subject, line, format!("no test {thing} fires the rule"), "add one that must");
        } else if cases.iter().all(|case| case.fires) {
            let hint = "add the look-alike that an analyst would complain about";
            out.say(subject, line, format!("no test {thing} must not fire the rule"), hint);
        }
    }
}
