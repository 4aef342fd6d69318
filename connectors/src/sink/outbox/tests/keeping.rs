//! What is kept, for how long, and what goes.

use super::*;
use crate::attestation::{self, Attestation};

const PLAIN: &str = r#"
    sinks.out = { kind = "stdout", retry_base = "1s", retry_max = "8s", give_up_after = "1h" }
    routes = [{ name = "r", sinks = ["out"] }]"#;

#[test]
fn a_sequence_is_taken_once() {
    let mut bench = Bench::new(PLAIN);
    bench.offer(5, &[finding("f1", "r", 3, "u")]);
    bench.offer(5, &[finding("f1", "r", 3, "u")]);
    bench.offer(3, &[finding("f0", "r", 3, "u")]);
    bench.crash();
    bench.offer(5, &[finding("f1", "r", 3, "u")]);
    assert_eq!(bench.outbox().taken().unwrap(), 5);
    assert_eq!(bench.deliver("out"), [one("f1", &["f1"], 0)]);
    bench.offer(5, &[finding("f1", "r", 3, "u")]);
    assert!(bench.deliver("out").is_empty());
    bench.offer(6, &[]);
    assert_eq!(bench.outbox().taken().unwrap(), 6);
}

#[test]
fn waits_survive_a_restart_and_end_as_dead_letters() {
    let mut bench = Bench::new(PLAIN);
    bench.offer(1, &[finding("f1", "r", 3, "u")]);
    let due = bench.due("out");
    bench.settle("out", &[(due[0].0, retry(Some(60_000)))]);
    bench.crash();
    bench.advance(59_999);
    assert!(bench.due("out").is_empty());
    bench.advance(1_001);
    let (mut tries, mut last) = (1, Vec::new());
    while bench.outbox().dead(0, 10).unwrap().is_empty() {
        let due = bench.due("out");
        if let [(id, message)] = due.as_slice() {
            assert_eq!(message.key, "f1");
            bench.settle("out", &[(*id, retry(None))]);
            tries += 1;
            last.push(bench.outbox().now());
        }
        bench.advance(500);
    }
    let gaps: Vec<_> = last.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 8_500), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap > 4_000), "{gaps:?}");
    let dead = bench.outbox().dead(0, 10).unwrap();
    assert_eq!((dead[0].tries, dead[0].key.as_str(), dead[0].reason.as_str()), (tries, "f1", "HTTP 500"));
    assert!((3_590_000..3_610_000).contains(&(dead[0].dead_ms - START)), "{dead:?}");
    // Dead letters can be tried again, under the same key, and have all their time again.
    assert_eq!(bench.outbox().retry_dead(Which::Sink("other")).unwrap(), 0);
    assert_eq!(bench.outbox().retry_dead(Which::These(&[dead[0].id])).unwrap(), 1);
    let due = bench.due("out");
    bench.settle("out", &[(due[0].0, Verdict::Never { reason: "HTTP 400".into() })]);
    let status = bench.outbox().status().unwrap();
    assert_eq!((status.sinks["out"].dead, status.sinks["out"].buried, status.sinks["out"].waiting), (1, 2, 0));
    assert_eq!(bench.outbox().discard_dead(Which::All).unwrap(), 1);
    assert_eq!(bench.outbox().status().unwrap().entries, 0);
}

#[test]
fn without_room_the_dead_and_the_harmless_go_first() {
    let bench = Bench::new(&format!("entries_max = 4\n{PLAIN}"));
    bench.offer(1, &[finding("dead", "r", 5, "u")]);
    let due = bench.due("out");
    bench.settle("out", &[(due[0].0, Verdict::Never { reason: "no".into() })]);
    let of = |uid: &str, severity| finding(uid, "r", severity, "u");
    bench.offer(2, &[of("low1", 2), of("high1", 4), of("low2", 2), of("high2", 4)]);
    assert!(bench.outbox().dead(0, 10).unwrap().is_empty());
    bench.offer(3, &[of("medium", 3), of("info", 1)]);
    let keys: Vec<_> = bench.deliver("out").into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys, ["high1", "low2", "high2", "medium"]);
    assert_eq!(bench.outbox().status().unwrap().sinks["out"].dropped, 3);
}

#[test]
fn without_room_groups_end_early() {
    let config = r#"
        entries_max = 2
        sinks.out.kind = "stdout"
        routes = [{ name = "r", sinks = ["out"], group_by = ["user"] }]"#;
    let bench = Bench::new(config);
    let of = |uid: &str, severity, user| finding(uid, "r", severity, user);
    bench.offer(1, &[of("a1", 4, "a"), of("b1", 2, "b"), of("c1", 3, "c")]);
    assert_eq!(bench.deliver("out"), [one("a1", &["a1"], 0), one("c1", &["c1"], 0)]);
}

