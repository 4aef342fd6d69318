//! `tarn hunt`: what a stream found, found again in the lake.

mod arrival;
mod evidence;
mod parts;
mod shared;
mod values;

use crate::command::{Run, data, tarn, text};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tarn_simulations::Day;

/// Detections that are only events to count (modelled on T1087.004 and T1110), and correlations over them.
const RULES: &str = r"
title: Something is listed
name: listed
id: 5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e01
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName|startswith: [List, Describe]}
  condition: selection
---
title: Something fails
name: failed
id: 5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e02
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {errorCode|exists: true}
  condition: selection
---
title: Many listings from one address
id: 5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e03
correlation:
  type: event_count
  rules: listed
  group-by: [sourceIPAddress]
  timespan: 10m
  condition: {gte: 3}
level: low
---
title: Listings of several kinds
id: 5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e04
correlation:
  type: value_count
  rules: listed
  group-by: [userIdentity.arn]
  timespan: 6h
  condition: {gte: 3, field: eventName}
level: low
---
title: Failures, then nothing much
id: 5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e05
correlation:
  type: event_count
  rules: failed
  group-by: [sourceIPAddress]
  timespan: 1h
  condition: {lt: 3}
level: low
";

struct Folder {
    folder: tempfile::TempDir,
    logs: Vec<PathBuf>,
}

impl Folder {
    /// A lake of two days, the rules, and the days' logs.
    fn new(background: usize) -> Self {
        Self::of_days(&[17, 18], background)
    }

    /// The same of these days of a month.
    fn of_days(days: &[u32], background: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let day = |day: u32| Day::new(NaiveDate::from_ymd_opt(2026, 3, day).unwrap(), background, u64::from(day));
        let mut logs = Vec::new();
        for n in days {
            let log: String = day(*n).map(|event| event.json + "\n").collect();
            logs.push(folder.path().join(format!("day-{n}.ndjson")));
            std::fs::write(logs.last().unwrap(), log).unwrap();
        }
        std::fs::write(folder.path().join("rules.yml"), RULES).unwrap();
        let this = Self { folder, logs };
        tarn(&[&["ingest", "--lake", text(&this.path("lake"))], &this.logs()[..]].concat()).ok();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn logs(&self) -> Vec<&str> {
        self.logs.iter().map(|log| text(log)).collect()
    }

    fn detect(&self, rules: &Path) -> Run {
        tarn(&[&["detect", "--rules", text(rules)], &self.logs()[..]].concat()).ok()
    }

    fn hunt(&self, rules: &Path, more: &[&str]) -> Run {
        tarn(&[&["hunt", "--lake", text(&self.path("lake")), "--rules", text(rules)], more].concat())
    }
}

/// Findings by uid, without the moment at which they were made and where their events were read.
fn findings(run: &Run) -> BTreeMap<String, serde_json::Value> {
    let finding = |mut row: serde_json::Value| {
        for member in ["time", "file", "record"] {
            row.as_object_mut().unwrap().remove(member);
        }
        row["finding_info"].as_object_mut().unwrap().remove("created_time");
        (row["finding_info"]["uid"].as_str().unwrap().to_owned(), row)
    };
    run.rows().into_iter().map(finding).collect()
}

fn check_same(found: &BTreeMap<String, serde_json::Value>, streamed: &BTreeMap<String, serde_json::Value>) {
    let title = |uid: &String| format!("{uid} {}", found.get(uid).or(streamed.get(uid)).unwrap()["rule"]["title"]);
    let only = |a: &BTreeMap<String, _>, b: &BTreeMap<String, _>| -> Vec<String> {
        a.keys().filter(|uid| !b.contains_key(*uid)).map(title).collect()
    };
    assert_eq!(
        (only(found, streamed), only(streamed, found)),
        (vec![], vec![]),
        "only in the lake, only in the stream"
    );
    for (uid, finding) in found {
        assert_eq!(finding, &streamed[uid]);
    }
}

#[test]
fn a_hunt_finds_what_the_stream_found() {
    let folder = Folder::new(4_000);
    let rules = folder.path("rules.yml");
    let streamed = findings(&folder.detect(&rules));
    let titles = |title: &str| streamed.values().filter(|f| f["rule"]["title"] == title).count();
    for title in ["Many listings from one address", "Listings of several kinds", "Failures, then nothing much"] {
        assert!(titles(title) > 1, "{title}");
    }
    check_same(&findings(&folder.hunt(&rules, &[]).ok()), &streamed);

    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma");
    let streamed = findings(&folder.detect(&pack));
    assert!(streamed.len() > 5, "{}", streamed.len());
    check_same(&findings(&folder.hunt(&pack, &[]).ok()), &streamed);
    // A part of the days.
    let part = folder.hunt(&pack, &["--since", "2026-03-17", "--until", "2026-03-18T00:00:00Z"]).ok();
    let first_day = |f: &&serde_json::Value| f["finding_info"]["first_seen_time"].as_i64().unwrap() < 1_773_792_000_000;
    assert_eq!(findings(&part).len(), streamed.values().filter(first_day).count());
}

#[test]
fn a_hunt_goes_on_where_it_stopped() {
    let folder = Folder::new(1_000);
    let (rules, state) = (folder.path("rules.yml"), folder.path("state"));
    let resumed = |more: &[&str]| folder.hunt(&rules, &[&["--resume", text(&state)], more].concat());
    // A day of which only a part is hunted through is not done.
    let part = findings(&resumed(&["--until", "2026-03-17T22:00:00Z"]).ok());
    assert!(!part.is_empty() && !state.exists(), "{}", part.len());
    let mut found = findings(&resumed(&["--until", "2026-03-18"]).ok());
    assert!(part.keys().all(|uid| found.contains_key(uid)));
    let second = findings(&resumed(&[]).ok());
    assert!(!second.is_empty() && second.keys().all(|uid| !found.contains_key(uid)), "a day is hunted through once");
    found.extend(second);
    // Windows that are open at the end of the lake stay open.
    let whole = findings(&folder.hunt(&rules, &[]).ok());
    assert!(found.keys().all(|uid| whole.contains_key(uid)));
    let closed = whole.iter().filter(|(_, f)| f["rule"]["title"] != "Failures, then nothing much");
    assert!(closed.clone().count() > 0 && closed.into_iter().all(|(uid, _)| found.contains_key(uid)));
    assert_eq!(resumed(&[]).ok().stdout, "", "all days are done");

    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma");
    let other = folder.hunt(&pack, &["--resume", text(&state)]);
    assert_eq!(other.code, 2, "{}", other.stderr);
    assert!(other.stderr.contains("with other rules"), "{}", other.stderr);
    std::fs::write(&state, "{}").unwrap();
    let broken = resumed(&[]);
    assert!(broken.code == 2 && broken.stderr.contains("not the state of a hunt"), "{}", broken.stderr);
}

#[test]
fn rules_are_tables_in_sql() {
    let folder = Folder::new(500);
    let rules = folder.path("rules.yml");
    let listed = folder.detect(&rules).rows();
    let sql = |query: &str| {
        tarn(&["sql", "--lake", text(&folder.path("lake")), "--rules", text(&rules), "--format", "ndjson", query])
    };
    let of_logs: i64 = sql(
        "SELECT count(*) AS n FROM api_activity WHERE api.operation LIKE 'List%' OR api.operation LIKE 'Describe%'",
    )
    .ok()
    .rows()[0]["n"]
        .as_i64()
        .unwrap();
    assert!(of_logs > 10 && !listed.is_empty());
    for name in ["listed", "Something is listed", "5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e01"] {
        let rows = sql(&format!("SELECT rule_id, level, class, count(*) AS n FROM sigma('{name}') GROUP BY 1, 2, 3"))
            .ok()
            .rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["rule_id"], "5b0f6f5e-5c2f-4c52-9a53-0b6a0d4a7e01");
        assert_eq!((&rows[0]["class"], &rows[0]["n"]), (&"api_activity".into(), &of_logs.into()));
    }
    let joined = sql("SELECT a.api.operation AS operation, s.rule_title FROM sigma('rules.yml') s \
         JOIN api_activity a ON a.metadata.uid = s.event_uid \
         WHERE s.time < TIMESTAMP '2026-03-18T00:00:00Z' ORDER BY a.time")
    .ok()
    .rows();
    assert!(!joined.is_empty() && joined.iter().any(|row| row["rule_title"] == "Something fails"));
    let lake = folder.path("lake");
    let without = tarn(&["sql", "--lake", text(&lake), "SELECT * FROM sigma('listed')"]);
    assert!(without.code == 1 && without.stderr.contains("with --rules"), "{}", without.stderr);
    let plan = sql("EXPLAIN SELECT event_uid FROM sigma('listed')").ok().stdout;
    assert!(plan.contains("SigmaExec: class=6003, rules=1"), "{plan}");
    for (query, expected) in [
        ("SELECT * FROM sigma('nothing')", "no rule \"nothing\""),
        ("SELECT * FROM sigma('Many listings from one address')", "is a correlation"),
        ("SELECT * FROM sigma(1)", "texts that name rules"),
    ] {
        let run = sql(query);
        assert!(run.code == 1 && run.stderr.contains(expected), "{} {}", run.code, run.stderr);
    }
}

