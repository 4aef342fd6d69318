//! Rules from files and folders: parsed, filtered, lowered; what cannot be is an error by file and line, and the rest
//! goes on.
//!
//! **Filters** apply to rules by id, name or title, or to any, whose log source is within the filter's; their
//! condition has to hold as well (pySigma), so a filter that takes events away says `not selection`.

use crate::attack::{self, AttackTags};
use crate::expr::Expr;
use crate::lower::{Placeholders, lower};
use crate::parse::yaml::Yaml;
use crate::parse::{Document, Kind, Targets, documents};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A rule's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Level {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// Where a rule's events come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Logsource {
    pub product: Option<String>,
    pub category: Option<String>,
    pub service: Option<String>,
}

impl fmt::Display for Logsource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("product", &self.product), ("category", &self.category), ("service", &self.service)];
        let mut first = true;
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{}{name}={value}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

/// A detection rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id; rules without one get a digest of their text.
    pub id: String,
    /// Its name, by which others may refer to it.
    pub name: Option<String>,
    /// Title.
    pub title: String,
    /// Level; medium where the rule names none.
    pub level: Level,
    /// Status, as written.
    pub status: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Author.
    pub author: Option<String>,
    /// Day of creation, as written.
    pub date: Option<String>,
    /// Day of the last change, as written.
    pub modified: Option<String>,
    /// Licence.
    pub license: Option<String>,
    /// References.
    pub references: Vec<String>,
    /// Known false positives.
    pub false_positives: Vec<String>,
    /// Fields its author wants to see with a match.
    pub fields: Vec<String>,
    /// Tags, as written.
    pub tags: Vec<String>,
    /// ATT&CK techniques and tactics among the tags.
    pub attack: AttackTags,
    /// Log source.
    pub logsource: Logsource,
    /// What has to hold.
    pub condition: Expr,
    /// What is odd about it and keeps nothing from working.
    pub warnings: Vec<String>,
    /// The file that holds it.
    pub file: PathBuf,
    /// The line of that file at which its document begins.
    pub line: usize,
    /// Digest of that file's text: the rule's version.
    pub digest: String,
}

/// A correlation rule: data, nothing evaluates it yet.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// The file that holds it.
    pub file: PathBuf,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Title.
    pub title: String,
    /// The whole document.
    pub content: serde_json::Value,
}

/// A filter and where it went.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The file that holds it.
    pub file: PathBuf,
    /// Title.
    pub title: String,
    /// Ids of the rules that it narrows.
    pub applied_to: Vec<String>,
    /// The rules it names, and no rule of its log source has that id, name or title.
    pub unknown: Vec<String>,
}

/// A document that gives no rule.
#[derive(Clone, Debug, Error)]
#[error("{}{}: {reason}", file.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
pub struct LoadError {
    /// The file.
    pub file: PathBuf,
    /// Which document of the file, from 1; none when the file itself is the problem.
    pub document: Option<usize>,
    /// The line, where it is known.
    pub line: Option<usize>,
    /// The rule's title, where it has one.
    pub title: Option<String>,
    /// Why.
    pub reason: String,
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    /// Detection rules, by file name.
    pub rules: Vec<Rule>,
    /// Correlation rules, which are not evaluated yet.
    pub correlations: Vec<Correlation>,
    /// Filters.
    pub filters: Vec<Filter>,
    /// What could not be loaded.
    pub errors: Vec<LoadError>,
}

/// What loading is told.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Values of placeholders, for `|expand`.
    pub placeholders: Placeholders,
}

const FILE_BYTES_MAX: u64 = 64 << 20;
const FILES_MAX: usize = 200_000;
const TITLE_CHARS_MAX: usize = 256;

/// Loads every rule under `paths`; a file that is named twice is read once.
///
/// **Errors** are data ([`Ruleset::errors`]); a path that cannot be read is one of them.
///
/// **Bounds**: 64 MiB a file, 20,000 documents a file, 1 MiB a document, 50,000 values a rule; more is an error.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Ruleset {
    let mut loader = Loader::new(options);
    let mut seen = HashSet::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name().into_iter().take(FILES_MAX) {
            match entry {
                Err(e) => loader.file_error(path, e.to_string()),
                // A file named by the user is read whatever its name; in a folder, names tell.
                Ok(entry) if entry.path().is_file() && (entry.depth() == 0 || is_rule(entry.path())) => {
                    if seen.insert(entry.path().canonicalize().unwrap_or_else(|_| entry.path().to_owned())) {
                        loader.file(entry.path());
                    }
                }
                Ok(_) => {}
            }
        }
    }
    loader.finish()
}

