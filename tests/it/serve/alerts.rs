//! Findings reach a receiver, each with one key, through a kill, failures of the receiver and of the outbox's disk, and the
//! loss of the machine.

use super::daemon::{Daemon, event, request};
use super::disk::Disk;
use super::store::Store;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A receiver's keys, and the number of times that each came; each is refused the first time, and all while it is shut.
/// PagerDuty's are the action and its key.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<BTreeMap<String, usize>>>, Arc<AtomicBool>);

impl Receiver {
    fn listen(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let receiver = receiver.clone();
                std::thread::spawn(move || receiver.take(stream));
            }
        });
        port
    }

    fn take(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let (mut length, mut key) = (0, None);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                let line = line.trim().to_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if let Some(value) = line.strip_prefix("webhook-id:") {
                    key = Some(value.trim().to_owned());
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let of_event = || {
                let event: serde_json::Value = serde_json::from_slice(&body).ok()?;
                Some(format!("{} {}", event["event_action"].as_str()?, event["dedup_key"].as_str()?))
            };
            let (key, is_shut) = (key.or_else(of_event)?, self.1.load(Ordering::Relaxed));
            let seen = {
                let mut all = self.0.lock().unwrap();
                let seen = all.entry(key).or_default();
                *seen += usize::from(!is_shut);
                *seen
            };
            let status = if seen < 2 || is_shut { "503 Later" } else { "202 Accepted" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").ok()?;
        }
    }

    /// Keys that were taken.
    fn taken(&self) -> usize {
        self.keys().len()
    }

    fn keys(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key.clone()).collect()
    }
}

/// A route for all findings to a webhook on `port`.
fn alerts(port: u16) -> String {
    format!(
        "{{ sinks.hook = {{ kind = 'webhook', url = 'http://127.0.0.1:{port}/x', plain_http = true, \
         allow_networks = ['127.0.0.0/8'], retry_base = '50ms', retry_max = '500ms' }}, \
         routes = [{{ name = 'all', sinks = ['hook'] }}] }}"
    )
}

