//! `tarn bench`: lanes are reproducible and repeat nothing; what is measured is what ran.

use crate::command::{data, program, tarn, tarn_reading, text};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

fn lines(text: &str) -> HashSet<&str> {
    text.lines().collect()
}

#[test]
fn a_lane_is_made_of_a_seed() {
    for log in ["windows", "cloudtrail", "kubernetes"] {
        let arguments = ["bench", "lane", "--log", log, "--events", "500", "--seed", "3"];
        let lane = tarn(&arguments).ok();
        assert_eq!((lane.rows().len(), lines(&lane.stdout).len()), (500, 500), "{log}");
        assert_eq!(lane.stdout, tarn(&arguments).ok().stdout);
        let other = tarn(&["bench", "lane", "--log", log, "--events", "500", "--seed", "4"]).ok();
        assert!(lines(&lane.stdout).is_disjoint(&lines(&other.stdout)), "{log}");
    }
}

#[test]
fn a_lane_grows_from_a_sample_in_a_file_or_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (sample, out) = (folder.path().join("sample.ndjson"), folder.path().join("lane.ndjson"));
    let made = tarn(&["bench", "lane", "--events", "60", "--out", text(&sample)]).ok();
    assert!(made.stdout.is_empty() && made.stderr.starts_with("60 events"), "{}", made.stderr);
    tarn(&["bench", "lane", text(&sample), "--events", "2000", "--out", text(&out)]).ok();
    let (sample, lane) = (std::fs::read_to_string(&sample).unwrap(), std::fs::read_to_string(&out).unwrap());
    assert!(lane.starts_with(&sample));
    assert_eq!(lines(&lane).len(), 2_000);
    let piped = tarn_reading(&["bench", "lane", "-", "--events", "2000"], sample.as_bytes()).ok();
    assert_eq!(piped.stdout, lane);
    // Without a number, a sample is as it is.
    assert_eq!(tarn_reading(&["bench", "lane", "-"], sample.as_bytes()).ok().stdout, sample);
}

/// By member: how many values, and how many of them had not been seen.
fn novelty(lines: &[&str], seen: &mut HashSet<(String, String)>) -> BTreeMap<String, (f64, f64)> {
    let mut members = BTreeMap::<String, (f64, f64)>::new();
    for line in lines {
        for (name, value) in serde_json::from_str::<serde_json::Map<String, Value>>(line).unwrap() {
            let (count, new) = members.entry(name.clone()).or_default();
            *count += 1.0;
            *new += f64::from(u8::from(seen.insert((name, value.to_string()))));
        }
    }
    members
}

#[test]
fn a_lane_of_real_events_repeats_none_and_has_as_many_new_values() {
    let Some(data) = data() else { return };
    let sample = data.join("windows/security-datasets-20k.ndjson.gz");
    let folder = tempfile::tempdir().unwrap();
    let lane = folder.path().join("lane.ndjson");
    tarn(&["bench", "lane", text(&sample), "--events", "32000", "--out", text(&lane)]).ok();
    let lane = std::fs::read_to_string(&lane).unwrap();
    assert_eq!(lines(&lane).len(), 32_000);
    let (mut seen, events) = (HashSet::new(), lane.lines().collect::<Vec<&str>>());
    let sample = novelty(&events[..20_000], &mut seen);
    for (member, (count, new)) in novelty(&events[20_000..], &mut seen).into_iter().filter(|(_, (n, _))| *n > 1_000.0) {
        let (share, expected) = (new / count, sample[&member].1 / sample[&member].0);
        assert!((share - expected).abs() < 0.03, "{member}: {share:.3}, not {expected:.3}");
    }
}

#[test]
fn what_cannot_be_a_lane_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let absent = tarn(&["bench", "lane", "no-such.ndjson", "--events", "5"]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("no-such.ndjson"), "{}", absent.stderr);
    assert_eq!(tarn(&["bench", "lane", "--events", "0"]).code, 2);
    let empty = tarn_reading(&["bench", "lane", "-", "--events", "5"], b"");
    assert_eq!((empty.code, empty.stdout.as_str()), (2, ""), "{}", empty.stderr);
    let alike = tarn_reading(&["bench", "lane", "-", "--events", "50"], b"{\"EventID\":1,\"up\":true}\n");
    assert_eq!(alike.code, 1);
    assert!(alike.stderr.contains("no more than 1 distinct"), "{}", alike.stderr);
    let nowhere = tarn(&["bench", "lane", "--events", "5", "--out", text(&folder.path().join("no/lane"))]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
}

#[test]
fn hints_say_what_an_event_is() {
    let lane = tarn(&["bench", "lane", "--events", "50", "--hints"]).ok().rows();
    assert_eq!(lane.len(), 50);
    let sysmon = lane.iter().find(|e| e["EventID"] == 1 && e["Channel"] != "Security").unwrap();
    assert_eq!((&sysmon["product"], &sysmon["service"]), (&"windows".into(), &"sysmon".into()));
    assert_eq!(sysmon["category"], "process_creation");
    let trail = tarn(&["bench", "lane", "--log", "cloudtrail", "--events", "5", "--hints"]).ok().rows();
    assert!(trail.iter().all(|e| e["product"] == "aws" && e["service"] == "cloudtrail" && e["category"].is_null()));
}

