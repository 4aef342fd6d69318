//! Correlations against a model of them, which is slow and says what they mean.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tarn_engine::correlation::{Correlated, Correlator, Exceptions, Limits, Match};
use tarn_engine::{Engine, RuleIx};
use tarn_ingest::fields::FieldValue;
use tarn_ingest::source::Sources;
use tarn_rules::correlation::{Correlation, Measure};
use tarn_rules::{LoadOptions, parse};

const SECOND: i64 = 1_000_000;

fn engine(correlations: &str) -> Arc<Engine> {
    let rule = |name: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  s: {{eventName: {name}}}\n  \
             condition: s\n---\n"
        )
    };
    let text = ["a", "b", "c"].map(rule).concat() + correlations;
    let set = parse(Path::new("c.yml"), &text, &LoadOptions::default());
    assert!(set.errors.is_empty(), "{:?}", set.errors);
    // Their tables take longer to make than a case to run.
    static SOURCES: LazyLock<Arc<Sources>> = LazyLock::new(|| Arc::new(Sources::builtin().unwrap()));
    Arc::new(Engine::new(SOURCES.clone(), set).0)
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
fn late_matches_and_forgotten_groups_are_counted() {
    let c = correlation(
        "  type: event_count\n  rules: [a]\n  group-by: [awsRegion]\n  timespan: 10s\n  condition: {gte: 2}\n",
    );
    let limits = Limits { lateness_us: Some(5 * SECOND), ..Limits::default() };
    let events: Vec<Event> = vec![(0, 0, "x", None), (0, 20, "x", None), (0, 16, "x", None), (0, 3, "x", None)];
    let (found, exceptions) = run(&c, limits, matches(&c, &events));
    assert_eq!((found.len(), exceptions.late), (1, 1));
    let limits = Limits { groups_max: 100, ..Limits::default() };
    let names: Vec<String> = (0..1_000).map(|n| format!("g{n}")).collect();
    let many = names.iter().enumerate().map(|(n, name)| Match {
        rule: RuleIx(0),
        time: n as i64,
        uid: name.as_str().into(),
        values: vec![Some(FieldValue::Text(name.as_str().into()))],
    });
    assert!(run(&c, limits, many.collect()).1.evicted > 500);
}

/// What a correlation means.
fn model(c: &Correlation, events: &[Event]) -> Vec<(i64, String, u64, String)> {
    let mut groups: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|e| e.1);
    for event in sorted {
        let counts = event.3.is_some() || c.measured().is_empty();
        if counts {
            groups.entry(if c.group_by.is_empty() { "" } else { event.2 }).or_default().push(event);
        }
    }
    let (span, mut out) = (c.timespan_us / SECOND, Vec::new());
    let mut ask = |window: &[Event], time: i64, group: &str| -> bool {
        let measure = measure(c, window);
        let holds = c.condition.holds(measure, |place| window.iter().any(|e| e.0 as usize == place));
        if holds {
            out.push((time, group.to_owned(), window.len() as u64, format!("{measure:.6}")));
        }
        holds
    };
    for (group, events) in groups {
        let mut fired: Option<i64> = None;
        let mut opened: Option<usize> = None;
        for (i, event) in events.iter().enumerate() {
            if c.condition.is_monotone() {
                let window: Vec<Event> = events[..=i].iter().filter(|e| e.1 >= event.1 - span).copied().collect();
                let holds = c.condition.holds(measure(c, &window), |p| window.iter().any(|e| e.0 as usize == p));
                if !holds {
                    fired = None;
                } else if fired.is_none_or(|at| event.1 - at > span) {
                    ask(&window, event.1, group);
                    fired = Some(event.1);
                }
                continue;
            }
            if let Some(first) = opened.filter(|first| event.1 > events[*first].1 + span) {
                ask(&events[first..i], events[first].1 + span, group);
                opened = None;
            }
            opened = opened.or(Some(i));
        }
        if let Some(first) = opened {
            ask(&events[first..], events[first].1 + span, group);
        }
    }
    out.sort();
    out
}

