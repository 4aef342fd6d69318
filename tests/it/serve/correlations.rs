//! Correlations are told as soon as they are true, once, also after a kill; what late events change is closed.

use super::daemon::{Daemon, event};
use crate::command::{tarn, text};
use serde_json::Value;
use std::path::Path;

/// Over [`super::daemon::RULE`], which is found as well.
pub const CORRELATION: &str = "title: Many Trails Stopped
id: 0f4c9a54-4f0e-4a33-8d0e-6f3fb8f4ad7e
status: test
description: The same user stops several trails.
correlation:
  type: event_count
  rules: [6a2c7d0e-3b0f-4a53-9f4e-0c5c2c2d9b11]
  group-by: [userIdentity.userName]
  timespan: 10m
  condition: {gte: 3}
  generate: true
level: high
";

/// Both, for a daemon.
pub const RULES: (&str, &str) = ("TARN_SERVE__RULES", "['rule.yml', 'correlation.yml']");

fn daemon(folder: &Path) -> Daemon {
    std::fs::write(folder.join("correlation.yml"), CORRELATION).unwrap();
    Daemon::start(folder, &[RULES]).unwrap()
}

/// Pushes events by their numbers: they are that many seconds apart, and those of multiples of 21 are of one user and
/// found.
fn push(daemon: &Daemon, numbers: &[usize]) {
    let events: String = numbers.iter().map(|n| event(&format!("e{n}"), *n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
}

/// Lets detection see what was pushed, and its findings reach the log.
fn seen(daemon: &Daemon) {
    daemon.wait("detection", |d| d.metric("tarn_detected_sequence") == d.metric("tarn_log_last_sequence"));
}

/// Those of the correlation.
fn findings(daemon: &Daemon) -> Vec<Value> {
    let answer = daemon.get("/v1/findings");
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut all = serde_json::from_str::<Value>(&answer.body).unwrap()["findings"].as_array().unwrap().clone();
    all.retain(|finding| finding["finding_info"]["title"] == "Many Trails Stopped");
    all
}

/// Records of findings in a lake: the uid's, the activity's and the first event's.
fn records(folder: &Path) -> Vec<(String, i64, String)> {
    let sql = "SELECT finding_info.uid AS uid, activity_id, finding_info.related_events[1].uid AS event \
               FROM detection_finding WHERE finding_info.title = 'Many Trails Stopped' ORDER BY time, activity_id";
    let rows = tarn(&["sql", "--lake", text(&folder.join("lake")), sql]).ok().rows();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(&row["uid"]), row["activity_id"].as_i64().unwrap(), text(&row["event"]))).collect()
}

#[test]
fn they_are_told_at_once_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = daemon(folder.path());
    push(&first, &[21, 42]);
    seen(&first);
    assert!(findings(&first).is_empty());
    push(&first, &[63]);
    first.wait("the finding", |d| findings(d).len() == 1);
    first.signal("KILL");
    assert!(first.died());
    // Then what waited for late events is taken in event time, and says the same.
    let second = daemon(folder.path());
    push(&second, &[3, 5_001]);
    seen(&second);
    assert!(second.stop());
    let records = records(folder.path());
    assert_eq!(
        records.iter().map(|(_, activity, event)| (*activity, event.as_str())).collect::<Vec<_>>(),
        [(1, "e21")]
    );
}

#[test]
fn one_that_late_events_change_is_closed_with_the_uid_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    push(&daemon, &[42, 63, 84]);
    daemon.wait("the finding", |d| findings(d).len() == 1);
    push(&daemon, &[21, 5_001]);
    daemon.wait("the second one", |d| findings(d).len() == 2);
    daemon.wait("the end of the first", |d| findings(d).iter().any(|finding| finding["status"] == "Suppressed"));
    let of = |status: &str| findings(&daemon).into_iter().find(|finding| finding["status"] == status).unwrap();
    let (closed, open) = (of("Suppressed"), of("New"));
    let by = open["finding_info"]["uid"].as_str().unwrap();
    assert!(closed["comment"].as_str().unwrap().contains(by), "{closed}");
    assert_eq!((&closed["verdict"], &closed["actor"]["user"]["name"]), (&"Duplicate".into(), &"tarn".into()));
    assert!(daemon.stop());
    let records = records(folder.path());
    let told: Vec<_> = records.iter().map(|(_, activity, event)| (*activity, event.as_str())).collect();
    assert_eq!((told.len(), told[0]), (3, (1, "e42")));
    assert!(told.contains(&(3, "e42")) && told.contains(&(1, "e21")), "{told:?}");
}

/// A count that must not be exceeded is known when its window has closed: by events that no rule matches, too.
#[test]
fn one_that_waits_for_its_window_s_end_is_told_though_nothing_matches_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let few = CORRELATION.replace("gte: 3", "lte: 2");
    std::fs::write(folder.path().join("correlation.yml"), few).unwrap();
    let daemon = Daemon::start(folder.path(), &[RULES]).unwrap();
    push(&daemon, &[21, 42]);
    seen(&daemon);
    assert!(findings(&daemon).is_empty());
    // Ten minutes of its window, five of waiting for late events; 1,001 is no multiple of 21.
    push(&daemon, &[1_001]);
    daemon.wait("the finding", |d| findings(d).len() == 1);
    assert!(daemon.stop());
}

#[test]
fn an_event_of_the_future_makes_no_other_late() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    // A hundred years on, and found, of another user; then three of the last minutes.
    push(&daemon, &[21 * 150_000_000 + 3]);
    let minutes_ago = (chrono::Utc::now().timestamp() - 1_767_225_600) as usize / 21 * 21 - 210;
    push(&daemon, &[minutes_ago, minutes_ago + 21, minutes_ago + 42]);
    daemon.wait("the finding", |d| findings(d).len() == 1);
    assert!(daemon.stop());
}
