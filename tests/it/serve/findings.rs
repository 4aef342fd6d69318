//! Findings that people work on: a change is a record, seen at once and once, also after a kill.

use super::daemon::{Answer, Daemon, event, request};
use crate::command::{tarn, text};
use serde_json::{Value, json};
use std::path::Path;

const CHANGES: &str =
    "SELECT count(*) AS n, count(DISTINCT metadata.uid) AS uids FROM detection_finding WHERE activity_id <> 1";

/// A daemon that has found three things, and their uids.
fn daemon(folder: &Path, over: &[(&str, &str)]) -> (Daemon, Vec<String>) {
    let daemon = Daemon::start(folder, over).unwrap();
    let events: String = (0..9).map(|n| event(&format!("e{n}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    daemon.wait("findings", |d| list(d, "").len() == 3);
    let uids = list(&daemon, "").iter().map(|f| f["finding_info"]["uid"].as_str().unwrap().to_owned()).collect();
    (daemon, uids)
}

fn list(daemon: &Daemon, query: &str) -> Vec<Value> {
    let answer = daemon.get(&format!("/v1/findings{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str::<Value>(&answer.body).unwrap()["findings"].as_array().unwrap().clone()
}

fn set(daemon: &Daemon, uid: &str, change: Value) -> Option<Answer> {
    request(daemon.address, "PATCH", &format!("/v1/findings/{uid}"), "", &change.to_string())
}

fn sql(daemon: &Daemon, sql: &str) -> Value {
    let headers = "Content-Type: application/json\r\n";
    let answer = request(daemon.address, "POST", "/v1/sql", headers, &json!({ "sql": sql }).to_string()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str::<Value>(&answer.body).unwrap()["rows"].clone()
}

fn shown(daemon: &Daemon, uid: &str) -> Value {
    serde_json::from_str(&daemon.get(&format!("/v1/findings/{uid}")).body).unwrap()
}

#[test]
fn a_change_is_seen_at_once_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, uids) = daemon(folder.path(), &[]);
    let change = json!({ "status": "in_progress", "assignee": "kim", "comment": "looking\nat it" });
    assert_eq!(set(&daemon, &uids[0], change).unwrap().status, 200);
    let close = json!({ "status": "resolved", "verdict": "true_positive" });
    assert_eq!(set(&daemon, &uids[0], close).unwrap().status, 200);

    let Value::Object(before) = &shown(&daemon, &uids[1])["finding"] else { panic!("no finding") };
    let shown = shown(&daemon, &uids[0]);
    let finding = &shown["finding"];
    assert_eq!(
        (&finding["status_id"], &finding["verdict_id"], &finding["activity_id"]),
        (&4.into(), &2.into(), &3.into())
    );
    assert_eq!((&finding["assignee"]["name"], &finding["severity_id"]), (&"kim".into(), &4.into()));
    assert_eq!(finding["actor"]["user"]["name"], "anonymous");
    for name in before.keys() {
        assert!(finding.get(name).is_some(), "{name} is lost: {finding}");
    }
    assert_eq!(finding["finding_info"]["title"], before["finding_info"]["title"]);
    let steps: Vec<_> = shown["history"].as_array().unwrap().iter().map(|s| (&s["status"], &s["comment"])).collect();
    let (new, progress, resolved) = (json!("New"), json!("In Progress"), json!("Resolved"));
    let words = json!("looking\nat it");
    assert_eq!(steps, [(&new, &Value::Null), (&progress, &words), (&resolved, &Value::Null)]);

    assert_eq!(list(&daemon, "").len(), 3);
    assert_eq!(list(&daemon, "?status=resolved&severity=high&since=1h").len(), 1);
    assert_eq!(list(&daemon, "?status=new").len(), 2);
    assert_eq!(list(&daemon, "?limit=1").len(), 1);
    let states = "SELECT status, count(*) AS n FROM findings GROUP BY 1 ORDER BY 1";
    assert_eq!(sql(&daemon, states), json!([{ "status": "New", "n": 2 }, { "status": "Resolved", "n": 1 }]));
    assert_eq!(sql(&daemon, CHANGES), json!([{ "n": 2, "uids": 2 }]));
    // No rule sees a change.
    daemon.wait("detection", |d| d.metric("tarn_detected_sequence") == d.metric("tarn_log_last_sequence"));
    assert_eq!(daemon.metric("tarn_findings_total"), 3.0);
    assert!(daemon.stop());

    // What is committed says the same.
    let lake = folder.path().join("lake");
    let state = format!("SELECT status, assignee.name FROM findings WHERE finding_info.uid = '{}'", uids[0]);
    let row = tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", &state]).ok().stdout;
    assert_eq!(row.trim(), r#"{"status":"Resolved","assignee.name":"kim"}"#);
}

#[test]
fn killed_after_the_acknowledgement_a_change_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, uids) = daemon(folder.path(), &[]);
    let comments = ["one", "two", "three"];
    for (n, comment) in comments.into_iter().enumerate() {
        assert_eq!(set(&daemon, &uids[0], json!({ "comment": comment })).unwrap().status, 200);
        daemon.signal("KILL");
        assert!(daemon.died());
        // The second of the restarts ends on disk, and before its answer.
        let over = [("TARN_SERVE_CRASH_AT", "before-update-answer")];
        let over = if n == 1 { &over[..] } else { &[] };
        daemon = Daemon::start(folder.path(), over).unwrap();
        assert_eq!(sql(&daemon, CHANGES)[0]["n"], if n == 2 { 4 } else { n + 1 });
        if n == 1 {
            assert!(
                set(&daemon, &uids[1], json!({ "status": "suppressed" })).is_none_or(|answer| answer.status != 200)
            );
            assert!(daemon.died());
            daemon = Daemon::start(folder.path(), &[]).unwrap();
        }
    }
    assert_eq!(sql(&daemon, CHANGES), json!([{ "n": 4, "uids": 4 }]));
    assert_eq!(shown(&daemon, &uids[0])["finding"]["comment"], "three");
    assert_eq!(list(&daemon, "?status=suppressed").len(), 1);
    assert!(daemon.stop());
}

#[test]
fn the_command_line_lists_shows_and_sets() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, uids) = daemon(folder.path(), &[]);
    let url = format!("http://{}", daemon.address);
    let run = |arguments: &[&str]| tarn(&[&["findings"], arguments, &["--url", &url]].concat());
    let set = run(&["set", &uids[2], "--status", "in_progress", "--assignee", "kim", "--comment", "mine"]).ok().stdout;
    assert!(set.contains("In Progress"), "{set}");
    let listed = run(&["list", "--status", "in_progress"]).ok().stdout;
    let row: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(
        (&row["uid"], &row["assignee"], &row["status"]),
        (&uids[2].as_str().into(), &"kim".into(), &"In Progress".into())
    );
    let table = run(&["list", "--format", "table"]).ok().stdout;
    assert!(table.contains("| Trail Stopped") && table.contains("kim"), "{table}");
    let shown: Vec<Value> = run(&["show", &uids[2]]).ok().rows();
    assert_eq!((shown.len(), &shown[1]["comment"], &shown[1]["by"]), (2, &"mine".into(), &"anonymous".into()));
    let refused = run(&["set", "nothing", "--status", "resolved"]);
    assert!(refused.code == 1 && refused.stderr.contains("no finding \"nothing\""), "{}", refused.stderr);
    let wrong = run(&["set", &uids[2], "--status", "done"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("new, in_progress, suppressed, resolved"), "{}", wrong.stderr);
    assert_eq!(run(&["set", &uids[2]]).code, 2);
    assert!(daemon.stop());
}
