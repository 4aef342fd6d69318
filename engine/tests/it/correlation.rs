//! Correlations: cases, and properties against a model of them, which is slow and says what they mean.

mod checkpoints;
mod early;
mod model;
mod properties;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use tarn_engine::correlation::{Correlated, Correlator, Exceptions, Limits, Match};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::fields::FieldValue;
use tarn_ingest::source::Sources;
use tarn_rules::{LoadOptions, Ruleset, parse};

const SECOND: i64 = 1_000_000;

fn ruleset(correlations: &str) -> Ruleset {
    let rule = |name: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  s: {{eventName: {name}}}\n  \
             condition: s\n---\n"
        )
    };
    let text = ["a", "b", "c"].map(rule).concat() + correlations;
    let set = parse(Path::new("c.yml"), &text, &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    set
}

fn bound(set: Ruleset) -> Arc<Engine> {
    // Their tables take longer to make than a case to run.
    static SOURCES: LazyLock<Arc<Sources>> = LazyLock::new(|| Arc::new(Sources::builtin().unwrap()));
    Arc::new(Engine::new(SOURCES.clone(), set).0)
}

fn engine(correlations: &str) -> Arc<Engine> {
    bound(ruleset(correlations))
}

fn correlation(body: &str) -> Arc<Engine> {
    engine(&format!("title: C\ncorrelation:\n{body}"))
}

/// An event: rule, seconds, group, value.
type Event = (u32, i64, &'static str, Option<f64>);

fn matches(engine: &Engine, events: &[Event]) -> Vec<Match> {
    let text = |t: String| FieldValue::Text(t.into());
    let one = |(n, (rule, time, group, value)): (usize, &Event)| {
        let fields = engine.captures(RuleIx(*rule)).unwrap_or_default();
        let value = |name: &String| match name.as_str() {
            "awsRegion" => Some(text((*group).to_owned())),
            _ => value.map(|v| text(v.to_string())),
        };
        let values = fields.iter().map(value).collect();
        Match { rule: RuleIx(*rule), time: time * SECOND, uid: format!("{n}").into(), values }
    };
    events.iter().enumerate().map(one).collect()
}

fn run(engine: &Arc<Engine>, limits: Limits, matches: Vec<Match>) -> (Vec<Correlated>, Exceptions) {
    let mut correlator = Correlator::new(engine.clone(), limits);
    let mut out = Vec::new();
    matches.into_iter().for_each(|found| correlator.push(found, &mut out));
    correlator.finish(&mut out);
    (out, correlator.exceptions())
}

/// Times (seconds) at which a correlation matches, with the events that it counts.
fn fired(engine: &Arc<Engine>, events: &[Event]) -> Vec<(i64, u64)> {
    let (found, exceptions) = run(engine, Limits::default(), matches(engine, events));
    assert_eq!(exceptions, Exceptions::default());
    found.iter().map(|c| (c.time / SECOND, c.count)).collect()
}

#[test]
fn counts_match_at_the_edge_and_are_quiet_for_a_time_span() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 3}\n",
    );
    let at = |times: &[i64]| times.iter().map(|t| (0, *t, "x", None)).collect::<Vec<Event>>();
    assert_eq!(fired(&c, &at(&[0, 5, 10])), [(10, 3)]);
    assert_eq!(fired(&c, &at(&[0, 5, 11])), []);
    // True all the time: once a time span.
    assert_eq!(fired(&c, &at(&[0, 1, 2, 3, 12, 13, 14])), [(2, 3), (13, 3)]);
    // False in between: again.
    assert_eq!(fired(&c, &at(&[0, 1, 2, 30, 31, 32])), [(2, 3), (32, 3)]);
    let groups: Vec<Event> = vec![(0, 0, "x", None), (0, 1, "y", None), (0, 2, "x", None), (0, 3, "y", None)];
    assert_eq!(fired(&c, &groups), []);
}

#[test]
fn upper_bounds_are_asked_when_the_window_closes() {
    let c = correlation("  type: event_count\n  rules: [a]\n  timespan: 10s\n  condition: {lt: 3}\n");
    let at = |times: &[i64]| times.iter().map(|t| (0, *t, "x", None)).collect::<Vec<Event>>();
    assert_eq!(fired(&c, &at(&[0, 1, 2])), []);
    assert_eq!(fired(&c, &at(&[0, 1, 50])), [(10, 2), (60, 1)]);
}

