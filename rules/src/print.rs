//! The IR back as Sigma: a detection section that reads as the same condition.
//!
//! What lowering worked out stays worked out: encodings, dashes and placeholders come back as the texts they gave.

use crate::expr::{Compare, Expr, FieldTest, Item, Part, Pattern, Test};
use std::fmt::Write;

/// A condition as a `detection:` section in YAML. Reading it gives the condition again, simplified.
pub fn detection(expr: &Expr) -> String {
    let mut items: Vec<String> = Vec::new();
    let mut condition = String::new();
    write_condition(expr, &mut items, &mut condition, true);
    let mut out = String::from("detection:\n");
    for (n, item) in items.iter().enumerate() {
        let _ = writeln!(out, "    item_{n}:\n        {item}");
    }
    let _ = writeln!(out, "    condition: {condition}");
    out
}

fn write_condition(expr: &Expr, items: &mut Vec<String>, out: &mut String, top: bool) {
    let mut list = |list: &[Expr], and: bool, out: &mut String| {
        if !top {
            out.push('(');
        }
        for (i, group) in list.chunk_by(alike).enumerate() {
            if i > 0 {
                out.push_str(if and { " and " } else { " or " });
            }
            match group {
                [one] => write_condition(one, items, out, false),
                many => out.push_str(&selection(items, many, and)),
            }
        }
        if !top {
            out.push(')');
        }
    };
    match expr {
        Expr::And(inner) | Expr::Or(inner) if inner.is_empty() => {
            // Sigma has no constants: a field that is and is not there.
            let constant = Expr::Item(Item { field: Some("constant".into()), test: Test::Exists });
            let name = selection(items, &[constant], false);
            let word = if matches!(expr, Expr::And(_)) { "or" } else { "and" };
            let _ = write!(out, "({name} {word} not {name})");
        }
        Expr::And(inner) => list(inner, true, out),
        Expr::Or(inner) => list(inner, false, out),
        Expr::Not(inner) => {
            out.push_str("not ");
            write_condition(inner, items, out, false);
        }
        Expr::Item(_) => out.push_str(&selection(items, std::slice::from_ref(expr), false)),
    }
}

/// Neighbours that can be values of one key.
fn alike(a: &Expr, b: &Expr) -> bool {
    matches!((a, b), (Expr::Item(a), Expr::Item(b)) if entry(a).0 == entry(b).0)
}

/// The name of a selection with these values of one key.
fn selection(items: &mut Vec<String>, group: &[Expr], all: bool) -> String {
    let entries: Vec<(String, String)> =
        group.iter().filter_map(|e| if let Expr::Item(item) = e { Some(entry(item)) } else { None }).collect();
    let key = entries.first().map(|(key, _)| key.clone()).unwrap_or_default();
    let values = match entries.as_slice() {
        [(_, one)] => one.clone(),
        many => many.iter().map(|(_, value)| format!("\n            - {value}")).collect(),
    };
    let text = match (key.as_str(), all && entries.len() > 1) {
        ("", false) if entries.len() == 1 => format!("- {values}"),
        ("", false) => values.trim_start().replace("\n            - ", "\n        - "),
        (key, true) => format!("{}: {values}", quoted(&format!("{key}|all"))),
        (key, false) => format!("{}: {values}", quoted(key)),
    };
    let at = items.iter().position(|i| *i == text).unwrap_or_else(|| {
        items.push(text);
        items.len() - 1
    });
    format!("item_{at}")
}

/// An item's key and value.
fn entry(item: &Item) -> (String, String) {
    let field = item.field.as_deref().unwrap_or_default();
    let entry = |modifiers: &str, value: &str| (format!("{field}{modifiers}"), value.to_owned());
    let how = |compare: Compare| match compare {
        Compare::Equal => "",
        Compare::Less => "|lt",
        Compare::LessOrEqual => "|lte",
        Compare::Greater => "|gt",
        Compare::GreaterOrEqual => "|gte",
    };
    match &item.test {
        Test::Null => entry("", "null"),
        Test::Exists => entry("|exists", "true"),
        Test::Text { pattern, cased } => {
            let (form, value) = spelled(pattern, item.field.is_none());
            entry(&format!("{form}{}", if *cased { "|cased" } else { "" }), &quoted(&value))
        }
        Test::Regex(pattern) => entry("|re", &quoted(pattern)),
        Test::Cidr(net) => entry("|cidr", &quoted(&net.to_string())),
        Test::Number(compare, n) => entry(how(*compare), &n.to_string()),
        Test::Time(part, compare, n) => entry(&format!("|{part:?}{}", how(*compare)).to_lowercase(), &n.to_string()),
        Test::Field(test, other) => {
            let form = match test {
                FieldTest::Equals => "",
                FieldTest::StartsWith => "|startswith",
                FieldTest::EndsWith => "|endswith",
                FieldTest::Contains => "|contains",
            };
            entry(&format!("|fieldref{form}"), &quoted(other))
        }
    }
}