#[test]
fn every_finding_is_delivered_with_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let alerts = alerts(receiver.listen());
    let over = [("TARN_SERVE__ALERTS", alerts.as_str())];
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    let events: String = (0..30).map(|n| event(&format!("e{n}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    daemon.wait("the findings", |d| d.metric("tarn_findings_total") == 10.0);
    // Whatever was delivered by now: the rest comes after the kill.
    daemon.signal("KILL");
    assert!(daemon.died());
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    daemon.wait("the alerts", |_| receiver.taken() == 10);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.0.lock().unwrap().len(), 10, "one key a finding");
    assert!(daemon.stop());
}

/// What is not to be written fails for a while below the outbox alone: events and findings go on meanwhile.
fn outbox_fails(fault: (&str, &str)) {
    let Some(disk) = Disk::new() else { return };
    let receiver = Receiver::default();
    let (alerts, outbox) = (alerts(receiver.listen()), disk.root().join("state/outbox"));
    let variables = disk.variables();
    let mut over: Vec<(&str, &str)> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
    over.extend([("DISK_ROOT", outbox.to_str().unwrap()), ("TARN_SERVE__ALERTS", alerts.as_str()), fault]);
    let daemon = Daemon::start(&disk.root(), &over).unwrap();
    let mut sent = 0;
    let mut send = |daemon: &Daemon| {
        let events: String = (sent..sent + 3).map(|n| event(&format!("e{n}"), n)).collect();
        sent += 3;
        assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
        sent / 3
    };
    let mut unready = String::new();
    daemon.wait("the failure", |daemon| {
        send(daemon);
        unready = daemon.get("/readyz").body;
        unready.contains("outbox")
    });
    assert_eq!(unready, "the outbox cannot be written: alerts wait\n");
    let findings = send(&daemon);
    daemon.wait("findings", |d| d.metric("tarn_findings_total") == findings as f64);
    assert!(daemon.metric("tarn_alerts_outbox_failures_total") > 0.0);
    daemon.wait("the alerts", |_| receiver.taken() == findings);
    assert_eq!(daemon.get("/readyz").status, 200);
    daemon.wait("the end", |d| d.metric("tarn_alerts_sequence") == d.metric("tarn_log_last_sequence"));
    assert_eq!(receiver.keys(), found(&daemon), "one key a finding");
    assert!(daemon.stop());
}

#[test]
fn alerts_wait_while_there_is_no_room_for_them() {
    outbox_fails(("DISK_FULL", "60:68"));
}

#[test]
fn alerts_wait_while_the_disk_does_not_sync() {
    outbox_fails(("DISK_SYNC_FAILS", "20:28"));
}

/// Uids of all findings.
fn found(daemon: &Daemon) -> Vec<String> {
    let answer = daemon.get("/v1/findings?limit=1000").body;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let uid = |finding: &serde_json::Value| finding["finding_info"]["uid"].as_str().unwrap().to_owned();
    let mut uids: Vec<String> = answer["findings"].as_array().unwrap().iter().map(uid).collect();
    uids.sort();
    uids
}

/// A machine is lost with what waits in its outbox, whose frames the log does not have any more, and with what it had not
/// yet taken from the log.
#[test]
fn alerts_outlive_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, store) = (Receiver::default(), Store::default());
    receiver.1.store(true, Ordering::Relaxed);
    let (alerts, variables) = (alerts(receiver.listen()), Store::variables(store.listen()));
    let mut over: Vec<(&str, &str)> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
    over.extend([("TARN_SERVE__ALERTS", alerts.as_str()), ("TARN_SERVE__LOG__STORE", "s3://bucket/log")]);
    let lost = |daemon: Daemon| {
        daemon.signal("KILL");
        assert!(daemon.died());
        std::fs::remove_dir_all(folder.path().join("state")).unwrap();
        Daemon::start(folder.path(), &over).unwrap()
    };
    let send = |daemon: &Daemon, name: &str| {
        let events: String = (0..30).map(|n| event(&format!("{name}{n}"), n)).collect();
        assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    };
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    send(&daemon, "early");
    daemon.wait("the first findings", |d| d.metric("tarn_findings_total") == 10.0);
    let last = daemon.metric("tarn_log_last_sequence") as u64;
    let segments =
        || store.names().into_iter().filter_map(|name| name.strip_suffix(".seg")?.rsplit_once('/')?.1.parse().ok());
    daemon.wait("the log to be cut", |_| segments().all(|first: u64| first > last));
    send(&daemon, "late");
    daemon.wait("the other findings", |d| found(d).len() == 20);
    let uids = found(&daemon);
    let daemon = lost(daemon);
    receiver.1.store(false, Ordering::Relaxed);
    daemon.wait("the alerts", |_| receiver.taken() == 20);
    assert_eq!(receiver.keys(), uids, "one key a finding");

    // Another one comes again under its key at most, and a machine that was stopped leaves nothing to repeat.
    let daemon = lost(daemon);
    daemon.wait("the outbox", |d| d.metric("tarn_alerts_sequence") == d.metric("tarn_log_last_sequence"));
    daemon.wait("repeats", |d| d.metric("tarn_alerts_waiting{sink=\"hook\"}") == 0.0);
    assert_eq!(found(&daemon), uids);
    assert!(daemon.stop());
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    let before = receiver.0.lock().unwrap().clone();
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    send(&daemon, "last");
    daemon.wait("the last alerts", |_| receiver.taken() == 30);
    assert!(daemon.stop());
    let after = receiver.0.lock().unwrap();
    assert!(before.iter().all(|(key, times)| after[key] == *times), "{before:?} {after:?}");
}

#[test]
fn a_closed_finding_ends_its_incident() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let port = receiver.listen();
    let sink = |more: &str| {
        format!(
            "{{ url = 'http://127.0.0.1:{port}/x', plain_http = true, allow_networks = ['127.0.0.0/8'], \
             retry_base = '50ms', {more} }}"
        )
    };
    let (pager, hook) =
        (sink("kind = 'pagerduty', routing_key = 'env:PAGER'"), sink("kind = 'webhook', changes = true"));
    let alerts = format!(
        "{{ sinks = {{ pager = {pager}, hook = {hook} }}, routes = [{{ name = 'r', sinks = ['pager', 'hook'] }}] }}"
    );
    let over = [("TARN_SERVE__ALERTS", alerts.as_str()), ("PAGER", "0123456789abcdef0123456789abcdef")];
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    assert_eq!(daemon.post("/v1/ingest", &event("e0", 0)).status, 200);
    daemon.wait("the alerts", |_| receiver.taken() == 2);
    let uid = found(&daemon).remove(0);
    let set = |daemon: &Daemon, change: &str| {
        let answer = request(daemon.address, "PATCH", &format!("/v1/findings/{uid}"), "", change).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    set(&daemon, r#"{"status": "in_progress"}"#);
    daemon.wait("the first change", |_| receiver.taken() == 3);
    set(&daemon, r#"{"status": "resolved"}"#);
    // What is told is on disk.
    daemon.signal("KILL");
    assert!(daemon.died());
    let daemon = Daemon::start(folder.path(), &over).unwrap();
    daemon.wait("the end", |_| receiver.taken() == 5);
    let keys = receiver.keys();
    for key in [uid.clone(), format!("trigger {uid}"), format!("resolve {uid}")] {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
    assert!(daemon.stop());
}
