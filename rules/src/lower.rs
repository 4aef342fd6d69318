//! From Sigma's detections to the IR: modifiers, wildcards, quantifiers and selections worked out.
//!
//! Sigma rules specification 2.1.0; modifiers: sigma-modifiers appendix 2.1.0.

use crate::expr::{Compare, Expr, FieldTest, Item, Part, Pattern, Test, TimePart, fold};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SelectorPattern, SigmaValue, detection_name_matches,
};
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
    /// There is no condition.
    #[error("the rule has no condition")]
    NoCondition,
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
    /// A construct of another version of the language.
    #[error("{0}")]
    Unsupported(&'static str),
    /// More than a limit.
    #[error("{what}: the limit is {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

const ITEMS_MAX: usize = 50_000;
const COMBINATIONS_MAX: usize = 4_096;
const REGEX_BYTES_MAX: usize = 32 << 10;

/// Values for placeholders, by name.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// The condition of a detection section.
pub fn lower(detections: &Detections, placeholders: &Placeholders) -> Result<Expr, LowerError> {
    let context = Context { detections, placeholders };
    if detections.conditions.is_empty() {
        return Err(LowerError::NoCondition);
    }
    // Several conditions are several ways to fire.
    let conditions = detections.conditions.iter().map(|c| context.condition(c)).collect::<Result<Vec<_>, _>>()?;
    let expr = Expr::Or(conditions).simplify();
    let mut items = 0;
    expr.items(&mut |_| items += 1);
    if items > ITEMS_MAX {
        return Err(LowerError::TooMuch { what: "values in the condition", limit: ITEMS_MAX });
    }
    Ok(expr)
}

struct Context<'a> {
    detections: &'a Detections,
    placeholders: &'a Placeholders,
}

