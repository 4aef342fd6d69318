//! What is wrong or odd about rules as they are written: findings by file and line, each with a hint.
//!
//! A check is a function over one document ([`Subject`]) or over all of them; [`GROUPS`] registers them. Nothing here
//! knows log sources: what a rule's source lacks is for the caller to add, as findings of the checks in [`OF_SOURCES`].
//!
//! **False positives** are the measure: a check that speaks on many rules of a well-kept collection is wrong or a note.

mod attack;
mod dates;
mod duplicates;
mod files;
mod keys;
mod logic;
mod metadata;
mod patterns;
mod regexes;
mod selections;
mod subject;

use crate::load::{LoadOptions, Ruleset, load_texts, texts};
use crate::lower::Placeholders;
use std::fmt;
use std::path::{Path, PathBuf};
pub use subject::Subject;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know, a matter of taste, or nothing that we can be sure of.
    Note,
    /// The rule works, and not as its author meant, or nobody can work with it.
    Warning,
    /// The rule does not load, cannot fire, or fires on everything.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What a check says of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// The rule's id; empty where it has none.
    pub id: String,
    /// The check's name.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is there.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A check.
#[derive(Debug)]
pub struct Check {
    /// Its name: what `--skip` takes.
    pub name: &'static str,
    /// What its findings are, unless one is less.
    pub severity: Severity,
    /// What it looks for.
    pub about: &'static str,
    run: Run,
}

#[derive(Debug)]
enum Run {
    /// Looks at one document.
    Each(fn(&Subject<'_>, &mut Out<'_>)),
    /// Looks at all of them.
    All(fn(&[Subject<'_>], &mut Out<'_>)),
    /// Its findings come from elsewhere.
    Elsewhere,
}

/// All checks, in the order of `docs/rules.md`.
const GROUPS: &[&[Check]] = &[
    &[LOAD],
    duplicates::CHECKS,
    logic::CHECKS,
    selections::CHECKS,
    patterns::CHECKS,
    regexes::CHECKS,
    keys::CHECKS,
    metadata::CHECKS,
    dates::CHECKS,
    attack::CHECKS,
    files::CHECKS,
    OF_SOURCES,
];

const LOAD: Check = Check {
    name: "load",
    severity: Severity::Error,
    about: "a document that does not load: its YAML, its condition, a modifier, a selection that is not there",
    run: Run::Elsewhere,
};

/// Checks that take log sources, for whoever has these.
pub const OF_SOURCES: &[Check] = &[
    Check {
        name: "unknown-field",
        severity: Severity::Warning,
        about: "a field that no source of the rule's log source has",
        run: Run::Elsewhere,
    },
    Check {
        name: "no-log-source",
        severity: Severity::Note,
        about: "a log source that no mapping writes here",
        run: Run::Elsewhere,
    },
];

/// All checks.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    GROUPS.iter().copied().flatten()
}

/// What linting gave.
#[derive(Debug)]
pub struct Linted {
    /// Findings, by file and line.
    pub findings: Vec<Finding>,
    /// The rules, for checks that take log sources.
    pub ruleset: Ruleset,
    texts: Vec<(PathBuf, String)>,
}

impl Linted {
    /// The line of `file` at which `text` first stands, from `line` on; `line` when it does not.
    pub fn line_of(&self, file: &Path, line: usize, text: &str) -> usize {
        let lines = self.texts.iter().find(|(name, _)| name == file).map(|(_, text)| text.lines());
        let found = lines.and_then(|lines| lines.skip(line.saturating_sub(1)).position(|l| l.contains(text)));
        found.map_or(line, |n| line + n)
    }
}

/// Lints the rules under `paths`; `skip` names checks that do not run. Values of placeholders that `options` lacks are
/// made up: that a site has none is no fault of the rule.
///
/// **Errors** of reading are findings of the check `load`. **Bounds**: as [`crate::load()`].
pub fn lint(paths: &[PathBuf], options: &LoadOptions, skip: &[String]) -> Linted {
    let (texts, mut errors) = texts(paths);
    let mut options = options.clone();
    for (_, text) in &texts {
        stand_in(text, &mut options.placeholders);
    }
    let borrowed: Vec<(&Path, &str)> = texts.iter().map(|(file, text)| (file.as_path(), text.as_str())).collect();
    let ruleset = load_texts(&borrowed, &options);
    errors.extend(ruleset.errors.iter().cloned());
    let subjects = subject::read(&borrowed, &options.placeholders);
    let mut findings = Vec::new();
    let runs = |check: &Check| !skip.iter().any(|s| s == check.name);
    for check in checks().filter(|c| runs(c)) {
        let mut out = Out { check, findings: &mut findings };
        match check.run {
            Run::Each(run) => subjects.iter().for_each(|s| run(s, &mut out)),
            Run::All(run) => run(&subjects, &mut out),
            Run::Elsewhere => {}
        }
    }
    for error in errors.into_iter().filter(|_| runs(&LOAD)) {
        findings.push(Finding {
            file: error.file,
            line: error.line.unwrap_or(1),
            id: String::new(),
            check: LOAD.name,
            severity: LOAD.severity,
            message: error.reason,
            hint: "the rule is left out until this is mended".into(),
        });
    }
    findings.sort_by(|a, b| (&a.file, a.line, a.check).cmp(&(&b.file, b.line, b.check)));
    findings.dedup();
    drop(subjects);
    Linted { findings, ruleset, texts }
}

/// A value for every `%placeholder%` of a text that has none.
fn stand_in(text: &str, placeholders: &mut Placeholders) {
    if !text.contains("expand") {
        return;
    }
    for word in text.split('%').skip(1).filter(|w| !w.is_empty() && !w.contains(char::is_whitespace)) {
        placeholders.entry(word.to_owned()).or_insert_with(|| vec![format!("value of {word}")]);
    }
}

/// Where a check puts what it finds.
pub(crate) struct Out<'a> {
    check: &'static Check,
    findings: &'a mut Vec<Finding>,
}

impl Out<'_> {
    fn say(&mut self, subject: &Subject<'_>, line: usize, message: impl Into<String>, hint: impl Into<String>) {
        self.say_as(self.check.severity, subject, line, message, hint);
    }

    fn say_as(
        &mut self,
        severity: Severity,
        subject: &Subject<'_>,
        line: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding {
            file: subject.file.to_owned(),
            line,
            id: subject.id().to_owned(),
            check: self.check.name,
            severity,
            message: message.into(),
            hint: hint.into(),
        });
    }
}

/// How many characters have to change to make one word of another.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let next = (diagonal + usize::from(c != *d)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
