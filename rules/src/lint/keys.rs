//! Keys of a rule that are nearly those of Sigma.

use super::{Check, Out, Run, Severity, Subject, distance};

pub const CHECKS: &[Check] = &[Check {
    name: "misspelt-key",
    severity: Severity::Warning,
    about: "a key that is nearly one of Sigma's, and is not read",
    run: Run::Each(misspelt),
}];

/// Keys of rules, correlations and filters (Sigma 2.1).
const KEYS: &[&str] = &[
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "action",
    "sigma-version",
    // Of SigmaHQ's repository.
    "regression_tests_path",
    "simulation",
];

const LOGSOURCE: &[&str] = &["category", "product", "service", "definition"];

fn misspelt(subject: &Subject<'_>, out: &mut Out<'_>) {
    let content = &subject.document.content;
    let mut look = |keys: &[(String, crate::parse::yaml::Yaml)], known: &[&str]| {
        for (key, _) in keys.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let word = key.to_ascii_lowercase().replace(['_', '-', ' '], "");
            let near =
                known.iter().find(|k| distance(&word, &k.replace(['_', '-'], "")) <= if k.len() > 5 { 2 } else { 1 });
            // A key whose own name is not there as well is likely meant by it.
            if let Some(meant) = near.filter(|m| !keys.iter().any(|(k, _)| k == *m)) {
                let message = format!("Sigma has no key {key:?}");
                out.say(subject, subject.line(key), message, format!("write `{meant}`"));
            }
        }
    };
    look(content.map().map_or(&[], Vec::as_slice), KEYS);
    look(content.get("logsource").and_then(|l| l.map()).map_or(&[], Vec::as_slice), LOGSOURCE);
}