impl Context<'_> {
    fn condition(&self, condition: &ConditionExpr) -> Result<Expr, LowerError> {
        let all = |list: &[ConditionExpr]| list.iter().map(|c| self.condition(c)).collect::<Result<Vec<_>, _>>();
        Ok(match condition {
            ConditionExpr::And(list) => Expr::And(all(list)?),
            ConditionExpr::Or(list) => Expr::Or(all(list)?),
            ConditionExpr::Not(inner) => Expr::Not(Box::new(self.condition(inner)?)),
            ConditionExpr::Identifier(name) => {
                let detection = self.detections.named.get(name).ok_or_else(|| LowerError::UnknownSelection(name.clone()))?;
                self.detection(detection)?
            }
            ConditionExpr::Selector { quantifier, pattern } => self.selector(quantifier, pattern)?,
        })
    }

    fn selector(&self, quantifier: &Quantifier, pattern: &SelectorPattern) -> Result<Expr, LowerError> {
        let chosen = |name: &str| match pattern {
            SelectorPattern::Them => !name.starts_with('_'),
            SelectorPattern::Pattern(pattern) => detection_name_matches(pattern, name),
        };
        let mut names: Vec<&String> = self.detections.named.keys().filter(|n| chosen(n)).collect();
        names.sort();
        if names.is_empty() {
            return Err(LowerError::EmptyQuantifier(format!("{quantifier} of {pattern}")));
        }
        let list = names.iter().map(|n| self.detection(&self.detections.named[*n])).collect::<Result<Vec<_>, _>>()?;
        Ok(match quantifier {
            Quantifier::Any | Quantifier::Count(1) => Expr::Or(list),
            Quantifier::All => Expr::And(list),
            Quantifier::Count(n) => Expr::Or(combinations(&list, usize::try_from(*n).unwrap_or(usize::MAX))?),
        })
    }

    fn detection(&self, detection: &Detection) -> Result<Expr, LowerError> {
        Ok(match detection {
            Detection::AllOf(items) => Expr::And(items.iter().map(|i| self.item(i)).collect::<Result<_, _>>()?),
            Detection::AnyOf(list) => Expr::Or(list.iter().map(|d| self.detection(d)).collect::<Result<_, _>>()?),
            Detection::And(list) => Expr::And(list.iter().map(|d| self.detection(d)).collect::<Result<_, _>>()?),
            Detection::Keywords(values) => Expr::Or(values.iter().map(|v| self.keyword(v)).collect::<Result<_, _>>()?),
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
                return Err(LowerError::Unsupported("array matching belongs to Sigma 3; this is Sigma 2.1"));
            }
        })
    }

    fn keyword(&self, value: &SigmaValue) -> Result<Expr, LowerError> {
        let item = DetectionItem { field: rsigma_parser::FieldSpec::new(None, Vec::new()), values: vec![value.clone()] };
        self.item(&item)
    }

    fn item(&self, item: &DetectionItem) -> Result<Expr, LowerError> {
        let modifiers = Modifiers::new(item)?;
        if item.values.is_empty() {
            // `field: []` asks for one of no values.
            return Ok(Expr::Or(Vec::new()));
        }
        let mut list = Vec::new();
        for value in &item.values {
            list.push(self.value(&modifiers, value)?);
        }
        Ok(if modifiers.all { Expr::And(list) } else { Expr::Or(list) })
    }

    fn value(&self, modifiers: &Modifiers, value: &SigmaValue) -> Result<Expr, LowerError> {
        let item = |test| Expr::Item(Item { field: modifiers.field.clone(), test });
        let wrong = |problem: String| LowerError::Modifier { field: modifiers.name.clone(), problem };
        let original = match value {
            SigmaValue::String(s) => s.original.clone(),
            SigmaValue::Integer(n) => n.to_string(),
            SigmaValue::Float(n) => n.to_string(),
            SigmaValue::Bool(b) => b.to_string(),
            SigmaValue::Null => String::new(),
        };
        let test = match modifiers.kind {
            Kind::Exists => {
                let there = match original.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "1" => true,
                    "false" | "no" | "0" => false,
                    _ => return Err(wrong(format!("exists expects true or false, not {original:?}"))),
                };
                let exists = item(Test::Exists);
                return Ok(if there { exists } else { Expr::Not(Box::new(exists)) });
            }
            Kind::Regex => Test::Regex(modifiers.regex(&original)?),
            Kind::Cidr => Test::Cidr(network(&original).ok_or_else(|| wrong(format!("{original:?} is no network")))?),
            Kind::FieldRef(how) => Test::Field(how, original),
            Kind::Compare(compare) => {
                let n = crate::reference::number(&original).ok_or_else(|| wrong(format!("{original:?} is no number")))?;
                match modifiers.part {
                    Some(part) => Test::Time(part, compare, n),
                    None => Test::Number(compare, n),
                }
            }
            Kind::Text => match value {
                SigmaValue::Null if modifiers.field.is_none() => return Ok(Expr::Or(Vec::new())),
                SigmaValue::Null => Test::Null,
                _ => return self.texts(modifiers, &original),
            },
        };
        Ok(modifiers.negated(item(test)))
    }

    /// A text value: placeholders, encodings and dashes give several; any of them matches.
    fn texts(&self, modifiers: &Modifiers, original: &str) -> Result<Expr, LowerError> {
        let originals = if modifiers.expand { self.expand(original)? } else { vec![original.to_owned()] };
        let mut list = Vec::new();
        for original in originals {
            let mut variants = vec![parts(&original)];
            for step in &modifiers.steps {
                variants = step.apply(variants, modifiers)?;
            }
            for parts in variants {
                let mut around = Vec::with_capacity(parts.len() + 2);
                // A keyword is searched inside values, unless it says where with its own wildcards.
                let inside = modifiers.field.is_none() && !parts.iter().any(|p| matches!(p, Part::Many));
                if modifiers.any_before || inside {
                    around.push(Part::Many);
                }
                around.extend(parts);
                if modifiers.any_after || inside {
                    around.push(Part::Many);
                }
                let folded = around.into_iter().map(|p| match p {
                    Part::Text(t) if !modifiers.cased => Part::Text(fold(&t)),
                    part => part,
                });
                let test = Test::Text { pattern: Pattern::new(folded.collect()), cased: modifiers.cased };
                list.push(Expr::Item(Item { field: modifiers.field.clone(), test }));
            }
        }
        Ok(modifiers.negated(Expr::Or(list)))
    }

    fn expand(&self, original: &str) -> Result<Vec<String>, LowerError> {
        let mut done = vec![String::new()];
        let mut rest = original;
        while let Some((before, after)) = rest.split_once('%') {
            let Some((name, after)) = after.split_once('%').filter(|(n, _)| !n.is_empty() && !n.contains(char::is_whitespace)) else { break };
            let values = self.placeholders.get(name).ok_or_else(|| LowerError::Placeholder(name.to_owned()))?;
            done = done.iter().flat_map(|d| values.iter().map(move |v| format!("{d}{before}{v}"))).collect();
            if done.len() > COMBINATIONS_MAX {
                return Err(LowerError::TooMuch { what: "combinations of placeholders", limit: COMBINATIONS_MAX });
            }
            rest = after;
        }
        Ok(done.into_iter().map(|d| d + rest).collect())
    }
}

