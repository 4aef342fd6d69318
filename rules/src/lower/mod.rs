//! From Sigma's detections to the IR: modifiers, wildcards, quantifiers and selections worked out.
//!
//! Sigma rules specification 2.1.0; modifiers: sigma-appendix-modifiers 2.1.0. Where the specification is silent, pySigma
//! decides.

mod encode;
pub mod modifiers;
mod regex;
mod value;

use crate::expr::{Expr, Item, Test};
use crate::parse::condition::{Condition, Quantifier};
use crate::parse::detection::{Detection, Detections, RawItem};
use modifiers::Modifiers;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a rule has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LowerError {
    /// The condition names a selection that is not there.
    #[error("the condition names {0:?}, and no selection has that name")]
    UnknownSelection(String),
    /// No selection matches a quantifier's pattern.
    #[error("the condition asks for `{0}`, and no selection matches")]
    EmptyQuantifier(String),
    /// A modifier that does not go with the others or with the value.
    #[error("{field}: {problem}")]
    Modifier {
        /// The field with its modifiers.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// A placeholder without values.
    #[error("placeholder %{0}% has no values; give them with --placeholder {0}=VALUE")]
    Placeholder(String),
    /// More than a limit.
    #[error("{what}: the limit is {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl LowerError {
    /// The key of the rule that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Modifier { field, .. } => field,
            Self::UnknownSelection(_) | Self::EmptyQuantifier(_) => "condition",
            Self::Placeholder(_) | Self::TooMuch { .. } => "detection",
        }
    }
}

const ITEMS_MAX: usize = 50_000;
const COMBINATIONS_MAX: usize = 4_096;

/// Values for placeholders, by name.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// A detection section, worked out.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// What has to hold.
    pub condition: Expr,
    /// Each selection alone, by name.
    pub selections: BTreeMap<String, Expr>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// The condition of a detection section, and what is odd about it.
///
/// A selection that a condition names often is worked out once.
pub fn lower(detections: &Detections, placeholders: &Placeholders) -> Result<Lowered, LowerError> {
    let mut warnings = Vec::new();
    let mut selections = BTreeMap::new();
    let mut items = 0;
    for (name, detection) in &detections.selections {
        let expr = self::detection(detection, placeholders, &mut warnings)?.simplify();
        let size = size(&expr);
        items += size;
        if items > ITEMS_MAX {
            return Err(LowerError::TooMuch { what: "values in the rule", limit: ITEMS_MAX });
        }
        selections.insert(name.as_str(), (expr, size));
    }
    let mut context = Context { detections, selections, items: 0, warnings };
    // Several conditions are several ways to fire.
    let conditions = detections.conditions.iter().map(|c| context.condition(c)).collect::<Result<Vec<_>, _>>()?;
    for (name, _) in &detections.selections {
        if !name.starts_with('_') && !detections.conditions.iter().any(|c| mentions(c, name)) {
            context.warnings.push(format!("no condition uses the selection {name:?}"));
        }
    }
    let selections = context.selections.into_iter().map(|(name, (expr, _))| (name.to_owned(), expr)).collect();
    Ok(Lowered { condition: Expr::Or(conditions).simplify(), selections, warnings: context.warnings })
}

fn size(expr: &Expr) -> usize {
    let mut items = 0;
    expr.items(&mut |_| items += 1);
    items
}

struct Context<'a> {
    detections: &'a Detections,
    selections: BTreeMap<&'a str, (Expr, usize)>,
    /// Items put into the condition so far.
    items: usize,
    warnings: Vec<String>,
}

impl Context<'_> {
    fn condition(&mut self, condition: &Condition) -> Result<Expr, LowerError> {
        Ok(match condition {
            Condition::And(list) => Expr::And(list.iter().map(|c| self.condition(c)).collect::<Result<_, _>>()?),
            Condition::Or(list) => Expr::Or(list.iter().map(|c| self.condition(c)).collect::<Result<_, _>>()?),
            Condition::Not(inner) => {
                // `not 1 of filter_*` without filters is how templates are written; it excludes nothing.
                if let Condition::Some(Quantifier::AtLeast(_), pattern) = &**inner
                    && self.chosen(pattern.as_deref()).is_empty()
                {
                    self.warnings.push(format!("no selection matches {:?}", pattern.as_deref().unwrap_or("them")));
                    return Ok(Expr::And(Vec::new()));
                }
                Expr::Not(Box::new(self.condition(inner)?))
            }
            Condition::Selection(name) => self.selection(name)?,
            Condition::Some(quantifier, pattern) => self.quantified(*quantifier, pattern.as_deref())?,
        })
    }

    fn selection(&mut self, name: &str) -> Result<Expr, LowerError> {
        let (expr, size) = self.selections.get(name).ok_or_else(|| LowerError::UnknownSelection(name.to_owned()))?;
        self.items += size;
        if self.items > ITEMS_MAX {
            return Err(LowerError::TooMuch { what: "values in the condition", limit: ITEMS_MAX });
        }
        Ok(expr.clone())
    }

    /// The selections a pattern means: those with a leading `_` only when the pattern has it, too.
    fn chosen(&self, pattern: Option<&str>) -> Vec<String> {
        let names = self.detections.selections.iter().map(|(name, _)| name);
        names.filter(|name| means(pattern, name)).cloned().collect()
    }

    fn quantified(&mut self, quantifier: Quantifier, pattern: Option<&str>) -> Result<Expr, LowerError> {
        let names = self.chosen(pattern);
        if names.is_empty() {
            let quantifier = match quantifier {
                Quantifier::All => "all".to_owned(),
                Quantifier::AtLeast(n) => n.to_string(),
            };
            return Err(LowerError::EmptyQuantifier(format!("{quantifier} of {}", pattern.unwrap_or("them"))));
        }
        match quantifier {
            Quantifier::All => Ok(Expr::And(names.iter().map(|n| self.selection(n)).collect::<Result<_, _>>()?)),
            Quantifier::AtLeast(n) => {
                let chosen = combinations(names.len(), n)?;
                let all = |this: &mut Self, c: Vec<usize>| {
                    Ok(Expr::And(c.into_iter().map(|i| this.selection(&names[i])).collect::<Result<_, _>>()?))
                };
                Ok(Expr::Or(chosen.into_iter().map(|c| all(self, c)).collect::<Result<_, _>>()?))
            }
        }
    }
}

