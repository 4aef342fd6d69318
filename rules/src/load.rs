//! Rules from files and folders: parsed, filtered, lowered; what cannot be is an error by file, and the rest goes on.

use crate::attack::{self, AttackTags};
use crate::expr::Expr;
use crate::lower::{Placeholders, lower};
use rsigma_parser::{FilterRule, FilterRuleTarget, SigmaRule, parse_sigma_yaml};
use sha2::{Digest, Sha256};
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
    /// References.
    pub references: Vec<String>,
    /// Known false positives.
    pub false_positives: Vec<String>,
    /// Tags, as written.
    pub tags: Vec<String>,
    /// ATT&CK techniques and tactics among the tags.
    pub attack: AttackTags,
    /// Log source.
    pub logsource: Logsource,
    /// What has to hold.
    pub condition: Expr,
    /// The file that holds it.
    pub file: PathBuf,
    /// Digest of that file's text: the rule's version.
    pub digest: String,
}

/// A document that gives no rule.
#[derive(Clone, Debug, Error)]
#[error("{}: {reason}", file.display())]
pub struct LoadError {
    /// The file.
    pub file: PathBuf,
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
    /// Titles of correlation rules, which are not evaluated yet.
    pub correlations: Vec<(PathBuf, String)>,
    /// How many filters there were.
    pub filters: usize,
    /// What could not be loaded.
    pub errors: Vec<LoadError>,
}

/// What loading is told.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Values of placeholders, for `|expand`.
    pub placeholders: Placeholders,
}

const FILE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 200_000;

/// Loads every rule under `paths`.
///
/// **Errors** are data ([`Ruleset::errors`]); a path that cannot be read is one of them.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Ruleset {
    let mut set = Ruleset::default();
    let mut filters = Vec::new();
    let mut pending = Vec::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name().into_iter().take(FILES_MAX) {
            let error = |file: &Path, reason: String| LoadError { file: file.to_owned(), title: None, reason };
            match entry {
                Err(e) => set.errors.push(error(path, e.to_string())),
                Ok(entry) if entry.file_type().is_file() && is_rule(entry.path()) => {
                    let length = entry.metadata().map_or(0, |m| m.len());
                    if length > FILE_BYTES_MAX {
                        set.errors.push(error(entry.path(), format!("{length} bytes; the limit is {FILE_BYTES_MAX}")));
                        continue;
                    }
                    match std::fs::read_to_string(entry.path()) {
                        Ok(text) => read(entry.path(), &text, &mut set, &mut pending, &mut filters),
                        Err(e) => set.errors.push(error(entry.path(), e.to_string())),
                    }
                }
                Ok(_) => {}
            }
        }
    }
    finish(set, pending, &filters, options)
}

/// Loads the rules of one text.
pub fn parse(name: &Path, text: &str, options: &LoadOptions) -> Ruleset {
    let (mut set, mut pending, mut filters) = (Ruleset::default(), Vec::new(), Vec::new());
    read(name, text, &mut set, &mut pending, &mut filters);
    finish(set, pending, &filters, options)
}

fn is_rule(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".yml") || name.ends_with(".yaml")) && !crate::events::is_events_file(&name)
}

struct Pending {
    rule: SigmaRule,
    file: PathBuf,
    digest: String,
}

fn read(file: &Path, text: &str, set: &mut Ruleset, pending: &mut Vec<Pending>, filters: &mut Vec<FilterRule>) {
    let mut error = |title: Option<String>, reason: String| set.errors.push(LoadError { file: file.to_owned(), title, reason });
    if let Some(depth) = too_deep(text) {
        return error(None, format!("line {depth}: nested too deeply"));
    }
    let collection = match parse_sigma_yaml(text) {
        Ok(collection) => collection,
        Err(e) => return error(None, e.to_string()),
    };
    let found = collection.rules.len() + collection.correlations.len() + collection.filters.len();
    if found == 0 && collection.errors.is_empty() {
        return error(None, "no Sigma rule in this file".into());
    }
    for reason in collection.errors {
        error(None, reason);
    }
    let digest: String = Sha256::digest(text)[..16].iter().map(|b| format!("{b:02x}")).collect();
    pending.extend(collection.rules.into_iter().map(|rule| Pending { rule, file: file.to_owned(), digest: digest.clone() }));
    set.correlations.extend(collection.correlations.into_iter().map(|c| (file.to_owned(), c.title)));
    filters.extend(collection.filters);
}

/// The line at which brackets or indentation nest beyond any rule: the parser recurses, and its stack is finite.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let dashes = line.trim_start().bytes().take_while(|b| matches!(b, b'-' | b' ')).filter(|b| *b == b'-').count();
        depth = line.bytes().fold(depth, |d, b| match b {
            b'[' | b'{' => d + 1,
            b']' | b'}' => d.saturating_sub(1),
            _ => d,
        });
        if depth > 512 || indent > 1_000 || dashes > 100 {
            return Some(number + 1);
        }
        // Brackets inside quoted values need not balance; a key at the margin begins anew.
        if indent == 0 && line.contains(": ") {
            depth = 0;
        }
    }
    None
}

fn finish(mut set: Ruleset, pending: Vec<Pending>, filters: &[FilterRule], options: &LoadOptions) -> Ruleset {
    set.filters = filters.len();
    for Pending { rule, file, digest } in pending {
        let result = lower(&rule.detection, &options.placeholders).and_then(|condition| {
            let mut all = vec![condition];
            for filter in filters.iter().filter(|f| applies(f, &rule)) {
                all.push(lower(&filter.detection, &options.placeholders)?);
            }
            Ok(Expr::And(all).simplify())
        });
        match result {
            Ok(condition) => set.rules.push(build(rule, condition, file, digest)),
            Err(e) => set.errors.push(LoadError { file, title: Some(rule.title), reason: e.to_string() }),
        }
    }
    set
}

/// Sigma filters: by id or name, and by a log source that is not narrower than the rule's.
fn applies(filter: &FilterRule, rule: &SigmaRule) -> bool {
    let named = match &filter.rules {
        FilterRuleTarget::Any => true,
        FilterRuleTarget::Specific(names) => {
            names.iter().any(|n| rule.id.as_ref() == Some(n) || rule.name.as_ref() == Some(n) || rule.title == *n)
        }
    };
    let fits = |filter: &Option<String>, rule: &Option<String>| filter.is_none() || filter == rule;
    named
        && filter.logsource.as_ref().is_none_or(|l| {
            fits(&l.product, &rule.logsource.product) && fits(&l.category, &rule.logsource.category) && fits(&l.service, &rule.logsource.service)
        })
}

fn build(rule: SigmaRule, condition: Expr, file: PathBuf, digest: String) -> Rule {
    use rsigma_parser::Level as Parsed;
    let level = match rule.level {
        Some(Parsed::Informational) => Level::Informational,
        Some(Parsed::Low) => Level::Low,
        Some(Parsed::High) => Level::High,
        Some(Parsed::Critical) => Level::Critical,
        _ => Level::Medium,
    };
    Rule {
        id: rule.id.unwrap_or_else(|| digest.clone()),
        title: rule.title,
        level,
        status: rule.status.map(|s| format!("{s:?}").to_lowercase()),
        description: rule.description,
        author: rule.author,
        references: rule.references,
        false_positives: rule.falsepositives,
        attack: attack::tags(&rule.tags),
        tags: rule.tags,
        logsource: Logsource { product: rule.logsource.product, category: rule.logsource.category, service: rule.logsource.service },
        condition,
        file,
        digest,
    }
}