/// What an item's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Exists,
    Regex,
    Cidr,
    FieldRef(FieldTest),
    Compare(Compare),
}

/// A step that changes texts, in the order in which the rule names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Windash,
    Utf16Le,
    Utf16Be,
    Utf16Bom,
    Base64,
    Base64Offset,
}

struct Modifiers {
    name: String,
    field: Option<String>,
    kind: Kind,
    all: bool,
    cased: bool,
    expand: bool,
    negate: bool,
    any_before: bool,
    any_after: bool,
    steps: Vec<Step>,
    flags: String,
    part: Option<TimePart>,
}

impl Modifiers {
    fn new(item: &DetectionItem) -> Result<Self, LowerError> {
        let list = &item.field.modifiers;
        let field = item.field.name.clone();
        let name = format!("{}{}", field.as_deref().unwrap_or(""), list.iter().map(|m| format!("|{m:?}").to_lowercase()).collect::<String>());
        let mut out = Self {
            name, field, kind: Kind::Text, all: false, cased: false, expand: false, negate: false, any_before: false,
            any_after: false, steps: Vec::new(), flags: String::new(), part: None,
        };
        for modifier in list {
            match modifier {
                Modifier::Contains => (out.any_before, out.any_after) = (true, true),
                Modifier::StartsWith => out.any_after = true,
                Modifier::EndsWith => out.any_before = true,
                Modifier::All => out.all = true,
                Modifier::Cased => out.cased = true,
                Modifier::Expand => out.expand = true,
                Modifier::Neq => out.negate = true,
                Modifier::WindAsh => out.steps.push(Step::Windash),
                Modifier::Wide => out.steps.push(Step::Utf16Le),
                Modifier::Utf16be => out.steps.push(Step::Utf16Be),
                Modifier::Utf16 => out.steps.push(Step::Utf16Bom),
                Modifier::Base64 => out.steps.push(Step::Base64),
                Modifier::Base64Offset => out.steps.push(Step::Base64Offset),
                Modifier::Re => out.set(Kind::Regex)?,
                Modifier::Cidr => out.set(Kind::Cidr)?,
                Modifier::Exists => out.set(Kind::Exists)?,
                Modifier::FieldRef => out.set(Kind::FieldRef(FieldTest::Equals))?,
                Modifier::Gt => out.set(Kind::Compare(Compare::Greater))?,
                Modifier::Gte => out.set(Kind::Compare(Compare::GreaterOrEqual))?,
                Modifier::Lt => out.set(Kind::Compare(Compare::Less))?,
                Modifier::Lte => out.set(Kind::Compare(Compare::LessOrEqual))?,
                Modifier::IgnoreCase => out.flags.push('i'),
                Modifier::Multiline => out.flags.push('m'),
                Modifier::DotAll => out.flags.push('s'),
                Modifier::Minute => out.part = Some(TimePart::Minute),
                Modifier::Hour => out.part = Some(TimePart::Hour),
                Modifier::Day => out.part = Some(TimePart::Day),
                Modifier::Week => out.part = Some(TimePart::Week),
                Modifier::Month => out.part = Some(TimePart::Month),
                Modifier::Year => out.part = Some(TimePart::Year),
            }
        }
        if out.part.is_some() && out.kind == Kind::Text {
            out.kind = Kind::Compare(Compare::Equal);
        }
        out.kind = match (out.kind, out.any_before, out.any_after) {
            (Kind::FieldRef(_), true, true) => Kind::FieldRef(FieldTest::Contains),
            (Kind::FieldRef(_), true, false) => Kind::FieldRef(FieldTest::EndsWith),
            (Kind::FieldRef(_), false, true) => Kind::FieldRef(FieldTest::StartsWith),
            (kind, _, _) => kind,
        };
        out.check()
    }

