//! Machines that are lost with their disks.

use super::*;

const PLAIN: &str = r#"
    sinks.out = { kind = "stdout" }
    routes = [{ name = "r", sinks = ["out"] }]"#;
const GROUPED: &str = r#"
    sinks.out = { kind = "stdout" }
    routes = [{ name = "r", sinks = ["out"], group_by = ["rule"], group_wait = "10s", group_interval = "60s" }]"#;
const THROTTLED: &str = r#"
    sinks.out = { kind = "stdout" }
    routes = [{ name = "r", sinks = ["out"], throttle = { count = 1, per = "1h" } }]"#;

/// A machine with an outbox of its own.
struct Machine {
    bench: Bench,
    is_new: bool,
}

impl Machine {
    /// Boots one with what was kept, and the folder of another, if it is that one's disk.
    fn boot(config: &str, copied: &Copied, seed: u64, disk: Option<Machine>) -> Self {
        let (folder, now) = match disk {
            Some(machine) => {
                let Bench { folder, now, outbox, .. } = machine.bench;
                drop(outbox);
                (folder, now)
            }
            None => (tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(START))),
        };
        let config: AlertsConfig = toml::from_str(config).unwrap();
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let outside = Outside { sources: sources(), clock, seed, attesting: None };
        let (outbox, is_new) = Outbox::open_copied(folder.path(), &config, &|_| None, outside, copied).unwrap();
        Self { bench: Bench { folder, now, config, outbox: Some(outbox) }, is_new }
    }

    fn keep(&self, through: u64) -> Copied {
        Copied { copy: Some(self.bench.outbox().copy().unwrap()), through }
    }
}

fn found(uids: &[&str]) -> Vec<String> {
    uids.iter().map(|uid| finding(uid, "r", 4, "u")).collect()
}

#[test]
fn a_new_machine_goes_on_with_the_copy() {
    let first = Machine::boot(PLAIN, &Copied::default(), 1, None);
    assert!(first.is_new);
    first.bench.offer(1, &found(&["f1", "f2", "f3"]));
    let due = first.bench.due("out");
    first.bench.settle("out", &[(due[0].0, Verdict::Delivered), (due[1].0, Verdict::Never { reason: "no".into() })]);
    let kept = first.keep(2);
    first.bench.offer(2, &found(&["f4"]));
    assert_eq!(first.bench.deliver("out").len(), 2);

    let second = Machine::boot(PLAIN, &kept, 2, None);
    assert!(second.is_new);
    let outbox = second.bench.outbox();
    assert_eq!(outbox.taken().unwrap(), 1);
    second.bench.offer(1, &found(&["f1", "f2", "f3"]));
    second.bench.offer(2, &found(&["f4"]));
    assert_eq!(second.bench.deliver("out"), [one("f3", &["f3"], 0), one("f4", &["f4"], 0)], "again, under its key");
    assert_eq!(outbox.dead(0, 9).unwrap()[0].key, "f2");
    let status = outbox.status().unwrap();
    assert_eq!((status.offered, status.sinks["out"].delivered, status.entries), (4, 3, 1));
}

#[test]
fn a_disk_that_is_there_goes_on_unless_another_did() {
    let first = Machine::boot(PLAIN, &Copied::default(), 1, None);
    let kept = first.keep(0);
    first.bench.offer(1, &found(&["f1"]));
    let first = Machine::boot(PLAIN, &kept, 9, Some(first));
    assert!(!first.is_new);
    assert_eq!(first.bench.deliver("out").len(), 1, "what the copy does not have yet");

    let mut second = Machine::boot(PLAIN, &kept, 2, None);
    let kept = second.keep(1);
    second.bench.offer(1, &found(&["f1"]));
    second.bench.offer(2, &found(&["f2"]));
    assert_eq!(second.bench.deliver("out").len(), 2);
    let first = Machine::boot(PLAIN, &kept, 3, Some(first));
    assert!(first.is_new);
    assert_eq!(first.bench.outbox().taken().unwrap(), 0, "its own file is of no use any more");

    // Nor is one that was put back from a backup.
    let file = second.bench.folder.path().join("outbox.redb");
    let backup = std::fs::read(&file).unwrap();
    second.bench.offer(3, &found(&["f3"]));
    let kept = second.keep(3);
    second.bench.outbox = None;
    std::fs::write(&file, backup).unwrap();
    let second = Machine::boot(PLAIN, &kept, 4, Some(second));
    assert!(second.is_new);
    assert_eq!(second.bench.deliver("out"), [one("f3", &["f3"], 0)]);
}

/// A receiver drops what it knows by its key: what comes again under a key must not say more than it did.
#[test]
fn nothing_says_more_under_a_key_than_before() {
    let first = Machine::boot(GROUPED, &Copied::default(), 1, None);
    first.bench.offer(1, &found(&["f1"]));
    let kept = first.keep(3);
    first.bench.offer(2, &found(&["f2"]));
    first.bench.advance(10_000);
    assert_eq!(first.bench.deliver("out"), [one("f1", &["f1", "f2"], 0)]);
    first.bench.offer(3, &found(&["f3"]));
    first.bench.advance(60_000);
    assert_eq!(first.bench.deliver("out"), [one("f3", &["f3"], 0)]);

    let second = Machine::boot(GROUPED, &kept, 2, None);
    second.bench.offer(2, &found(&["f2"]));
    second.bench.offer(3, &found(&["f3"]));
    let each = [one("f1", &["f1"], 0), one("f2", &["f2"], 0), one("f3", &["f3"], 0)];
    assert_eq!(second.bench.deliver("out"), each);
    // What comes in from now on is grouped again.
    second.bench.offer(4, &found(&["f4", "f5"]));
    second.bench.advance(10_000);
    assert_eq!(second.bench.deliver("out"), [one("f4", &["f4", "f5"], 0)]);
}

#[test]
fn what_was_held_back_is_told() {
    let first = Machine::boot(THROTTLED, &Copied::default(), 1, None);
    first.bench.offer(1, &found(&["f1", "f2", "f3"]));
    assert_eq!(first.bench.deliver("out"), [one("f1", &["f1"], 0)]);
    let second = Machine::boot(THROTTLED, &first.keep(1), 2, None);
    assert_eq!(second.bench.deliver("out"), [one("f3", &["f3"], 1)]);
}

#[test]
fn a_copy_that_cannot_be_read_is_an_error() {
    let first = Machine::boot(PLAIN, &Copied::default(), 1, None);
    first.bench.offer(1, &found(&["f1"]));
    let whole = first.bench.outbox().copy().unwrap();
    let config: AlertsConfig = toml::from_str(PLAIN).unwrap();
    for copy in [b"no copy".to_vec(), Vec::new(), whole[..whole.len() / 2].to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let outside = Outside { sources: sources(), clock: Arc::new(|| START), seed: 1, attesting: None };
        let copied = Copied { copy: Some(copy), through: 0 };
        assert!(Outbox::open_copied(folder.path(), &config, &|_| None, outside, &copied).is_err());
    }
}
