//! Killed at any moment and at each named place, its plug pulled, on a disk that fails to sync or is full, while rules change:
//! what was acknowledged is in the lake once, with its finding, once.
//!
//! `TARN_CRASHES=50 cargo test --test it serve::crash` kills, and pulls the plug, more often than the short form of CI.

use super::correlations::{self, RULES};
use super::daemon::{Daemon, RULE, event, request};
use super::disk::Disk;
use crate::command::{tarn, text};
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Events of one request.
const BATCH: usize = 7;
const CLIENTS: usize = 3;

/// Acknowledged, and sent at all.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeMap<String, bool>,
    all: BTreeSet<String>,
    refused: usize,
}

/// A rule beside [`RULE`] that finds nothing, and comes and goes.
const OTHER: &str = "title: Never
id: 3d5f0a41-6a0e-4d7c-8f1c-1d2b7e9a6c55
status: test
description: No event has this.
logsource:
  product: aws
  service: cloudtrail
detection:
  selection:
    eventName: Never
  condition: selection
level: low
";

/// Changes the rules of a daemon until it is killed.
fn change_rules(daemon: &Daemon, folder: &Path, stop: &AtomicBool) {
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // A file that is half written would be refused, and the rules stay; that is no change.
        let rules = if turn % 2 == 0 { format!("{RULE}---\n{OTHER}") } else { RULE.to_owned() };
        std::fs::write(folder.join("rule.yml"), rules).unwrap();
        daemon.signal("HUP");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A daemon with [`RULE`] and a correlation over it.
fn started(folder: &Path, over: &[(&str, &str)]) -> Daemon {
    std::fs::write(folder.join("correlation.yml"), correlations::CORRELATION).unwrap();
    Daemon::start(folder, &[over, &[RULES]].concat()).unwrap()
}

/// Load on a daemon, whose rules change, until `alive` returns; then it is killed.
fn killed(folder: &Path, over: &[(&str, &str)], round: usize, sent: &Arc<Mutex<Sent>>, alive: impl FnOnce()) {
    let daemon = started(folder, over);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&daemon, round, sent, Duration::from_secs(20)));
        let changing = scope.spawn(|| change_rules(&daemon, folder, &stop));
        alive();
        stop.store(true, Ordering::Relaxed);
        changing.join().unwrap();
        daemon.signal("KILL");
        loading.join().unwrap();
    });
    assert!(daemon.died());
}

fn crashes() -> usize {
    std::env::var("TARN_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

fn random() -> rand_chacha::ChaCha8Rng {
    let seed: u64 = std::env::var("TARN_CRASH_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    rand_chacha::ChaCha8Rng::seed_from_u64(seed)
}

/// Pushes until the daemon is gone. An event is to be found when its number is a multiple of three.
fn load(daemon: &Daemon, round: usize, sent: &Arc<Mutex<Sent>>, until: Duration) {
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (sent, stop, address) = (sent.clone(), &stop, daemon.address);
            scope.spawn(move || {
                for batch in 0.. {
                    if stop.load(Ordering::Relaxed) || started.elapsed() > until {
                        return;
                    }
                    let numbers: Vec<usize> = (batch * BATCH..(batch + 1) * BATCH).collect();
                    let id = |n: &usize| format!("r{round}-c{client}-{n}");
                    let body: String = numbers.iter().map(|n| event(&id(n), *n)).collect();
                    sent.lock().unwrap().all.extend(numbers.iter().map(id));
                    match request(address, "POST", "/v1/ingest", "", &body) {
                        Some(answer) if answer.status == 200 => {
                            let found = numbers.iter().map(|n| (id(n), n.is_multiple_of(3)));
                            sent.lock().unwrap().acknowledged.extend(found);
                        }
                        // No room, or a disk that failed: it says so, and takes nothing.
                        Some(answer) if matches!(answer.status, 429 | 503) => {
                            sent.lock().unwrap().refused += 1;
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        Some(answer) => panic!("{answer:?}"),
                        None => stop.store(true, Ordering::Relaxed),
                    }
                }
            });
        }
    });
}

/// How often each uid is there.
fn counts(folder: &Path, sql: &str) -> BTreeMap<String, i64> {
    let rows = tarn(&["sql", "--lake", text(&folder.join("lake")), sql]).ok().rows();
    rows.iter().map(|row| (row["uid"].as_str().unwrap().to_owned(), row["n"].as_i64().unwrap())).collect()
}

/// Starts once more, lets it catch up, stops it, and looks.
fn judge(folder: &Path, sent: &Sent, crashes: usize) {
    let daemon = started(folder, &[]);
    // What so many lives left may take longer than stopping may.
    for position in ["tarn_detected_sequence", "tarn_visible_sequence"] {
        daemon
            .wait_for(Duration::from_secs(600), position, |d| d.metric(position) == d.metric("tarn_log_last_sequence"));
    }
    assert!(daemon.stop());
    let events = counts(folder, "SELECT metadata.uid AS uid, count(*) AS n FROM api_activity GROUP BY 1");
    let found = "SELECT finding_info.related_events[1].uid AS uid, count(*) AS n FROM detection_finding \
                 WHERE finding_info.title = 'Trail Stopped' GROUP BY 1";
    let findings = counts(folder, found);
    let correlated = "SELECT finding_info.uid AS uid, count(*) AS n FROM detection_finding \
                      WHERE finding_info.title = 'Many Trails Stopped' AND activity_id = 1 GROUP BY 1";
    let correlated = counts(folder, correlated);
    assert!(!correlated.is_empty() && correlated.values().all(|n| *n == 1), "{correlated:?}");
    assert!(crashes == 0 || sent.acknowledged.len() > 10 * crashes, "hardly any load: {}", sent.acknowledged.len());
    for (uid, is_found) in &sent.acknowledged {
        assert_eq!(events.get(uid), Some(&1), "event {uid} of {} acknowledged", sent.acknowledged.len());
        assert_eq!(findings.get(uid).copied().unwrap_or(0), i64::from(*is_found), "findings in {uid}");
    }
    for (uid, n) in events.iter().chain(&findings) {
        assert!(sent.all.contains(uid) && *n == 1, "{uid} is there {n} times");
    }
    println!(
        "{} events acknowledged through {crashes} crashes, {} and {} findings",
        sent.acknowledged.len(),
        findings.len(),
        correlated.len()
    );
}

#[test]
fn killed_at_random_moments() {
    let (crashes, mut random) = (crashes(), random());
    let folder = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Sent::default()));
    for round in 0..crashes {
        let alive = Duration::from_millis(random.random_range(100..2500));
        killed(folder.path(), &[], round, &sent, || std::thread::sleep(alive));
    }
    judge(folder.path(), &sent.lock().unwrap(), crashes);
}

