//! Findings reach a receiver, each with one key, through failures and a kill.

use super::daemon::{Daemon, event};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A webhook's keys, and the number of times that each came; each is refused the first time.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<BTreeMap<String, usize>>>);

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
            let seen = {
                let mut all = self.0.lock().unwrap();
                let seen = all.entry(key?).or_default();
                *seen += 1;
                *seen
            };
            let status = if seen == 1 { "503 Later" } else { "204 No Content" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").ok()?;
        }
    }

    /// Keys that were taken.
    fn taken(&self) -> usize {
        self.0.lock().unwrap().values().filter(|times| **times > 1).count()
    }
}

#[test]
fn every_finding_is_delivered_with_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let port = receiver.listen();
    let alerts = format!(
        "{{ sinks.hook = {{ kind = 'webhook', url = 'http://127.0.0.1:{port}/x', plain_http = true, \
         allow_networks = ['127.0.0.0/8'], retry_base = '50ms' }}, \
         routes = [{{ name = 'all', sinks = ['hook'] }}] }}"
    );
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
