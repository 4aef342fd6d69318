//! Recordings through a daemon of the run's own, and through one that runs.

use super::{by_technique, call};
use crate::command::{Run, data, tarn, tarn_reading, text};
use crate::serve::daemon::{Daemon, request};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A burst is evidence where one read is not.
const BURST: &str = "title: One Secret
id: 0b0d2ad5-7d0b-4e0c-9a52-6e4d7f0b1d01
name: one_secret
status: test
description: A secret is read.
logsource: { product: aws, service: cloudtrail }
detection:
  selection: { eventName: GetSecretValue }
  condition: selection
level: informational
---
title: Many Secrets
id: 0b0d2ad5-7d0b-4e0c-9a52-6e4d7f0b1d02
status: test
description: Many secrets are read.
tags: [attack.t1555.006]
correlation:
  type: event_count
  rules: [one_secret]
  group-by: [userIdentity.arn]
  timespan: 5m
  condition: { gte: 3 }
level: high
";

/// Recordings: a technique that the table knows, one that the file's name tells, and one that nobody looks for.
fn recordings(folder: &Path) -> PathBuf {
    let recordings = folder.join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    let write = |name: &str, events: &[Value]| {
        std::fs::write(recordings.join(name), serde_json::to_string_pretty(events).unwrap()).unwrap();
    };
    let stop =
        [call("stop-0001", "cloudtrail", "DescribeTrails", 0), call("stop-0002", "cloudtrail", "StopLogging", 9)];
    write("aws.defense-evasion.cloudtrail-stop.json", &stop);
    let secrets: Vec<Value> =
        (0..4).map(|n| call(&format!("burst-000{n}"), "secretsmanager", "GetSecretValue", 20 + n)).collect();
    write("T1555.006-burst.json", &secrets);
    write("quiet.json", &[call("quiet-0001", "ec2", "DescribeRegions", 0)]);
    recordings
}

fn rules(folder: &Path) -> PathBuf {
    let rules = folder.join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("burst.yml"), BURST).unwrap();
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma/aws/aws_cloudtrail_logging_stopped.yml");
    std::fs::copy(pack, rules.join("aws_cloudtrail_logging_stopped.yml")).unwrap();
    rules
}

fn replay(folder: &Path, more: &[&str]) -> Run {
    tarn(
        &[&["simulate", "replay", text(&folder.join("recordings")), "--rules", text(&folder.join("rules"))], more]
            .concat(),
    )
}

#[test]
fn a_replay_is_scored_and_its_results_are_in_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    recordings(folder.path());
    rules(folder.path());
    let (keep, layer, junit, json, report) =
        (at("kept"), at("layer.json"), at("junit.xml"), at("score.json"), at("r.md"));
    let files = ["--keep", text(&keep), "--layer", text(&layer), "--junit", text(&junit), "--json", text(&json)];
    let more = ["--markdown", text(&report), "--background", "5", "--per-minute", "40", "--fail-under", "60"];
    let run = replay(folder.path(), &[&files[..], &more].concat()).ok();
    let rows = by_technique(&run.rows());
    let stop = &rows["aws.defense-evasion.cloudtrail-stop"];
    assert_eq!((&stop["verdict"], &stop["expected"], &stop["records"]), (&"detected".into(), &true.into(), &2.into()));
    assert!(stop["latency_ms"].as_i64().is_some_and(|ms| ms < 60_000), "{stop}");
    // A correlation's finding belongs to the recording whose events it stands on.
    let burst = &rows["T1555.006-burst"];
    assert_eq!((&burst["verdict"], &burst["rule"]), (&"detected".into(), &"Many Secrets".into()));
    assert_eq!((&rows["quiet"]["verdict"], &rows["quiet"]["latency_ms"]), (&"missed".into(), &Value::Null));
    assert!(run.stderr.contains("detected: 2 of 3, 66.7 % (20.8"), "{}", run.stderr);
    assert!(run.stderr.contains("false alarms: 0 in "), "{}", run.stderr);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let score: Value = serde_json::from_str(&read(&json)).unwrap();
    assert_eq!(score["totals"]["detected"]["count"], 2);
    assert!(score["background_records"].as_u64().is_some_and(|n| n > 200), "{score}");
    assert!(read(&layer).contains("\"T1685.002\"") && read(&junit).contains("<testsuites"));
    assert!(read(&report).contains("| `T1555.006-burst`"), "{}", read(&report));

    // Once more, into the same lake: records are new ones, and what was detected over time is a question.
    let again = replay(folder.path(), &["--keep", text(&keep), "--fail-under", "70"]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    let lake = keep.join("lake");
    let sql = |query: &str| tarn(&["sql", "--lake", text(&lake), query]).ok().rows();
    let stopped = "SELECT count(*) AS n, count(DISTINCT metadata.uid) AS uids, \
                   max(time) - min(time) < INTERVAL '1 hour' AS near, max(time) > now() - INTERVAL '1 hour' AS recent \
                   FROM api_activity WHERE api.operation = 'StopLogging'";
    let stopped = &sql(stopped)[0];
    assert_eq!((&stopped["n"], &stopped["uids"]), (&2.into(), &2.into()));
    assert_eq!((&stopped["near"], &stopped["recent"]), (&true.into(), &true.into()));
    let over_time = "SELECT metadata.correlation_uid AS run, count(*) FILTER (WHERE compliance.status_id = 1) AS detected, \
                     count(*) FILTER (WHERE compliance.status_id IN (1, 3)) AS ran FROM compliance_finding \
                     WHERE metadata.product.name = 'Tarn simulate' GROUP BY run, time ORDER BY time";
    let over_time = sql(over_time);
    assert_eq!((over_time.len(), &over_time[0]["detected"], &over_time[0]["ran"]), (2, &2.into(), &3.into()));
    for class in ["compliance_finding", "scan_activity"] {
        let export = tarn(&["ocsf", "export", "--lake", text(&lake), "--class", class]).ok();
        assert!(!export.stdout.is_empty());
        tarn_reading(&["ocsf", "validate", "-"], export.stdout.as_bytes()).ok();
    }
}