#[test]
fn killed_at_each_place() {
    let folder = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Sent::default()));
    let places = ["before-answer:20", "before-findings:3", "after-findings:5", "before-cut:3", "before-checkpoint:1"];
    for (round, place) in places.iter().enumerate() {
        let daemon = started(folder.path(), &[("TARN_SERVE_CRASH_AT", place)]);
        load(&daemon, round, &sent, Duration::from_secs(15));
        assert!(daemon.died(), "it did not die at {place}");
    }
    judge(folder.path(), &sent.lock().unwrap(), places.len());
}

/// What was not synced is gone, at any moment.
#[test]
fn the_plug_is_pulled() {
    let Some(mut disk) = Disk::new() else { return };
    let (crashes, mut random) = (crashes(), random());
    let sent = Arc::new(Mutex::new(Sent::default()));
    for round in 0..crashes {
        let variables = disk.variables();
        let over: Vec<(&str, &str)> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let alive = Duration::from_millis(random.random_range(100..2500));
        killed(&disk.root(), &over, round, &sent, || std::thread::sleep(alive));
        // Sometimes only the process dies, and the next one has what was never synced.
        if round + 1 == crashes || random.random_range(0..4) > 0 {
            disk.cut();
        }
    }
    judge(&disk.root(), &sent.lock().unwrap(), crashes);
}

/// A disk on which nothing can be promised any more: what was promised before is kept.
#[test]
fn the_disk_fails() {
    let Some(mut disk) = Disk::new() else { return };
    let sent = Arc::new(Mutex::new(Sent::default()));
    let faults = [("DISK_SYNC_FAILS", "400"), ("DISK_FULL", "500:700"), ("DISK_FULL", "300:1000000000")];
    for (round, fault) in faults.iter().enumerate() {
        let variables = disk.variables();
        let mut over: Vec<(&str, &str)> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
        over.push(*fault);
        // A fault comes after so many writes, which a busy machine makes later.
        killed(&disk.root(), &over, round, &sent, || {
            let (started, refused) = (Instant::now(), || sent.lock().unwrap().refused > 0);
            let is_due = |seconds| started.elapsed() >= Duration::from_secs(seconds);
            while !is_due(4) || !(refused() || is_due(18)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert!(std::mem::take(&mut sent.lock().unwrap().refused) > 0, "{fault:?} was not seen");
        disk.cut();
    }
    judge(&disk.root(), &sent.lock().unwrap(), faults.len());
}
