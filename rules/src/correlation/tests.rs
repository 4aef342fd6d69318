#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::{LoadOptions, Ruleset, parse};
use std::path::Path;

const BASE: &str = "title: A\nid: base-a\nname: a\nlogsource: {product: x}\ndetection:\n  s: {F: 1}\n  condition: s\n---\n\
                    title: B\nname: b\nlogsource: {product: x}\ndetection:\n  s: {F: 2}\n  condition: s\n";

fn load(correlation: &str) -> Ruleset {
    let text = format!("{BASE}---\ntitle: C\nid: c\nname: c\nlevel: high\ncorrelation:\n{correlation}");
    parse(Path::new("c.yml"), &text, &LoadOptions::default())
}

fn good(correlation: &str) -> Correlation {
    let set = load(correlation);
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set.correlations.into_iter().next().unwrap()
}

#[test]
fn every_type_is_read() {
    let count =
        good("  type: event_count\n  rules: base-a\n  group-by: [U]\n  timespan: 90m\n  condition: {gte: 10}\n");
    assert_eq!(count.rules, [Reference { name: "base-a".into(), to: Referred::Rule(0) }]);
    assert_eq!((count.timespan_us, count.generate, count.measure), (5_400_000_000, false, Measure::EventCount));
    let of = |kind: &str, condition: &str| {
        good(&format!("  type: {kind}\n  rules: [a, b]\n  timespan: 1d\n  condition: {{{condition}}}\n")).measure
    };
    assert_eq!(of("value_count", "field: U, gt: 3"), Measure::ValueCount(vec!["U".into()]));
    assert_eq!(of("value_count", "field: [U, V], gt: 3"), Measure::ValueCount(vec!["U".into(), "V".into()]));
    assert_eq!(of("value_sum", "field: U, gt: 3, lte: 1e9"), Measure::ValueSum("U".into()));
    assert_eq!(of("value_avg", "field: U, lt: 0.5"), Measure::ValueAvg("U".into()));
    assert_eq!(of("value_median", "field: U, neq: 3"), Measure::ValuePercentile("U".into(), 50.0));
    let percentile = Measure::ValuePercentile("U".into(), 99.5);
    assert_eq!(of("value_percentile", "field: U, percentile: 99.5, gte: 3"), percentile);
    let ordered = good("  type: temporal_ordered\n  rules: [b, a]\n  timespan: 10s\n  generate: true\n");
    assert_eq!(ordered.condition, Condition::Bounds(vec![(Bound::GreaterOrEqual, 2.0)]));
    assert!(ordered.generate && ordered.about.level == crate::Level::High);
}

#[test]
fn temporal_conditions_are_expressions_over_rules() {
    let of = |condition: &str| {
        good(&format!("  type: temporal\n  rules: [a, b]\n  timespan: 1w\n  condition: {condition}\n")).condition
    };
    let only = |names: &'static [usize]| move |rule: usize| names.contains(&rule);
    let either = of("a or b");
    assert!(either.is_monotone() && either.holds(0.0, only(&[1])) && !either.holds(0.0, only(&[])));
    let not = of("a and not b");
    assert!(!not.is_monotone() && not.holds(0.0, only(&[0])) && !not.holds(0.0, only(&[0, 1])));
    assert!(of("all of them").holds(0.0, only(&[0, 1])));
}

#[test]
fn aliases_name_a_field_for_each_rule() {
    let c = good(
        "  type: temporal\n  rules: [a, b]\n  timespan: 1h\n  group-by: [ip, U]\n  aliases:\n    ip: {a: src, b: dst}\n",
    );
    assert_eq!((c.field_of("ip", 0), c.field_of("ip", 1), c.field_of("U", 1)), (Some("src"), Some("dst"), Some("U")));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (correlation, line, expected) in [
        ("  rules: [a]\n  timespan: 1h\n  condition: {gte: 1}\n", 20, "no type"),
        ("  type: event_sum\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 1}\n", 21, "event_sum"),
        ("  type: event_count\n  timespan: 1h\n  condition: {gte: 1}\n", 20, "names no rules"),
        ("  type: event_count\n  rules: [a]\n  condition: {gte: 1}\n", 20, "no timespan"),
        ("  type: event_count\n  rules: [a]\n  timespan: 1 hour\n  condition: {gte: 1}\n", 23, "1 hour"),
        ("  type: event_count\n  rules: [a]\n  timespan: 0s\n  condition: {gte: 1}\n", 23, "timespan"),
        ("  type: event_count\n  rules: [a]\n  timespan: 1h\n  condition: {ge: 1}\n", 24, "\"ge\""),
        ("  type: event_count\n  rules: [a]\n  timespan: 1h\n  condition: {gte: many}\n", 24, "expected a number"),
        ("  type: event_count\n  rules: [a]\n  timespan: 1h\n  condition: {}\n", 24, "expected one of"),
        ("  type: event_count\n  rules: [a]\n  timespan: 1h\n", 20, "gte: 10"),
        ("  type: value_count\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 1}\n", 24, "names its field"),
        ("  type: value_percentile\n  rules: [a]\n  timespan: 1h\n  condition: {field: U, gte: 1}\n", 24, "percentile"),
        ("  type: temporal\n  rules: [a]\n  timespan: 1h\n  condition: a and z\n", 24, "\"z\""),
        ("  type: temporal\n  rules: [a, z]\n  timespan: 1h\n", 16, "\"z\""),
        ("  type: temporal\n  rules: [a, c]\n  timespan: 1h\n", 16, "itself"),
        ("  type: temporal\n  rules: [a]\n  timespan: 1h\n  window: 3\n", 24, "\"window\""),
        ("  type: temporal\n  rules: [a]\n  timespan: 1h\n  aliases:\n    ip: {b: x}\n", 25, "among"),
    ] {
        let set = load(correlation);
        let [error] = set.errors.as_slice() else { panic!("{correlation}: {:?}", set.errors) };
        assert!(error.reason.contains(expected), "{expected}: {error}");
        assert!(set.correlations.is_empty() && set.rules.len() == 2);
        assert_eq!(error.line, Some(line), "{error}");
    }
}

#[test]
fn a_correlation_over_one_that_is_refused_is_refused() {
    let set = load(
        "  type: temporal\n  rules: [a, gone]\n  timespan: 1h\n---\ntitle: D\ncorrelation:\n  type: temporal\n  rules: [c]\n\
         \x20 timespan: 1h\n",
    );
    assert_eq!((set.errors.len(), set.correlations.len()), (2, 0));
}

#[test]
fn chains_end_somewhere() {
    let chain = |length: usize| {
        let link = |n: usize| {
            let below = if n == 0 { "a".to_owned() } else { format!("c{}", n - 1) };
            format!("---\ntitle: T\nname: c{n}\ncorrelation: {{type: temporal, rules: [{below}], timespan: 1h}}\n")
        };
        let text = BASE.to_owned() + &(0..length).map(link).collect::<String>();
        parse(Path::new("c.yml"), &text, &LoadOptions::default())
    };
    assert!(chain(33).errors.is_empty());
    let set = chain(2_000);
    assert!(set.errors.iter().any(|e| e.reason.contains("more than 32")) && set.correlations.len() <= 33);
}
