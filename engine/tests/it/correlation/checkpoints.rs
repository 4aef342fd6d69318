//! Checkpoints: a run that is stopped anywhere and goes on says what one that is not says; what is damaged is refused.

use super::properties::{body, events, grouped};
use super::{Event, SECOND, bound, correlation, engine, found, matches, ruleset, text};
use proptest::prelude::*;
use std::sync::Arc;
use tarn_engine::correlation::{Correlated, Correlator, Dropped, Exceptions, Limits, Match, RestoreError};
use tarn_engine::{Engine, RuleIx};

pub fn written(correlator: &Correlator) -> Vec<u8> {
    let mut out = Vec::new();
    correlator.checkpoint(&mut out).unwrap();
    out
}

fn read(engine: &Arc<Engine>, limits: Limits, bytes: &[u8]) -> Result<Correlator, RestoreError> {
    let restored = Correlator::restore(engine.clone(), limits, &mut &*bytes)?;
    assert_eq!(restored.dropped, []);
    Ok(restored.correlator)
}

/// What a run says, which stops and goes on before each of these matches.
fn run(engine: &Arc<Engine>, limits: Limits, matches: &[Match], stops: &[usize]) -> (Vec<Correlated>, Exceptions) {
    let mut correlator = Correlator::new(engine.clone(), limits);
    let mut out = Vec::new();
    for (n, found) in matches.iter().enumerate() {
        if stops.contains(&n) {
            let next = read(engine, limits, &written(&correlator)).unwrap();
            assert_eq!((next.bytes(), next.len()), (correlator.bytes(), correlator.len()));
            assert_eq!((next.exceptions(), next.evicted()), (correlator.exceptions(), correlator.evicted()));
            correlator = next;
        }
        correlator.push(found.clone(), &mut out);
    }
    correlator.finish(&mut out);
    (out, correlator.exceptions())
}

/// A correlation alone, or below others that take its matches: by another field, in an order, at the end of windows.
pub fn engine_of(body: &str, span: i64, by_group: bool, chained: bool) -> Arc<Engine> {
    let of = |name: &str, body: &str| format!("title: {name}\nname: {name}\ncorrelation:\n{body}");
    let own = grouped(body, span, by_group);
    match chained {
        false => correlation(&own),
        true => engine(
            &[
                of("own", &own),
                of("few", "  type: event_count\n  rules: [own]\n  group-by: [awsRegion]\n  timespan: 5s\n  condition: {lt: 3}\n"),
                of(
                    "then",
                    "  type: temporal_ordered\n  rules: [few, own, a]\n  group-by: [requestParameters.size]\n  timespan: 20s\n  \
                     condition: {gte: 2}\n",
                ),
            ]
            .join("---\n"),
        ),
    }
}

/// How late events may be, and how much is remembered.
fn limits() -> impl Strategy<Value = Limits> {
    let lateness = prop::option::weighted(0.8, (0..30_i64).prop_map(|seconds| seconds * SECOND));
    let bytes = || prop_oneof![Just(1 << 20), 0..3_000_usize];
    (lateness, bytes(), bytes(), bytes()).prop_map(|(lateness_us, waiting_bytes_max, rule_bytes_max, bytes_max)| {
        Limits { lateness_us, waiting_bytes_max, rule_bytes_max, bytes_max, early_bytes_max: 0 }
    })
}

/// A correlator in the middle of something.
#[derive(Clone, Debug)]
struct Halfway {
    body: String,
    span: i64,
    chained: bool,
    events: Vec<Event>,
    limits: Limits,
}

impl Halfway {
    fn stop(&self) -> (Arc<Engine>, Vec<u8>) {
        let engine = engine_of(&self.body, self.span, true, self.chained);
        let limits = Limits { early_bytes_max: 1 << 20, ..self.limits };
        let mut correlator = Correlator::new(engine.clone(), limits);
        matches(&engine, &self.events).into_iter().for_each(|m| correlator.push(m, &mut Vec::new()));
        let bytes = written(&correlator);
        (engine, bytes)
    }
}

