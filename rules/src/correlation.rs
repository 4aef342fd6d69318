//! Correlation rules: what they measure, over which rules' matches, in what time (Sigma correlation rules 2.1; median and
//! conditions over rules as pySigma has them).
//!
//! Reading checks everything that the document alone can say; references are resolved once all rules are loaded.

use crate::about::About;
use crate::parse::condition::{self, Condition as Tree, Quantifier};
use crate::parse::detection::Mistake;
use crate::parse::yaml::Yaml;
use std::collections::BTreeMap;
use std::fmt;

/// A correlation rule.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What it says of itself.
    pub about: About,
    /// What it measures.
    pub measure: Measure,
    /// The rules whose matches it takes.
    pub rules: Vec<Reference>,
    /// Fields, or aliases, whose values keep matches apart.
    pub group_by: Vec<String>,
    /// Alias → name of a referred rule, as written → the field that the alias is in its events.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// How far apart in event time the first and the last match may be, inclusive, microseconds.
    pub timespan_us: i64,
    /// When it matches.
    pub condition: Condition,
    /// Whether the referred rules give findings of their own, too.
    pub generate: bool,
}

/// A referred rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its name or id, as written.
    pub name: String,
    /// What it is.
    pub to: Referred,
}

/// What a reference leads to, by its number in the [`crate::Ruleset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Referred {
    /// A detection rule.
    Rule(usize),
    /// A correlation rule.
    Correlation(usize),
}

/// What is measured over the matches of one group.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Matches.
    EventCount,
    /// Distinct values of fields.
    ValueCount(Vec<String>),
    /// The sum of a field's numbers.
    ValueSum(String),
    /// Their mean.
    ValueAvg(String),
    /// A percentile of them, from 0 to 100; the median is the 50th.
    ValuePercentile(String, f64),
    /// Different rules that matched.
    Temporal,
    /// Different rules that matched in the order of the list.
    TemporalOrdered,
}

impl Measure {
    /// Whether one match more may make it less.
    pub fn recedes(&self) -> bool {
        matches!(self, Self::ValueSum(_) | Self::ValueAvg(_) | Self::ValuePercentile(..))
    }
}

/// When a correlation matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The measure is within all bounds.
    Bounds(Vec<(Bound, f64)>),
    /// An expression over which rules matched.
    Rules(RuleExpr),
}

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Bound {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// An expression over the rules that matched, by their place in [`Correlation::rules`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RuleExpr {
    And(Vec<RuleExpr>),
    Or(Vec<RuleExpr>),
    Not(Box<RuleExpr>),
    Rule(usize),
}

const BOUNDS: &[(&str, Bound)] = &[
    ("gt", Bound::Greater),
    ("gte", Bound::GreaterOrEqual),
    ("lt", Bound::Less),
    ("lte", Bound::LessOrEqual),
    ("eq", Bound::Equal),
    ("neq", Bound::NotEqual),
];

/// Rules of one correlation.
const RULES_MAX: usize = 100;

impl Bound {
    fn sign(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
        }
    }

    /// Whether a measure is within it.
    pub fn holds(self, measure: f64, bound: f64) -> bool {
        match self {
            Self::Greater => measure > bound,
            Self::GreaterOrEqual => measure >= bound,
            Self::Less => measure < bound,
            Self::LessOrEqual => measure <= bound,
            Self::Equal => measure == bound,
            Self::NotEqual => measure != bound,
        }
    }
}

impl RuleExpr {
    fn text(&self, names: &[&str]) -> String {
        let list = |list: &[Self], word: &str| {
            format!("({})", list.iter().map(|e| e.text(names)).collect::<Vec<_>>().join(word))
        };
        match self {
            Self::And(inner) => list(inner, " and "),
            Self::Or(inner) => list(inner, " or "),
            Self::Not(inner) => format!("not {}", inner.text(names)),
            Self::Rule(rule) => names[*rule].to_owned(),
        }
    }

