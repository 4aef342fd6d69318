//! Killed at any moment, and at each named place: what was acknowledged is in the lake once, with its finding, once.
//!
//! `TARN_CRASHES=50 cargo test --test it serve::crash` kills more often than the short form of CI.

use super::daemon::{Daemon, event, request};
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
    let daemon = Daemon::start(folder, &[]).unwrap();
    daemon.wait("detection", |d| d.metric("tarn_detected_sequence") == d.metric("tarn_log_last_sequence"));
    assert!(daemon.stop());
    let events = counts(folder, "SELECT metadata.uid AS uid, count(*) AS n FROM api_activity GROUP BY 1");
    let found = "SELECT finding_info.related_events[1].uid AS uid, count(*) AS n FROM detection_finding GROUP BY 1";
    let findings = counts(folder, found);
    assert!(crashes == 0 || sent.acknowledged.len() > 10 * crashes, "hardly any load: {}", sent.acknowledged.len());
    for (uid, is_found) in &sent.acknowledged {
        assert_eq!(events.get(uid), Some(&1), "event {uid} of {} acknowledged", sent.acknowledged.len());
        assert_eq!(findings.get(uid).copied().unwrap_or(0), i64::from(*is_found), "findings in {uid}");
    }
    for (uid, n) in events.iter().chain(&findings) {
        assert!(sent.all.contains(uid) && *n == 1, "{uid} is there {n} times");
    }
    println!("{} events acknowledged through {crashes} crashes, {} findings", sent.acknowledged.len(), findings.len());
}

#[test]
fn killed_at_random_moments() {
    let crashes: usize = std::env::var("TARN_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let seed: u64 = std::env::var("TARN_CRASH_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Sent::default()));
    for round in 0..crashes {
        let daemon = Daemon::start(folder.path(), &[]).unwrap();
        let until = Duration::from_millis(random.random_range(100..2500));
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| load(&daemon, round, &sent, Duration::from_secs(10)));
            std::thread::sleep(until);
            daemon.signal("KILL");
            loading.join().unwrap();
        });
        assert!(daemon.died());
    }
    judge(folder.path(), &sent.lock().unwrap(), crashes);
}

#[test]
fn killed_at_each_place() {
    let folder = tempfile::tempdir().unwrap();
    let sent = Arc::new(Mutex::new(Sent::default()));
    let places = ["before-answer:20", "before-findings:3", "after-findings:5", "before-cut:3", "before-checkpoint:1"];
    for (round, place) in places.iter().enumerate() {
        let daemon = Daemon::start(folder.path(), &[("TARN_SERVE_CRASH_AT", place)]).unwrap();
        load(&daemon, round, &sent, Duration::from_secs(15));
        assert!(daemon.died(), "it did not die at {place}");
    }
    judge(folder.path(), &sent.lock().unwrap(), places.len());
}