#[test]
fn messages_of_sinks_that_are_gone_become_dead_letters() {
    let bench = Bench::new(
        r#"
        sinks = { out = { kind = "stdout" }, old = { kind = "stdout" } }
        routes = [{ name = "r", sinks = ["out", "old"], group_by = ["rule"] }]"#,
    );
    bench.offer(1, &[finding("f1", "r", 3, "u")]);
    let next: AlertsConfig = toml::from_str(PLAIN).unwrap();
    let wrong: AlertsConfig = toml::from_str(r#"routes = [{ name = "r", sinks = ["none"] }]"#).unwrap();
    assert!(bench.outbox().reconfigure(&wrong, &|_| None).is_err());
    assert!(bench.outbox().dead(0, 10).unwrap().is_empty());
    bench.outbox().reconfigure(&next, &|_| None).unwrap();
    let dead = bench.outbox().dead(0, 10).unwrap();
    assert_eq!((dead.len(), dead[0].sink.as_str(), dead[0].findings.as_slice()), (1, "old", &["f1".to_owned()][..]));
    assert_eq!(bench.outbox().retry_dead(Which::All).unwrap(), 0);
    bench.advance(30_000);
    assert_eq!(bench.deliver("out"), [one("f1", &["f1"], 0)]);
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_up() {
    let bench = Bench::new(PLAIN);
    bench.offer(1, &[finding("f1", "r", 3, "u")]);
    bench.advance(-30 * 86_400_000);
    assert_eq!(bench.deliver("out"), [one("f1", &["f1"], 0)]);
}

#[test]
fn what_is_no_finding_is_counted() {
    let bench = Bench::new(PLAIN);
    bench.offer(1, &["{".into(), finding("f1", "r", 3, "u"), "{}".into()]);
    let status = bench.outbox().status().unwrap();
    assert_eq!((status.unreadable, status.offered, status.unrouted), (2, 1, 0));
    assert_eq!(bench.deliver("out").len(), 1);
}

#[test]
fn a_large_finding_is_told_without_its_text() {
    let bench = Bench::new(PLAIN);
    let large = finding("f1", "r", 3, "u").replacen('{', &format!(r#"{{"message":"{}","#, "x".repeat(300_000)), 1);
    bench.offer(1, &[large, finding("f2", "r", 3, "u")]);
    let due = bench.due("out");
    assert_eq!(due.iter().map(|(_, m)| m.alerts[0].finding.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn another_format_is_refused() {
    let mut bench = Bench::new(PLAIN);
    bench.outbox().store.write(|tables| tables.set_meta("format", 99)).unwrap();
    bench.outbox = None;
    let error = open(bench.folder.path(), &bench.now, &bench.config).unwrap_err();
    assert!(matches!(error, OutboxError::Format { found: 99, known: 2 }), "{error}");
}

#[test]
fn attestation_is_asked_once_for_those_that_are_told_and_kept_with_them() {
    let mut bench = Bench::new(
        r#"
        sinks.out.kind = "stdout"
        routes = [{ name = "r", severity_min = "high", sinks = ["out"] }]"#,
    );
    let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
    let asking = Arc::clone(&asked);
    let attesting: Attesting = Arc::new(move |texts| {
        asking.lock().unwrap().push(texts.len());
        // Of the second frame nothing is known in time.
        let known = asking.lock().unwrap().len() == 1;
        let image = |text: &&str| Attestation {
            verdict: attestation::Verdict::Unattested,
            digest: None,
            reason: text.contains("f3").to_string(),
            record: None,
        };
        if known { texts.iter().map(|text| vec![image(text)]).collect() } else { Vec::new() }
    });
    bench.outbox = None;
    let clock: Clock = Arc::new(|| START);
    let outside = Outside { sources: sources(), clock, seed: 7, attesting: Some(attesting) };
    bench.outbox = Some(Outbox::open(bench.folder.path(), &bench.config, &|_| None, outside).unwrap());
    bench.offer(1, &[finding("f1", "a", 4, "u"), finding("f2", "a", 2, "u"), finding("f3", "a", 4, "u")]);
    bench.offer(2, &[finding("f4", "a", 4, "u")]);
    bench.offer(3, &[finding("f5", "a", 2, "u")]);
    assert_eq!(*asked.lock().unwrap(), [2, 1], "findings of each frame that somebody is told of");
    bench.crash();
    let told = bench.due("out").into_iter().map(|(_, message)| {
        let alert = &message.alerts[0].alert;
        (alert.uid.clone(), alert.attestation.iter().map(|image| image.reason.clone()).collect::<Vec<_>>())
    });
    let is = |uid: &str, reasons: &[&str]| (uid.to_owned(), reasons.iter().map(|r| (*r).to_owned()).collect());
    assert_eq!(told.collect::<Vec<_>>(), [is("f1", &["false"]), is("f3", &["true"]), is("f4", &[])]);
}