/// Whether a quantifier's pattern (none is `them`) means a selection.
pub fn means(pattern: Option<&str>, name: &str) -> bool {
    match pattern {
        None => !name.starts_with('_'),
        Some(pattern) => {
            wild(pattern.as_bytes(), name.as_bytes()) && (pattern.starts_with('_') || !name.starts_with('_'))
        }
    }
}

/// Whether a name matches a pattern with `*`.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let parts: Vec<&[u8]> = pattern.split(|b| *b == b'*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(*first) else { return false };
    for part in middle {
        let Some(at) = (0..=rest.len().saturating_sub(part.len())).find(|i| rest[*i..].starts_with(part)) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a condition names a selection, or means it with a pattern.
pub fn mentions(condition: &Condition, name: &str) -> bool {
    match condition {
        Condition::And(list) | Condition::Or(list) => list.iter().any(|c| mentions(c, name)),
        Condition::Not(inner) => mentions(inner, name),
        Condition::Selection(selection) => selection == name,
        Condition::Some(_, pattern) => means(pattern.as_deref(), name),
    }
}

/// Every choice of `n` out of `of`.
fn combinations(of: usize, n: usize) -> Result<Vec<Vec<usize>>, LowerError> {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..n.min(of + 1) {
        chosen = chosen
            .iter()
            .flat_map(|c| (c.last().map_or(0, |l| l + 1)..of).map(move |i| [c.as_slice(), &[i]].concat()))
            .collect();
        if chosen.len() > COMBINATIONS_MAX {
            return Err(LowerError::TooMuch { what: "combinations of selections", limit: COMBINATIONS_MAX });
        }
    }
    Ok(chosen)
}

fn detection(
    detection: &Detection,
    placeholders: &Placeholders,
    warnings: &mut Vec<String>,
) -> Result<Expr, LowerError> {
    let mut each =
        |list: &[Detection]| list.iter().map(|d| self::detection(d, placeholders, warnings)).collect::<Result<_, _>>();
    Ok(match detection {
        Detection::All(list) => Expr::And(each(list)?),
        Detection::Any(list) => Expr::Or(each(list)?),
        Detection::Item(raw) => item(raw, placeholders, warnings)?,
    })
}

/// What one entry means by itself; none where it means nothing.
pub fn item_alone(raw: &RawItem) -> Option<Expr> {
    item(raw, &Placeholders::new(), &mut Vec::new()).ok()
}

fn item(raw: &RawItem, placeholders: &Placeholders, warnings: &mut Vec<String>) -> Result<Expr, LowerError> {
    let modifiers = Modifiers::new(raw)?;
    if raw.values.is_empty() {
        return Err(LowerError::Modifier { field: raw.key.clone(), problem: "an empty list of values".into() });
    }
    if modifiers.all && raw.values.len() == 1 && raw.field.is_some() {
        warnings.push(format!("{}: `all` of a single value", raw.key));
    }
    if raw.values.len() > 1 && raw.values.contains(&crate::parse::yaml::Yaml::Null) {
        warnings.push(format!("{}: Sigma has no null in a list of values; it is taken as one of them", raw.key));
    }
    let mut list = Vec::with_capacity(raw.values.len());
    for value in &raw.values {
        list.push(value::lower(&modifiers, value, placeholders)?);
    }
    let any = if modifiers.all { Expr::And(list) } else { Expr::Or(list) };
    if !modifiers.negate {
        return Ok(any);
    }
    // `neq`: the field is there and is none of the values; so is a field that it refers to.
    let exists = |field: &str| Expr::Item(Item { field: Some(field.to_owned()), test: Test::Exists });
    let mut fields: Vec<String> = raw.field.iter().cloned().collect();
    any.items(&mut |item| {
        if let Test::Field(_, other) = &item.test {
            fields.push(other.clone());
        }
    });
    let mut all: Vec<Expr> = fields.iter().map(|f| exists(f)).collect();
    all.push(Expr::Not(Box::new(any)));
    Ok(Expr::And(all))
}
