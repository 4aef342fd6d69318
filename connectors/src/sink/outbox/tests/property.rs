//! Whatever happens in whatever order: each alert that was offered is delivered under one key or is a dead letter, and
//! what was held back is told.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Offer { findings: Vec<(u8, u8)>, again: bool },
    Advance(i64),
    Try(Vec<u8>),
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec((0..3u8, 1..6u8), 0..6), any::<bool>())
            .prop_map(|(findings, again)| Step::Offer { findings, again }),
        3 => (0..120_000i64).prop_map(Step::Advance),
        4 => prop::collection::vec(0..4u8, 1..8).prop_map(Step::Try),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

const CONFIGS: [&str; 3] = [
    r#"sinks.out.kind = "stdout"
    routes = [{ name = "r", sinks = ["out"] }]"#,
    r#"sinks.out.kind = "stdout"
    routes = [{ name = "r", sinks = ["out"], group_by = ["rule"], group_max = 4 }]"#,
    r#"sinks.out.kind = "stdout"
    routes = [{ name = "r", sinks = ["out"], group_by = ["severity"], throttle = { count = 2, per = "1m" } }]"#,
];

/// What was seen at the receiver.
#[derive(Default)]
struct Seen {
    /// The key of each message's alerts, and its content, by key.
    messages: BTreeMap<String, (Vec<String>, u64)>,
    delivered: BTreeMap<String, (Vec<String>, u64)>,
}

impl Seen {
    /// A try; every try of a key has to be the same.
    fn arrives(&mut self, message: &Message) {
        let uids = message.alerts.iter().map(|told| told.alert.uid.clone()).collect();
        let content = (uids, message.held_back);
        let known = self.messages.entry(message.key.clone()).or_insert_with(|| content.clone());
        assert_eq!(*known, content);
    }

    fn is_delivered(&mut self, message: &Message) {
        let content = self.messages[&message.key].clone();
        let before = self.delivered.insert(message.key.clone(), content);
        assert!(before.is_none(), "{} is delivered again, without a crash between", message.key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(config in 0..3usize, steps in prop::collection::vec(step(), 1..25)) {
        let mut bench = Bench::new(CONFIGS[config]);
        let (mut seen, mut offered, mut sequence) = (Seen::default(), 0u64, 0);
        for step in steps {
            match step {
                Step::Offer { findings, again } => {
                    sequence += 1;
                    let mut texts = Vec::new();
                    for (rule, severity) in findings {
                        offered += 1;
                        texts.push(finding(&format!("f{offered}"), &format!("r{rule}"), severity, "u"));
                    }
                    bench.offer(sequence, &texts);
                    if again {
                        bench.offer(sequence, &texts);
                    }
                }
                Step::Advance(ms) => bench.advance(ms),
                Step::Try(outcomes) => {
                    let due = bench.due("out");
                    let mut tried = Vec::new();
                    for ((id, message), outcome) in due.iter().zip(outcomes) {
                        seen.arrives(message);
                        tried.push((*id, match outcome {
                            0 | 1 => {
                                seen.is_delivered(message);
                                Verdict::Delivered
                            }
                            2 => retry(None),
                            _ => Verdict::Never { reason: "no".into() },
                        }));
                    }
                    bench.settle("out", &tried);
                }
                Step::Reopen => bench.reopen(),
                Step::Crash => bench.crash(),
            }
        }
        // In the end the receiver takes all that is left.
        for _ in 0..6 {
            bench.advance(600_000);
            for (id, message) in bench.due("out") {
                seen.arrives(&message);
                seen.is_delivered(&message);
                bench.settle("out", &[(id, Verdict::Delivered)]);
            }
        }
        let dead = bench.outbox().dead(0, 10_000).unwrap();
        let mut told: Vec<String> = seen.delivered.values().flat_map(|(uids, _)| uids.clone()).collect();
        told.extend(dead.iter().flat_map(|letter| letter.findings.clone()));
        let held_back: u64 = dead.iter().map(|letter| &letter.key).chain(seen.delivered.keys())
            .map(|key| seen.messages[key].1).sum();
        let count = told.len() as u64;
        told.sort();
        told.dedup();
        prop_assert_eq!(told.len() as u64, count, "an alert is in two messages");
        prop_assert_eq!(count + held_back, offered);
        let status = bench.outbox().status().unwrap();
        let in_dead: u64 = dead.iter().map(|letter| letter.findings.len() as u64).sum();
        prop_assert_eq!((status.entries, status.sinks["out"].waiting), (in_dead, 0));
    }
}