    /// Whether it holds, where `matched` says which rules did.
    pub fn holds(&self, matched: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::And(list) => list.iter().all(|e| e.holds(matched)),
            Self::Or(list) => list.iter().any(|e| e.holds(matched)),
            Self::Not(inner) => !inner.holds(matched),
            Self::Rule(rule) => matched(*rule),
        }
    }

    /// Whether more matches can only make it true.
    fn is_monotone(&self) -> bool {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().all(Self::is_monotone),
            Self::Not(_) => false,
            Self::Rule(_) => true,
        }
    }
}

impl Condition {
    /// Whether it holds for a measure and the rules that matched.
    pub fn holds(&self, measure: f64, matched: impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Bounds(list) => list.iter().all(|(bound, n)| bound.holds(measure, *n)),
            Self::Rules(expr) => expr.holds(&matched),
        }
    }

    /// Whether it can be told to hold before its time is over: only lower bounds, and no `not`.
    pub fn is_monotone(&self) -> bool {
        match self {
            Self::Bounds(list) => list.iter().all(|(b, _)| matches!(b, Bound::Greater | Bound::GreaterOrEqual)),
            Self::Rules(expr) => expr.is_monotone(),
        }
    }
}

impl Correlation {
    /// The field that `name`, a field or an alias, is in the events of the referred rule at `place`.
    pub fn field_of<'a>(&'a self, name: &'a str, place: usize) -> Option<&'a str> {
        match self.aliases.get(name) {
            Some(fields) => fields.get(&self.rules[place].name).map(String::as_str),
            None => Some(name),
        }
    }

    /// The fields that are measured.
    pub fn measured(&self) -> &[String] {
        match &self.measure {
            Measure::ValueCount(fields) => fields,
            Measure::ValueSum(field) | Measure::ValueAvg(field) | Measure::ValuePercentile(field, _) => {
                std::slice::from_ref(field)
            }
            Measure::EventCount | Measure::Temporal | Measure::TemporalOrdered => &[],
        }
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = match &self.measure {
            Measure::EventCount => "events".to_owned(),
            Measure::ValueCount(fields) => format!("distinct values of {}", fields.join(", ")),
            Measure::ValueSum(field) => format!("the sum of {field}"),
            Measure::ValueAvg(field) => format!("the mean of {field}"),
            Measure::ValuePercentile(field, percentile) => format!("the {percentile}th percentile of {field}"),
            Measure::Temporal => "rules that matched".to_owned(),
            Measure::TemporalOrdered => "rules that matched in their order".to_owned(),
        };
        let names: Vec<&str> = self.rules.iter().map(|r| r.name.as_str()).collect();
        match &self.condition {
            Condition::Bounds(bounds) => {
                let signs: Vec<String> = bounds.iter().map(|(bound, n)| format!("{} {n}", bound.sign())).collect();
                write!(f, "{measure} {} of {}", signs.join(" and "), names.join(", "))?;
            }
            Condition::Rules(expr) => write!(f, "{}", expr.text(&names))?,
        }
        let by = if self.group_by.is_empty() { String::new() } else { format!(" by {}", self.group_by.join(", ")) };
        write!(f, "{by} within {} s", self.timespan_us / 1_000_000)
    }
}

fn mistake(key: &str, reason: impl Into<String>) -> Mistake {
    Mistake { key: key.into(), reason: reason.into() }
}

