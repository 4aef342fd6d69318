//! Tests as SQL functions take them: a word and operands; and the same, compiled.

use datafusion::common::{Result, exec_err};
use regex::Regex;
use std::net::IpAddr;
use tarn_rules::{Compare, Number, Part, Pattern, Test, TimePart, expr, reference};

const COMPARES: &[(&str, Compare)] = &[
    ("=", Compare::Equal),
    ("<", Compare::Less),
    ("<=", Compare::LessOrEqual),
    (">", Compare::Greater),
    (">=", Compare::GreaterOrEqual),
];

const TIME_PARTS: &[(&str, TimePart)] = &[
    ("minute", TimePart::Minute),
    ("hour", TimePart::Hour),
    ("day", TimePart::Day),
    ("week", TimePart::Week),
    ("month", TimePart::Month),
    ("year", TimePart::Year),
];

/// A comparison's sign.
pub fn sign(compare: Compare) -> &'static str {
    COMPARES.iter().find(|(_, c)| *c == compare).map_or("=", |(s, _)| s)
}

/// A part of a time by name.
pub fn time_part_name(part: TimePart) -> &'static str {
    TIME_PARTS.iter().find(|(_, p)| *p == part).map_or("minute", |(s, _)| s)
}

/// A pattern as `LIKE` takes it.
pub fn like(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Many => out.push('%'),
            Part::One => out.push('_'),
            Part::Text(text) => {
                for c in text.chars() {
                    if matches!(c, '%' | '_' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
    out
}

fn parts(like: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut chars = like.chars();
    let text = |out: &mut Vec<Part>, c: char| match out.last_mut() {
        Some(Part::Text(text)) => text.push(c),
        _ => out.push(Part::Text(c.to_string())),
    };
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push(Part::Many),
            '_' => out.push(Part::One),
            '\\' => text(&mut out, chars.next().unwrap_or('\\')),
            c => text(&mut out, c),
        }
    }
    out
}

/// A test's word, and its operand where it has one.
pub fn words(test: &Test) -> (String, Option<String>) {
    match test {
        Test::Null => ("null".into(), None),
        Test::Exists => ("exists".into(), None),
        Test::Regex(pattern) => ("regexp".into(), Some(pattern.clone())),
        Test::Cidr(net) => ("cidr".into(), Some(net.to_string())),
        Test::Number(compare, n) => (sign(*compare).into(), Some(n.to_string())),
        Test::Time(part, compare, n) => (format!("{} {}", time_part_name(*part), sign(*compare)), Some(n.to_string())),
        // Two fields have functions of their own.
        Test::Field(..) => ("never".into(), None),
        Test::Text { pattern, cased } => {
            let (word, operand) = match pattern {
                Pattern::Any => return ("any".into(), None),
                Pattern::Exact(t) => ("equals", t.clone()),
                Pattern::Prefix(t) => ("starts_with", t.clone()),
                Pattern::Suffix(t) => ("ends_with", t.clone()),
                Pattern::Contains(t) => ("contains", t.clone()),
                Pattern::Glob(parts) => ("like", like(parts)),
            };
            (if *cased { format!("{word} cased") } else { word.to_owned() }, Some(operand))
        }
    }
}

/// Tests of one word, of which one has to hold.
pub enum Compiled {
    Null,
    Exists,
    Any,
    Never,
    Texts { patterns: Vec<Pattern>, cased: bool },
    Regexes(Vec<Regex>),
    Nets(Vec<ipnet::IpNet>),
    Numbers(Compare, Vec<Number>),
    Times(TimePart, Compare, Vec<Number>),
}

impl Compiled {
    /// Compiles a word and its operands.
    pub fn new(word: &str, operands: &[&str]) -> Result<Self> {
        let numbers = || {
            operands
                .iter()
                .map(|o| Number::parse(o).map_or_else(|| exec_err!("{o:?} is no number"), Ok))
                .collect::<Result<Vec<Number>>>()
        };
        let (kind, cased) = word.strip_suffix(" cased").map_or((word, false), |w| (w, true));
        let texts = |pattern: fn(String) -> Pattern| {
            Ok(Self::Texts { patterns: operands.iter().map(|o| pattern((*o).to_owned())).collect(), cased })
        };
        match kind {
            "null" => Ok(Self::Null),
            "exists" => Ok(Self::Exists),
            "any" => Ok(Self::Any),
            "never" => Ok(Self::Never),
            "equals" => texts(Pattern::Exact),
            "starts_with" => texts(Pattern::Prefix),
            "ends_with" => texts(Pattern::Suffix),
            "contains" => texts(Pattern::Contains),
            "like" => texts(|like| Pattern::Glob(parts(&like))),
            "regexp" => {
                let regex = |o: &&str| Regex::new(o).or_else(|e| exec_err!("{o:?} is no regular expression: {e}"));
                Ok(Self::Regexes(operands.iter().map(regex).collect::<Result<_>>()?))
            }
            "cidr" => {
                let net = |o: &&str| o.parse().or_else(|_| exec_err!("{o:?} is no network"));
                Ok(Self::Nets(operands.iter().map(net).collect::<Result<_>>()?))
            }
            other => {
                let (part, sign) = other.rsplit_once(' ').map_or((None, other), |(p, s)| (Some(p), s));
                let compare = COMPARES.iter().find(|(s, _)| *s == sign).map(|(_, c)| *c);
                let part = part.map(|p| TIME_PARTS.iter().find(|(name, _)| *name == p).map(|(_, p)| *p));
                match (compare, part) {
                    (Some(compare), None) => Ok(Self::Numbers(compare, numbers()?)),
                    (Some(compare), Some(Some(part))) => Ok(Self::Times(part, compare, numbers()?)),
                    _ => exec_err!("there is no test {word:?}"),
                }
            }
        }
    }

    /// Whether it holds for a text.
    pub fn text(&self, text: &str) -> bool {
        match self {
            Self::Null | Self::Never => false,
            Self::Exists | Self::Any => true,
            Self::Texts { patterns, cased: true } => patterns.iter().any(|p| p.matches(text)),
            Self::Texts { patterns, cased: false } => {
                let folded = expr::fold(text);
                patterns.iter().any(|p| p.matches(&folded))
            }
            Self::Regexes(list) => list.iter().any(|r| r.is_match(text)),
            Self::Nets(nets) => text.trim().parse::<IpAddr>().is_ok_and(|ip| nets.iter().any(|n| n.contains(&ip))),
            Self::Numbers(compare, list) => {
                Number::parse(text).is_some_and(|v| list.iter().any(|n| compare.holds(v, *n)))
            }
            Self::Times(part, compare, list) => {
                reference::time_part(text, *part).is_some_and(|v| list.iter().any(|n| compare.holds(v, *n)))
            }
        }
    }

    /// Whether it holds for null.
    pub fn null(&self) -> bool {
        matches!(self, Self::Null | Self::Exists)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_and_back() {
        let text = |pattern, cased| Test::Text { pattern, cased };
        let glob = Pattern::Glob(vec![Part::Text("a%_\\".into()), Part::One, Part::Many, Part::Text("b".into())]);
        for (test, yes, no) in [
            (text(Pattern::Exact("a".into()), false), "A", "ab"),
            (text(Pattern::Prefix("a".into()), true), "ab", "Ab"),
            (text(Pattern::Suffix("σ".into()), false), "xΣ", "Σx"),
            (text(Pattern::Contains("x".into()), true), "axb", "aXb"),
            (text(glob, false), "A%_\\xyzB", "A%_\\B"),
            (Test::Regex("^a$".into()), "a", "A"),
            (Test::Cidr("10.0.0.0/8".parse().unwrap()), "10.1.1.1", "11.1.1.1"),
            (Test::Number(Compare::LessOrEqual, Number::Decimal(5.5)), "5.5", "6"),
            (
                Test::Time(TimePart::Hour, Compare::Equal, Number::Whole(7)),
                "2026-01-01T07:30:00Z",
                "2026-01-01T08:30:00Z",
            ),
        ] {
            let (word, operand) = words(&test);
            let compiled = Compiled::new(&word, &[operand.as_deref().unwrap_or("")]).unwrap();
            assert!(compiled.text(yes), "{test:?} on {yes}");
            assert!(!compiled.text(no), "{test:?} on {no}");
        }
    }
}