/// A pattern's modifier and value. A keyword without a modifier would be searched inside values, unless `*` is in it.
fn spelled(pattern: &Pattern, keyword: bool) -> (&'static str, String) {
    match pattern {
        Pattern::Any => (if keyword { "|contains" } else { "" }, "*".into()),
        Pattern::Exact(t) => ("", escaped(t)),
        Pattern::Prefix(t) => ("|startswith", escaped(t)),
        Pattern::Suffix(t) => ("|endswith", escaped(t)),
        Pattern::Contains(t) => ("|contains", escaped(t)),
        Pattern::Glob(parts) => {
            let part = |part: &Part| match part {
                Part::Text(t) => escaped(t),
                Part::Many => "*".to_owned(),
                Part::One => "?".to_owned(),
            };
            let (form, parts) = match parts.as_slice() {
                // Keywords need a modifier that says where, as their `*` at the end must not be the only one.
                [Part::Many, inner @ .., Part::Many] if keyword => ("|contains", inner),
                [Part::Many, inner @ ..] if keyword => ("|endswith", inner),
                [inner @ .., Part::Many] if keyword => ("|startswith", inner),
                parts => ("", parts),
            };
            (form, parts.iter().map(part).collect())
        }
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if matches!(c, '\\' | '*' | '?') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// A YAML text: single-quoted where that can hold it, else double-quoted with escapes.
fn quoted(text: &str) -> String {
    if text.chars().all(|c| !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::expr::{Number, TimePart};
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = Pattern> {
        let part =
            prop_oneof!["[a\\\\*?'\" é\\n\\x00:#%-]{1,4}".prop_map(Part::Text), Just(Part::Many), Just(Part::One)];
        prop::collection::vec(part, 0..5).prop_map(Pattern::new)
    }

    fn test() -> impl Strategy<Value = Test> {
        let compare = prop_oneof![
            Just(Compare::Less),
            Just(Compare::LessOrEqual),
            Just(Compare::Greater),
            Just(Compare::GreaterOrEqual)
        ];
        let how = prop_oneof![
            Just(FieldTest::Equals),
            Just(FieldTest::StartsWith),
            Just(FieldTest::EndsWith),
            Just(FieldTest::Contains)
        ];
        prop_oneof![
            Just(Test::Null),
            Just(Test::Exists),
            (pattern(), any::<bool>()).prop_map(|(pattern, cased)| Test::Text { pattern, cased }),
            "[a-z.]{1,5}".prop_map(Test::Regex),
            Just(Test::Cidr("10.0.0.0/8".parse().unwrap())),
            (compare, -1e6..1e6_f64).prop_map(|(c, n)| Test::Number(c, Number::Decimal(n))),
            (0..24_u8).prop_map(|n| Test::Time(TimePart::Hour, Compare::Equal, Number::Whole(n.into()))),
            (how, "[A-Z]{1,3}").prop_map(|(how, other)| Test::Field(how, other)),
        ]
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let item = ("[A-Za-z. '\"-]{1,4}", test())
            .prop_map(|(field, test)| Expr::Item(Item { field: Some(format!("F{field}")), test }));
        item.prop_recursive(4, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::And),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::Or),
                inner.prop_map(|e| Expr::Not(Box::new(e))),
            ]
        })
    }

    fn read(text: &str) -> Expr {
        let set = crate::parse(
            std::path::Path::new("p.yml"),
            &format!("title: t\nlogsource: {{product: x}}\n{text}"),
            &crate::LoadOptions::default(),
        );
        assert!(set.errors.is_empty(), "{:?}\n{text}", set.errors);
        set.rules[0].condition.clone()
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(expr in expr()) {
            let expr = expr.simplify();
            let printed = detection(&expr);
            prop_assert_eq!(read(&printed), expr, "{}", printed);
        }
    }

    #[test]
    fn keywords_print_as_keywords() {
        for value in ["needle", "a*z", "*a?z", "a*z*", "*a*z*", "x?y", r"50\*"] {
            let expr = read(&format!("detection:\n  k:\n    - '{value}'\n  condition: k\n"));
            let printed = detection(&expr);
            assert_eq!(read(&printed), expr, "{value}: {printed}");
        }
    }
}
