//! Which rules can see which events: log sources to sources, fields to inventories.
//!
//! An item on a field that no inventory of the bound kinds names is false: its `not` is true. A rule whose condition
//! cannot become true that way is *not evaluable* and is left out, by name; other unknown fields are warnings.

use crate::correlation::Correlations;
use crate::matcher::program::Compiled;
use ahash::{AHashMap, AHashSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use tarn_ingest::fields::{FieldIx, FieldRequest, FieldUse, KEYWORDS, Needle};
use tarn_ingest::source::{Binding, LogsourceId, Route, Source, SourceId, Sources};
use tarn_rules::correlation::{Correlation, Referred};
use tarn_rules::{Expr, Item, Logsource, Part, Pattern, Rule, Ruleset, Test};
use tarn_schema_ocsf::ClassUid;

/// A rule's number in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIx(pub u32);

/// Whether a rule can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, on events of these sources; each warning names a field that is unknown there.
    Evaluable {
        /// Names of the sources.
        sources: Vec<String>,
        /// Unknown fields that do not keep it from firing.
        warnings: Vec<String>,
    },
    /// It cannot fire, and why.
    NotEvaluable(String),
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rule's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its file.
    pub file: std::path::PathBuf,
    /// Whether it runs.
    pub verdict: Verdict,
    /// How many field uses there are, over the bound sources.
    pub field_uses: usize,
    /// How many of them are unknown.
    pub unknown_uses: usize,
    /// The unknown fields, each in a source that it could come from.
    pub unknown: Vec<UnknownField>,
}

/// A field that a bound source does not have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownField {
    /// The field.
    pub field: String,
    /// The source's name.
    pub source: String,
}

/// A condition over numbered fields, for one source.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub rule: RuleIx,
    pub binding: Binding,
    pub condition: Expr,
    /// The numbers of its fields, each once.
    fields: Vec<u16>,
    /// Which of the request's uses is its binding's.
    of_use: usize,
    /// Whether it searches all values of an event.
    pub has_keywords: bool,
}

/// Rules bound to sources.
pub struct Engine {
    pub(crate) sources: Arc<Sources>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) bound: Vec<Bound>,
    request: FieldRequest,
    numbers: AHashMap<String, u16>,
    correlations: Correlations,
    /// For each bound rule, the classes that its events become.
    classes: OnceLock<Vec<Vec<ClassUid>>>,
    compiled: OnceLock<Compiled>,
}

impl Engine {
    /// Binds a rule set; every rule gets a report, and behind these every correlation.
    pub fn new(sources: Arc<Sources>, ruleset: Ruleset) -> (Self, Vec<Report>) {
        let mut engine = Self {
            sources,
            rules: Vec::new(),
            bound: Vec::new(),
            request: FieldRequest::default(),
            numbers: AHashMap::new(),
            correlations: Correlations::default(),
            classes: OnceLock::new(),
            compiled: OnceLock::new(),
        };
        let (mut reports, mut numbers, mut places) = (Vec::new(), Vec::new(), AHashMap::new());
        for rule in ruleset.rules {
            let next = engine.rules.len();
            let of_rule =
                places.entry(rule.logsource.clone()).or_insert_with(|| Place::all(&engine.sources, &rule.logsource));
            reports.push(engine.add(rule, of_rule));
            numbers.push((engine.rules.len() > next).then_some(next));
        }
        let (correlations, of_correlations) = Correlations::new(ruleset.correlations, &numbers);
        for (rule, fields) in correlations.captures() {
            let uses = engine.bound.iter().filter(|b| b.rule.0 as usize == rule).map(|b| b.of_use);
            for of_use in uses.collect::<Vec<_>>() {
                for field in fields {
                    engine.ask(of_use, field);
                }
            }
        }
        reports.extend(of_correlations);
        engine.correlations = correlations;
        (engine, reports)
    }

    /// The correlations that run; their references are numbers of rules and correlations of this engine.
    pub fn correlations(&self) -> &[Correlation] {
        self.correlations.list()
    }

    /// Fields of a rule's events that correlations need; none where no correlation takes the rule.
    pub fn captures(&self, rule: RuleIx) -> Option<&[String]> {
        self.correlations.captured(Referred::Rule(rule.0 as usize))
    }

    /// Fields of a correlation's matches that correlations over it need; none where there are none.
    pub(crate) fn passes(&self, correlation: usize) -> Option<&[String]> {
        self.correlations.captured(Referred::Correlation(correlation))
    }

    /// Whether a rule gives findings of its own, not only to correlations.
    pub fn is_shown(&self, rule: RuleIx) -> bool {
        self.correlations.is_shown(Referred::Rule(rule.0 as usize))
    }

    /// The same of a correlation.
    pub fn is_correlation_shown(&self, correlation: usize) -> bool {
        self.correlations.is_shown(Referred::Correlation(correlation))
    }

    /// Which of the request's uses is a binding's.
    fn use_of(&mut self, binding: &Binding) -> usize {
        let uses = &mut self.request.uses;
        uses.iter().position(|u| u.binding == *binding).unwrap_or_else(|| {
            let (binding, needles) = (binding.clone(), Some(BTreeSet::new()));
            uses.push(FieldUse { binding, fields: BTreeSet::new(), needles });
            uses.len() - 1
        })
    }

