//! Groups and throttles.

use super::*;

#[test]
fn groups_wait_and_then_keep_their_distance() {
    let mut bench = Bench::new(
        r#"
        sinks.out.kind = "stdout"
        routes = [{ name = "r", sinks = ["out"], group_by = ["rule"], group_wait = "30s", group_interval = "5m" }]"#,
    );
    bench.offer(1, &[finding("a1", "a", 3, "u"), finding("b1", "b", 3, "u")]);
    bench.advance(29_999);
    bench.offer(2, &[finding("a2", "a", 5, "v")]);
    assert!(bench.due("out").is_empty());
    bench.reopen();
    bench.advance(1);
    assert_eq!(bench.deliver("out"), [one("a1", &["a1", "a2"], 0), one("b1", &["b1"], 0)]);
    // Within the interval: nothing before its end.
    bench.advance(1_000);
    bench.offer(3, &[finding("a3", "a", 3, "u")]);
    bench.advance(298_000);
    assert!(bench.deliver("out").is_empty());
    bench.advance(1_000);
    assert_eq!(bench.deliver("out"), [one("a3", &["a3"], 0)]);
    // `b` had nothing for an interval and is new again: it waits for the short time.
    bench.offer(4, &[finding("b2", "b", 3, "u")]);
    bench.advance(30_000);
    assert_eq!(bench.deliver("out"), [one("b2", &["b2"], 0)]);
    bench.advance(1_000_000);
    bench.due("out");
    bench.advance(1_000_000);
    bench.due("out");
    let status = bench.outbox().status().unwrap();
    assert_eq!((status.groups, status.entries, status.bytes), (0, 0, 0));
}

#[test]
fn a_full_group_goes_at_once() {
    let bench = Bench::new(
        r#"
        sinks.out.kind = "stdout"
        routes = [{ name = "r", sinks = ["out"], group_by = [], group_max = 3 }]"#,
    );
    let findings: Vec<_> = (0..7).map(|i| finding(&format!("f{i}"), "a", 3, "u")).collect();
    bench.offer(1, &findings);
    assert_eq!(bench.deliver("out"), [one("f0", &["f0", "f1", "f2"], 0), one("f3", &["f3", "f4", "f5"], 0)]);
    bench.advance(30_000);
    assert_eq!(bench.deliver("out"), [one("f6", &["f6"], 0)]);
}

#[test]
fn what_is_held_back_is_told() {
    let mut bench = Bench::new(
        r#"
        sinks.out.kind = "stdout"
        routes = [{ name = "r", sinks = ["out"], throttle = { count = 2, per = "10m" } }]"#,
    );
    let findings =
        |range: std::ops::Range<u32>| -> Vec<_> { range.map(|i| finding(&format!("f{i}"), "a", 3, "u")).collect() };
    bench.offer(1, &findings(0..6));
    // Another rule has its own count.
    bench.offer(2, &[finding("x", "b", 3, "u")]);
    assert_eq!(bench.deliver("out"), [one("f0", &["f0"], 0), one("f1", &["f1"], 0), one("x", &["x"], 0)]);
    assert_eq!(bench.outbox().status().unwrap().sinks["out"].throttled, 4);
    bench.crash();
    // None comes: at the end of the window the last one goes, with the count of the others.
    bench.advance(600_000);
    assert_eq!(bench.deliver("out"), [one("f5", &["f5"], 3)]);
    // That began a window, in which one more passes.
    bench.offer(3, &findings(6..9));
    assert_eq!(bench.deliver("out"), [one("f6", &["f6"], 0)]);
    bench.advance(600_000);
    assert_eq!(bench.deliver("out"), [one("f8", &["f8"], 1)]);
    bench.advance(600_000);
    assert!(bench.deliver("out").is_empty());
    let status = bench.outbox().status().unwrap();
    assert_eq!((status.entries, status.bytes), (0, 0));
}

#[test]
fn a_sink_has_an_alert_once() {
    let bench = Bench::new(
        r#"
        sinks = { a = { kind = "stdout" }, b = { kind = "stdout" } }
        routes = [
            { name = "one", severity_min = "high", sinks = ["a"], continue = true },
            { name = "two", sinks = ["a", "b"] },
        ]"#,
    );
    bench.offer(1, &[finding("f1", "r", 4, "u"), finding("f2", "r", 2, "u")]);
    assert_eq!(bench.deliver("a"), [one("f1", &["f1"], 0), one("f2", &["f2"], 0)]);
    assert_eq!(bench.outbox().status().unwrap().entries, 2);
    assert_eq!(bench.deliver("b"), [one("f1", &["f1"], 0), one("f2", &["f2"], 0)]);
    assert_eq!(bench.outbox().status().unwrap().entries, 0);
}