#[test]
fn rules_in_any_order_and_in_their_order() {
    let events = |order: [u32; 3]| {
        let event = |(i, rule): (usize, u32)| (rule, i as i64, "x", None);
        order.into_iter().enumerate().map(event).collect::<Vec<Event>>()
    };
    let any = correlation("  type: temporal\n  rules: [a, b, c]\n  timespan: 10s\n");
    let ordered = correlation("  type: temporal_ordered\n  rules: [a, b, c]\n  timespan: 10s\n");
    assert_eq!((fired(&any, &events([2, 0, 1])).len(), fired(&ordered, &events([2, 0, 1])).len()), (1, 0));
    assert_eq!((fired(&any, &events([0, 1, 2])).len(), fired(&ordered, &events([0, 1, 2])).len()), (1, 1));
    let not = correlation("  type: temporal\n  rules: [a, b, c]\n  timespan: 10s\n  condition: a and not b\n");
    assert_eq!(fired(&not, &[(0, 0, "x", None), (2, 5, "x", None)]), [(10, 2)]);
    assert_eq!(fired(&not, &[(0, 0, "x", None), (1, 10, "x", None)]), []);
}

#[test]
fn correlations_over_correlations_keep_their_groups() {
    let many = "title: Many\nname: many\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  \
                condition: {gte: 2}\n---\n";
    let then = "title: Then\ncorrelation:\n  type: temporal_ordered\n  rules: [many, b]\n  group-by: [awsRegion]\n  timespan: 60s\n";
    let c = engine(&(many.to_owned() + then));
    let found = |group: &'static str| {
        let events: Vec<Event> = vec![(0, 0, "x", None), (0, 1, "x", None), (1, 20, group, None)];
        run(&c, Limits::default(), matches(&c, &events)).0.iter().map(|c| c.correlation).collect::<Vec<_>>()
    };
    assert_eq!(found("x"), [0, 1]);
    assert_eq!(found("y"), [0]);
    // What only gives to another correlation is not shown.
    assert!(!c.is_correlation_shown(0) && c.is_correlation_shown(1) && !c.is_shown(RuleIx(0)));
}

#[test]
fn late_matches_are_counted() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 2}\n",
    );
    let limits = Limits { lateness_us: Some(5 * SECOND), ..Limits::default() };
    let events: Vec<Event> = vec![(0, 0, "x", None), (0, 20, "x", None), (0, 16, "x", None), (0, 3, "x", None)];
    let (found, exceptions) = run(&c, limits, matches(&c, &events));
    assert_eq!((found.len(), exceptions.late), (1, 1));
}

/// A match of rule `a`; its fields are of the correlation at hand.
fn found(n: usize, time: i64, values: &[Option<FieldValue>]) -> Match {
    Match { rule: RuleIx(0), time, uid: format!("{n}").into(), values: values.to_vec() }
}

fn text(text: &str) -> Option<FieldValue> {
    Some(FieldValue::Text(text.into()))
}

#[test]
fn groups_beyond_the_bounds_are_forgotten_oldest_first() {
    let c = engine(
        "title: C\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 2}\n\
         ---\ntitle: D\ncorrelation:\n  type: event_count\n  rules: [b]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {lt: 2}\n",
    );
    let limits =
        |rule_bytes_max, bytes_max| Limits { lateness_us: Some(0), rule_bytes_max, bytes_max, ..Limits::default() };
    let fill = |limits| {
        let mut correlator = Correlator::new(c.clone(), limits);
        let mut out = Vec::new();
        for n in 0..1_000 {
            let mut found = found(n, n as i64, &[text(&format!("g{n:03}"))]);
            found.rule = RuleIx(if n < 100 { 1 } else { 0 });
            correlator.push(found, &mut out);
            assert!(correlator.bytes() < 40_000 + 400, "{}", correlator.bytes());
        }
        let (evicted, forgotten) = (correlator.evicted().to_vec(), correlator.forgotten());
        assert_eq!(correlator.exceptions().evicted, evicted.iter().sum::<u64>());
        assert_eq!((forgotten.len(), correlator.forgotten().len()), (evicted.iter().sum::<u64>() as usize, 0));
        assert_eq!(correlator.len() + forgotten.len() + 1, 1_000);
        // Those of each that are the oldest went, and all others are there.
        for (i, first) in [(0, 100), (1, 0)] {
            let names: Vec<_> = forgotten.iter().filter(|f| f.correlation == i).map(|f| f.group[0].1.clone()).collect();
            let oldest = (first..first + evicted[i]).map(|n| Some(format!("g{n:03}"))).collect::<Vec<_>>();
            assert_eq!(names, oldest);
        }
        evicted
    };
    // A correlation beyond its own bound leaves the other alone.
    let [many, none] = fill(limits(20_000, 1 << 20))[..] else { panic!() };
    assert!(many > 500 && none == 0);
    // Of all, the largest gives way.
    let [many, none] = fill(limits(1 << 20, 40_000))[..] else { panic!() };
    assert!(many > 300 && none == 0, "{many} {none}");
}

#[test]
fn a_group_that_still_has_matches_is_not_forgotten() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 1h\n  condition: {gte: 90}\n",
    );
    let mut correlator =
        Correlator::new(c, Limits { lateness_us: Some(0), rule_bytes_max: 20_000, ..Limits::default() });
    let mut out = Vec::new();
    for n in 0..1_000 {
        let name = if n % 10 == 0 { "again".to_owned() } else { format!("g{n}") };
        correlator.push(found(n, n as i64, &[text(&name)]), &mut out);
    }
    assert!(correlator.exceptions().evicted > 600);
    assert_eq!(out.len(), 1);
}