#[test]
fn a_daemon_that_runs_is_sent_to_at_its_pace_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = recordings(folder.path());
    // SHA-256 of "secret".
    let access = "[{name = 'sim', token_sha256 = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b', \
                  ingest = ['*'], query = true, admin = true}]";
    let over = [("TARN_SERVE__ACCESS", access), ("TARN_SERVE__DETECTION__LATE_SECONDS", "0")];
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    let url = format!("http://{}", daemon.address);
    let (token, wrong) = (folder.path().join("token"), folder.path().join("wrong"));
    std::fs::write(&token, "secret\n").unwrap();
    std::fs::write(&wrong, "guess").unwrap();
    let replay = |token: &Path| {
        let arguments = ["simulate", "replay", text(&recordings), "--to", &url, "--token-file", text(token)];
        tarn(&[&arguments[..], &["--speed", "100", "--gap", "10"]].concat())
    };
    let refused = replay(&wrong);
    assert!(refused.code == 1 && refused.stderr.contains("--token-file"), "{}", refused.stderr);
    let rows = by_technique(&replay(&token).ok().rows());
    // The daemon has a rule of its own, that names no technique.
    let stop = &rows["aws.defense-evasion.cloudtrail-stop"];
    assert_eq!((&stop["verdict"], &stop["rule"]), (&"other".into(), &"Trail Stopped".into()));
    let headers = "Content-Type: text/plain\r\nAuthorization: Bearer secret\r\n";
    let spread = "SELECT count(DISTINCT time) AS n FROM api_activity";
    let answer = request(daemon.address, "POST", "/v1/sql", headers, spread).unwrap();
    assert!(answer.body.contains("{\"n\":7}"), "{answer:?}");
    assert!(daemon.stop());
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let timeless = folder.path().join("timeless.json");
    std::fs::write(&timeless, "{\"a\": 1}").unwrap();
    let wrong = |arguments: &[&str], code: i32, words: &str| {
        let run = tarn(&[&["simulate"], arguments].concat());
        assert!(run.code == code && run.stderr.contains(words), "{arguments:?}: {} {}", run.code, run.stderr);
    };
    wrong(&["replay", "/nowhere/at/all"], 2, "/nowhere/at/all");
    wrong(&["replay", text(&timeless)], 1, "no record with a time");
    wrong(&["replay", text(&timeless), "--speed", "0"], 2, "above 0");
    wrong(&["replay", text(&timeless), "--fail-under", "101"], 2, "0 to 100");
    let events = folder.path().join("e.json");
    std::fs::write(&events, call("event-0001", "ec2", "DescribeRegions", 0).to_string()).unwrap();
    wrong(&["replay", text(&events), "--to", "http://127.0.0.1:9"], 1, "is the daemon running there?");
    wrong(&["replay", text(&events), "--to", "ftp://127.0.0.1"], 1, "expected http://");
    let no_rule = folder.path().join("no_rule.yml");
    std::fs::write(&no_rule, "a: [").unwrap();
    wrong(&["replay", text(&events), "--rules", text(&no_rule)], 1, "the daemon did not start");
}

#[test]
fn an_ordinary_hour_alarms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (quiet, json) = (folder.path().join("quiet.json"), folder.path().join("score.json"));
    std::fs::write(&quiet, call("quiet-0001", "ec2", "DescribeRegions", 0).to_string()).unwrap();
    for seed in ["7", "8"] {
        let more = ["--background", "60", "--seed", seed, "--json", text(&json)];
        tarn(&[&["simulate", "replay", text(&quiet)], &more[..]].concat()).ok();
        let score: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        assert!(score["background_records"].as_u64().unwrap() > 4_000, "{score}");
        let alarms = score["totals"]["false_alarms"].as_u64().unwrap();
        assert!(alarms < 3, "seed {seed}: {}", score["false_alarms"]);
    }
}

/// How many of the recorded techniques the pack detects, at least.
const DETECTED_MIN: i64 = 22;

#[test]
fn recorded_techniques_are_detected() {
    let Some(data) = data() else { return };
    let logs = data.join("stratus/detonation-logs");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("score.json");
    tarn(&["simulate", "replay", text(&logs), "--json", text(&json), "--background", "60"]).ok();
    let score: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let (totals, missed) = (&score["totals"], score["techniques"].as_array().unwrap());
    let missed: Vec<_> = missed.iter().filter(|t| t["outcome"]["detected"] != true).map(|t| &t["id"]).collect();
    assert_eq!(totals["detected"]["of"], 24);
    assert!(totals["detected"]["count"].as_i64().unwrap() >= DETECTED_MIN, "{totals} {missed:?}");
    assert!(totals["false_alarms"].as_i64().unwrap() < 3, "{}", score["false_alarms"]);
}
