//! The rule IR: what is left of a rule when selections, modifiers and quantifiers are worked out.
//!
//! **Values** (docs/architecture.md): a field is absent, null, a text or a list. An item on an absent field is false; an
//! item on a list is true when it is for any element. Texts compare without case unless the item is cased: both
//! sides are folded ([`fold`]). Regular expressions bring their own rules of case.

use ahash::AHashSet;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// All hold; true when empty.
    And(Vec<Expr>),
    /// One holds; false when empty.
    Or(Vec<Expr>),
    /// Does not hold.
    Not(Box<Expr>),
    /// A test of a field.
    Item(Item),
}

/// A test of one field, or of any value of the event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// The field; none for a keyword, which is searched in every value.
    pub field: Option<String>,
    /// The test.
    pub test: Test,
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Absent or null.
    Null,
    /// There, even as null.
    Exists,
    /// A text of a form; patterns of tests without case are lower-cased.
    Text {
        /// The form.
        pattern: Pattern,
        /// Whether case counts.
        cased: bool,
    },
    /// A regular expression found in the text; flags are part of it.
    Regex(String),
    /// An IP address in a network.
    Cidr(ipnet::IpNet),
    /// A number compared.
    Number(Compare, Number),
    /// A part of a time, in UTC.
    Time(TimePart, Compare, Number),
    /// Another field of the same event.
    Field(FieldTest, String),
}

impl Hash for Test {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null | Self::Exists => {}
            Self::Text { pattern, cased } => (pattern, cased).hash(state),
            Self::Regex(pattern) => pattern.hash(state),
            Self::Cidr(net) => net.hash(state),
            Self::Number(compare, n) => (compare, n).hash(state),
            Self::Time(part, compare, n) => (part, compare, n).hash(state),
            Self::Field(how, other) => (how, other).hash(state),
        }
    }
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    /// Whether `a` compares so with `b`.
    pub fn holds(self, a: Number, b: Number) -> bool {
        let order = a.order(b);
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// A finite number: whole numbers are exact, so that identifiers and nanoseconds compare as they are.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number.
    Whole(i128),
    /// Any other.
    Decimal(f64),
}

impl Number {
    /// A text as a number; white space around it does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let decimal = || text.parse().ok().filter(|n: &f64| n.is_finite()).map(Self::Decimal);
        text.parse().map(Self::Whole).ok().or_else(decimal)
    }

    /// The nearest floating-point number.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Decimal(n) => n,
        }
    }

    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            // No number is NaN.
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        }
    }
}

// Of one spelling: `1` and `1.0` are the same number and two numbers of rules.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Whole(n) => n.hash(state),
            Self::Decimal(n) => n.to_bits().hash(state),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            // With a point or an exponent, so that it is read as what it is.
            Self::Decimal(n) => write!(f, "{n:?}"),
        }
    }
}

/// Parts of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// How a field's text relates to another field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FieldTest {
    Equals,
    StartsWith,
    EndsWith,
    Contains,
}

/// The form of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Any text.
    Any,
    /// Exactly this.
    Exact(String),
    /// This at the start.
    Prefix(String),
    /// This at the end.
    Suffix(String),
    /// This somewhere.
    Contains(String),
    /// Parts in order.
    Glob(Vec<Part>),
}

/// A part of a glob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// These characters.
    Text(String),
    /// Any characters, or none (`*`).
    Many,
    /// One character (`?`).
    One,
}