/// Loads the rules of one text.
pub fn parse(name: &Path, text: &str, options: &LoadOptions) -> Ruleset {
    load_texts(&[(name, text)], options)
}

/// Loads the rules of texts by name.
pub(crate) fn load_texts(texts: &[(&Path, &str)], options: &LoadOptions) -> Ruleset {
    let mut loader = Loader::new(options);
    texts.iter().for_each(|(name, text)| loader.text(name, text));
    loader.finish()
}

pub(crate) fn is_rule(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".yml") || name.ends_with(".yaml")) && !crate::events::is_events_file(&name)
}

/// A filter before its rules are known: they may stand in files that come later.
struct PendingFilter {
    filter: Filter,
    logsource: Logsource,
    targets: Targets,
    condition: Expr,
}

struct Loader<'a> {
    options: &'a LoadOptions,
    set: Ruleset,
    filters: Vec<PendingFilter>,
}

impl<'a> Loader<'a> {
    fn new(options: &'a LoadOptions) -> Self {
        Self { options, set: Ruleset::default(), filters: Vec::new() }
    }

    fn file_error(&mut self, file: &Path, reason: String) {
        self.set.errors.push(LoadError { file: file.to_owned(), document: None, line: None, title: None, reason });
    }

    fn file(&mut self, file: &Path) {
        let length = file.metadata().map_or(0, |m| m.len());
        if length > FILE_BYTES_MAX {
            return self.file_error(file, format!("{length} bytes; the limit is {FILE_BYTES_MAX}"));
        }
        match std::fs::read(file).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(file, &text),
            Ok(Err(e)) => self.file_error(file, format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to())),
            Err(e) => self.file_error(file, e.to_string()),
        }
    }

    fn text(&mut self, file: &Path, text: &str) {
        let (documents, failures) = documents(text);
        if documents.is_empty() && failures.is_empty() {
            return self.file_error(file, "no Sigma rule in this file".into());
        }
        for failure in failures {
            let (document, line) = (Some(failure.number), failure.line);
            let error =
                LoadError { file: file.to_owned(), document, line, title: failure.title, reason: failure.reason };
            self.set.errors.push(error);
        }
        let digest: String = Sha256::digest(text)[..16].iter().map(|b| format!("{b:02x}")).collect();
        for document in documents {
            self.document(file, &digest, document);
        }
    }

    fn document(&mut self, file: &Path, digest: &str, Document { number, chunk, content, kind }: Document<'_>) {
        let title = content.text("title").unwrap_or_default();
        let (detections, targets) = match kind {
            Kind::Rule(detections) => (detections, None),
            Kind::Filter(targets, detections) => (detections, Some(targets)),
            Kind::Correlation => {
                return self.set.correlations.push(Correlation {
                    file: file.to_owned(),
                    id: content.text("id"),
                    name: content.text("name"),
                    title,
                    content: content.json(),
                });
            }
        };
        let begins = chunk.lines_before + 1;
        let (condition, warnings) = match lower(&detections, &self.options.placeholders) {
            Ok(lowered) => lowered,
            Err(e) => {
                let line = chunk.line_of(e.key()).unwrap_or(begins);
                let (document, line, title, reason) = (Some(number), Some(line), Some(title), e.to_string());
                return self.set.errors.push(LoadError { file: file.to_owned(), document, line, title, reason });
            }
        };
        if let Some(targets) = targets {
            let unknown = match &targets {
                Targets::Named(names) => names.clone(),
                Targets::Any => Vec::new(),
            };
            let filter = Filter { file: file.to_owned(), title, applied_to: Vec::new(), unknown };
            return self.filters.push(PendingFilter { filter, logsource: logsource(&content), targets, condition });
        }
        let mut rule = describe(&content, title);
        let own = || if number == 1 { digest.to_owned() } else { format!("{digest}-{number}") };
        rule.id = content.text("id").unwrap_or_else(own);
        (rule.file, rule.line, rule.digest) = (file.to_owned(), begins, digest.to_owned());
        rule.condition = condition;
        rule.warnings.extend(warnings);
        self.set.rules.push(rule);
    }

    /// Puts filters to their rules.
    fn finish(self) -> Ruleset {
        let Self { mut set, mut filters, .. } = self;
        let mut ids = HashSet::new();
        for rule in &mut set.rules {
            let mut all = vec![std::mem::replace(&mut rule.condition, Expr::TRUE)];
            for pending in &mut filters {
                if contains(&pending.logsource, &rule.logsource)
                    && meant(&pending.targets, rule, &mut pending.filter.unknown)
                {
                    pending.filter.applied_to.push(rule.id.clone());
                    all.push(pending.condition.clone());
                }
            }
            rule.condition = Expr::And(all).simplify();
            if matches!(&rule.condition, Expr::And(list) | Expr::Or(list) if list.is_empty()) {
                rule.warnings.push("its condition does not depend on the event".into());
            }
            if !ids.insert(rule.id.clone()) {
                rule.warnings.push(format!("another rule has the id {}, too", rule.id));
            }
        }
        set.filters = filters.into_iter().map(|pending| pending.filter).collect();
        set
    }
}

