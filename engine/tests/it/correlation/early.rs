//! Correlations that are told before the watermark: at once, and in the end what is true in event time.

use super::checkpoints::{engine_of, written};
use super::model::{answer, model};
use super::properties::{body, events, grouped};
use super::{SECOND, correlation, matches};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlated, Correlator, Limits, Match};
use tarn_rules::correlation::Correlation;

fn limits(lateness: i64, early: bool) -> Limits {
    let early_bytes_max = if early { 1 << 20 } else { 0 };
    Limits { lateness_us: Some(lateness * SECOND), early_bytes_max, ..Limits::default() }
}

/// What a run told, and what of it was revised; it stops and goes on before each of these matches.
fn run(engine: &Arc<Engine>, limits: Limits, matches: &[Match], stops: &[usize]) -> (Vec<String>, Vec<String>) {
    let mut correlator = Correlator::new(engine.clone(), limits);
    let (mut told, mut revised) = (Vec::new(), Vec::new());
    for (n, found) in matches.iter().enumerate() {
        if stops.contains(&n) {
            revised.extend(correlator.revised());
            correlator = Correlator::restore(engine.clone(), limits, &mut &*written(&correlator)).unwrap().correlator;
        }
        correlator.push(found.clone(), &mut told);
    }
    correlator.finish(&mut told);
    revised.extend(correlator.revised());
    let uid = |found: &Correlated| found.uid(engine);
    (told.iter().map(uid).collect(), revised.iter().map(|revised| uid(&revised.found)).collect())
}

fn all(uids: Vec<String>) -> BTreeSet<String> {
    uids.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_in_order_is_told_at_once(
        body in body(), span in 1..80_i64, lateness in 1..100_i64, mut events in events(&["x", "y"]),
    ) {
        let engine = correlation(&grouped(&body, span, true));
        // A mean may be high twice from one event on: that is one finding.
        let rises = |c: &&Correlation| c.condition.is_monotone() && !c.measure.recedes();
        let Some(c) = engine.correlations().first().filter(rises) else { return Ok(()) };
        events.sort_by_key(|event| event.1);
        let mut correlator = Correlator::new(engine.clone(), limits(lateness, true));
        let mut told = Vec::new();
        for (n, found) in matches(&engine, &events).into_iter().enumerate() {
            correlator.push(found, &mut told);
            let mut answers: Vec<_> = told.iter().map(answer).collect();
            answers.sort();
            prop_assert_eq!(answers, model(c, &events[..=n]));
        }
        let before = told.len();
        correlator.finish(&mut told);
        prop_assert_eq!((told.len(), correlator.revised()), (before, Vec::new()));
    }

    // Told once, whatever the order of arrival, and wherever the run stops; what is not revised is what is told in event
    // time alone.
    #[test]
    fn what_is_not_revised_is_what_is_true_in_event_time(
        body in body(), span in 1..80_i64, lateness in 0..60_i64, chained in any::<bool>(),
        events in events(&["x", "y"]), stops in prop::collection::vec(0..60_usize, 0..6),
    ) {
        let engine = engine_of(&body, span, true, chained);
        let matches = matches(&engine, &events);
        let (due, _) = run(&engine, limits(lateness, false), &matches, &[]);
        let (told, revised) = run(&engine, limits(lateness, true), &matches, &stops);
        let kept: BTreeSet<String> = all(told.clone()).difference(&all(revised)).cloned().collect();
        prop_assert_eq!(kept, all(due.clone()));
    }
}

#[test]
fn an_event_that_is_late_and_first_revises_what_was_told() {
    let engine = correlation(&grouped("  type: event_count\n  condition: {gte: 2}\n", 10, true));
    let events = [(0, 20, "x", None), (0, 21, "x", None), (0, 15, "x", None), (0, 99, "x", None)];
    let matches = matches(&engine, &events);
    let mut correlator = Correlator::new(engine.clone(), limits(30, true));
    let mut told = Vec::new();
    matches[..2].iter().for_each(|m| correlator.push(m.clone(), &mut told));
    assert_eq!(told.iter().map(|t| (t.first, t.last)).collect::<Vec<_>>(), [(20 * SECOND, 21 * SECOND)]);
    matches[2..].iter().for_each(|m| correlator.push(m.clone(), &mut told));
    assert_eq!((told.len(), told[1].first, told[1].last), (2, 15 * SECOND, 20 * SECOND));
    let revised = correlator.revised();
    assert_eq!((&revised[0].found, revised[0].by.as_deref()), (&told[0], Some(&*told[1].uid(&engine))));
    assert_eq!((revised.len(), correlator.revised().len()), (1, 0));
}

#[test]
fn what_is_true_in_event_time_is_not_told_again_nor_revised() {
    let engine =
        correlation(&grouped("  type: value_avg\n  condition: {field: requestParameters.size, gt: 2}\n", 42, true));
    // The mean falls with the event at 55, which comes first, and rises again with the late ones.
    let events = [(13, 5.0), (55, 0.0), (35, 0.0), (35, 3.0), (35, 3.0)].map(|(time, n)| (0, time, "x", Some(n)));
    let matches = matches(&engine, &events);
    for stops in [&[][..], &[2], &[3], &[4]] {
        let (told, revised) = run(&engine, limits(20, true), &matches, stops);
        assert_eq!((told.len(), revised), (1, Vec::new()), "stopped before {stops:?}");
    }
}

#[test]
fn what_was_told_before_a_crash_is_not_told_again() {
    let engine = correlation(&grouped("  type: event_count\n  condition: {gte: 2}\n", 10, true));
    let matches = matches(&engine, &[(0, 20, "x", None), (0, 21, "x", None), (0, 99, "x", None)]);
    let mut told = Vec::new();
    let mut first = Correlator::new(engine.clone(), limits(30, true));
    matches[..2].iter().for_each(|m| first.push(m.clone(), &mut told));
    // The state is lost, what was told is not.
    let mut second = Correlator::new(engine.clone(), limits(30, true));
    second.told(&told[0].uid(&engine), told[0].last);
    let again = Correlator::restore(engine.clone(), limits(30, true), &mut &*written(&second)).unwrap();
    let (mut second, mut out) = (again.correlator, Vec::new());
    matches.iter().for_each(|m| second.push(m.clone(), &mut out));
    second.finish(&mut out);
    assert_eq!((out, second.revised()), (Vec::new(), Vec::new()));
}

#[test]
fn without_room_correlations_are_told_at_the_watermark() {
    let engine = correlation(&grouped("  type: event_count\n  condition: {gte: 2}\n", 10, true));
    let matches = matches(&engine, &[(0, 20, "x", None), (0, 21, "x", None), (0, 99, "x", None)]);
    let mut correlator = Correlator::new(engine.clone(), Limits { early_bytes_max: 1, ..limits(30, true) });
    let mut told = Vec::new();
    matches[..2].iter().for_each(|m| correlator.push(m.clone(), &mut told));
    assert!(told.is_empty());
    correlator.push(matches[2].clone(), &mut told);
    assert_eq!(told.len(), 1);
}