impl Pattern {
    /// The simplest pattern of parts.
    pub fn new(parts: Vec<Part>) -> Self {
        let mut merged: Vec<Part> = Vec::new();
        for part in parts {
            match (merged.last_mut(), part) {
                (_, Part::Text(text)) if text.is_empty() => {}
                (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
                (Some(Part::Many), Part::Many) => {}
                // `*?` and `?*` say the same: at least one character.
                (Some(last @ Part::Many), Part::One) => {
                    *last = Part::One;
                    merged.push(Part::Many);
                }
                (_, part) => merged.push(part),
            }
        }
        match merged.as_slice() {
            [] => Self::Exact(String::new()),
            [Part::Many] => Self::Any,
            [Part::Text(t)] => Self::Exact(t.clone()),
            [Part::Text(t), Part::Many] => Self::Prefix(t.clone()),
            [Part::Many, Part::Text(t)] => Self::Suffix(t.clone()),
            [Part::Many, Part::Text(t), Part::Many] => Self::Contains(t.clone()),
            _ => Self::Glob(merged),
        }
    }

    /// Whether a text has the form; both are lower-cased before, where case does not count.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(t) => text == t,
            Self::Prefix(t) => text.starts_with(t.as_str()),
            Self::Suffix(t) => text.ends_with(t.as_str()),
            Self::Contains(t) => text.contains(t.as_str()),
            Self::Glob(parts) => glob(parts, text),
        }
    }
}

/// Matches parts greedily from the left: the classic walk that remembers the last `*` only, so it never blows up.
fn glob(parts: &[Part], text: &str) -> bool {
    let (mut part, mut at) = (0, 0);
    // Where to go on when a match fails: the part after the last `*`, and the text position to try next.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = &text[at..];
        let step = match parts.get(part) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Part::Many) => {
                retry = Some((part + 1, at));
                part += 1;
                continue;
            }
            Some(Part::One) => rest.chars().next().map(char::len_utf8),
            Some(Part::Text(literal)) => rest.starts_with(literal.as_str()).then_some(literal.len()),
        };
        match (step, &mut retry) {
            (Some(length), _) => {
                at += length;
                part += 1;
            }
            (None, Some((from, tried))) => {
                let Some(c) = text[*tried..].chars().next() else { return false };
                *tried += c.len_utf8();
                (part, at) = (*from, *tried);
            }
            (None, None) => return false,
        }
    }
}

/// A text without case: every character by its simple lower-case mapping, for itself.
///
/// A character whose lower case is more than one (only `İ`) stays; `Σ` is `σ` wherever it stands; `ß` and `ſ` stay. So
/// folding never changes how many characters there are, and a folded part is a part of the folded whole.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(fold_char).collect()
}

/// A character without case.
pub fn fold_char(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

impl Expr {
    /// Every item, in order.
    pub fn items<'a>(&'a self, visit: &mut impl FnMut(&'a Item)) {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().for_each(|e| e.items(visit)),
            Self::Not(inner) => inner.items(visit),
            Self::Item(item) => visit(item),
        }
    }

    /// The condition that always holds.
    pub const TRUE: Self = Self::And(Vec::new());

    /// The condition that never holds.
    pub const FALSE: Self = Self::Or(Vec::new());

    /// The same condition, smaller: nested lists of one kind joined, lists of one taken out, repetitions and constants
    /// gone. An empty list is left only where the whole condition is constant.
    pub fn simplify(self) -> Self {
        match self {
            Self::And(list) => join(list, true),
            Self::Or(list) => join(list, false),
            Self::Not(inner) => match inner.simplify() {
                Self::Not(inner) => *inner,
                Self::And(list) if list.is_empty() => Self::FALSE,
                Self::Or(list) if list.is_empty() => Self::TRUE,
                inner => Self::Not(Box::new(inner)),
            },
            Self::Item(item) => Self::Item(item),
        }
    }
}