/// Reads a correlation; its references lead nowhere yet.
pub(crate) fn read(about: About, content: &Yaml) -> Result<Correlation, Mistake> {
    let section = content.get("correlation").ok_or_else(|| mistake("correlation", "there is no correlation"))?;
    let known = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
    if let Some((key, _)) = section.map().into_iter().flatten().find(|(key, _)| !known.contains(&key.as_str())) {
        return Err(mistake(key, format!("a correlation has no {key:?}; it has {}", known.join(", "))));
    }
    let mut names = section.texts("rules");
    if names.is_empty() {
        return Err(mistake("correlation", "the correlation names no rules"));
    }
    if names.len() > RULES_MAX {
        return Err(mistake("rules", format!("{} rules; the limit is {RULES_MAX}", names.len())));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let condition = section.get("condition");
    let (measure, condition) = measure(section, condition, &names)?;
    Ok(Correlation {
        about,
        measure,
        group_by: section.texts("group-by"),
        aliases: aliases(section, &names)?,
        timespan_us: timespan(section)?,
        condition,
        generate: flag(section.get("generate").or_else(|| content.get("generate")))?,
        rules: names.into_iter().map(|name| Reference { name, to: Referred::Rule(usize::MAX) }).collect(),
    })
}

fn flag(value: Option<&Yaml>) -> Result<bool, Mistake> {
    match value {
        None | Some(Yaml::Null) => Ok(false),
        Some(Yaml::Bool(b)) => Ok(*b),
        Some(_) => Err(mistake("generate", "generate: expected true or false")),
    }
}

fn measure(section: &Yaml, condition: Option<&Yaml>, names: &[String]) -> Result<(Measure, Condition), Mistake> {
    let kind = section.text("type").ok_or_else(|| mistake("correlation", "the correlation has no type"))?;
    let temporal = match kind.as_str() {
        "temporal" => Some(Measure::Temporal),
        "temporal_ordered" => Some(Measure::TemporalOrdered),
        _ => None,
    };
    if let Some(measure) = temporal {
        let all = vec![(Bound::GreaterOrEqual, names.len() as f64)];
        let condition = match condition {
            None | Some(Yaml::Null) => Condition::Bounds(all),
            Some(Yaml::Text(text)) if measure == Measure::Temporal => Condition::Rules(expression(text, names)?),
            Some(Yaml::Map(_)) => Condition::Bounds(bounds(condition, &[])?),
            Some(_) if measure == Measure::TemporalOrdered => {
                return Err(mistake("condition", "a temporal_ordered correlation takes a number of rules, or nothing"));
            }
            Some(_) => return Err(mistake("condition", "condition: expected bounds, or an expression over rules")),
        };
        if measure == Measure::TemporalOrdered && !condition.is_monotone() {
            return Err(mistake("condition", "a temporal_ordered correlation takes only gt and gte"));
        }
        return Ok((measure, condition));
    }
    let fields = condition.map(|c| c.texts("field")).unwrap_or_default();
    let one = || match fields.as_slice() {
        [field] => Ok(field.clone()),
        _ => Err(mistake("condition", format!("a {kind} correlation's condition names one field"))),
    };
    let (measure, more): (Measure, &[&str]) = match kind.as_str() {
        "event_count" => (Measure::EventCount, &[]),
        "value_count" if fields.is_empty() => {
            return Err(mistake("condition", "a value_count correlation's condition names its field"));
        }
        "value_count" => (Measure::ValueCount(fields), &["field"]),
        "value_sum" => (Measure::ValueSum(one()?), &["field"]),
        "value_avg" => (Measure::ValueAvg(one()?), &["field"]),
        "value_median" => (Measure::ValuePercentile(one()?, 50.0), &["field"]),
        "value_percentile" => {
            let text = condition.and_then(|c| c.text("percentile"));
            let percentile = text.as_deref().and_then(|t| t.parse::<f64>().ok()).filter(|p| (0.0..=100.0).contains(p));
            let percentile =
                percentile.ok_or_else(|| mistake("condition", "percentile: expected a number from 0 to 100"))?;
            (Measure::ValuePercentile(one()?, percentile), &["field", "percentile"])
        }
        other => return Err(mistake("type", format!("there is no correlation type {other:?}"))),
    };
    Ok((measure, Condition::Bounds(bounds(condition, more)?)))
}

fn bounds(condition: Option<&Yaml>, more: &[&str]) -> Result<Vec<(Bound, f64)>, Mistake> {
    let Some(Yaml::Map(entries)) = condition else {
        let key = if condition.is_some() { "condition" } else { "correlation" };
        return Err(mistake(key, "condition: expected a mapping such as `gte: 10`"));
    };
    let mut out = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| !more.contains(&key.as_str())) {
        let Some((_, bound)) = BOUNDS.iter().find(|(name, _)| name == key) else {
            return Err(mistake("condition", format!("condition has no {key:?} here")));
        };
        let number = value.scalar().and_then(|t| t.parse::<f64>().ok()).filter(|n| n.is_finite());
        out.push((*bound, number.ok_or_else(|| mistake("condition", format!("{key}: expected a number")))?));
    }
    if out.is_empty() {
        return Err(mistake("condition", "condition: expected one of gt, gte, lt, lte, eq, neq"));
    }
    Ok(out)
}