    /// Asks for a field of a use's events, and gives its number.
    fn ask(&mut self, of_use: usize, name: &str) -> u16 {
        let request = &mut self.request;
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            request.fields.push(name.to_owned());
            let number = (request.fields.len() - 1) as u16;
            self.numbers.insert(name.to_owned(), number);
            number
        });
        request.uses[of_use].fields.insert(number);
        number
    }

    /// The rule with a number.
    pub fn rule(&self, ix: RuleIx) -> &Rule {
        &self.rules[ix.0 as usize]
    }

    /// How many rules run.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether no rule runs.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The sources that rules are bound to.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// The fields that rules use.
    pub fn request(&self) -> FieldRequest {
        self.request.clone()
    }

    /// The fields that some of the rules use, under the numbers of [`Engine::request`].
    pub(crate) fn request_of(&self, some: &[&Bound]) -> FieldRequest {
        let mut of: Vec<BTreeSet<u16>> = vec![BTreeSet::new(); self.request.uses.len()];
        for bound in some {
            let captured = self.captures(bound.rule).into_iter().flatten().filter_map(|name| self.numbers.get(name));
            of[bound.of_use].extend(bound.fields.iter().chain(captured));
        }
        let uses = self.request.uses.iter().zip(of).filter(|(_, fields)| !fields.is_empty());
        let uses = uses.map(|(u, fields)| FieldUse { fields, ..u.clone() });
        FieldRequest { fields: self.request.fields.clone(), uses: uses.collect() }
    }

    /// How many fields rules use.
    pub(crate) fn field_count(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn field(&self, name: &str) -> Option<FieldIx> {
        self.numbers.get(name).map(|n| FieldIx(*n))
    }

    /// Works out what all matchers are made of, which the first one would do.
    pub fn make_ready(&self) {
        self.compiled();
        self.classes_of_bound();
    }

    /// The conditions of bound rules, as matchers take them.
    pub(crate) fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| Compiled::new(self))
    }

    /// The classes that the events of each bound rule become.
    pub(crate) fn classes_of_bound(&self) -> &[Vec<ClassUid>] {
        self.classes.get_or_init(|| {
            let mut of_binding: BTreeMap<(SourceId, Vec<LogsourceId>), Vec<ClassUid>> = BTreeMap::new();
            let classes = |bound: &Bound| {
                let source = self.sources.source(bound.binding.source);
                let entries: Vec<LogsourceId> = bound.binding.entries().collect();
                let of_kinds = || {
                    let kinds = source.kinds_of(&entries).into_iter();
                    let mut classes: Vec<ClassUid> = kinds.map(|kind| source.kinds[kind as usize].class).collect();
                    classes.sort_unstable();
                    classes.dedup();
                    classes
                };
                of_binding.entry((source.id, entries.clone())).or_insert_with(of_kinds).clone()
            };
            self.bound.iter().map(classes).collect()
        })
    }

    pub(crate) fn covers(&self, bound: &Bound, route: &Route) -> bool {
        bound.binding.covers(route)
    }

    /// Binds a rule to the places of its log source.
    fn add(&mut self, rule: Rule, places: &mut [Place]) -> Report {
        let logsource = &rule.logsource;
        let mut report = Report {
            id: rule.about.id.clone(),
            title: rule.about.title.clone(),
            file: rule.about.file.clone(),
            verdict: Verdict::NotEvaluable(format!("no source has the log source {logsource}")),
            field_uses: 0,
            unknown_uses: 0,
            unknown: Vec::new(),
        };
        let ix = RuleIx(self.rules.len() as u32);
        let (mut names, mut unknown, mut bound) = (Vec::new(), BTreeSet::new(), Vec::new());
        if let Some(constant) = places.first().and_then(|_| constant(&rule.condition)) {
            report.verdict = Verdict::NotEvaluable(format!("the condition is {constant} true"));
        }
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        rule.condition.items(&mut |item| fields_of(item).for_each(|field| *uses.entry(field).or_default() += 1));
        for place in places {
            let source = self.sources.source(place.binding.source);
            let mut missing = BTreeSet::new();
            for (field, uses) in &uses {
                report.field_uses += uses;
                if !place.knows(source, field) {
                    report.unknown_uses += uses;
                    missing.insert((*field).to_owned());
                }
            }
            let folded = fold(&rule.condition, &missing);
            unknown.extend(missing.into_iter().map(|field| UnknownField { field, source: source.name.clone() }));
            if let Folded::Expr(condition) = folded {
                names.push(source.name.clone());
                bound.push((place.binding.clone(), condition));
            } else if folded == Folded::True {
                // Nothing that the source has would be looked at: such a rule would fire on every event.
                continue;
            }
        }
        report.unknown = unknown.into_iter().collect();
        let warnings: Vec<String> = report.unknown.iter().map(|u| format!("{} (in {})", u.field, u.source)).collect();
        if bound.is_empty() {
            if !warnings.is_empty() {
                report.verdict = Verdict::NotEvaluable(format!("unknown fields: {}", warnings.join(", ")));
            }
            return report;
        }
        report.verdict = Verdict::Evaluable { sources: names, warnings };
        for (binding, condition) in bound {
            let of_use = self.use_of(&binding);
            let (mut names, mut seen, mut keywords) = (Vec::new(), AHashSet::new(), Vec::new());
            condition.items(&mut |item| {
                names.extend(fields_of(item).filter(|name| seen.insert(*name)));
                keywords.extend(item.field.is_none().then(|| needle(&item.test)));
            });
            let has_keywords = !keywords.is_empty();
            names.extend(has_keywords.then_some(KEYWORDS));
            let fields = names.into_iter().map(|name| self.ask(of_use, name)).collect();
            for needle in keywords {
                let all = &mut self.request.uses[of_use].needles;
                *all = all.take().zip(needle).map(|(mut all, needle)| {
                    all.insert(needle);
                    all
                });
            }
            self.bound.push(Bound { rule: ix, binding, condition, fields, of_use, has_keywords });
        }
        self.rules.push(rule);
        report
    }
}