fn join(list: Vec<Expr>, and: bool) -> Expr {
    let mut out: Vec<Expr> = Vec::new();
    for inner in list.into_iter().map(Expr::simplify) {
        match inner {
            Expr::And(inner) if and => out.extend(inner),
            Expr::Or(inner) if !and => out.extend(inner),
            // The other kind's empty list decides the whole.
            Expr::And(inner) | Expr::Or(inner) if inner.is_empty() => {
                return if and { Expr::FALSE } else { Expr::TRUE };
            }
            inner => out.push(inner),
        }
    }
    if out.len() > 1 {
        let mut seen = AHashSet::new();
        let first: Vec<bool> = out.iter().map(|e| seen.insert(e)).collect();
        let mut first = first.into_iter();
        out.retain(|_| first.next().unwrap_or(true));
    }
    match out.len() {
        1 => out.remove(0),
        _ if and => Expr::And(out),
        _ => Expr::Or(out),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, list: &[Expr], word: &str, empty: &str| {
            if list.is_empty() {
                return f.write_str(empty);
            }
            f.write_str("(")?;
            for (i, inner) in list.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                inner.fmt(f)?;
            }
            f.write_str(")")
        };
        match self {
            Self::And(inner) => list(f, inner, "and", "true"),
            Self::Or(inner) => list(f, inner, "or", "false"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Item(item) => item.fmt(f),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field.as_deref().unwrap_or("<any value>");
        match &self.test {
            Test::Null => write!(f, "{field} is null"),
            Test::Exists => write!(f, "{field} exists"),
            Test::Text { pattern, cased } => {
                let case = if *cased { " (cased)" } else { "" };
                match pattern {
                    Pattern::Any => write!(f, "{field} is any text"),
                    Pattern::Exact(t) => write!(f, "{field} = {t:?}{case}"),
                    Pattern::Prefix(t) => write!(f, "{field} starts with {t:?}{case}"),
                    Pattern::Suffix(t) => write!(f, "{field} ends with {t:?}{case}"),
                    Pattern::Contains(t) => write!(f, "{field} contains {t:?}{case}"),
                    Pattern::Glob(parts) => {
                        let text = parts.iter().map(|p| match p {
                            Part::Text(t) => t.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?"),
                            Part::Many => "*".to_owned(),
                            Part::One => "?".to_owned(),
                        });
                        write!(f, "{field} is like {:?}{case}", text.collect::<String>())
                    }
                }
            }
            Test::Regex(pattern) => write!(f, "{field} matches /{pattern}/"),
            Test::Cidr(net) => write!(f, "{field} in {net}"),
            Test::Number(compare, n) => write!(f, "{field} {compare} {n}"),
            Test::Time(part, compare, n) => write!(f, "{part:?} of {field} {compare} {n}"),
            Test::Field(how, other) => write!(f, "{field} {how:?} field {other}"),
        }
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folding_keeps_the_number_of_characters() {
        for (text, expected) in [("ΑΣ", "ασ"), ("İX", "İx"), ("ÄẞK", "äßk"), ("Ab1", "ab1")] {
            assert_eq!(fold(text), expected);
        }
    }

    #[test]
    fn constants_and_repetitions_go() {
        let item = |name: &str| Expr::Item(Item { field: Some(name.into()), test: Test::Exists });
        let not = |e| Expr::Not(Box::new(e));
        for (expr, expected) in [
            (Expr::And(vec![item("a"), Expr::TRUE, item("a")]), item("a")),
            (Expr::And(vec![item("a"), Expr::FALSE]), Expr::FALSE),
            (Expr::Or(vec![item("a"), not(Expr::FALSE)]), Expr::TRUE),
            (Expr::Or(vec![Expr::Or(vec![item("a"), item("b")]), item("a")]), Expr::Or(vec![item("a"), item("b")])),
            (not(not(item("a"))), item("a")),
        ] {
            assert_eq!(expr.simplify(), expected);
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof!["[abé]{1,3}".prop_map(Part::Text), Just(Part::Many), Just(Part::One)]
    }

    proptest! {
        #[test]
        fn globs_match_what_the_regex_matches(parts in prop::collection::vec(part(), 0..6), text in "[abé]{0,10}") {
            let regex: String = parts.iter().map(|p| match p {
                Part::Text(t) => regex::escape(t),
                Part::Many => "(?s:.*)".into(),
                Part::One => "(?s:.)".into(),
            }).collect();
            let expected = regex::Regex::new(&format!("^{regex}$")).is_ok_and(|r| r.is_match(&text));
            prop_assert_eq!(Pattern::new(parts).matches(&text), expected);
        }
    }
}
