//! Rules from files and folders: parsed, filtered, lowered; what cannot be is an error by file and line, and the rest
//! goes on.
//!
//! **Filters** apply to rules by id, name or title, or to any, whose log source is within the filter's; their
//! condition has to hold as well (pySigma), so a filter that takes events away says `not selection`.

use crate::about::{About, about};
use crate::correlation::{self, Correlation, Referred};
use crate::expr::Expr;
use crate::lower::{Lowered, Placeholders, lower};
use crate::parse::yaml::Yaml;
use crate::parse::{Document, Kind, Targets, documents};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

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
    /// What it says of itself.
    pub about: About,
    /// Log source.
    pub logsource: Logsource,
    /// What has to hold.
    pub condition: Expr,
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
    /// Whether its condition has a `not`: without one, only what it selects is left.
    pub negates: bool,
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
    /// Correlation rules; those whose references lead nowhere are errors instead.
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
/// Files that a thread takes at once.
const FILES_AT_ONCE: usize = 32;

/// Loads every rule under `paths`; a file that is named twice is read once.
///
/// **Errors** are data ([`Ruleset::errors`]); a path that cannot be read is one of them.
///
/// **Bounds**: 64 MiB a file, 20,000 documents a file, 1 MiB a document, 50,000 values a rule; more is an error.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Ruleset {
    let files = files(paths);
    let next = Mutex::new(files.chunks(FILES_AT_ONCE).enumerate());
    let part = |files: &[File]| {
        let mut loader = Loader::new(options);
        files.iter().for_each(|file| loader.file(file));
        loader
    };
    let parts = || {
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(take).map(|(number, files)| (number, part(files))).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(files.len().div_ceil(FILES_AT_ONCE));
    let mut parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(parts)).collect();
        let mut all = parts();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    });
    // Rules stay in their files' order.
    parts.sort_unstable_by_key(|(number, _)| *number);
    parts.into_iter().map(|(_, part)| part).fold(Loader::new(options), Loader::and).finish()
}

/// The texts of the rule files under `paths`, by name, and what cannot be read.
pub(crate) fn texts(paths: &[PathBuf]) -> (Vec<(PathBuf, String)>, Vec<LoadError>) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    for file in files(paths) {
        match file.text() {
            Ok(text) => out.push((file.path, text)),
            Err(reason) => errors.push(unread(&file.path, reason)),
        }
    }
    (out, errors)
}

/// A file that was found, or why it cannot be.
struct File {
    path: PathBuf,
    found: Result<(), String>,
}

impl File {
    fn text(&self) -> Result<String, String> {
        self.found.clone().and_then(|()| read(&self.path))
    }
}

/// The rule files under `paths`, each once.
fn files(paths: &[PathBuf]) -> Vec<File> {
    let (mut files, mut seen, mut places) = (Vec::new(), HashSet::new(), Places::default());
    for path in paths {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name().follow_links(true).into_iter().take(FILES_MAX) {
            match entry {
                Err(e) => files.push(File { path: path.clone(), found: Err(e.to_string()) }),
                // A file named by the user is read whatever its name; in a folder, names tell.
                Ok(entry) if entry.file_type().is_file() && (entry.depth() == 0 || is_rule(entry.path())) => {
                    if seen.insert(places.of(&entry)) {
                        files.push(File { path: entry.into_path(), found: Ok(()) });
                    }
                }
                Ok(_) => {}
            }
        }
    }
    files
}

/// Where files are, whatever path leads there. Folders are looked up once.
#[derive(Default)]
struct Places {
    /// The last folder, and where it is.
    folder: Option<(PathBuf, PathBuf)>,
}