#[test]
fn wrong_usage_is_named() {
    let folder = Folder::new(10);
    let rules = folder.path("rules.yml");
    for (arguments, expected) in
        [(["--since", "yesterday"], "expected a day"), (["--until", "2026-13-01"], "expected a day")]
    {
        let run = folder.hunt(&rules, &arguments);
        assert!(run.code == 2 && run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = folder.hunt(&rules, &["--since", "2026-03-18", "--until", "2026-03-17"]);
    assert!(run.code == 2 && run.stderr.contains("is not before"), "{}", run.stderr);
    let run = tarn(&["hunt", "--lake", text(&folder.path("nowhere")), "--rules", text(&rules)]);
    assert!(run.code == 2 && run.stderr.contains("there is no lake at"), "{}", run.stderr);
}

/// All public rules on a sample of real events.
#[test]
fn a_hunt_finds_what_the_stream_found_in_real_logs() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let cases = data.join("sigmahq/regression_data");
    let rules = ["rules", "rules-emerging-threats", "rules-threat-hunting"].map(|f| data.join("sigmahq").join(f));
    let rules: Vec<&str> = rules.iter().flat_map(|path| ["--rules", text(path)]).collect();
    tarn(&["ingest", "--lake", text(&lake), text(&cases)]).ok();
    let streamed = findings(&tarn(&[&["detect"], &rules[..], &[text(&cases)]].concat()).ok());
    assert!(streamed.len() > 150, "{}", streamed.len());
    check_same(&findings(&tarn(&[&["hunt", "--lake", text(&lake)], &rules[..]].concat()).ok()), &streamed);
}
