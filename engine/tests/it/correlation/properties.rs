//! Random rules and events: what the model says, whatever the order of arrival, and within any bounds.

use super::model::{Answer, answer, in_time, model};
use super::{Event, SECOND, correlation, matches, run};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tarn_engine::correlation::{Correlator, Exceptions, Limits};

pub fn body() -> impl Strategy<Value = String> {
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

/// Events in order of arrival: rules, times, groups and values, some of them more than once.
pub fn events(groups: &'static [&'static str]) -> impl Strategy<Value = Vec<Event>> {
    let value = prop::option::weighted(0.8, (0..30_i32).prop_map(f64::from));
    let event = (0..3_u32, 0..60_i64, prop::sample::select(groups), value);
    let repeated = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    (prop::collection::vec(event, 0..60), repeated).prop_map(|(mut events, repeated)| {
        for at in repeated.iter().filter(|_| !events.is_empty()).collect::<Vec<_>>() {
            let again = events[at.index(events.len())];
            events.push(again);
        }
        events
    })
}

/// Of the group that all are in, where there is none to tell them apart.
pub fn grouped(body: &str, span: i64, grouped: bool) -> String {
    let group = if grouped { "  group-by: [awsRegion]\n" } else { "" };
    format!("  rules: [a, b, c]\n  timespan: {span}s\n{group}{body}")
}

fn sorted(mut answers: Vec<Answer>) -> Vec<Answer> {
    answers.sort();
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // In the order of arrival, ties are what they are; any other order of distinct times changes nothing.
    #[test]
    fn the_model_agrees(
        body in body(), span in 1..80_i64, by_group in any::<bool>(), events in events(&["x", "y"]),
    ) {
        let engine = correlation(&grouped(&body, span, by_group));
        let [c] = engine.correlations() else { return Ok(()) };
        let (found, exceptions) = run(&engine, Limits::default(), matches(&engine, &events));
        prop_assert_eq!(sorted(found.iter().map(answer).collect()), model(c, &events));
        prop_assert_eq!(exceptions, Exceptions::default());
    }

    #[test]
    fn the_model_agrees_on_what_is_not_late(
        body in body(), span in 1..20_i64, lateness in 0..30_i64, events in events(&["x", "y", "z"]),
    ) {
        let engine = correlation(&grouped(&body, span, true));
        let [c] = engine.correlations() else { return Ok(()) };
        let limits = Limits { lateness_us: Some(lateness * SECOND), ..Limits::default() };
        let (found, exceptions) = run(&engine, limits, matches(&engine, &events));
        let (kept, late) = in_time(&events, lateness);
        prop_assert_eq!(sorted(found.iter().map(answer).collect()), model(c, &kept));
        prop_assert_eq!(exceptions, Exceptions { late, ..Exceptions::default() });
    }

    // What is said of a group that was never forgotten is what the model says, however little room there is.
    #[test]
    fn the_model_agrees_on_groups_that_were_not_forgotten(
        body in body(), span in 1..60_i64, bytes_max in 0..2_000_usize, per_rule in any::<bool>(),
        events in events(&["s", "t", "u", "v", "w", "x", "y", "z"]),
    ) {
        let engine = correlation(&grouped(&body, span, true));
        let [c] = engine.correlations() else { return Ok(()) };
        let limits = match per_rule {
            true => Limits { rule_bytes_max: bytes_max, ..Limits::default() },
            false => Limits { bytes_max, ..Limits::default() },
        };
        let mut correlator = Correlator::new(engine.clone(), limits);
        let mut found = Vec::new();
        matches(&engine, &events).into_iter().for_each(|m| correlator.push(m, &mut found));
        correlator.finish(&mut found);
        let forgotten = correlator.forgotten();
        prop_assert_eq!(forgotten.len() as u64, correlator.exceptions().evicted);
        let gone: BTreeSet<String> = forgotten.iter().filter_map(|f| f.group[0].1.clone()).collect();
        let kept = |answers: Vec<Answer>| answers.into_iter().filter(|a| !gone.contains(&a.1)).collect::<Vec<_>>();
        prop_assert_eq!(kept(sorted(found.iter().map(answer).collect())), kept(model(c, &events)));
    }
}