fn measure(c: &Correlation, window: &[Event]) -> f64 {
    let mut numbers: Vec<f64> = window.iter().filter_map(|e| e.3).collect();
    numbers.sort_by(f64::total_cmp);
    match &c.measure {
        Measure::EventCount => window.len() as f64,
        Measure::ValueCount(_) => {
            numbers.dedup();
            numbers.len() as f64
        }
        Measure::ValueSum(_) => numbers.iter().sum(),
        Measure::ValueAvg(_) => numbers.iter().sum::<f64>() / numbers.len() as f64,
        Measure::ValuePercentile(_, p) => {
            let at = p / 100.0 * (numbers.len() - 1) as f64;
            let (below, above) = (numbers[at.floor() as usize], numbers[at.ceil() as usize]);
            below + (above - below) * at.fract()
        }
        Measure::Temporal => (0..3).filter(|rule| window.iter().any(|e| e.0 == *rule)).count() as f64,
        Measure::TemporalOrdered => {
            // The longest run of rules that grow along the window.
            let mut longest = vec![0_usize; window.len()];
            for i in 0..window.len() {
                longest[i] = 1 + (0..i).filter(|j| window[*j].0 < window[i].0).map(|j| longest[j]).max().unwrap_or(0);
            }
            longest.into_iter().max().unwrap_or(0) as f64
        }
    }
}

fn body() -> impl Strategy<Value = String> {
    let bound = prop_oneof![Just("gt"), Just("gte"), Just("lt"), Just("lte"), Just("eq"), Just("neq")];
    let bounds = prop::collection::btree_map(bound, 0..8_i32, 1..3)
        .prop_map(|map| map.iter().map(|(bound, n)| format!("{bound}: {n}")).collect::<Vec<_>>().join(", "));
    let lower = (prop_oneof![Just("gt"), Just("gte")], 0..4_i32).prop_map(|(bound, n)| format!("{bound}: {n}"));
    let condition = prop_oneof![lower.clone(), bounds];
    let of_values = prop_oneof![
        Just("value_count"),
        Just("value_sum"),
        Just("value_avg"),
        Just("value_median"),
        Just("value_percentile, percentile: 90"),
    ];
    prop_oneof![
        condition.clone().prop_map(|c| format!("  type: event_count\n  condition: {{{c}}}\n")),
        (of_values, condition.clone()).prop_map(|(kind, c)| {
            let (kind, more) = kind.split_once(',').unwrap_or((kind, ""));
            let more = if more.is_empty() { String::new() } else { format!(",{more}") };
            format!("  type: {kind}\n  condition: {{field: requestParameters.size, {c}{more}}}\n")
        }),
        condition.prop_map(|c| format!("  type: temporal\n  condition: {{{c}}}\n")),
        Just("  type: temporal\n  condition: a and (b or not c)\n".to_owned()),
        Just("  type: temporal\n  condition: a and (b or c)\n".to_owned()),
        lower.prop_map(|c| format!("  type: temporal_ordered\n  condition: {{{c}}}\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_model_agrees(
        body in body(),
        span in 1..20_i64,
        grouped in any::<bool>(),
        events in prop::collection::vec(
            (0..3_u32, 0..60_i64, prop_oneof![Just("x"), Just("y")], prop::option::weighted(0.8, (0..6_i32).prop_map(f64::from))),
            0..40,
        ),
    ) {
        let group = if grouped { "  group-by: [awsRegion]\n" } else { "" };
        let engine = correlation(&format!("  rules: [a, b, c]\n  timespan: {span}s\n{group}{body}"));
        let [c] = engine.correlations() else { return Ok(()) };
        // In the order of arrival, ties are what they are; any other order of distinct times changes nothing.
        let mut got: Vec<_> = run(&engine, Limits::default(), matches(&engine, &events)).0.iter().map(|found| {
            let group = found.group.first().and_then(|(_, v)| v.clone()).unwrap_or_default();
            (found.time / SECOND, group, found.count, format!("{:.6}", found.measure))
        }).collect();
        got.sort();
        prop_assert_eq!(got, model(c, &events));
    }
}