    fn set(&mut self, kind: Kind) -> Result<(), LowerError> {
        if self.kind != Kind::Text {
            return Err(LowerError::Modifier { field: self.name.clone(), problem: "modifiers that exclude each other".into() });
        }
        self.kind = kind;
        Ok(())
    }

    fn check(self) -> Result<Self, LowerError> {
        let around = self.any_before || self.any_after;
        let problem = match self.kind {
            Kind::Exists if around || !self.steps.is_empty() || self.field.is_none() => "exists stands alone on a field",
            Kind::Cidr if around || !self.steps.is_empty() => "cidr stands alone",
            Kind::Compare(_) if around || !self.steps.is_empty() => "numbers compare without text modifiers",
            Kind::Regex if !self.steps.is_empty() => "re takes no encodings",
            Kind::FieldRef(_) if self.field.is_none() || !self.steps.is_empty() => "fieldref needs a field and no encodings",
            Kind::Text if !self.flags.is_empty() => "i, m and s follow re",
            _ => return Ok(self),
        };
        Err(LowerError::Modifier { field: self.name.clone(), problem: problem.into() })
    }

    /// `neq` asks for a value that is there and differs.
    fn negated(&self, expr: Expr) -> Expr {
        if !self.negate {
            return expr;
        }
        let exists = Expr::Item(Item { field: self.field.clone(), test: Test::Exists });
        Expr::And(vec![exists, Expr::Not(Box::new(expr))])
    }

    fn regex(&self, pattern: &str) -> Result<String, LowerError> {
        let wrong = |problem: String| LowerError::Modifier { field: self.name.clone(), problem };
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(LowerError::TooMuch { what: "bytes of a regular expression", limit: REGEX_BYTES_MAX });
        }
        let mut text = if self.flags.is_empty() { String::new() } else { format!("(?{})", self.flags) };
        text.push_str(pattern);
        match regex::RegexBuilder::new(&text).size_limit(4 << 20).build() {
            Ok(_) => Ok(text),
            Err(error) => Err(wrong(format!("the regular expression does not compile: {}", error.to_string().replace('\n', " ")))),
        }
    }
}

impl Step {
    fn apply(self, variants: Vec<Vec<Part>>, modifiers: &Modifiers) -> Result<Vec<Vec<Part>>, LowerError> {
        if self == Self::Windash {
            return Ok(variants.into_iter().flat_map(|v| windash(&v)).collect());
        }
        let literal = |parts: &[Part]| match parts {
            [] => Ok(String::new()),
            [Part::Text(text)] => Ok(text.clone()),
            _ => Err(LowerError::Modifier { field: modifiers.name.clone(), problem: "an encoded value has no wildcards".into() }),
        };
        let mut out = Vec::new();
        for parts in variants {
            let text = literal(&parts)?;
            // Between encodings the bytes are carried as characters of Latin-1.
            let bytes: Vec<u8> = if text.chars().all(|c| (c as u32) < 0x100) && modifiers.encoded_before(self) {
                text.chars().map(|c| c as u8).collect()
            } else {
                text.clone().into_bytes()
            };
            let latin = |bytes: Vec<u8>| vec![Part::Text(bytes.into_iter().map(char::from).collect())];
            match self {
                Self::Utf16Le => out.push(latin(text.encode_utf16().flat_map(u16::to_le_bytes).collect())),
                Self::Utf16Be => out.push(latin(text.encode_utf16().flat_map(u16::to_be_bytes).collect())),
                Self::Utf16Bom => {
                    let units = std::iter::once(0xfeff_u16).chain(text.encode_utf16());
                    out.push(latin(units.flat_map(u16::to_le_bytes).collect()));
                }
                Self::Base64 => out.push(vec![Part::Text(STANDARD.encode(&bytes))]),
                Self::Base64Offset => out.extend((0..3).map(|offset| vec![Part::Text(base64_at(&bytes, offset))])),
                Self::Windash => {}
            }
        }
        Ok(out)
    }
}