/// A filter's log source holds every one that says the same and possibly more.
fn contains(filter: &Logsource, rule: &Logsource) -> bool {
    let fits = |filter: &Option<String>, rule: &Option<String>| filter.is_none() || filter == rule;
    fits(&filter.product, &rule.product)
        && fits(&filter.category, &rule.category)
        && fits(&filter.service, &rule.service)
}

fn meant(targets: &Targets, rule: &Rule, unknown: &mut Vec<String>) -> bool {
    let Targets::Named(names) = targets else { return true };
    let is = |name: &String| *name == rule.id || Some(name) == rule.name.as_ref() || *name == rule.title;
    unknown.retain(|name| !is(name));
    names.iter().any(is)
}

fn logsource(content: &Yaml) -> Logsource {
    let text = |key| content.get("logsource").and_then(|l| l.text(key)).filter(|t| !t.is_empty());
    Logsource { product: text("product"), category: text("category"), service: text("service") }
}

/// Everything about a rule but its condition and its place.
fn describe(content: &Yaml, title: String) -> Rule {
    let mut warnings = Vec::new();
    let level = match content.text("level").as_deref() {
        Some("informational") => Level::Informational,
        Some("low") => Level::Low,
        Some("medium") | None => Level::Medium,
        Some("high") => Level::High,
        Some("critical") => Level::Critical,
        Some(other) => {
            warnings.push(format!("Sigma has no level {other:?}; medium is assumed"));
            Level::Medium
        }
    };
    let status = content.text("status");
    if let Some(status) =
        status.as_deref().filter(|s| !["stable", "test", "experimental", "deprecated", "unsupported"].contains(s))
    {
        warnings.push(format!("Sigma has no status {status:?}"));
    }
    if let Some(taxonomy) = content.text("taxonomy").filter(|t| t != "sigma") {
        warnings.push(format!("its names are of the taxonomy {taxonomy:?}, and are taken as Sigma's"));
    }
    if content.get("detection").and_then(|d| d.get("timeframe")).is_some() {
        warnings.push("`timeframe` has no meaning without an aggregation, which Sigma 2 gave up".into());
    }
    if title.chars().count() > TITLE_CHARS_MAX {
        warnings.push(format!("the title is longer than {TITLE_CHARS_MAX} characters"));
    }
    let tags = content.texts("tags");
    Rule {
        id: String::new(),
        name: content.text("name"),
        title,
        level,
        status,
        description: content.text("description"),
        author: content.text("author"),
        date: content.text("date"),
        modified: content.text("modified"),
        license: content.text("license"),
        references: content.texts("references"),
        false_positives: content.texts("falsepositives"),
        fields: content.texts("fields"),
        attack: attack::tags(&tags),
        tags,
        logsource: logsource(content),
        condition: Expr::FALSE,
        warnings,
        file: PathBuf::new(),
        line: 0,
        digest: String::new(),
    }
}
