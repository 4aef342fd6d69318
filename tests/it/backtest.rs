//! `tarn rules backtest`: counts, entities and differences, the same over a lake and over files.

use crate::command::{Run, tarn, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ID: &str = "7a3c1f52-8f0e-4a57-9d86-3f8a9f0c1d11";

fn rule(id: &str, selection: &str) -> String {
    format!(
        "title: Users listed\nid: {id}\nlogsource: {{product: aws, service: cloudtrail}}\n\
         detection:\n  selection:\n    {selection}\n  condition: selection\nlevel: low\n---\n"
    )
}

fn many(id: &str) -> String {
    format!(
        "title: Many users listed\nid: 11111111-2222-4333-8444-555555555555\nlevel: high\ncorrelation:\n  type: event_count\n\
         \x20 rules: [{id}]\n  group-by: [sourceIPAddress]\n  timespan: 10m\n  generate: true\n  condition: {{gte: 3}}\n"
    )
}

fn event(n: usize, day: u32, name: &str, user: &str) -> String {
    format!(
        "{{\"eventVersion\":\"1.09\",\"eventID\":\"e-{n}\",\"eventTime\":\"2026-03-{day:02}T10:00:{n:02}Z\",\
         \"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"{name}\",\"awsRegion\":\"eu-north-1\",\
         \"sourceIPAddress\":\"198.51.100.7\",\"userIdentity\":{{\"type\":\"IAMUser\",\"userName\":\"{user}\"}}}}\n"
    )
}

struct Place(tempfile::TempDir);

impl Place {
    /// Four of `ListUsers`, three of them by anna on the first of two days, and one of `GetUser`.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let listed = [(1, 17, "anna"), (2, 17, "anna"), (3, 17, "anna"), (4, 19, "ben")];
        let listed = listed.map(|(n, day, user)| event(n, day, "ListUsers", user)).concat();
        place.write("log.ndjson", &(listed + &event(5, 18, "GetUser", "ben")));
        place.write("rule.yml", &(rule(ID, "eventName: ListUsers") + &many(ID)));
        tarn(&["ingest", "--lake", text(&place.path("lake")), text(&place.path("log.ndjson"))]).ok();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Over the lake, then over the log.
    fn both(&self, rules: &Path, more: &[&str]) -> [Run; 2] {
        let (lake, log) = (self.path("lake"), self.path("log.ndjson"));
        [["--lake", text(&lake)], ["--events", text(&log)]]
            .map(|data| tarn(&[&["rules", "backtest", text(rules), "--format", "ndjson"], &data[..], more].concat()))
    }
}

/// Rows without what is measured.
fn counted(run: Run) -> Vec<Value> {
    let mut rows = run.ok().rows();
    for row in &mut rows {
        let object = row.as_object_mut().unwrap();
        object.remove("time_share");
        object.remove("nanoseconds_per_event");
    }
    rows
}

#[test]
fn findings_are_counted_by_day_and_entity_the_same_in_a_lake_and_in_files() {
    let place = Place::new();
    let [lake, files] = place.both(&place.path("rule.yml"), &[]).map(counted);
    assert_eq!(lake, files);
    let [rule, correlation] = lake.try_into().unwrap();
    assert_eq!((&rule["findings"], &rule["days"], &rule["busiest_day_findings"]), (&json!(4), &json!(2), &json!(3)));
    assert_eq!(rule["by_day"], json!({"2026-03-17": 3, "2026-03-19": 1}));
    assert_eq!((&rule["first_day"], &rule["last_day"]), (&json!("2026-03-17"), &json!("2026-03-19")));
    let users = json!([{"value": "anna", "findings": 3}, {"value": "ben", "findings": 1}]);
    assert_eq!(rule["top"]["actor.user.name"], users, "{rule}");
    assert_eq!(rule["top"]["src_endpoint.ip"], json!([{"value": "198.51.100.7", "findings": 4}]));
    assert_eq!((&rule["tests"], &rule["fields"]), (&json!(1), &json!(["eventName"])));
    assert_eq!((&correlation["findings"], &correlation["by_day"]), (&json!(1), &json!({"2026-03-17": 1})));
    assert_eq!(correlation["top"]["sourceIPAddress"][0]["value"], "198.51.100.7");
}

#[test]
fn the_share_of_the_time_is_measured() {
    let place = Place::new();
    let log: String = (0..3_000).map(|n| event(n % 60, 17, &format!("List{n}"), "anna")).collect();
    place.write("log.ndjson", &log);
    // Enough that a thread which waits its turn while the other rule runs does not count for more.
    let many: Vec<String> = (0..60).map(|n| format!("'L.*i.*s.*t.*[a-f]{n}.*z'")).collect();
    let slow = rule("22222222-2222-4333-8444-555555555555", &format!("eventName|re: [{}]", many.join(", ")));
    place.write("rule.yml", &(rule(ID, "eventName: ListUsers") + &slow));
    let [_, files] = place.both(&place.path("rule.yml"), &[]);
    let rows = files.ok().rows();
    let share = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap()["time_share"].as_f64().unwrap();
    assert!(share("22222222-2222-4333-8444-555555555555") > share(ID), "{rows:?}");
    assert!((rows.iter().map(|row| row["time_share"].as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-6);
}

#[test]
fn versions_are_compared_by_id_and_events() {
    let place = Place::new();
    std::fs::create_dir(place.path("old")).unwrap();
    place.write("old/rule.yml", &rule(ID, "userIdentity.userName: ben"));
    place.write("old/gone.yml", &rule("33333333-2222-4333-8444-555555555555", "eventName: GetUser"));
    let old = place.path("old");
    let [lake, files] = place.both(&place.path("rule.yml"), &["--against", text(&old), "--examples", "2"]).map(counted);
    assert_eq!(lake, files);
    let of = |title: &str, status: &str| {
        let row = lake.iter().find(|row| row["title"] == title && row["status"] == status).unwrap();
        ["gained", "lost", "gained_events", "lost_events"].map(|name| row[name].clone())
    };
    assert_eq!(of("Users listed", "runs"), [json!(3), json!(1), json!(["e-1", "e-2"]), json!(["e-5"])]);
    assert_eq!(of("Users listed", "gone"), [json!(0), json!(1), json!([]), json!(["e-5"])]);
    assert_eq!(of("Many users listed", "runs"), [json!(1), json!(0), json!(["e-3"]), json!([])]);
}

#[test]
fn days_and_noise_are_bounded() {
    let place = Place::new();
    let rules = place.path("rule.yml");
    for (limit, code) in [("3", 0), ("2", 1)] {
        for run in place.both(&rules, &["--fail-above", limit]) {
            assert_eq!(run.code, code, "{}", run.stderr);
            assert_eq!(run.stderr.contains("\"Users listed\" has 3 findings"), code == 1, "{}", run.stderr);
        }
    }
    let lake = place.path("lake");
    let since = tarn(&["rules", "backtest", text(&rules), "--lake", text(&lake), "--since", "2026-03-18"]).ok();
    assert_eq!(since.rows()[0]["by_day"], json!({"2026-03-19": 1}));
    for format in ["table", "csv", "json"] {
        let run = tarn(&["rules", "backtest", text(&rules), "--lake", text(&lake), "--format", format]).ok();
        assert!(run.stdout.contains("anna") && run.stdout.contains("2026-03-17"), "{}", run.stdout);
    }
}

#[test]
fn what_cannot_be_read_fails_and_the_rest_is_counted() {
    let place = Place::new();
    std::fs::create_dir(place.path("logs")).unwrap();
    std::fs::copy(place.path("log.ndjson"), place.path("logs/log.ndjson")).unwrap();
    place.write("logs/broken.parquet", "PAR1 and nothing that a footer would be PAR1");
    let (rules, logs) = (place.path("rule.yml"), place.path("logs"));
    let run = tarn(&["rules", "backtest", text(&rules), "--events", text(&logs), "--against", text(&rules)]);
    assert_eq!((run.code, &run.rows()[0]["findings"]), (1, &json!(4)), "{}", run.stderr);
    assert_eq!(run.stderr.matches("broken.parquet").count(), 1, "{}", run.stderr);
}

#[test]
fn wrong_usage_is_named() {
    let place = Place::new();
    let (rules, lake, log) = (place.path("rule.yml"), place.path("lake"), place.path("log.ndjson"));
    let absent = place.path("absent");
    let check = |more: &[&str], said: &str| {
        let run = tarn(&[&["rules", "backtest", text(&rules)], more].concat());
        assert!(run.code == 2 && run.stderr.contains(said), "{more:?}: {} {}", run.code, run.stderr);
    };
    check(&[], "--lake");
    check(&["--lake", text(&lake), "--events", text(&log)], "cannot be used with");
    check(&["--lake", text(&lake), "--zone", "Europe/Oslo"], "cannot be used with");
    check(&["--events", text(&log), "--since", "2026-03-18"], "--since and --until are for --lake");
    check(&["--events", text(&absent)], text(&absent));
    check(&["--lake", text(&absent)], "there is no lake at");
    check(&["--events", text(&log), "--against", text(&absent)], text(&absent));
    check(&["--events", "-"], "standard input");
    check(&["--lake", text(&lake), "--since", "2026-03-18", "--until", "2026-03-17"], "is not before");
    let run = tarn(&["rules", "backtest", text(&absent), "--events", text(&log)]);
    assert!(run.code == 2 && run.stderr.contains(text(&absent)), "{}", run.stderr);
}
