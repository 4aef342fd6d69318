//! Sigma rules: what loads is printed as Sigma that loads as the same condition, and the referee evaluates it.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use tarn_rules::reference::{Event, Value, holds};
use tarn_rules::{Expr, LoadOptions, Ruleset, parse, print};

/// Texts at the edges of what tests read in values.
const VALUES: &[&str] =
    &["", "-9223372036854775808", "1e400", "2026-02-30T25:00:00Z", "253402300800", "::ffff:1.2.3.4", "İ*"];

fuzz_target!(|text: &str| {
    let set = loaded(text);
    for error in &set.errors {
        assert!(!error.to_string().is_empty());
        // A carriage return alone ends a line of YAML as well.
        let lines = text.split(['\n', '\r']).count();
        assert!(error.line.is_none_or(|line| line >= 1 && line <= lines + 1), "{error}");
    }
    for rule in &set.rules {
        let printed = print::detection(&rule.condition);
        let again = loaded(&format!("title: t\nlogsource: {{product: x}}\n{printed}"));
        assert!(again.errors.is_empty(), "{:?}\n{printed}", again.errors);
        if !has_empty(&rule.condition) {
            assert_eq!(again.rules[0].condition, rule.condition, "{printed}");
        }
        evaluate(&rule.condition);
    }
});

fn loaded(text: &str) -> Ruleset {
    parse(Path::new("fuzz.yml"), text, &LoadOptions::default())
}

/// Sigma cannot say always or never: such a condition is printed as one that is.
fn has_empty(condition: &Expr) -> bool {
    match condition {
        Expr::And(list) | Expr::Or(list) => list.is_empty() || list.iter().any(has_empty),
        Expr::Not(inner) => has_empty(inner),
        Expr::Item(_) => false,
    }
}

/// A condition, and its negation, on an event that has every field.
fn evaluate(condition: &Expr) {
    let mut event = Event::new();
    condition.items(&mut |item| {
        let values = VALUES.iter().map(|v| Value::Text((*v).to_owned())).chain([Value::Null]);
        event.insert(item.field.clone().unwrap_or_default(), Value::List(values.collect()));
    });
    let not = Expr::Not(Box::new(condition.clone()));
    assert_ne!(holds(condition, &event), holds(&not, &event));
}
