//! A condition's text as a tree. The grammar is `rsigma-parser`'s; the bounds around it are ours, as it recurses.

use rsigma_parser::{ConditionExpr, Quantifier as Parsed, SelectorPattern};

/// A condition over selections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// Does not hold.
    Not(Box<Condition>),
    /// A selection by name.
    Selection(String),
    /// Some of the selections whose names match a pattern with `*`; none is `them`.
    Some(Quantifier, Option<String>),
}

/// How many of the selections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// `all of`.
    All,
    /// `1 of`, `any of`, and other numbers.
    AtLeast(usize),
}

const BYTES_MAX: usize = 16 << 10;
const DEPTH_MAX: usize = 50;

/// Reads a condition.
pub fn parse(text: &str) -> Result<Condition, String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    bounds(&text)?;
    if text.contains('|') {
        return Err(format!("the condition {text:?} aggregates, which Sigma 2 gave up: it takes a correlation rule"));
    }
    let parsed = rsigma_parser::parse_condition(&text).map_err(|e| {
        let at = e.location().map(|l| format!(" at its character {}", l.col)).unwrap_or_default();
        format!("the condition {text:?} cannot be read{at}")
    })?;
    Ok(convert(parsed))
}

fn bounds(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the condition is empty".into());
    }
    if text.len() > BYTES_MAX {
        return Err(format!("a condition of {} bytes; the limit is {BYTES_MAX}", text.len()));
    }
    let (mut depth, mut deepest) = (0_usize, 0);
    for b in text.bytes() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let (mut nots, mut most) = (0_usize, 0);
    for word in text.split([' ', '(', ')']).filter(|w| !w.is_empty()) {
        nots = if word == "not" { nots + 1 } else { 0 };
        most = most.max(nots);
    }
    match deepest.max(most) {
        depth if depth > DEPTH_MAX => Err(format!("a condition nested {depth} deep; the limit is {DEPTH_MAX}")),
        _ => Ok(()),
    }
}

fn convert(parsed: ConditionExpr) -> Condition {
    match parsed {
        ConditionExpr::And(list) => Condition::And(list.into_iter().map(convert).collect()),
        ConditionExpr::Or(list) => Condition::Or(list.into_iter().map(convert).collect()),
        ConditionExpr::Not(inner) => Condition::Not(Box::new(convert(*inner))),
        ConditionExpr::Identifier(name) => Condition::Selection(name),
        ConditionExpr::Selector { quantifier, pattern } => {
            let quantifier = match quantifier {
                Parsed::All => Quantifier::All,
                Parsed::Any => Quantifier::AtLeast(1),
                Parsed::Count(n) => Quantifier::AtLeast(usize::try_from(n).unwrap_or(usize::MAX)),
            };
            let pattern = match pattern {
                SelectorPattern::Them => None,
                SelectorPattern::Pattern(pattern) => Some(pattern),
            };
            Condition::Some(quantifier, pattern)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> Condition {
        Condition::Selection(text.into())
    }

    #[test]
    fn or_binds_least_and_not_most() {
        let not = |c| Condition::Not(Box::new(c));
        let expected = Condition::Or(vec![name("a"), Condition::And(vec![not(name("b")), name("c")])]);
        assert_eq!(parse("a or not b and c").unwrap(), expected);
        assert_eq!(parse("a\n  or (not b and c)\r\n").unwrap(), expected);
        assert_eq!(parse("android or notice").unwrap(), Condition::Or(vec![name("android"), name("notice")]));
    }

    #[test]
    fn what_is_no_condition_says_so() {
        for (text, expected) in [
            ("", "empty"),
            ("a and", "cannot be read"),
            ("a b", "cannot be read"),
            ("selection | count() > 5", "correlation"),
            (&"(".repeat(9_000), "deep"),
            (&"not ".repeat(3_000), "deep"),
            (&"a or ".repeat(9_000), "bytes"),
        ] {
            assert!(parse(text).unwrap_err().contains(expected), "{text}");
        }
    }
}