/// One of our own rules: programs are started many times, and a debug build takes seconds to load all of them.
fn rule() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sigma/windows/win_security_log_cleared.yml")
}

/// `tarn bench detect` of it with further arguments.
fn measure(arguments: &[&str]) -> Vec<Value> {
    measure_with(&rule(), arguments)
}

/// The same with other rules.
fn measure_with(rules: &Path, arguments: &[&str]) -> Vec<Value> {
    let always = ["bench", "detect", "--rules", text(rules), "--runs", "1", "--format", "json"];
    let run = tarn(&[&always[..], arguments].concat()).ok();
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn tarn_alone_is_measured_on_the_default_lanes() {
    let rows = measure(&["--events", "200", "--alone"]);
    let of = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<Value>>();
    let lanes = ["windows", "windows", "cloudtrail", "cloudtrail", "kubernetes", "kubernetes"];
    assert_eq!(
        (of("lane"), of("threads")),
        (lanes.map(Value::from).to_vec(), [1, 2, 1, 2, 1, 2].map(Value::from).to_vec())
    );
    for row in &rows {
        assert_eq!((&row["events"], &row["times_rsigma"]), (&200.into(), &Value::Null));
        assert!(row["events_per_second"].as_f64().unwrap() > 0.0 && row["seconds"].as_f64().unwrap() > 0.0, "{row}");
        assert_eq!(row["speed_up"].is_null(), row["threads"] == 1, "{row}");
    }
    if cfg!(target_os = "linux") {
        assert!(rows.iter().all(|row| row["peak_megabytes"].as_f64().unwrap() > 1.0));
    }
}

#[test]
fn a_given_lane_grows_and_its_findings_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("cleared.ndjson");
    let event = |n: u32| {
        format!(
            r#"{{"EventTime":"2026-03-17 08:09:1{n}","EventID":1102,"Channel":"Security","SourceName":"Microsoft-Windows-Eventlog","RecordNumber":51234{n}}}"#
        )
    };
    std::fs::write(&sample, (0..10).map(event).collect::<Vec<_>>().join("\n")).unwrap();
    let rows = measure(&["--lane", text(&sample), "--events", "120", "--threads", "1", "--alone", "--hunt"]);
    let programs: Vec<_> = rows.iter().map(|row| row["program"].as_str().unwrap()).collect();
    assert!(programs.len() == 2 && programs[1] == format!("{} hunt", programs[0]), "{programs:?}");
    for row in &rows {
        assert_eq!((&row["lane"], &row["events"], &row["findings"]), (&"cleared".into(), &120.into(), &120.into()));
    }
    let more = measure(&["--lane", text(&sample), "--times", "3", "--threads", "1", "--alone"]);
    assert_eq!(more[0]["events"], 10);
    assert!(more[0]["findings"].as_u64().unwrap() >= 10);
    assert_eq!(more[0]["rules"].as_u64(), rows[0]["rules"].as_u64().map(|n| 3 * n));
}

/// An rsigma that finds every Windows event with a hint, and takes half a second for it: ratios have two decimals.
#[cfg(unix)]
#[test]
fn rsigma_gets_hints_and_is_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsigma");
    let script = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo rsigma 9.9; exit; fi\ngrep -o '\"product\":\"windows\"' && sleep 0.5\n";
    program(&path, script);
    let lane = folder.path().join("lane.ndjson");
    tarn(&["bench", "lane", "--events", "300", "--out", text(&lane)]).ok();
    let rows = measure_with(&rule(), &["--lane", text(&lane), "--threads", "1", "--rsigma", text(&path)]);
    assert_eq!((rows.len(), &rows[1]["program"]), (2, &"rsigma 9.9".into()));
    assert_eq!(
        (&rows[1]["findings"], &rows[1]["threads"], &rows[1]["times_rsigma"]),
        (&300.into(), &Value::Null, &Value::Null)
    );
    assert!(rows[0]["times_rsigma"].as_f64().unwrap() > 0.0);
    // Hints are no bytes of the lane.
    assert_eq!(rows[0]["megabytes"], rows[1]["megabytes"]);
}