fn expression(text: &str, names: &[String]) -> Result<RuleExpr, Mistake> {
    let tree = condition::parse(text).map_err(|reason| mistake("condition", reason))?;
    convert(&tree, names)
}

fn convert(tree: &Tree, names: &[String]) -> Result<RuleExpr, Mistake> {
    let list = |list: &[Tree]| list.iter().map(|t| convert(t, names)).collect::<Result<Vec<_>, _>>();
    Ok(match tree {
        Tree::And(trees) => RuleExpr::And(list(trees)?),
        Tree::Or(trees) => RuleExpr::Or(list(trees)?),
        Tree::Not(inner) => RuleExpr::Not(Box::new(convert(inner, names)?)),
        Tree::Selection(name) => match names.iter().position(|n| n == name) {
            Some(place) => RuleExpr::Rule(place),
            None => return Err(mistake("condition", format!("{name:?} is not among the correlation's rules"))),
        },
        Tree::Some(quantifier, None) => {
            let all = (0..names.len()).map(RuleExpr::Rule).collect();
            match quantifier {
                Quantifier::All => RuleExpr::And(all),
                Quantifier::AtLeast(1) => RuleExpr::Or(all),
                Quantifier::AtLeast(_) => return Err(mistake("condition", "expected `all of them` or `1 of them`")),
            }
        }
        Tree::Some(_, Some(pattern)) => {
            return Err(mistake("condition", format!("{pattern:?}: rules are named one by one, or as `them`")));
        }
    })
}

fn aliases(section: &Yaml, names: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>, Mistake> {
    let mut out = BTreeMap::new();
    for (alias, fields) in section.get("aliases").and_then(Yaml::map).into_iter().flatten() {
        let Some(fields) = fields.map() else {
            return Err(mistake(alias, format!("alias {alias}: expected a rule's name and its field")));
        };
        let mut by_rule = BTreeMap::new();
        for (rule, field) in fields {
            if !names.contains(rule) {
                return Err(mistake(alias, format!("alias {alias}: {rule:?} is not among the correlation's rules")));
            }
            let field = field.scalar().ok_or_else(|| mistake(alias, format!("alias {alias}: expected a field")))?;
            by_rule.insert(rule.clone(), field);
        }
        out.insert(alias.clone(), by_rule);
    }
    Ok(out)
}

/// `number + letter`: seconds, minutes, hours, days; weeks, months of 30 days and years of 365 as pySigma takes them.
fn timespan(section: &Yaml) -> Result<i64, Mistake> {
    let text = section.text("timespan").ok_or_else(|| mistake("correlation", "the correlation has no timespan"))?;
    let wrong = || mistake("timespan", format!("timespan {text:?}: expected a number and one of s, m, h, d, w, M, y"));
    span_us(&text).ok_or_else(wrong)
}

/// A time span as Sigma writes it, microseconds: above none, and not above a hundred years, which are more than any log.
pub(crate) fn span_us(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'M' => 30 * 86_400,
        'y' => 365 * 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - unit.len_utf8()].trim().parse().ok()?;
    let span = number.checked_mul(seconds).filter(|s| *s > 0 && *s <= 100 * 366 * 86_400)?;
    Some(span * 1_000_000)
}

#[cfg(test)]
mod tests;