/// A source that rules of one log source are bound to.
struct Place {
    binding: Binding,
    /// The kinds of its events there.
    kinds: Vec<u16>,
    /// Whether they have a field, as far as that was asked.
    known: AHashMap<String, bool>,
}

impl Place {
    /// Those of a log source.
    fn all(sources: &Sources, logsource: &Logsource) -> Vec<Self> {
        let Logsource { product, category, service } = logsource;
        let bindings = sources.bind(product.as_deref(), category.as_deref(), service.as_deref());
        let place = |binding: Binding| {
            let entries: Vec<_> = binding.entries().collect();
            let kinds = sources.source(binding.source).kinds_of(&entries);
            Self { binding, kinds, known: AHashMap::new() }
        };
        bindings.into_iter().map(place).collect()
    }

    fn knows(&mut self, source: &Source, field: &str) -> bool {
        if let Some(known) = self.known.get(field) {
            return *known;
        }
        let entries: Vec<_> = self.binding.entries().collect();
        let known = source.knows(field, &self.kinds, &entries);
        self.known.insert(field.to_owned(), known);
        known
    }
}

/// What is in every value that a test holds for.
pub(crate) fn needle(test: &Test) -> Option<Needle> {
    let Test::Text { pattern, .. } = test else { return None };
    match pattern {
        Pattern::Any => None,
        Pattern::Exact(t) | Pattern::Prefix(t) | Pattern::Suffix(t) | Pattern::Contains(t) => Needle::of(t),
        Pattern::Glob(parts) => {
            let texts = parts.iter().filter_map(|p| if let Part::Text(t) = p { Some(t.as_str()) } else { None });
            texts.max_by_key(|t| t.len()).and_then(Needle::of)
        }
    }
}

/// The named fields of an item.
pub(crate) fn fields_of(item: &Item) -> impl Iterator<Item = &str> {
    let other = match &item.test {
        Test::Field(_, other) => Some(other.as_str()),
        _ => None,
    };
    item.field.as_deref().into_iter().chain(other)
}

/// "always" or "never", where a condition is that whatever the event.
fn constant(condition: &Expr) -> Option<&'static str> {
    match fold(condition, &BTreeSet::new()) {
        Folded::True => Some("always"),
        Folded::False => Some("never"),
        Folded::Expr(_) => None,
    }
}

/// A condition with unknown fields taken as absent.
#[derive(Clone, Debug, PartialEq)]
enum Folded {
    True,
    False,
    Expr(Expr),
}

fn fold(expr: &Expr, missing: &BTreeSet<String>) -> Folded {
    let list = |list: &[Expr], and: bool| {
        let (stop, skip) = if and { (Folded::False, Folded::True) } else { (Folded::True, Folded::False) };
        let mut out = Vec::new();
        for inner in list {
            match fold(inner, missing) {
                folded if folded == stop => return stop,
                folded if folded == skip => {}
                Folded::Expr(inner) => out.push(inner),
                _ => {}
            }
        }
        match out.len() {
            0 => skip,
            1 => Folded::Expr(out.remove(0)),
            _ => Folded::Expr(if and { Expr::And(out) } else { Expr::Or(out) }),
        }
    };
    match expr {
        Expr::And(inner) => list(inner, true),
        Expr::Or(inner) => list(inner, false),
        Expr::Not(inner) => match fold(inner, missing) {
            Folded::True => Folded::False,
            Folded::False => Folded::True,
            Folded::Expr(inner) => Folded::Expr(Expr::Not(Box::new(inner))),
        },
        Expr::Item(item) => {
            let absent = item.field.as_ref().is_some_and(|f| missing.contains(f));
            let other_absent = fields_of(item).any(|f| missing.contains(f));
            match (&item.test, absent, other_absent) {
                // An unknown field may be there under another name: that it is absent is no evidence.
                (Test::Null, true, _) | (_, _, true) => Folded::False,
                _ => Folded::Expr(Expr::Item(item.clone())),
            }
        }
    }
}