/// What rsigma's daemon answers, and how many events with a hint it has had.
#[cfg(unix)]
fn rsigmas_daemon() -> (std::net::SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use axum::routing::{get, post};
    use std::sync::atomic::{AtomicUsize, Ordering};
    let hinted = std::sync::Arc::new(AtomicUsize::new(0));
    let (taking, telling) = (hinted.clone(), hinted.clone());
    let take = move |body: String| async move {
        taking
            .fetch_add(body.lines().filter(|line| line.contains("\"product\":\"windows\"")).count(), Ordering::SeqCst);
    };
    let tell = move || async move {
        let n = telling.load(Ordering::SeqCst);
        let names = ["events_processed", "detection_matches", "correlation_matches"];
        names.map(|name| format!("# TYPE rsigma_{name}_total counter\nrsigma_{name}_total {n}\n")).concat()
    };
    let router = axum::Router::new().route("/api/v1/events", post(take)).route("/metrics", get(tell));
    let (send, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    (address.recv().unwrap(), hinted)
}

/// The program says where its daemon is, which is in this process.
#[cfg(unix)]
#[test]
fn rsigmas_daemon_takes_the_load_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let (address, hinted) = rsigmas_daemon();
    let path = folder.path().join("rsigma");
    let says = format!(r#"{{"fields":{{"message":"API server listening","addr":"{address}"}}}}"#);
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo rsigma 9.9; exit; fi\necho '{says}' >&2\nexec sleep 600\n"
    );
    program(&path, &script);
    let rules = rule();
    let always = ["bench", "serve", "--rules", text(&rules), "--events", "300", "--body-kib", "64", "--format", "json"];
    let run = tarn(&[&always[..], &["--rsigma", text(&path)]].concat()).ok();
    assert!(run.stderr.contains("rsigma 9.9, which stores nothing"), "{}", run.stderr);
    let rows: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((rows.len(), &rows[1]["program"], &rows[1]["stores"]), (2, &"rsigma 9.9".into(), &"nothing".into()));
    assert_eq!(hinted.load(std::sync::atomic::Ordering::SeqCst), 300);
    // Hints are no bytes of the lane.
    for same in ["events", "mb"] {
        assert_eq!(rows[0][same], rows[1][same], "{rows:?}");
    }
    assert_eq!((&rows[1]["findings"], &rows[1]["times_rsigma"]), (&600.into(), &Value::Null));
    for times in ["times_rsigma", "through_times_rsigma"] {
        assert!(rows[0][times].is_number(), "{rows:?}");
    }
    let alone = tarn(&[&always[..], &["--alone"]].concat()).ok();
    assert_eq!(serde_json::from_str::<Value>(&alone.stdout).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn without_rsigma_it_is_said_that_tarn_is_measured_alone() {
    let rule = rule();
    let arguments = ["bench", "detect", "--rules", text(&rule), "--events", "20", "--runs", "1", "--threads", "1"];
    let command =
        std::process::Command::new(env!("CARGO_BIN_EXE_tarn")).args(arguments).env("PATH", "").output().unwrap();
    assert!(command.status.success());
    let words = String::from_utf8(command.stderr).unwrap();
    assert!(words.contains("no rsigma") && words.contains("Tarn alone"), "{words}");
}

#[test]
fn what_cannot_be_measured_is_wrong_usage() {
    let rule = rule();
    for (arguments, named) in [
        (vec!["--rules", text(&rule), "--lane", "no-such.ndjson"], "no-such.ndjson"),
        (vec!["--rules", "no-such-rules"], "no-such-rules"),
        (vec!["--rules", text(&rule), "--rsigma", "./no-such-rsigma"], "no-such-rsigma"),
        (vec!["--rules", text(&rule), "--threads", "0"], "0"),
        (vec!["--rules", text(&rule), "--runs", "0"], "0"),
        (vec![], "--rules"),
    ] {
        let run = tarn(&[&["bench", "detect"], &arguments[..]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains(named), "{}", run.stderr);
    }
}

#[test]
fn questions_are_asked_of_a_lake_that_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("estate");
    let ask = |more: &[&str]| {
        tarn(&[&["bench", "query", "--lake", text(&lake), "--events", "20000"], more].concat()).ok().rows()
    };
    let listed = ask(&["--list"]);
    assert_eq!(listed.len(), 10);
    assert!(!lake.exists(), "listing makes nothing");
    let rows = ask(&["--runs", "1"]);
    let names = |rows: &[serde_json::Value]| rows.iter().map(|row| row["question"].to_string()).collect::<Vec<_>>();
    assert_eq!(names(&rows), names(&listed));
    assert!(rows.iter().all(|row| row["median_ms"].as_f64().unwrap() > 0.0));
    // Each hour of the month has logons that went well, some have others.
    let hours = rows.iter().find(|row| row["question"] == "histogram").unwrap()["answers"].as_u64().unwrap();
    assert!((721..1440).contains(&hours), "{hours}");
    // The lake is there: another seed changes nothing.
    assert_eq!(ask(&["--runs", "2", "--only", "histogram", "--seed", "8"]).len(), 1);
    let events = "SELECT (SELECT count(*) FROM process_activity) + (SELECT count(*) FROM api_activity) AS n";
    assert_eq!(tarn(&["sql", "--lake", text(&lake), events]).ok().rows()[0]["n"], 10_000);
    let none = tarn(&["bench", "query", "--lake", text(&lake), "--only", "nothing"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("--list"), "{}", none.stderr);
}