#[test]
fn groups_that_can_no_longer_count_go_by_themselves() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 2}\n",
    );
    let mut correlator = Correlator::new(c, Limits { lateness_us: Some(0), ..Limits::default() });
    for n in 0..1_000 {
        correlator.push(found(n, n as i64 * SECOND, &[text(&format!("g{n}"))]), &mut Vec::new());
        assert!(correlator.len() <= 12);
    }
    assert_eq!((correlator.exceptions().evicted, correlator.forgotten()), (0, Vec::new()));
}

#[test]
fn what_waits_is_bounded() {
    let c = correlation("  type: event_count\n  rules: [a]\n  timespan: 10s\n  condition: {gte: 2}\n");
    let mut correlator = Correlator::new(c, Limits { waiting_bytes_max: 10_000, ..Limits::default() });
    for n in 0..1_000 {
        correlator.push(found(n, n as i64, &[]), &mut Vec::new());
        assert!(correlator.bytes() < 10_000 + 20_000);
    }
    assert!(correlator.exceptions().early > 800, "{:?}", correlator.exceptions());
}

#[test]
fn a_match_that_is_too_large_is_counted() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 1}\n",
    );
    let matches = vec![found(0, 0, &[text(&"x".repeat((16 << 20) + 1))]), found(1, 1, &[text(&"x".repeat(15 << 20))])];
    let (out, exceptions) = run(&c, Limits::default(), matches);
    assert_eq!((out.len(), exceptions), (1, Exceptions { dropped: 1, ..Exceptions::default() }));
}

#[test]
fn a_full_window_says_what_it_drops() {
    let many = 100_050;
    let count = |condition: &str, values: &[Option<FieldValue>], more: &str| {
        let c = correlation(&format!("  type: {more}\n  rules: [a]\n  timespan: 1h\n  condition: {{{condition}}}\n"));
        let mut correlator = Correlator::new(c, Limits { lateness_us: Some(0), ..Limits::default() });
        let mut out = Vec::new();
        (0..many).for_each(|n| correlator.push(found(n, n as i64, values), &mut out));
        assert!(correlator.bytes() < 3 << 20);
        correlator.finish(&mut out);
        (out.iter().map(|found| found.count).collect::<Vec<_>>(), correlator.exceptions().dropped)
    };
    assert_eq!(count("gte: 100000", &[], "event_count"), (vec![100_000], 50));
    // Of one that closes only the number is remembered.
    assert_eq!(count("neq: 3", &[], "event_count"), (vec![100_050], 0));
    let size = [text("7")];
    assert_eq!(count("field: requestParameters.size, lt: 1000000", &size, "value_sum"), (vec![100_050], 0));
}

#[test]
fn combinations_of_lists_are_distinct_values() {
    let c = correlation(
        "  type: value_count\n  rules: [a]\n  timespan: 10s\n  condition: {field: [awsRegion, userAgent], gte: 1}\n",
    );
    let list = |texts: &[&str]| Some(FieldValue::List(texts.iter().filter_map(|t| text(t)).collect()));
    let measure = |a: Option<FieldValue>, b: Option<FieldValue>| {
        run(&c, Limits::default(), vec![found(0, 0, &[a, b])]).0.first().map_or(0.0, |found| found.measure)
    };
    assert_eq!(measure(list(&["x", "y", "x"]), list(&["1", "2", "3"])), 6.0);
    assert_eq!(measure(list(&["x"]), None), 0.0);
    assert_eq!(measure(list(&["x"]), Some(FieldValue::Null)), 0.0);
    // There is an end to them.
    let texts: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(measure(list(&texts), list(&texts)), 10_000.0);
}

#[test]
fn a_correlation_passes_on_the_last_events_values() {
    let few = "title: Few\nname: few\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  \
               condition: {lt: 5}\n---\n";
    let by = "title: By\ncorrelation:\n  type: event_count\n  rules: [few]\n  group-by: [userAgent, awsRegion]\n  timespan: 60s\n  \
              condition: {gte: 1}\n";
    let c = engine(&(few.to_owned() + by));
    let of = |fields: &[String], agent: &str| {
        fields.iter().map(|field| text(if field == "awsRegion" { "x" } else { agent })).collect::<Vec<_>>()
    };
    let fields = c.captures(RuleIx(0)).unwrap();
    let matches = vec![found(0, 0, &of(fields, "first")), found(1, SECOND, &of(fields, "last"))];
    let groups: Vec<_> = run(&c, Limits::default(), matches).0.into_iter().map(|c| c.group).collect();
    let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    assert!(groups.contains(&vec![pair("userAgent", "last"), pair("awsRegion", "x")]), "{groups:?}");
}
