//! What becomes of findings that people work on.

use super::*;

const CLOSING: &str = r#"
    sinks.out = { kind = "pagerduty", routing_key = "env:PAGERDUTY_KEY" }
    routes = [{ name = "r", sinks = ["out"] }]"#;
const GROUPED: &str = r#"
    sinks.out = { kind = "pagerduty", routing_key = "env:PAGERDUTY_KEY" }
    routes = [{ name = "r", sinks = ["out"], group_by = ["rule"], group_wait = "1s" }]"#;
const CHANGES: &str = r#"
    sinks = { out = { kind = "webhook", url = "https://hooks.example.org/", changes = true }, other = { kind = "stdout" } }
    routes = [{ name = "bad", severity_min = "high", sinks = ["out", "other"] }, { name = "rest", sinks = ["other"] }]"#;

/// The record of a change, by which a finding has this status.
fn change(uid: &str, record: &str, status_id: u8) -> String {
    let finding: serde_json::Value = serde_json::from_str(&finding(uid, "r", 4, "u")).unwrap();
    let mut finding = finding.as_object().unwrap().clone();
    finding.insert("status_id".into(), status_id.into());
    finding.insert("status".into(), "Some".into());
    finding.insert("metadata".into(), serde_json::json!({ "uid": record }));
    finding.insert("actor".into(), serde_json::json!({ "user": { "name": "kim" } }));
    serde_json::Value::Object(finding).to_string()
}

impl Bench {
    fn change(&self, sequence: u64, records: &[String]) {
        self.outbox().change(sequence, records).unwrap();
    }

    /// Delivers what is due: keys, and whether each is about a change.
    fn told(&self) -> Vec<(String, bool)> {
        let due = self.due("out");
        let tried: Vec<_> = due.iter().map(|(id, _)| (*id, Verdict::Delivered)).collect();
        self.settle("out", &tried);
        due.into_iter().map(|(_, message)| (message.key, message.change.is_some())).collect()
    }
}

fn told(key: &str, is_change: bool) -> (String, bool) {
    (key.to_owned(), is_change)
}

#[test]
fn an_incident_ends_once_when_its_finding_is_closed() {
    let mut bench = Bench::new(CLOSING);
    bench.offer(1, &[finding("f1", "r", 4, "u"), finding("f2", "r", 4, "u")]);
    assert_eq!(bench.told(), [told("f1", false), told("f2", false)]);
    bench.change(2, &[change("f1", "c1", 2)]);
    assert!(bench.told().is_empty(), "it is worked on, and not closed");
    bench.crash();
    bench.change(3, &[change("f1", "c2", 4), change("unknown", "c3", 4)]);
    bench.change(3, &[change("f1", "c2", 4)]);
    bench.crash();
    assert_eq!(bench.told(), [told("f1", true)]);
    bench.change(4, &[change("f1", "c4", 3)]);
    assert!(bench.told().is_empty());
    bench.change(5, &[change("f2", "c5", 3)]);
    assert_eq!(bench.told(), [told("f2", true)]);
    let status = bench.outbox().status().unwrap();
    assert_eq!((status.entries, status.sinks["out"].waiting), (0, 0));
}

#[test]
fn no_end_overtakes_its_beginning() {
    let bench = Bench::new(CLOSING);
    bench.offer(1, &[finding("f1", "r", 4, "u"), finding("f2", "r", 4, "u")]);
    let due = bench.due("out");
    bench.settle("out", &[(due[0].0, retry(Some(1_000))), (due[1].0, Verdict::Never { reason: "no".into() })]);
    bench.change(2, &[change("f1", "c1", 4), change("f2", "c2", 4)]);
    assert!(bench.told().is_empty());
    bench.advance(2_000);
    assert_eq!(bench.told(), [told("f1", false)]);
    assert_eq!(bench.told(), [told("f1", true)]);
    // One that died is over before it began, unless it is tried again.
    assert!(bench.told().is_empty());
    assert_eq!(bench.outbox().retry_dead(Which::All).unwrap(), 1);
    assert_eq!((bench.told(), bench.told()), (vec![told("f2", false)], vec![told("f2", true)]));
}

#[test]
fn a_group_ends_with_the_last_of_its_findings() {
    let bench = Bench::new(GROUPED);
    bench.offer(1, &[finding("f1", "r", 4, "u"), finding("f2", "r", 4, "v")]);
    bench.advance(1_000);
    assert_eq!(bench.told(), [told("f1", false)]);
    bench.change(2, &[change("f1", "c1", 4)]);
    assert!(bench.told().is_empty());
    bench.change(3, &[change("f2", "c2", 3)]);
    assert_eq!(bench.told(), [told("f1", true)]);
}

#[test]
fn what_never_came_is_forgotten() {
    let bench = Bench::new(CLOSING);
    bench.offer(1, &[finding("f1", "r", 4, "u")]);
    let due = bench.due("out");
    bench.settle("out", &[(due[0].0, Verdict::Never { reason: "no".into() })]);
    assert_eq!(bench.outbox().discard_dead(Which::All).unwrap(), 1);
    bench.change(2, &[change("f1", "c1", 4)]);
    assert!(bench.told().is_empty());
    let left = bench.outbox().store.read(|transaction| {
        use redb::ReadableTableMetadata;
        Ok((transaction.open_table(store::INCIDENTS)?.len()?, transaction.open_table(store::OPEN)?.len()?))
    });
    assert_eq!(left.unwrap(), (0, 0));
}

#[test]
fn whoever_asks_for_them_is_told_of_all_changes_where_the_routes_say_so() {
    let bench = Bench::new(CHANGES);
    bench.change(
        1,
        &[change("f1", "c1", 2), "{}".into(), change("f1", "c2", 4).replace("\"severity_id\":4", "\"severity_id\":2")],
    );
    bench.change(2, &[change("f1", "c3", 4)]);
    let due = bench.due("out");
    let keys: Vec<&str> = due.iter().map(|(_, message)| message.key.as_str()).collect();
    assert_eq!(keys, ["c1", "c3"]);
    let change = due[1].1.change.as_ref().unwrap();
    assert_eq!((change.uid.as_str(), change.by.as_deref(), change.closes), ("f1", Some("kim"), true));
    assert_eq!(due[1].1.alerts[0].alert.uid, "f1");
    assert!(bench.due("other").is_empty());
    assert_eq!(bench.outbox().status().unwrap().unreadable, 1);
}
