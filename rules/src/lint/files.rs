//! Files: their names, and the test events beside them.

use super::{Check, Out, Run, Severity, Subject};
use crate::events;
use std::collections::BTreeSet;
use std::path::Path;

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
    let files: BTreeSet<&Path> = subjects.iter().filter(|s| s.is_rule()).map(|s| s.file).collect();
    let (mut without, mut any) = (BTreeSet::new(), false);
    for file in files {
        let Some(subject) = subjects.iter().find(|s| s.file == file) else { continue };
        match events::of_rule(file) {
            Ok(None) => {
                without.insert(file);
            }
            Ok(Some(tests)) => {
                any = true;
                let fire = tests.iter().filter(|t| t.fires).count();
                if fire == 0 {
                    out.say(subject, 1, "no test event fires the rule", "add one that must");
                }
                if fire == tests.len() {
                    let hint = "add the look-alike that an analyst would complain about";
                    out.say(subject, 1, "no test event must not fire the rule", hint);
                }
            }
            Err(error) => out.say_as(Severity::Warning, subject, 1, error.to_string(), "see `tarn rules test --help`"),
        }
    }
    // A collection without any has its tests elsewhere.
    if any {
        for file in without {
            let Some(subject) = subjects.iter().find(|s| s.file == file) else { continue };
            let name = file.with_extension("events.yml");
            let hint = format!("put events beside it, in {}", name.file_name().unwrap_or_default().to_string_lossy());
            out.say(subject, 1, "the rule has no test events", hint);
        }
    }
}