impl Places {
    fn of(&mut self, file: &walkdir::DirEntry) -> PathBuf {
        let path = file.path();
        let Some(parent) = path.parent().filter(|_| file.depth() > 0 && !file.path_is_symlink()) else {
            return path.canonicalize().unwrap_or_else(|_| path.to_owned());
        };
        if self.folder.as_ref().is_none_or(|(folder, _)| folder != parent) {
            self.folder = parent.canonicalize().ok().map(|place| (parent.to_owned(), place));
        }
        self.folder.as_ref().map_or_else(|| path.to_owned(), |(_, place)| place.join(file.file_name()))
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut file = std::fs::File::open(file).map_err(|e| e.to_string())?;
    let length = file.metadata().map_or(0, |m| m.len());
    if length > FILE_BYTES_MAX {
        return Err(format!("{length} bytes; the limit is {FILE_BYTES_MAX}"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

fn unread(file: &Path, reason: String) -> LoadError {
    LoadError { file: file.to_owned(), document: None, line: None, title: None, reason }
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

    /// What this one has, then what another has.
    fn and(mut self, other: Self) -> Self {
        self.set.rules.extend(other.set.rules);
        self.set.correlations.extend(other.set.correlations);
        self.set.errors.extend(other.set.errors);
        self.filters.extend(other.filters);
        self
    }

    fn file(&mut self, file: &File) {
        match file.text() {
            Ok(text) => self.text(&file.path, &text),
            Err(reason) => self.file_error(&file.path, reason),
        }
    }

    fn file_error(&mut self, file: &Path, reason: String) {
        self.set.errors.push(unread(file, reason));
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
        let digest = hex::encode(&Sha256::digest(text)[..16]);
        for document in documents {
            self.document(file, &digest, document);
        }
    }

    fn document(&mut self, file: &Path, digest: &str, Document { number, chunk, content, kind }: Document<'_>) {
        let title = content.text("title").unwrap_or_default();
        let begins = chunk.lines_before + 1;
        let failed = |title: String, key: &str, reason: String| LoadError {
            file: file.to_owned(),
            document: Some(number),
            line: Some(chunk.line_of(key).unwrap_or(begins)),
            title: Some(title),
            reason,
        };
        let own = || if number == 1 { digest.to_owned() } else { format!("{digest}-{number}") };
        let place = |mut about: About| {
            about.id = content.text("id").unwrap_or_else(own);
            (about.file, about.line, about.digest) = (file.to_owned(), begins, digest.to_owned());
            about
        };
        let (detections, targets) = match kind {
            Kind::Rule(detections) => (detections, None),
            Kind::Filter(targets, detections) => (detections, Some(targets)),
            Kind::Correlation => {
                match correlation::read(place(about(&content, title.clone())), &content) {
                    Ok(correlation) => self.set.correlations.push(correlation),
                    Err(mistake) => self.set.errors.push(failed(title, &mistake.key, mistake.reason)),
                }
                return;
            }
        };
        let Lowered { condition, warnings, .. } = match lower(&detections, &self.options.placeholders) {
            Ok(lowered) => lowered,
            Err(e) => return self.set.errors.push(failed(title, e.key(), e.to_string())),
        };
        if let Some(targets) = targets {
            let unknown = match &targets {
                Targets::Named(names) => names.clone(),
                Targets::Any => Vec::new(),
            };
            let filter =
                Filter { file: file.to_owned(), title, applied_to: Vec::new(), unknown, negates: negates(&condition) };
            return self.filters.push(PendingFilter { filter, logsource: logsource(&content), targets, condition });
        }
        let mut about = place(about(&content, title));
        about.warnings.extend(warnings);
        self.set.rules.push(Rule { about, logsource: logsource(&content), condition });
    }

    /// Puts filters to their rules.
    fn finish(self) -> Ruleset {
        let Self { mut set, mut filters, .. } = self;
        let mut ids = HashSet::new();
        for rule in &mut set.rules {
            let mut all = Vec::new();
            for pending in &mut filters {
                if contains(&pending.logsource, &rule.logsource)
                    && meant(&pending.targets, rule, &mut pending.filter.unknown)
                {
                    pending.filter.applied_to.push(rule.about.id.clone());
                    all.push(pending.condition.clone());
                }
            }
            if !all.is_empty() {
                all.insert(0, std::mem::replace(&mut rule.condition, Expr::TRUE));
                rule.condition = Expr::And(all).simplify();
            }
            if matches!(&rule.condition, Expr::And(list) | Expr::Or(list) if list.is_empty()) {
                rule.about.warnings.push("its condition does not depend on the event".into());
            }
            if !ids.insert(rule.about.id.clone()) {
                rule.about.warnings.push(format!("another rule has the id {}, too", rule.about.id));
            }
        }
        resolve(&mut set);
        set.filters = filters.into_iter().map(|pending| pending.filter).collect();
        set
    }
}

/// Leads the references of correlations to their rules, and takes out those that lead nowhere, in a circle, too deep, or to
/// one that is taken out.
fn resolve(set: &mut Ruleset) {
    let found = references(set);
    let below: Vec<Vec<usize>> = found.iter().map(|f| correlations_of(f.as_deref().unwrap_or_default())).collect();
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    for (i, below) in below.iter().enumerate() {
        below.iter().for_each(|b| above[*b].push(i));
    }
    // Those whose references all lead on are ready, level by level; what never is stands in a circle or upon one.
    let mut wanting: Vec<usize> = below.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..found.len()).filter(|i| wanting[*i] == 0 && found[*i].is_ok()).collect();
    let mut good = vec![false; found.len()];
    for _ in 0..=DEPTH_MAX {
        let mut next = Vec::new();
        for i in ready {
            good[i] = true;
            for over in &above[i] {
                wanting[*over] -= 1;
                if wanting[*over] == 0 && found[*over].is_ok() {
                    next.push(*over);
                }
            }
        }
        ready = next;
    }
    let mut next = 0;
    let numbers: Vec<usize> = good
        .iter()
        .map(|good| {
            next += usize::from(*good);
            next - usize::from(*good)
        })
        .collect();
    for (i, (mut correlation, found)) in std::mem::take(&mut set.correlations).into_iter().zip(found).enumerate() {
        if good[i] {
            for (reference, to) in correlation.rules.iter_mut().zip(found.unwrap_or_default()) {
                reference.to = match to {
                    Referred::Correlation(c) => Referred::Correlation(numbers[c]),
                    rule => rule,
                };
            }
            set.correlations.push(correlation);
            continue;
        }
        let refused = || match below[i].contains(&i) {
            true => "the correlation refers to itself".to_owned(),
            false => {
                format!("it refers to a correlation that is refused, to itself, or over more than {DEPTH_MAX} others")
            }
        };
        let about = correlation.about;
        let (line, title, reason) = (Some(about.line), Some(about.title), found.err().unwrap_or_else(refused));
        set.errors.push(LoadError { file: about.file, document: None, line, title, reason });
    }
}

/// Correlations over correlations, one upon the other, at most.
const DEPTH_MAX: usize = 32;

/// What every correlation refers to, or which reference leads nowhere.
fn references(set: &Ruleset) -> Vec<Result<Vec<Referred>, String>> {
    let mut names: HashMap<&str, Vec<Referred>> = HashMap::new();
    let rules = set.rules.iter().enumerate().map(|(i, r)| (&r.about, Referred::Rule(i)));
    let correlations = set.correlations.iter().enumerate().map(|(i, c)| (&c.about, Referred::Correlation(i)));
    for (about, to) in rules.chain(correlations) {
        for name in [Some(about.id.as_str()), about.name.as_deref()].into_iter().flatten() {
            let known = names.entry(name).or_default();
            if !known.contains(&to) {
                known.push(to);
            }
        }
    }
    let lead = |name: &str| match names.get(name).map(Vec::as_slice) {
        Some([to]) => Ok(*to),
        Some(_) => Err(format!("several rules are called {name:?}")),
        None => Err(format!("no loaded rule has the id or name {name:?}")),
    };
    set.correlations.iter().map(|c| c.rules.iter().map(|r| lead(&r.name)).collect()).collect()
}

fn correlations_of(references: &[Referred]) -> Vec<usize> {
    references.iter().filter_map(|to| if let Referred::Correlation(c) = to { Some(*c) } else { None }).collect()
}

fn negates(condition: &Expr) -> bool {
    match condition {
        Expr::And(list) | Expr::Or(list) => list.iter().any(negates),
        Expr::Not(_) => true,
        Expr::Item(_) => false,
    }
}

/// A filter's log source holds every one that says the same and possibly more.
fn contains(filter: &Logsource, rule: &Logsource) -> bool {
    let fits = |filter: &Option<String>, rule: &Option<String>| match (filter, rule) {
        (None, _) => true,
        (Some(filter), Some(rule)) => filter.eq_ignore_ascii_case(rule),
        (Some(_), None) => false,
    };
    fits(&filter.product, &rule.product)
        && fits(&filter.category, &rule.category)
        && fits(&filter.service, &rule.service)
}

fn meant(targets: &Targets, rule: &Rule, unknown: &mut Vec<String>) -> bool {
    let Targets::Named(names) = targets else { return true };
    let is =
        |name: &String| *name == rule.about.id || Some(name) == rule.about.name.as_ref() || *name == rule.about.title;
    unknown.retain(|name| !is(name));
    names.iter().any(is)
}

pub(crate) fn logsource(content: &Yaml) -> Logsource {
    let text = |key| content.get("logsource").and_then(|l| l.text(key)).filter(|t| !t.is_empty());
    Logsource { product: text("product"), category: text("category"), service: text("service") }
}