fn halfway() -> impl Strategy<Value = Halfway> {
    (body(), 1..80_i64, any::<bool>(), events(&["x", "y", "z"]), limits())
        .prop_map(|(body, span, chained, events, limits)| Halfway { body, span, chained, events, limits })
}

/// Frames of a checkpoint: where each one's bytes are.
fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut at = 12;
    let mut out = Vec::new();
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        out.push(at + 4..at + 4 + length);
        at += length + 8;
    }
    out
}

/// The same bytes with checksums that are true of them.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..12]);
    for frame in frames(&bytes) {
        checksum.update(&bytes[frame.start - 4..frame.end]);
        bytes[frame.end..frame.end + 4].copy_from_slice(&checksum.clone().finalize().to_le_bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_stops_and_goes_on_is_the_same_run(
        body in body(), span in 1..80_i64, by_group in any::<bool>(), chained in any::<bool>(), limits in limits(),
        events in events(&["v", "w", "x", "y", "z"]), stops in prop::collection::vec(0..60_usize, 1..6),
    ) {
        let engine = engine_of(&body, span, by_group, chained);
        let matches = matches(&engine, &events);
        prop_assert_eq!(run(&engine, limits, &matches, &stops), run(&engine, limits, &matches, &[]));
    }

    #[test]
    fn what_is_cut_off_is_refused(halfway in halfway()) {
        let (limits, (engine, bytes)) = (halfway.limits, halfway.stop());
        prop_assert!(read(&engine, limits, &bytes).is_ok());
        for length in 0..bytes.len() {
            prop_assert!(read(&engine, limits, &bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn what_is_changed_is_refused(
        halfway in halfway(), changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..50),
    ) {
        let (limits, (engine, bytes)) = (halfway.limits, halfway.stop());
        for (at, change) in changes {
            let mut bytes = bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(read(&engine, limits, &bytes).is_err(), "byte {at}");
        }
    }

    // Checksums do not keep out what was made to do harm: it is refused, or is a state like any other.
    #[test]
    fn what_is_made_up_does_no_harm(
        halfway in halfway(), events in events(&["x", "y", "z"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
    ) {
        let (limits, (engine, bytes)) = (halfway.limits, halfway.stop());
        let places: Vec<usize> = frames(&bytes).into_iter().flatten().collect();
        for (at, value) in changes {
            let mut bytes = bytes.clone();
            bytes[*at.get(&places)] = value;
            if let Ok(restored) = Correlator::restore(engine.clone(), limits, &mut &*sealed(bytes)) {
                let (mut correlator, mut out) = (restored.correlator, Vec::new());
                matches(&engine, &events).into_iter().for_each(|m| correlator.push(m, &mut out));
                read(&engine, limits, &written(&correlator)).unwrap();
                correlator.finish(&mut out);
            }
        }
    }
}

#[test]
fn large_windows_go_on() {
    for (kind, condition, many) in [
        ("event_count", "gte: 99999", 100_050),
        ("event_count", "neq: 7", 5_000),
        ("value_count", "field: requestParameters.size, gte: 900", 5_000),
        ("value_count", "field: requestParameters.size, lt: 100000", 5_000),
        ("value_sum", "field: requestParameters.size, gte: 100000", 5_000),
        ("value_percentile", "field: requestParameters.size, percentile: 90, gte: 800", 5_000),
        ("value_percentile", "field: requestParameters.size, percentile: 90, lt: 100000", 5_000),
    ] {
        let c = correlation(&format!("  type: {kind}\n  rules: [a]\n  timespan: 1h\n  condition: {{{condition}}}\n"));
        let fields = c.captures(RuleIx(0)).unwrap().len();
        let value = |n: usize| vec![text(&(n * 7919 % 1_009).to_string()); fields];
        let matches: Vec<Match> = (0..many).map(|n| found(n, n as i64 * SECOND, &value(n))).collect();
        let limits = Limits { lateness_us: Some(0), ..Limits::default() };
        let stops = [many / 2, many - 10];
        assert_eq!(run(&c, limits, &matches, &stops), run(&c, limits, &matches, &[]), "{kind} {condition}");
    }
    // What a full window dropped is remembered.
    let c = correlation("  type: event_count\n  rules: [a]\n  timespan: 1d\n  condition: {gte: 1}\n");
    let matches: Vec<Match> = (0..100_050).map(|n| found(n, n as i64, &[])).collect();
    let limits = Limits { lateness_us: Some(0), ..Limits::default() };
    assert_eq!(run(&c, limits, &matches, &[100_040]).1.dropped, 50);
}

/// What [`Correlator::checkpoint`] wrote when these versions of the format were made.
const VERSIONS: [&str; 2] = [include_str!("checkpoint.v1.hex"), include_str!("checkpoint.v2.hex")];

/// The bytes of lines of hexadecimal digits.
fn bytes_of(lines: &str) -> Vec<u8> {
    let digits: String = lines.lines().collect();
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn in_region(time: i64, uid: &str, region: &str) -> Match {
    Match { rule: RuleIx(0), time: time * SECOND, uid: uid.into(), values: vec![text(region), None] }
}

#[test]
fn every_version_is_read() {
    let c = versions(&[("c", "C", "awsRegion"), ("d", "D", "userAgent")]);
    for version in VERSIONS {
        let mut restored = read(&c, Limits::default(), &bytes_of(version)).unwrap();
        let mut after = Vec::new();
        restored.push(in_region(9, "f", "x"), &mut after);
        restored.finish(&mut after);
        let found: Vec<_> = after.iter().map(|found| (found.correlation, found.count, &*found.events[0])).collect();
        assert_eq!(found, [(1, 3, "e-1"), (0, 3, "e-1")]);
    }
}

#[test]
fn version_2_is_what_it_was() {
    let c = versions(&[("c", "C", "awsRegion"), ("d", "D", "userAgent")]);
    let limits = Limits { lateness_us: Some(SECOND), early_bytes_max: 1 << 20, ..Limits::default() };
    let mut correlator = Correlator::new(c.clone(), limits);
    let mut told = Vec::new();
    let uids = ["e-1", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff", ""];
    for (time, (uid, region)) in uids.iter().zip(["x", "y", "x", "z"]).enumerate() {
        correlator.push(in_region(time as i64, uid, region), &mut told);
    }
    correlator.told("f-1", 7);
    assert_eq!(told.iter().map(|found| found.correlation).collect::<Vec<_>>(), [1]);
    let hex: String = written(&correlator).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected: String = VERSIONS[1].lines().collect();
    assert_eq!(hex, expected, "a format that is written in another way has another version");
    let mut restored = read(&c, limits, &bytes_of(VERSIONS[1])).unwrap();
    let mut after = Vec::new();
    restored.push(in_region(9, "f", "x"), &mut after);
    restored.finish(&mut after);
    assert_eq!(after.iter().map(|found| found.correlation).collect::<Vec<_>>(), [0]);
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let c = correlation("  type: event_count\n  rules: [a]\n  timespan: 10s\n  condition: {gte: 2}\n");
    let mut correlator = Correlator::new(c.clone(), Limits { lateness_us: Some(0), ..Limits::default() });
    (0..2).for_each(|n| correlator.push(found(n, n as i64, &[]), &mut Vec::new()));
    let bytes = written(&correlator);
    let [clock, own, group, .., end] = &frames(&bytes)[..] else { panic!() };
    let refused = |bytes: Vec<u8>| read(&c, Limits::default(), &bytes).err().unwrap().to_string();
    let of = |parts: &[&[u8]]| refused(sealed(parts.concat()));
    let part = |from: usize, to: usize| &bytes[from..to];
    assert!(refused(b"[]".to_vec()).contains("tarncorr"));
    assert!(of(&[b"tarncorr\x03\0\0\0", part(12, bytes.len())]).contains("expected 1 to 2"));
    assert!(refused(part(0, end.start - 4).to_vec()).contains("a frame's length"));
    assert!(refused(part(0, end.start).to_vec()).contains("the rest of a frame"));
    let no_clock = of(&[part(0, clock.start - 4), part(own.start - 4, bytes.len())]);
    assert!(no_clock.contains("frame 0") && no_clock.contains("a clock"), "{no_clock}");
    let twice = of(&[part(0, group.end + 4), part(group.start - 4, bytes.len())]);
    assert!(twice.contains("frame 3") && twice.contains("each group once"), "{twice}");
    let huge = [part(0, end.start - 4), &u32::MAX.to_le_bytes()[..], part(end.start, bytes.len())].concat();
    assert!(refused(huge).contains("at most 64 MiB"));
}

/// An engine whose correlations are in files of their own: their ids, titles, which make their versions, and groups.
fn versions(correlations: &[(&str, &str, &str)]) -> Arc<Engine> {
    let one = |(id, title, group): &(&str, &str, &str)| {
        format!(
            "title: {title}\nid: {id}\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [{group}]\n  timespan: 1h\n  \
             condition: {{gte: 3}}\n"
        )
    };
    let mut set = ruleset(&correlations.iter().map(one).collect::<Vec<_>>().join("---\n"));
    for about in set.rules.iter_mut().map(|rule| &mut rule.about) {
        (about.id, about.digest) = (about.title.clone(), "1".to_owned());
    }
    set.correlations.iter_mut().for_each(|c| c.about.digest = c.about.title.clone());
    bound(set)
}

/// What a run finds that stops with a group of two matches and one that waits, and goes on with other rules; and what
/// these do not know: ids, groups and matches.
fn moved(from: &Arc<Engine>, to: &Arc<Engine>) -> (Vec<String>, Vec<(String, u64, u64)>) {
    let limits = Limits { lateness_us: Some(60 * SECOND), ..Limits::default() };
    let mut correlator = Correlator::new(from.clone(), limits);
    let events: Vec<Event> = vec![(0, 0, "x", None), (0, 1, "x", None), (0, 100, "x", None)];
    let mut out = Vec::new();
    matches(from, &events).into_iter().for_each(|m| correlator.push(m, &mut out));
    let restored = Correlator::restore(to.clone(), limits, &mut written(&correlator).as_slice()).unwrap();
    let mut correlator = restored.correlator;
    correlator.finish(&mut out);
    assert!(out.iter().all(|found| found.count == 3));
    let title = |c: &Correlated| to.correlations()[c.correlation].about.title.clone();
    let dropped = restored.dropped.into_iter().map(|Dropped { id, groups, matches }| (id, groups, matches));
    (out.iter().map(title).collect(), dropped.collect())
}

#[test]
fn state_goes_on_under_the_rules_that_are_still_there() {
    let (c, d) = (("c", "C", "awsRegion"), ("d", "D", "awsRegion"));
    let from = versions(&[c, d]);
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let gone = |id: &str, groups, matches| (id.to_owned(), groups, matches);
    assert_eq!(moved(&from, &from), (all(&["C", "D"]), vec![]));
    assert_eq!(moved(&from, &versions(&[d, c])), (all(&["D", "C"]), vec![]));
    // One that changed, or is not there any more, drops its own state alone.
    assert_eq!(moved(&from, &versions(&[c, ("d", "D2", "awsRegion")])), (all(&["C"]), vec![gone("d", 1, 0)]));
    assert_eq!(moved(&from, &versions(&[c])), (all(&["C"]), vec![gone("d", 1, 0)]));
    // A field for which nobody asked when a match came is not made up.
    let other = versions(&[c, ("d", "D2", "userAgent")]);
    assert_eq!(moved(&from, &other), (vec![], vec![gone("d", 1, 0), gone("a", 0, 1)]));
    // Fields are found again by their names.
    let from = versions(&[("d", "D", "userAgent"), c]);
    assert_eq!(moved(&from, &versions(&[c])), (all(&["C"]), vec![gone("d", 1, 0)]));
}