impl Modifiers {
    fn encoded_before(&self, step: Step) -> bool {
        let at = self.steps.iter().position(|s| *s == step).unwrap_or(0);
        self.steps[..at].iter().any(|s| matches!(s, Step::Utf16Le | Step::Utf16Be | Step::Utf16Bom))
    }
}

/// The characters of base64 that bytes have in common wherever they begin `offset` bytes into a group of three.
fn base64_at(bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![b' '; offset];
    padded.extend(bytes);
    let encoded = STANDARD.encode(&padded);
    let start = [0, 2, 3][offset];
    let trailing = [0, 3, 2][padded.len() % 3];
    encoded.get(start..encoded.len().saturating_sub(trailing)).unwrap_or("").to_owned()
}

/// Variants of a command line's dashes: `-`, `/` and the Unicode dashes that Windows programs take as well.
fn windash(parts: &[Part]) -> Vec<Vec<Part>> {
    const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
    let mut out = vec![Vec::new()];
    for part in parts {
        let Part::Text(text) = part else {
            out.iter_mut().for_each(|v: &mut Vec<Part>| v.push(part.clone()));
            continue;
        };
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let chars: Vec<char> = text.chars().collect();
        let dash = |i: usize| {
            matches!(chars[i], '-' | '/') && !word(i.checked_sub(1).map(|b| chars[b])) && word(chars.get(i + 1).copied())
        };
        let count = (0..chars.len()).filter(|i| dash(*i)).count();
        // Up to three dashes vary on their own, more of them together.
        let together = count > 3;
        let total = if together { DASHES.len() } else { DASHES.len().pow(count as u32) };
        let variants: Vec<String> = (0..total)
            .map(|mut n| {
                let all = n % DASHES.len();
                (0..chars.len())
                    .map(|i| {
                        if !dash(i) {
                            return chars[i];
                        }
                        let chosen = if together { all } else { n % DASHES.len() };
                        n /= DASHES.len();
                        DASHES[chosen]
                    })
                    .collect()
            })
            .collect();
        out = out.into_iter().flat_map(|before| variants.iter().map(move |v| [before.clone(), vec![Part::Text(v.clone())]].concat())).collect();
    }
    out
}

/// A value's parts: `*` and `?` are wildcards, `\*`, `\?` and `\\` stand for themselves, any other `\` is one.
fn parts(text: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let wildcard = match c {
            '\\' => {
                match chars.peek() {
                    Some(next @ ('*' | '?' | '\\')) => {
                        literal.push(*next);
                        chars.next();
                    }
                    _ => literal.push('\\'),
                }
                continue;
            }
            '*' => Part::Many,
            '?' => Part::One,
            c => {
                literal.push(c);
                continue;
            }
        };
        out.push(Part::Text(std::mem::take(&mut literal)));
        out.push(wildcard);
    }
    out.push(Part::Text(literal));
    out.retain(|p| !matches!(p, Part::Text(t) if t.is_empty()));
    out
}

fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
}

fn combinations(list: &[Expr], n: usize) -> Result<Vec<Expr>, LowerError> {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..n.min(list.len() + 1) {
        chosen = chosen
            .iter()
            .flat_map(|c| (c.last().map_or(0, |l| l + 1)..list.len()).map(move |i| [c.as_slice(), &[i]].concat()))
            .collect();
        if chosen.len() > COMBINATIONS_MAX {
            return Err(LowerError::TooMuch { what: "combinations of selections", limit: COMBINATIONS_MAX });
        }
    }
    Ok(chosen.into_iter().map(|c| Expr::And(c.into_iter().map(|i| list[i].clone()).collect())).collect())
}
